//! What the Trustist double remembers: tokens and invitations.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::json::Object;
use super::settings::{
    COMPLETE_INVITATION, PaymentTypesEcho, SENT_INVITATION, Settings, StatusCase, Switches,
};

/// All of it, in its starting state after a reset.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) switches: Switches,
    /// Every secret that the client may use just now: two while it is being changed.
    pub(crate) client_secrets: Vec<String>,
    /// How long a new token is valid, sent as `expires_in`.
    pub(crate) token_lifetime: Duration,
    /// How many tokens have been issued.
    pub(crate) tokens_issued: u64,
    /// Each valid token with the moment at which it stops being so.
    pub(crate) tokens: HashMap<String, Timestamp>,
    /// Oldest first.
    pub(crate) invitations: Vec<Invitation>,
}

/// One invited client.
#[derive(Clone, Debug)]
pub(crate) struct Invitation {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) payment_types: Option<Vec<String>>,
    pub(crate) status: Status,
}

/// How far an invitation has come. The order is inferred from the examples and the webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Sent,
    Opened,
    Complete,
    /// A word that no document has, as the partner may add one.
    Other(String),
}

// === impl State ===

impl State {
    pub(crate) fn new(settings: &Settings) -> Self {
        let invitations = vec![
            Invitation::known(SENT_INVITATION, "sent", Status::Sent),
            Invitation::known(COMPLETE_INVITATION, "complete", Status::Complete),
        ];
        Self {
            switches: settings.switches.clone(),
            client_secrets: vec![settings.client_secret.clone()],
            token_lifetime: settings.token_lifetime,
            tokens_issued: 0,
            tokens: HashMap::new(),
            invitations,
        }
    }

    pub(crate) fn invitation(&mut self, id: &str) -> Option<&mut Invitation> {
        self.invitations.iter_mut().find(|invitation| invitation.id == id)
    }
}

// === impl Invitation ===

impl Invitation {
    fn known(id: &str, name: &str, status: Status) -> Self {
        Self {
            id: id.to_owned(),
            email: format!("{name}@example.com"),
            name: format!("A {name} client"),
            payment_types: Some(vec!["openbanking".to_owned(), "cards".to_owned()]),
            status,
        }
    }

    /// As the API shows it.
    pub(crate) fn shown(&self, switches: &Switches) -> Object {
        let mut object = Object::new()
            .with("id", &self.id)
            .with("status", self.status.spelt(switches.status_case));
        if switches.echo_invitee {
            object = object.with("email", &self.email).with("name", &self.name);
        }
        match switches.echo_payment_types {
            PaymentTypesEcho::Nothing => {}
            PaymentTypesEcho::Requested => {
                object = object.with("paymentTypes", &self.payment_types);
            }
            PaymentTypesEcho::Effective => {
                object = object.with("paymentTypes", self.effective_payment_types());
            }
        }
        object.with_undocumented(switches.undocumented_fields)
    }

    // Open banking is mandatory whatever the request says.
    fn effective_payment_types(&self) -> Vec<&str> {
        let requested = self.payment_types.iter().flatten().map(String::as_str);
        let others = requested.filter(|requested| *requested != "openbanking");
        std::iter::once("openbanking").chain(others).collect()
    }
}

// === impl Status ===

impl Status {
    /// Reads a status in any case; an unknown word is kept as it is.
    pub(crate) fn read(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "pending" => Self::Pending,
            "sent" => Self::Sent,
            "opened" => Self::Opened,
            "complete" => Self::Complete,
            _ => Self::Other(word.to_owned()),
        }
    }

    pub(crate) fn next(&self) -> Option<Self> {
        match self {
            Self::Pending => Some(Self::Sent),
            Self::Sent => Some(Self::Opened),
            Self::Opened => Some(Self::Complete),
            Self::Complete | Self::Other(_) => None,
        }
    }

    pub(crate) fn spelt(&self, case: StatusCase) -> String {
        let word = match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Opened => "OPENED",
            Self::Complete => "COMPLETE",
            Self::Other(word) => return word.clone(),
        };
        match case {
            StatusCase::Documented => word.to_owned(),
            StatusCase::Lower => word.to_ascii_lowercase(),
            StatusCase::Upper => word.to_ascii_uppercase(),
        }
    }
}

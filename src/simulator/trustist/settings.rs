//! What the Trustist double accepts, and the assumptions that it makes.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// The client id that the simulator accepts by default.
pub const CLIENT_ID: &str = "simulator-client";
/// The client secret that the simulator accepts by default.
pub const CLIENT_SECRET: &str = "simulator-client-secret";
/// An invitation that exists from the start and has been sent.
pub const SENT_INVITATION: &str = "5e110000-0000-4000-8000-000000000001";
/// An invitation that exists from the start and is complete, so that its keys can be read.
pub const COMPLETE_INVITATION: &str = "c0301e7e-0000-4000-8000-000000000002";
/// The merchant that came of [`COMPLETE_INVITATION`], as webhooks name it.
pub const COMPLETE_MERCHANT: &str = "simulator-merchant-2";

/// What the Trustist double accepts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The only client id that gets a token.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// How long a token is valid, sent as `expires_in`.
    pub token_lifetime: Duration,
    /// The assumptions at the start and after a reset.
    pub switches: Switches,
}

/// Everything that the TrustistTransfer Partner API document does not say and a double must
/// nevertheless decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Whether a new token makes the earlier ones invalid. The document is silent; off.
    pub last_token_wins: bool,
    /// The status of a refused client. RFC 6749 allows 400 and 401; 401.
    pub invalid_client_status: u16,
    /// `token_type` as sent. The document shows `Bearer`; RFC 6749 makes its case meaningless.
    pub token_type: String,
    /// What error bodies look like. No document shows one; JSON.
    pub error_body: ErrorBody,
    /// The status of a created invitation. The document lists no success but 200.
    pub create_status: u16,
    /// What the keys of an invitation that is not complete are. Undocumented; 404.
    pub keys_before_complete: KeysBeforeComplete,
    /// In which case statuses are spelt. As documented: the API's own in lower case, those known
    /// from webhooks in upper case.
    pub status_case: StatusCase,
    /// Whether invitations repeat the e-mail address and the name that they were created with.
    /// The document's examples end in an ellipsis; off.
    pub echo_invitee: bool,
    /// Whether and how invitations repeat their payment types. Undocumented; nothing.
    pub echo_payment_types: PaymentTypesEcho,
    /// Whether a second invitation to one e-mail address is refused. Undocumented; off.
    pub refuse_duplicate_email: bool,
    /// Whether a request body may have fields that no document names. Undocumented; off, so that
    /// a misspelt field is found.
    pub accept_unknown_fields: bool,
    /// Whether replies have fields that no document names; their ellipses say so. On.
    pub undocumented_fields: bool,
    /// Whether replies carry `CorrelationId`, which is known from the merchant API only. On.
    pub correlation_id_header: bool,
}

/// The form of error bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorBody {
    /// A JSON object with a message.
    Json,
    /// No body at all.
    Empty,
    /// Plain text.
    Text,
}

/// The answer to a request for keys that do not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeysBeforeComplete {
    /// 404.
    NotFound,
    /// 200 with no items.
    EmptyItems,
}

/// The spelling of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusCase {
    /// `pending`, `sent`, `OPENED`, `COMPLETE`.
    Documented,
    /// All in lower case.
    Lower,
    /// All in upper case.
    Upper,
}

/// The payment types that an invitation repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentTypesEcho {
    /// None.
    Nothing,
    /// Those of the request.
    Requested,
    /// Those in force: `openbanking` cannot be removed.
    Effective,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            token_lifetime: Duration::from_secs(3600),
            switches: Switches::default(),
        }
    }
}

// === impl Switches ===

impl Switches {
    /// Refuses statuses that cannot be sent.
    pub(crate) fn check(&self) -> Result<(), String> {
        let statuses = [self.invalid_client_status, self.create_status];
        let bad = statuses.into_iter().find(|status| {
            !StatusCode::from_u16(*status).is_ok_and(|status| !status.is_informational())
        });
        bad.map_or(Ok(()), |status| Err(format!("status {status} is not a final HTTP status")))
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            last_token_wins: false,
            invalid_client_status: 401,
            token_type: "Bearer".to_owned(),
            error_body: ErrorBody::Json,
            create_status: 200,
            keys_before_complete: KeysBeforeComplete::NotFound,
            status_case: StatusCase::Documented,
            echo_invitee: false,
            echo_payment_types: PaymentTypesEcho::Nothing,
            refuse_duplicate_email: false,
            accept_unknown_fields: false,
            undocumented_fields: true,
            correlation_id_header: true,
        }
    }
}

//! What the Trolley double remembers: merchants, each with its settings, and who may sign for them.

use serde_json::{Map, Value};

use super::super::random;
use super::limit::Limiter;
use super::settings::{PARENT_ID, Settings, Switches};

/// All of it, in its starting state after a reset.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) switches: Switches,
    pub(crate) limiter: Limiter,
    /// The parent first.
    pub(crate) merchants: Vec<Merchant>,
}

/// A merchant, be it the parent, a sub-merchant or a sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Merchant {
    pub(crate) id: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    /// Other key pairs that it may sign with: the one before, while its key is being changed.
    pub(crate) other_keys: Vec<(String, String)>,
    pub(crate) is_sandbox: bool,
    pub(crate) profile: Map<String, Value>,
    pub(crate) onboarding: Map<String, Value>,
    pub(crate) bank_account: Map<String, Value>,
    pub(crate) colors: Map<String, Value>,
    /// Oldest first.
    pub(crate) subscriptions: Vec<Subscription>,
}

/// A webhook address and what is sent to it.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) fields: Map<String, Value>,
}

// === impl State ===

impl State {
    pub(crate) fn new(settings: &Settings) -> Self {
        let parent = Merchant::new(
            PARENT_ID.to_owned(),
            settings.access_key.clone(),
            settings.secret_key.clone(),
        );
        let submerchant = Merchant::new(
            settings.submerchant_id.clone(),
            settings.submerchant_access_key.clone(),
            settings.submerchant_secret_key.clone(),
        );
        Self {
            switches: settings.switches.clone(),
            limiter: Limiter::default(),
            merchants: vec![
                parent.named("Simulated parent"),
                submerchant.named("Simulated sub-merchant"),
            ],
        }
    }

    pub(crate) fn merchant(&mut self, id: &str) -> Option<&mut Merchant> {
        self.merchants.iter_mut().find(|merchant| merchant.id == id)
    }

    pub(crate) fn is_parent(&self, id: &str) -> bool {
        self.merchants.first().is_some_and(|parent| parent.id == id)
    }
}

// === impl Merchant ===

impl Merchant {
    pub(crate) fn new(id: String, access_key: String, secret_key: String) -> Self {
        Self {
            id,
            access_key,
            secret_key,
            other_keys: Vec::new(),
            is_sandbox: false,
            profile: Map::new(),
            onboarding: Map::new(),
            bank_account: Map::new(),
            colors: Map::new(),
            subscriptions: Vec::new(),
        }
    }

    /// A merchant with an id and keys in the partner's shapes: 22 letters after the prefix, an
    /// access key of 24 and a secret of 40.
    pub(crate) fn generated() -> Self {
        let id = format!("M-{}", random::base58(22));
        Self::new(id, format!("AS{}", random::upper(22)), random::lower(40))
    }

    /// The secrets that belong to an access key of its own; none if it is another's.
    pub(crate) fn secrets_of(&self, access_key: &str) -> Vec<&str> {
        let first = std::iter::once((&self.access_key, &self.secret_key));
        let others = self.other_keys.iter().map(|(access, secret)| (access, secret));
        let own = first.chain(others).filter(|(access, _)| *access == access_key);
        own.map(|(_, secret)| secret.as_str()).collect()
    }

    fn named(mut self, name: &str) -> Self {
        self.profile.insert("name".to_owned(), name.into());
        self.profile.insert("currency".to_owned(), "USD".into());
        self
    }
}

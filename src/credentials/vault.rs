//! The key pairs of sub-accounts.
//!
//! A partner shows such a key once, in the reply that makes it, so the gateway keeps it
//! for the calls that name the sub-account. This vault lives as long as the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use secrecy::ExposeSecret;

use super::KeyPair;
use crate::partner::KeyChange;

/// Key pairs by sub-account.
pub(super) struct Vault(RwLock<BTreeMap<String, KeyPair>>);

impl Vault {
    /// A vault with what the configuration gives.
    pub(super) fn new(accounts: BTreeMap<String, KeyPair>) -> Self {
        Self(RwLock::new(accounts))
    }

    /// The key pair of `account`.
    pub(super) fn get(&self, account: &str) -> Option<KeyPair> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }

    /// Does what a partner's reply says.
    pub(super) fn apply(&self, change: KeyChange) {
        let mut accounts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            KeyChange::Issued { account, access_key, secret_key } => {
                let access_key = access_key.expose_secret().to_owned();
                accounts.insert(account, KeyPair { access_key, secret_key });
            }
            KeyChange::Deleted { account } => {
                accounts.remove(&account);
            }
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault([REDACTED])")
    }
}

//! What differs from partner to partner.
//!
//! A [`Partner`] knows how one partner speaks: how it tells a failure, when it wants to
//! be called again, how it is signed to, where it gives out tokens. It is asked with
//! bytes and headers and answers with data, so it can be tested without a connection
//! and knows nothing of the layers that use it.

mod answer;
mod quota;
mod retry_after;
mod status;
mod trolley;
mod trustap;
mod trustist;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, StatusCode};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::error::PartnerFailure;
use crate::operation::AccountKey;
use crate::store::CredentialKind;
pub use quota::Quota;
pub(crate) use status::TokenRequest;
pub(crate) use status::kind_name;
pub use status::{LastFailure, Status, TokenRequests, TokenState};

/// One partner's ways.
pub trait Partner: Debug + Send + Sync + 'static {
    /// Its key in the configuration.
    fn name(&self) -> &'static str;

    /// What it says it did not do; `None` for a success. Never fails on a body that is
    /// not what the partner promises, and never answers with unbounded text.
    fn failure(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<PartnerFailure>;

    /// How long it asks to be left alone.
    fn retry_after(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Option<Duration> {
        retry_after::of_answer(status, headers, now)
    }

    /// What it says is left of the quota that the request counted in, in any answer.
    fn quota(&self, headers: &HeaderMap, now: Timestamp) -> Option<Quota> {
        quota::of_answer(headers, now)
    }

    /// Its own id of the request: visible ASCII, at most 128 characters.
    fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        answer::request_id(headers, &["x-request-id", "x-correlation-id"])
    }

    /// The path of its OAuth2 token endpoint, below the base URL.
    fn token_path(&self) -> Option<&'static str> {
        None
    }

    /// The headers that prove a key pair is held; `None` if it takes no signatures.
    fn sign(&self, _request: &Signable<'_>) -> Option<Vec<(HeaderName, String)>> {
        None
    }

    /// The credentials that the gateway keeps for it besides its configuration.
    fn kept_credentials(&self) -> &'static [CredentialKind] {
        &[]
    }

    /// What a successful call changed about the keys of sub-accounts, when its contract
    /// says that it does `kind`: the partner shows a new key once, and only in the reply
    /// that makes it. `None` if the reply shows no key, which not every one must.
    ///
    /// # Errors
    /// When there is a key and it cannot be taken from the reply.
    fn key_change(
        &self,
        _kind: AccountKey,
        _request: &[u8],
        _reply: &[u8],
    ) -> Result<Option<KeyChange>, Unkeepable> {
        Ok(None)
    }
}

/// What a signature covers and is made with.
pub struct Signable<'a> {
    /// The public half of the key pair.
    pub access_key: &'a str,
    /// The secret half, as it was typed.
    pub secret_key: &'a str,
    /// The time of day.
    pub now: Timestamp,
    /// The HTTP method.
    pub verb: &'a Method,
    /// Path and query, without the base URL's path.
    pub target: &'a str,
    /// The exact body; empty if there is none.
    pub body: &'a [u8],
}

/// A change to the keys that the gateway keeps for sub-accounts.
#[derive(Debug)]
pub enum KeyChange {
    /// A sub-account got its key pair.
    Issued {
        /// The sub-account's id.
        account: String,
        /// The public half.
        access_key: SecretString,
        /// The secret half.
        secret_key: SecretString,
    },
    /// A sub-account is gone.
    Deleted {
        /// The sub-account's id.
        account: String,
    },
}

/// A reply that shows a key, or may, from which none can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reply shows a key that cannot be kept")]
pub struct Unkeepable;

/// Every partner that the gateway knows, by name.
pub fn all() -> Vec<Arc<dyn Partner>> {
    vec![Arc::new(trolley::Trolley), Arc::new(trustap::Trustap), Arc::new(trustist::Trustist)]
}

/// The partner of that name.
pub fn by_name(name: &str) -> Option<Arc<dyn Partner>> {
    all().into_iter().find(|partner| partner.name() == name)
}

// A signable request holds a secret.
impl Debug for Signable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signable").field("verb", &self.verb).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_are_found_by_name_and_listed_in_its_order() {
        let names: Vec<_> = all().iter().map(|partner| partner.name()).collect();
        assert!(names.is_sorted());
        assert!(names.iter().all(|name| by_name(name).is_some_and(|p| p.name() == *name)));
        assert!(by_name("nobody").is_none());
    }

    #[test]
    fn debug_does_not_show_a_key() {
        let signable = Signable {
            access_key: "ak-canary",
            secret_key: "sk-canary",
            now: Timestamp::UNIX_EPOCH,
            verb: &Method::GET,
            target: "/canary",
            body: b"canary",
        };
        let issued = KeyChange::Issued {
            account: "a".into(),
            access_key: "ak-canary".into(),
            secret_key: "sk-canary".into(),
        };
        assert!(!format!("{signable:?}{issued:?}").contains("canary"));
    }
}

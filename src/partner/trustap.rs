//! Trustap: an API key or a user's bearer token, and errors told by their code.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Partner;
use super::answer::{self, MAX_CODE, MAX_MESSAGE};
use crate::error::PartnerFailure;
use crate::store::CredentialKind;

/// The Trustap API.
#[derive(Debug)]
pub(super) struct Trustap;

impl Partner for Trustap {
    fn name(&self) -> &'static str {
        "trustap"
    }

    fn kept_credentials(&self) -> &'static [CredentialKind] {
        &[CredentialKind::UserGrant]
    }

    fn failure(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<PartnerFailure> {
        if status.is_success() {
            return None;
        }
        let mut failure = answer::bare(status);
        if let Ok(problem) = serde_json::from_slice::<Value>(body) {
            failure.code = answer::first_text(&problem, &["code"], MAX_CODE);
            failure.message = answer::first_text(&problem, &["error", "message"], MAX_MESSAGE);
        }
        Some(failure)
    }
}

//! Trustap: an API key or a user's bearer token, and errors that are told by their code.

mod code;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Partner;
use super::answer::{self, MAX_CODE, MAX_MESSAGE};
use crate::error::{FieldFailure, Meaning, PartnerFailure};
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

    /// Its errors are `{code, error}`; a newer form of them says `message` for `error`.
    /// Many are told without a body, and conflicts of state mostly with a 400, so the
    /// code decides and the status only where there is none.
    fn failure(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<PartnerFailure> {
        if status.is_success() {
            return None;
        }
        let mut failure = answer::bare(status);
        let Ok(problem) = serde_json::from_slice::<Value>(body) else { return Some(failure) };
        failure.code = answer::text(&problem, "code", MAX_CODE);
        failure.message = answer::first_text(&problem, &["error", "message"], MAX_MESSAGE);
        let Some(code) = failure.code.as_deref() else { return Some(failure) };
        failure.meaning = code::meaning(code, status);
        if failure.meaning == Some(Meaning::InvalidArgument) {
            let names = code::fields(code).into_iter();
            failure.fields = names.map(|name| of(name, &failure)).collect();
        }
        Some(failure)
    }
}

fn of(field: String, failure: &PartnerFailure) -> FieldFailure {
    FieldFailure {
        field,
        code: failure.code.clone().unwrap_or_default(),
        message: failure.message.clone().unwrap_or_default(),
        is_inferred: true,
    }
}

#[cfg(test)]
mod tests;

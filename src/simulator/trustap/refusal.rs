//! Refusals in the partner's form: a code to branch on and a text for people. Those that the
//! descriptions list without a body have a switch of their own.

use http::StatusCode;

use super::super::json::Object;
use super::super::partner::Answer;
use super::settings::{BareErrors, ErrorText, Switches};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    /// `None` where the descriptions give the status alone.
    code: Option<String>,
}

// === impl Refusal ===

impl Refusal {
    /// A documented code under its status.
    pub(crate) fn coded(status: StatusCode, code: impl Into<String>) -> Self {
        Self { status, code: Some(code.into()) }
    }

    /// 400: a bad value, or a state that does not allow it.
    pub(crate) fn invalid(code: impl Into<String>) -> Self {
        Self::coded(StatusCode::BAD_REQUEST, code)
    }

    /// 403 with its reason, such as the wrong role.
    pub(crate) fn forbidden(code: &str) -> Self {
        Self::coded(StatusCode::FORBIDDEN, code)
    }

    /// 403 without a reason.
    pub(crate) fn denied() -> Self {
        Self::bare(StatusCode::FORBIDDEN)
    }

    /// 404.
    pub(crate) fn absent() -> Self {
        Self::bare(StatusCode::NOT_FOUND)
    }

    /// 401: no valid credential.
    pub(crate) fn unauthorized() -> Self {
        Self::bare(StatusCode::UNAUTHORIZED)
    }

    /// A status alone.
    pub(crate) fn bare(status: StatusCode) -> Self {
        Self { status, code: None }
    }

    pub(crate) fn answer(&self, switches: &Switches) -> Answer {
        let text = self.status.canonical_reason().unwrap_or("Refused");
        match (&self.code, switches.bare_errors) {
            (None, BareErrors::Empty) => Answer::bytes(self.status, "", Vec::new()),
            (None, BareErrors::Text) => {
                Answer::bytes(self.status, "text/plain; charset=utf-8", text.into())
            }
            (code, _) => {
                let usual = || text.to_ascii_lowercase().replace(' ', "_");
                let code = code.clone().unwrap_or_else(usual);
                let name = match switches.error_text {
                    ErrorText::Error => "error",
                    ErrorText::Message => "message",
                };
                let explained = code.replace('_', " ");
                let body = Object::new().with("code", &code).with(name, explained);
                Answer::json(self.status, &body.with_undocumented(switches.undocumented_fields))
            }
        }
    }
}

//! Refusals in the partner's envelope: `ok: false` and a list of what is wrong.

use http::StatusCode;

use super::super::json::Object;
use super::super::partner::Answer;
use super::settings::Switches;

/// Why a request was refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    offences: Vec<Offence>,
}

/// One entry of `errors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offence {
    code: &'static str,
    message: String,
    field: Option<String>,
}

// === impl Offence ===

impl Offence {
    pub(crate) fn invalid(field: String) -> Self {
        Self { code: "invalid_field", message: "Value is invalid".to_owned(), field: Some(field) }
    }

    pub(crate) fn empty(field: String) -> Self {
        Self { code: "empty_field", message: "Value is required".to_owned(), field: Some(field) }
    }

    fn shown(&self) -> Object {
        let object = Object::new().with("code", self.code).with("message", &self.message);
        match &self.field {
            Some(field) => object.with("field", field),
            None => object,
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// A refusal in the partner's words for its status.
    pub(crate) fn of(status: StatusCode) -> Self {
        let (code, message) = match status.as_u16() {
            400 | 413 | 422 => ("invalid_field", "Value is invalid"),
            401 => ("invalid_api_key", "Invalid API key"),
            403 => ("not_authorized", "Not authorized"),
            404 => ("not_found", "Object doesn't exist"),
            406 | 409 => ("invalid_status", "Invalid status"),
            429 => ("rate_limit_exceeded", "Too many requests"),
            _ => ("internal_server_error", "Internal server error"),
        };
        Self { status, offences: vec![Offence { code, message: message.to_owned(), field: None }] }
    }

    /// A body that cannot be read at all, so that no field can be named.
    pub(crate) fn unreadable(message: &str) -> Self {
        let offence = Offence { code: "invalid_field", message: message.to_owned(), field: None };
        Self { status: StatusCode::BAD_REQUEST, offences: vec![offence] }
    }

    /// One bad field, under a status that is not the usual 400.
    pub(crate) fn field(status: StatusCode, name: &str) -> Self {
        Self { status, offences: vec![Offence::invalid(name.to_owned())] }
    }

    /// 400 with all offences, or `Ok` when there are none.
    pub(crate) fn unless_clean(offences: Vec<Offence>) -> Result<(), Self> {
        if offences.is_empty() {
            return Ok(());
        }
        Err(Self { status: StatusCode::BAD_REQUEST, offences })
    }

    pub(crate) fn answer(&self, switches: &Switches) -> Answer {
        let errors: Vec<_> = self.offences.iter().map(Offence::shown).collect();
        let body = Object::new().with("ok", false).with("errors", errors);
        Answer::json(self.status, &body.with_undocumented(switches.undocumented_fields))
    }
}

//! Replies that every operation shares: errors in the chosen form, and the correlation id.

use http::StatusCode;

use super::super::json::Object;
use super::super::partner::Answer;
use super::super::random;
use super::settings::{ErrorBody, Switches};

/// An error with the document's own words for its status.
pub(crate) fn error(switches: &Switches, status: StatusCode) -> Answer {
    let message = match status.as_u16() {
        400 => "The request was invalid or cannot be served.",
        401 => "Authentication failed or user does not have permissions.",
        404 => "The requested resource could not be found.",
        500 => "An error occurred on the server.",
        _ => status.canonical_reason().unwrap_or("The request failed."),
    };
    explained(switches, status, message)
}

/// A 400 that says what is wrong.
pub(crate) fn invalid(switches: &Switches, message: &str) -> Answer {
    explained(switches, StatusCode::BAD_REQUEST, message)
}

/// An error whose JSON form is `body`.
pub(crate) fn error_with(
    switches: &Switches,
    status: StatusCode,
    message: &str,
    body: Object,
) -> Answer {
    match switches.error_body {
        ErrorBody::Json => {
            Answer::json(status, &body.with_undocumented(switches.undocumented_fields))
        }
        ErrorBody::Empty => Answer::bytes(status, "", Vec::new()),
        ErrorBody::Text => Answer::bytes(status, "text/plain; charset=utf-8", message.into()),
    }
}

/// Adds the id by which the partner's support would find the request.
pub(crate) fn correlated(switches: &Switches, answer: Answer) -> Answer {
    if switches.correlation_id_header {
        answer.with_header("correlationid", &random::guid())
    } else {
        answer
    }
}

fn explained(switches: &Switches, status: StatusCode, message: &str) -> Answer {
    let body = Object::new().with("status", status.as_u16()).with("message", message);
    error_with(switches, status, message, body)
}

//! What a failure on the wire proves about the request (requirement R6).
//!
//! | evidence | kind | outcome |
//! |---|---|---|
//! | the request could not be formed | internal | NOT_SENT |
//! | no connection: name, TCP, TLS, proxy, or the time for them | unreachable | NOT_SENT |
//! | hyper took the request back from a connection that had closed | unreachable | NOT_SENT |
//! | the peer reset the HTTP/2 stream with REFUSED_STREAM | unreachable | NOT_SENT |
//! | the peer said GOAWAY with a last stream below this one | unreachable | NOT_SENT |
//! | any other end of the connection before the answer's head | unreachable | UNKNOWN |
//! | an answer's head that is no HTTP | unreachable | UNKNOWN |
//! | a time-out after that | timeout | UNKNOWN |
//! | the connection ended within the body | unreachable | UNKNOWN |
//! | the body cannot be decompressed, or is too long | bad response | UNKNOWN |
//!
//! hyper gives a request back only if no byte of it was written: of HTTP/1.1 on a
//! connection that was closed while it was idle, and of either version on one that takes
//! no more requests. A server that refuses a stream has not processed it (RFC 9113
//! section 8.7), nor has one that names a lower last stream in its GOAWAY (section 6.8),
//! whatever the GOAWAY's error code is. h2 gives the error of a peer's GOAWAY to the
//! streams above its last one, and to requests that it no longer takes; a stream at or
//! below it goes on, and ends with an I/O error if the connection does. So the error in
//! hand tells all that the frames told, and no client below reqwest would tell more:
//! `docs/decisions/0011-evidence-from-the-client.md`.

use std::error::Error as StdError;
use std::io;

use http::StatusCode;

use crate::error::{Error, Kind, Outcome};

/// No head of an answer came.
pub(super) fn unanswered(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_builder() {
        return Error::internal(error);
    }
    let (kind, outcome) = if error.is_connect() || causes(&error).any(was_not_processed) {
        (Kind::Unreachable, Outcome::NotSent)
    } else if error.is_timeout() {
        (Kind::Timeout, Outcome::Unknown)
    } else {
        (Kind::Unreachable, Outcome::Unknown)
    };
    Error::new(kind, outcome).with_source(error)
}

/// The body did not come whole, or came as something else than it said.
pub(super) fn broken_off(error: reqwest::Error, status: StatusCode) -> Error {
    let error = error.without_url();
    let is_of_the_wire = causes(&error).any(|cause| cause.is::<hyper::Error>());
    let judged = if error.is_timeout() {
        timed_out()
    } else if is_of_the_wire {
        Error::new(Kind::Unreachable, Outcome::Unknown)
    } else {
        unreadable(status, "its body cannot be decompressed")
    };
    judged.with_source(error)
}

/// A time-out while the request was under way.
pub(super) fn timed_out() -> Error {
    Error::new(Kind::Timeout, Outcome::Unknown)
}

/// An answer that came and is of no use.
pub(super) fn unreadable(status: StatusCode, problem: &str) -> Error {
    Error::new(Kind::BadResponse { status, problem: problem.to_owned() }, Outcome::Unknown)
}

/// Whether `cause` proves that the peer has not acted on the request, and will not.
fn was_not_processed(cause: &(dyn StdError + 'static)) -> bool {
    if let Some(given_back) = cause.downcast_ref::<hyper::Error>() {
        return given_back.is_canceled();
    }
    let Some(error) = cause.downcast_ref::<h2::Error>() else { return false };
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (is_refused || error.is_go_away())
}

/// What lies behind `error`. An I/O error hides the error it wraps from `source`.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(next(error), |error| next(*error))
}

fn next<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

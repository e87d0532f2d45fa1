//! What a partner says when it does not do what was asked.

use std::time::Duration;

use http::StatusCode;

/// What a partner said when it did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerFailure {
    /// The HTTP status.
    pub status: StatusCode,
    /// What the partner's own error code means; `None` leaves it to the status.
    pub meaning: Option<Meaning>,
    /// The partner's error code.
    pub code: Option<String>,
    /// The partner's message.
    pub message: Option<String>,
    /// What the partner says of single fields.
    pub fields: Vec<FieldFailure>,
    /// How long the partner asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// What a partner says of one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFailure {
    /// The field as the partner names it, dots between the levels.
    pub field: String,
    /// The partner's error code for it.
    pub code: String,
    /// The partner's message for it.
    pub message: String,
    /// Whether the name was read out of the code, and need be no field of the request.
    pub is_inferred: bool,
}

/// The meaning of a partner's error, whatever its HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The request's content is wrong.
    InvalidArgument,
    /// The resource's state does not allow it.
    FailedPrecondition,
    /// The gateway's credential is not accepted.
    Unauthenticated,
    /// The credential is accepted and may not do this.
    PermissionDenied,
    /// The resource does not exist.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// Something else changed the resource at the same time.
    Conflict,
    /// Too many requests.
    RateLimited,
    /// A fault of the partner's.
    Internal,
    /// The partner cannot serve just now.
    Unavailable,
    /// The partner gave up waiting.
    Timeout,
    /// The partner has no such operation.
    Unimplemented,
    /// The partner does not understand how it was called: a fault of the gateway's.
    Misdirected,
    /// A status outside of what HTTP defines.
    Unknown,
}

/// Whose credential a partner refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The gateway's own.
    Gateways,
    /// The API key, which acts for the end user whom the request names, if it names one.
    ApiKey,
    /// The access token by an end user's kept grant.
    UsersGrant,
    /// The access token that the caller brought.
    CallersToken,
}

// === impl Refused ===

impl Refused {
    /// The name in error details.
    pub fn as_str(self) -> &'static str {
        match self {
            Refused::Gateways => "GATEWAY",
            Refused::ApiKey => "API_KEY",
            Refused::UsersGrant => "USER_GRANT",
            Refused::CallersToken => "CALLER_TOKEN",
        }
    }

    /// The credential in words, with what a caller can do about it.
    pub fn described(self) -> &'static str {
        match self {
            Refused::Gateways => "the gateway's credential",
            Refused::ApiKey => {
                "the API key, or the user whom the request names: one who has not connected to \
                 this client, or an operation that takes only a user's own token"
            }
            Refused::UsersGrant => "the access token of the user's kept grant, a fresh one too",
            Refused::CallersToken => {
                "the access token that was sent as x-partner-token: it may be past its life"
            }
        }
    }
}

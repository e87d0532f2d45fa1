//! One exchange with a partner, as data.
//!
//! A [`Call`] is complete when it leaves the transcoder: the layers of the stack add
//! to it and none reads the caller's message again. A [`Reply`] is the partner's
//! answer before it is understood.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::SecretString;
use tokio::time::Instant;
use uuid::Uuid;

use crate::callers::Caller;
use crate::operation::Operation;

/// What a partner is to be asked.
#[derive(Clone)]
pub struct Call {
    /// The rpc it is made for.
    pub operation: &'static Operation,
    /// The gateway's own id of the call, told to the caller as `x-request-id`.
    pub id: Uuid,
    /// The sub-account or the end user whose credential is used; `None` for the partner
    /// account itself.
    pub account: Option<String>,
    /// An end user's access token that the caller gave, for an operation that takes one.
    pub user_token: Option<SecretString>,
    /// Path and query below the base URL, percent-encoded: what is sent, and what a
    /// signature covers.
    pub target: String,
    /// Headers that the contract binds.
    pub headers: HeaderMap,
    /// The body, if the operation has one.
    pub body: Option<Body>,
    /// The caller's idempotency key.
    pub request_id: Option<Uuid>,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// Who makes the call.
    pub caller: Caller,
    /// How many times the caller's own gRPC library has made it before.
    pub previous_attempts: u32,
}

/// A request body: the exact bytes that are sent and signed.
#[derive(Clone)]
pub struct Body {
    /// Its `Content-Type`.
    pub content_type: HeaderValue,
    /// Its bytes.
    pub bytes: Bytes,
}

/// What the partner answered, with a status of success.
#[derive(Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body, decompressed.
    pub body: Bytes,
    /// How many requests the partner was sent.
    pub attempts: u32,
    /// Where the time went.
    pub spent: Spent,
    /// Whether it is the answer to an earlier call with the same request id.
    pub replayed: bool,
    /// The partner's own id of the request.
    pub partner_request_id: Option<String>,
    /// Whether it shows a key that is durable in the store, so that its caller need not
    /// have it.
    pub is_key_kept: bool,
}

/// Where the time of a call went. What is missing to the whole is the gateway's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Waiting for a turn: rate limit, concurrency.
    pub queue: Duration,
    /// Waiting for a credential.
    pub token: Duration,
    /// Keeping records and keys.
    pub store: Duration,
    /// Attempts, from the first byte to the last.
    pub attempts: Duration,
    /// Pauses between attempts.
    pub backoff: Duration,
}

// === impl Spent ===

impl AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.queue += more.queue;
        self.token += more.token;
        self.store += more.store;
        self.attempts += more.attempts;
        self.backoff += more.backoff;
    }
}

// === impl Reply ===

impl Reply {
    /// An answer of the partner's, before the layers have added what they know.
    pub fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            body,
            attempts: 0,
            spent: Spent::default(),
            replayed: false,
            partner_request_id: None,
            is_key_kept: false,
        }
    }
}

// Bodies, targets and headers hold personal data and secrets: Debug names the rpc and
// sizes only.

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("rpc", &self.operation.rpc())
            .field("id", &self.id)
            .field("path", &self.operation.path.as_str())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {:?}", self.bytes.len(), self.content_type)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("body_len", &self.body.len())
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

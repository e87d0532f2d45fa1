//! Everything that can go wrong with a call, told apart by what its caller must know.
//!
//! One type crosses every layer. Its kind says what happened, its [`Outcome`] says
//! whether the partner may have acted, and predicates answer what layers ask; only
//! `grpc/status.rs` turns it into a gRPC status.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::call::Spent;

mod partner;

pub use partner::{FieldFailure, Meaning, PartnerFailure, Refused};

/// What is known of a request's effect at the partner, from what was seen on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No byte of it was sent.
    NotSent,
    /// The partner refused it, so it had no effect.
    Rejected,
    /// It was sent, and whether it had an effect is not known.
    Unknown,
}

/// A failed call.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    outcome: Outcome,
    attempts: u32,
    spent: Spent,
    host: Option<String>,
    partner_request_id: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request breaks the contract; nothing was sent.
    InvalidRequest(Vec<Violation>),
    /// The partner answered that it did not do it.
    Partner(PartnerFailure),
    /// No connection, or one that broke before the answer was whole.
    Unreachable,
    /// The caller's deadline, or a time-out of the attempt, passed first.
    Timeout,
    /// The partner's answer cannot be read, or is one that nothing may follow (3xx).
    BadResponse {
        /// The HTTP status of the answer.
        status: StatusCode,
        /// What is wrong with it, without any of its text.
        problem: String,
    },
    /// The partner refused the credential, a fresh one too if there was one.
    CredentialsRejected(PartnerFailure, Refused),
    /// No credential is kept for what the call needs.
    CredentialMissing {
        /// What is missing and what to do.
        help: String,
    },
    /// The partner's token endpoint gave no token.
    TokenUnavailable {
        /// Whether only a change of configuration can help.
        permanent: bool,
    },
    /// The gateway's store did not answer, and nothing was sent without it.
    StoreUnavailable,
    /// The request id was used for another request.
    RequestIdReused,
    /// The first call with the request id is under way.
    RequestInFlight,
    /// The first call with the request id may or may not have had its effect.
    OutcomeUnknown,
    /// The configuration has no section for the partner.
    NotConfigured {
        /// The partner's key.
        partner: String,
    },
    /// The gateway has no room for the call.
    Overloaded,
    /// The partner's quota is used up for longer than the call can wait; nothing was sent.
    RateLimited {
        /// Until the call could be sent.
        retry_after: Duration,
    },
    /// The partner fails so often that it is left alone for a while; nothing was sent.
    CircuitOpen {
        /// Until it is tried again.
        retry_after: Duration,
    },
    /// The gateway has been told to stop.
    ShuttingDown,
    /// A fault of the gateway itself.
    Internal,
}

/// A rule of the contract that a request breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's dotted proto path (`merchant.currency`, `items[0].amount`).
    pub field: String,
    /// What the rule asks, without the value.
    pub description: String,
    /// The rule's name, UPPER_SNAKE_CASE.
    pub reason: &'static str,
}

// === impl Outcome ===

impl Outcome {
    /// The name in error details and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::NotSent => "NOT_SENT",
            Outcome::Rejected => "REJECTED",
            Outcome::Unknown => "UNKNOWN",
        }
    }

    /// What is known of two requests together: the one that leaves more open.
    #[must_use]
    pub fn worse(self, other: Outcome) -> Outcome {
        match (self, other) {
            (Outcome::Unknown, _) | (_, Outcome::Unknown) => Outcome::Unknown,
            (Outcome::Rejected, _) | (_, Outcome::Rejected) => Outcome::Rejected,
            (Outcome::NotSent, Outcome::NotSent) => Outcome::NotSent,
        }
    }
}

// === impl Error ===

impl Error {
    /// An error with what is known of the request's effect.
    pub fn new(kind: Kind, outcome: Outcome) -> Self {
        Self(Box::new(Inner {
            kind,
            outcome,
            attempts: 0,
            spent: Spent::default(),
            host: None,
            partner_request_id: None,
            source: None,
        }))
    }

    /// A request that breaks the contract.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        Self::new(Kind::InvalidRequest(violations), Outcome::NotSent)
    }

    /// A fault of the gateway's own, before anything was sent.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, Outcome::NotSent).with_source(source)
    }

    /// Keeps what caused it, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says what is known of the effect of the whole call, when that is more than what
    /// failed knows.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// Says how many requests the partner was sent.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Says where the time of the call went.
    #[must_use]
    pub fn with_spent(mut self, spent: Spent) -> Self {
        self.0.spent = spent;
        self
    }

    /// Says which host failed.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.0.host = Some(host.into());
        self
    }

    /// Keeps the partner's own id of the request.
    #[must_use]
    pub fn with_partner_request_id(mut self, id: Option<String>) -> Self {
        self.0.partner_request_id = id;
        self
    }

    /// What happened.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// What is known of the request's effect.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// How many requests the partner was sent.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Where the time of the call went.
    pub fn spent(&self) -> Spent {
        self.0.spent
    }

    /// The partner's host, when the failure is the partner's.
    pub fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    /// The partner's own id of the request.
    pub fn partner_request_id(&self) -> Option<&str> {
        self.0.partner_request_id.as_deref()
    }

    /// What the partner said, if it answered.
    pub fn partner_failure(&self) -> Option<&PartnerFailure> {
        match &self.0.kind {
            Kind::Partner(failure) | Kind::CredentialsRejected(failure, _) => Some(failure),
            _ => None,
        }
    }

    /// How long the partner asks to be left alone, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        self.partner_failure().and_then(|failure| failure.retry_after)
    }

    /// The HTTP status of the partner's answer, if there was one.
    pub fn http_status(&self) -> Option<StatusCode> {
        match &self.0.kind {
            Kind::BadResponse { status, .. } => Some(*status),
            _ => self.partner_failure().map(|failure| failure.status),
        }
    }

    /// Whether the gateway has no credential that the call could be made with.
    pub fn is_credential_missing(&self) -> bool {
        matches!(self.0.kind, Kind::CredentialMissing { .. })
    }

    /// Whether the partner refused the credential that the request carried.
    pub fn is_unauthenticated(&self) -> bool {
        let Kind::Partner(failure) = &self.0.kind else { return false };
        failure.status == StatusCode::UNAUTHORIZED
            || failure.meaning == Some(Meaning::Unauthenticated)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("outcome", &self.0.outcome)
            .field("attempts", &self.0.attempts)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::InvalidRequest(_) => f.write_str("the request breaks the contract"),
            Kind::Partner(failure) => write!(f, "the partner answered {}", failure.status),
            Kind::Unreachable => f.write_str("the partner cannot be reached"),
            Kind::Timeout => f.write_str("the time for the call is over"),
            Kind::BadResponse { problem, .. } => {
                write!(f, "the partner's answer cannot be read: {problem}")
            }
            Kind::CredentialsRejected(_, refused) => {
                write!(f, "the partner refused {}", refused.described())
            }
            Kind::CredentialMissing { help } => f.write_str(help),
            Kind::TokenUnavailable { .. } => {
                f.write_str("the partner's token endpoint gave no token")
            }
            Kind::StoreUnavailable => f.write_str("the gateway's store is not available"),
            Kind::RequestIdReused => f.write_str("the request id was used for another request"),
            Kind::RequestInFlight => {
                f.write_str("the first call with this request id is still under way")
            }
            Kind::OutcomeUnknown => f.write_str(
                "the outcome of the first call with this request id is not known: read before writing again",
            ),
            Kind::NotConfigured { partner } => {
                write!(f, "the partner {partner} is not configured")
            }
            Kind::Overloaded => f.write_str("the gateway has no room for it"),
            Kind::RateLimited { .. } => f.write_str("the partner's quota is used up"),
            Kind::CircuitOpen { .. } => {
                f.write_str("the partner fails too often and is left alone for a while")
            }
            Kind::ShuttingDown => f.write_str("the gateway is shutting down"),
            Kind::Internal => f.write_str("an internal fault of the gateway"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| -> &(dyn StdError + 'static) { source })
    }
}

//! How the gateway stands with a partner: counts and the last failure, for operators.
//!
//! The layers of the stack write it on every attempt, so it is atomics and two short
//! locks. Counts are of this process, since it started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use jiff::Timestamp;

use crate::error::{Error, Kind};

/// What was last seen of a partner.
#[derive(Debug, Default)]
pub struct Status {
    attempts: AtomicU64,
    failures: AtomicU64,
    drift: AtomicU64,
    last_failure: Mutex<Option<LastFailure>>,
    /// `None` while the partner is not known to use tokens; then the expiry, if there
    /// is a token.
    token: Mutex<Option<Option<Timestamp>>>,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// When it ended.
    pub time: Timestamp,
    /// The rpc it was made for ("package.Service/Method").
    pub rpc: String,
    /// What went wrong, UPPER_SNAKE_CASE ("UNREACHABLE").
    pub kind: &'static str,
    /// The status of the answer, if there was one.
    pub http_status: Option<StatusCode>,
}

/// Where a cached access token is in its life, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// None was needed yet, or the last one was rejected.
    None,
    /// Calls are made with it until then.
    Valid(Timestamp),
    /// It was good until then.
    Expired(Timestamp),
}

// === impl Status ===

impl Status {
    /// How many requests the partner was sent, token requests left out.
    pub fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// How many of them failed: no answer in time, or one that tells a failure.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How many members of replies the contract did not know or could not hold.
    pub fn drift(&self) -> u64 {
        self.drift.load(Ordering::Relaxed)
    }

    /// The last failure of an attempt or of a token request.
    pub fn last_failure(&self) -> Option<LastFailure> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The state of the access token; `None` if the partner uses none.
    pub fn token(&self, now: Timestamp) -> Option<TokenState> {
        let token = *self.token.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match token? {
            None => TokenState::None,
            Some(expiry) if now < expiry => TokenState::Valid(expiry),
            Some(expiry) => TokenState::Expired(expiry),
        })
    }

    /// Counts what a reply had beyond the contract.
    pub fn record_drift(&self, members: u64) {
        self.drift.fetch_add(members, Ordering::Relaxed);
    }

    /// Counts an attempt that begins.
    pub(crate) fn record_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt that failed.
    pub(crate) fn record_failure(&self, failure: LastFailure) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.note(failure);
    }

    /// Keeps a failure that is not an attempt's.
    pub(crate) fn note(&self, failure: LastFailure) {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// Says that there is a token until `expiry`, or that there is none.
    pub(crate) fn set_token(&self, expiry: Option<Timestamp>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(expiry);
    }
}

// === impl LastFailure ===

impl LastFailure {
    /// What `error` was, for `rpc`.
    pub(crate) fn new(rpc: String, error: &Error, time: Timestamp) -> Self {
        Self { time, rpc, kind: kind(error.kind()), http_status: error.http_status() }
    }

    /// An attempt that nobody waits for any more.
    pub(crate) fn abandoned(rpc: String, time: Timestamp) -> Self {
        Self { time, rpc, kind: "ABANDONED", http_status: None }
    }
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::InvalidRequest(_) => "INVALID_REQUEST",
        Kind::Partner(_) => "REFUSED_BY_PARTNER",
        Kind::Unreachable => "UNREACHABLE",
        Kind::Timeout => "TIMEOUT",
        Kind::BadResponse { .. } => "BAD_RESPONSE",
        Kind::CredentialsRejected(_) => "CREDENTIALS_REJECTED",
        Kind::CredentialMissing { .. } => "CREDENTIAL_MISSING",
        Kind::TokenUnavailable { .. } => "TOKEN_UNAVAILABLE",
        Kind::RequestIdReused => "REQUEST_ID_REUSED",
        Kind::RequestInFlight => "REQUEST_IN_FLIGHT",
        Kind::OutcomeUnknown => "OUTCOME_UNKNOWN",
        Kind::NotConfigured { .. } => "NOT_CONFIGURED",
        Kind::Overloaded => "OVERLOADED",
        Kind::ShuttingDown => "SHUTTING_DOWN",
        Kind::Internal => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Outcome;

    #[test]
    fn the_token_state_follows_the_wall_clock() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let status = Status::default();
        assert_eq!(status.token(at(0)), None);
        status.set_token(None);
        assert_eq!(status.token(at(0)), Some(TokenState::None));
        status.set_token(Some(at(10)));
        assert_eq!(status.token(at(9)), Some(TokenState::Valid(at(10))));
        assert_eq!(status.token(at(10)), Some(TokenState::Expired(at(10))));
    }

    #[test]
    fn failures_are_counted_and_the_last_one_is_kept() {
        let status = Status::default();
        let error = Error::new(Kind::Unreachable, Outcome::NotSent);
        status.record_attempt();
        status.record_failure(LastFailure::new("a/B".into(), &error, Timestamp::UNIX_EPOCH));
        status.note(LastFailure::abandoned("a/C".into(), Timestamp::UNIX_EPOCH));
        status.record_drift(3);
        assert_eq!((status.attempts(), status.failures(), status.drift()), (1, 1, 3));
        assert_eq!(
            status.last_failure().map(|f| (f.rpc, f.kind)),
            Some(("a/C".into(), "ABANDONED"))
        );
    }
}

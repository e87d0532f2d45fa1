//! How the gateway stands with a partner: counts and the last failure, for operators.
//!
//! The layers of the stack write it on every attempt, so it is atomics and two short
//! locks. Counts are of this process, since it started.

mod token;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use jiff::Timestamp;

use crate::error::{Error, Kind};
use token::Token;
pub(crate) use token::TokenRequest;
pub use token::{TokenRequests, TokenState};

/// What was last seen of a partner.
#[derive(Debug, Default)]
pub struct Status {
    attempts: AtomicU64,
    failures: AtomicU64,
    drift: AtomicU64,
    last_failure: Mutex<Option<LastFailure>>,
    /// `None` while the partner is not known to use tokens.
    token: Mutex<Option<Token>>,
    /// `None` while nobody is known to ask it for tokens.
    token_requests: Mutex<Option<TokenRequests>>,
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
        self.lock_token().as_ref().map(|token| token.state(now))
    }

    /// Until when no token is asked for, after a request for one has failed.
    pub fn token_pause(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock_token().as_ref()?.pause(now)
    }

    /// How the requests for a token have ended, those by users' grants among them; `None` if
    /// there are none.
    pub fn token_requests(&self) -> Option<TokenRequests> {
        *self.lock_requests()
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

    /// Says that the partner uses tokens.
    pub(crate) fn use_tokens(&self) {
        self.lock_token().get_or_insert_default();
        self.lock_requests().get_or_insert_default();
    }

    /// Says that users' grants are used, for tokens that are not the client's own.
    pub(crate) fn use_grants(&self) {
        self.lock_requests().get_or_insert_default();
    }

    /// Counts a request for a user's token: the state of the client's own is another.
    pub(crate) fn grant_used(&self, end: TokenRequest) {
        self.lock_requests().get_or_insert_default().count(end);
    }

    /// Counts a token that came, and says until when it is used if it may be kept.
    pub(crate) fn token_issued(&self, expiry: Option<Timestamp>) {
        self.lock_requests().get_or_insert_default().count(TokenRequest::Issued);
        self.lock_token().get_or_insert_default().issue(expiry);
    }

    /// Counts a token request that failed, and says until when there is no other.
    pub(crate) fn token_refused(&self, is_permanent: bool, pause: Timestamp) {
        self.lock_requests().get_or_insert_default().count(TokenRequest::failure(is_permanent));
        self.lock_token().get_or_insert_default().fail(pause);
    }

    /// Says that the partner rejected the token.
    pub(crate) fn token_dropped(&self) {
        self.lock_token().get_or_insert_default().discard();
    }

    /// Says that the next token request need not wait any more.
    pub(crate) fn token_forgiven(&self) {
        self.lock_token().get_or_insert_default().forgive();
    }

    fn lock_token(&self) -> MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_requests(&self) -> MutexGuard<'_, Option<TokenRequests>> {
        self.token_requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl LastFailure ===

impl LastFailure {
    /// What `error` was, for `rpc`.
    pub(crate) fn new(rpc: String, error: &Error, time: Timestamp) -> Self {
        Self { time, rpc, kind: kind_name(error.kind()), http_status: error.http_status() }
    }

    /// An attempt that nobody waits for any more.
    pub(crate) fn abandoned(rpc: String, time: Timestamp) -> Self {
        Self { time, rpc, kind: "ABANDONED", http_status: None }
    }
}

/// The name of what happened, for operators.
pub(crate) fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::InvalidRequest(_) => "INVALID_REQUEST",
        Kind::Partner(_) => "REFUSED_BY_PARTNER",
        Kind::Unreachable => "UNREACHABLE",
        Kind::Timeout => "TIMEOUT",
        Kind::BadResponse { .. } => "BAD_RESPONSE",
        Kind::CredentialsRejected(..) => "CREDENTIALS_REJECTED",
        Kind::CredentialMissing { .. } => "CREDENTIAL_MISSING",
        Kind::TokenUnavailable { .. } => "TOKEN_UNAVAILABLE",
        Kind::StoreUnavailable => "STORE_UNAVAILABLE",
        Kind::RequestIdReused => "REQUEST_ID_REUSED",
        Kind::RequestInFlight => "REQUEST_IN_FLIGHT",
        Kind::OutcomeUnknown => "OUTCOME_UNKNOWN",
        Kind::NotConfigured { .. } => "NOT_CONFIGURED",
        Kind::Overloaded => "OVERLOADED",
        Kind::RateLimited { .. } => "RATE_LIMITED",
        Kind::CircuitOpen { .. } => "CIRCUIT_OPEN",
        Kind::ShuttingDown => "SHUTTING_DOWN",
        Kind::Internal => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Outcome;

    #[test]
    fn only_a_partner_that_uses_tokens_has_a_state_of_one() {
        let (status, now) = (Status::default(), Timestamp::UNIX_EPOCH);
        assert_eq!((status.token(now), status.token_requests()), (None, None));
        status.use_tokens();
        assert_eq!(status.token(now), Some(TokenState::None));
        assert_eq!(status.token_requests(), Some(TokenRequests::default()));
    }

    #[test]
    fn users_tokens_are_counted_and_are_not_the_clients_own() {
        let (status, now) = (Status::default(), Timestamp::UNIX_EPOCH);
        status.use_grants();
        for end in [TokenRequest::Issued, TokenRequest::failure(true), TokenRequest::Ended] {
            status.grant_used(end);
        }
        let counted = TokenRequests { issued: 1, failed: 0, refused: 1, ended: 1 };
        assert_eq!(status.token_requests(), Some(counted));
        assert_eq!((status.token(now), status.token_pause(now)), (None, None));
    }

    #[test]
    fn the_clients_own_token_requests_are_counted_by_how_they_end() {
        let (status, now) = (Status::default(), Timestamp::UNIX_EPOCH);
        status.token_issued(None);
        status.token_refused(true, now);
        status.token_refused(false, now);
        status.token_refused(false, now);
        let counted = TokenRequests { issued: 1, failed: 2, refused: 1, ended: 0 };
        assert_eq!(status.token_requests(), Some(counted));
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

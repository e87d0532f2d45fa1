//! How long a token endpoint that gave no token is left alone.
//!
//! What only a change of configuration can help is asked rarely, so that a wrong secret
//! does not lock the account; what may pass by itself is asked again soon.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Error, Kind, Outcome};

const TRANSIENT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
const PERMANENT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15 * 60));
/// The least time between two tries to renew a token that is still good.
const RENEWAL: Duration = Duration::from_secs(10);

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub(in crate::credentials) struct Refusal {
    /// Whether only a change of configuration can help.
    pub(in crate::credentials) permanent: bool,
    /// What went wrong, in our own words.
    pub(in crate::credentials) problem: &'static str,
    /// The status of the endpoint's answer, if there was one.
    pub(in crate::credentials) status: Option<StatusCode>,
    /// How long the endpoint asks to be left alone.
    pub(in crate::credentials) retry_after: Option<Duration>,
}

/// The time after a refusal in which the endpoint is not asked.
#[derive(Debug, Default)]
pub(super) struct Pause {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    refusal: Refusal,
    delay: Duration,
    end: Instant,
    renewal_end: Instant,
}

// === impl Refusal ===

impl Refusal {
    pub(in crate::credentials) fn transient(problem: &'static str) -> Self {
        Self { permanent: false, problem, status: None, retry_after: None }
    }
}

/// Nothing of the caller's request was sent.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = Kind::TokenUnavailable { permanent: refusal.permanent };
        Error::new(kind, Outcome::NotSent).with_source(refusal)
    }
}

// === impl Pause ===

impl Pause {
    /// Begins a pause after `refusal`, twice as long as the one before if that was of
    /// the same sort, and never shorter than the endpoint asks.
    pub(super) fn begin(&mut self, refusal: &Refusal, now: Instant) {
        let (first, longest) = if refusal.permanent { PERMANENT } else { TRANSIENT };
        let last = self.current.as_ref().filter(|last| last.refusal.permanent == refusal.permanent);
        let delay = last.map_or(first, |last| (last.delay * 2).min(longest));
        let pause = delay.max(refusal.retry_after.unwrap_or_default());
        self.current = Some(Current {
            refusal: refusal.clone(),
            delay,
            end: now + pause,
            renewal_end: now + pause.max(RENEWAL),
        });
    }

    /// What callers without a token are told during the pause.
    pub(super) fn refusal(&self, now: Instant) -> Option<Refusal> {
        let current = self.current.as_ref().filter(|current| now < current.end)?;
        Some(current.refusal.clone())
    }

    /// Whether a token that is still good must wait with its renewal.
    pub(super) fn forbids_renewal(&self, now: Instant) -> bool {
        self.current.as_ref().is_some_and(|current| now < current.renewal_end)
    }
}

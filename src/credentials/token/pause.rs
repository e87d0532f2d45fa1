//! How long a token endpoint that gave no token is left alone.
//!
//! What only a change of configuration can help is asked rarely, so that a wrong secret
//! does not lock the account; what may pass by itself is asked again soon.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Error, Kind, Outcome};
use crate::random::Random;

/// The bounds of the jitter's upper end while a failure may pass. Short, so that callers
/// without a token have one within two seconds of the endpoint's return.
const TRANSIENT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(1500));
/// What jitter leaves of a pause at least.
const LEAST: Duration = Duration::from_millis(100);
const PERMANENT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15 * 60));
/// The time between two tries to renew a token that is still good.
const RENEWAL: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));
/// The longest that an endpoint is left alone because it asks for it: a wrong hint must
/// not stop a gateway for good.
const LONGEST_HINT: Duration = PERMANENT.1;

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub(in crate::credentials) struct Refusal {
    /// Whether only a change of configuration can help.
    pub(in crate::credentials) permanent: bool,
    /// Whether it is the client itself that is refused: another secret may be taken.
    pub(in crate::credentials) refuses_client: bool,
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
    /// How many failures of the same sort were before it.
    before: u32,
    /// Until when callers without a token are refused.
    end: Instant,
    /// Until when a good token is not renewed.
    renewal_end: Instant,
}

// === impl Refusal ===

impl Refusal {
    pub(in crate::credentials) fn transient(problem: &'static str) -> Self {
        Self { permanent: false, refuses_client: false, problem, status: None, retry_after: None }
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
    /// Begins a pause after `refusal`, longer than the one before if that was of the same
    /// sort, and never shorter than the endpoint asks.
    pub(super) fn begin(&mut self, refusal: &Refusal, random: &Random, now: Instant) {
        let last = self.current.as_ref().filter(|last| last.refusal.permanent == refusal.permanent);
        let before = last.map_or(0, |last| last.before.saturating_add(1));
        let pause = match refusal.permanent {
            true => doubled(PERMANENT, before),
            false => doubled(TRANSIENT, before).mul_f64(random.draw()).max(LEAST),
        };
        let hint = refusal.retry_after.unwrap_or_default().min(LONGEST_HINT);
        let pause = pause.max(hint);
        // Later rather than earlier: the old token is good.
        let renewal = doubled(RENEWAL, before).mul_f64(1.0 + 0.2 * random.draw());
        self.current = Some(Current {
            refusal: refusal.clone(),
            before,
            end: now + pause,
            renewal_end: now + pause.max(renewal),
        });
    }

    /// Whether the last fetch failed.
    pub(super) fn is_begun(&self) -> bool {
        self.current.is_some()
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

    /// How long no fetch is begun: for callers with a good token, or without one.
    pub(super) fn left(&self, has_token: bool, now: Instant) -> Duration {
        let end = |current: &Current| if has_token { current.renewal_end } else { current.end };
        self.current.as_ref().map(|current| end(current) - now).unwrap_or_default()
    }
}

/// The first of the two, doubled `times`, the second at most.
fn doubled((first, longest): (Duration, Duration), times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(longest)
}

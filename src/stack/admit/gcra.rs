//! A quota counted by the generic cell rate algorithm (requirement R13).
//!
//! All of the past is one moment: when the next request would be due if requests came
//! evenly. A request may come before it by the tolerance, which is what a burst is, and
//! each one puts it an interval further. So there is never more than the burst and the
//! rate times the time in any window, and a refusal knows to the nanosecond for how long.

use std::time::Duration;

use tokio::time::Instant;

use crate::stack::Rate;

/// As far away as anything is ever put off.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How fast requests may follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tempo {
    interval: Duration,
    tolerance: Duration,
}

/// The requests until now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gcra {
    /// When the next request is due; `None` for long ago.
    due: Option<Instant>,
}

// === impl Tempo ===

impl Tempo {
    /// An equal share of `rate` for one of `replicas`; a burst of one at least.
    pub(super) fn share(rate: Rate, replicas: u32) -> Self {
        let replicas = replicas.max(1);
        // Rounded up, so that the sum of the intervals is never less than the period.
        let interval = rate.per.as_nanos().div_ceil(u128::from(rate.requests.max(1)));
        let interval = u64::try_from(interval).map_or(FAR, Duration::from_nanos);
        let interval = interval.saturating_mul(replicas).min(FAR);
        let burst = (rate.burst / replicas).max(1);
        Self { interval, tolerance: interval.saturating_mul(burst - 1).min(FAR) }
    }

    /// The whole of `rate`.
    pub(super) fn whole(rate: Rate) -> Self {
        Self::share(rate, 1)
    }

    /// Between two requests, in the long run.
    pub(super) fn interval(self) -> Duration {
        self.interval
    }

    /// How far before it is due a request may come.
    pub(super) fn tolerance(self) -> Duration {
        self.tolerance
    }
}

// === impl Gcra ===

impl Gcra {
    /// The earliest moment, from `from` on, for the request after `ahead` others that
    /// wait as well.
    pub(super) fn earliest(
        &self,
        tempo: Tempo,
        now: Instant,
        from: Instant,
        ahead: usize,
    ) -> Instant {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let due = later(self.due(tempo, now).max(from), tempo.interval.saturating_mul(ahead));
        due.checked_sub(tempo.tolerance).map_or(from, |earliest| earliest.max(from))
    }

    /// Counts a request that is sent now, whether its time has come here or not.
    pub(super) fn note(&mut self, tempo: Tempo, now: Instant) {
        self.due = Some(later(self.due(tempo, now), tempo.interval));
        self.due = Some(self.due(tempo, now));
    }

    /// Takes over what others have counted: the next request is due `ahead` from now.
    pub(super) fn set(&mut self, ahead: Duration, now: Instant) {
        self.due = Some(later(now, ahead));
    }

    /// Whether nothing is left of the past.
    pub(super) fn is_rested(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// Forgets what counted by a slower rate than this, before it is asked for a moment.
    pub(super) fn keep_to(&mut self, tempo: Tempo, now: Instant) {
        self.due = self.due.map(|_| self.due(tempo, now));
    }

    /// When the next request is due: never in the past, and never further away than a
    /// burst puts it.
    fn due(&self, tempo: Tempo, now: Instant) -> Instant {
        let furthest = later(now, tempo.interval.saturating_add(tempo.tolerance));
        self.due.map_or(now, |due| due.clamp(now, furthest))
    }
}

/// `moment` put off by `by`.
pub(super) fn later(moment: Instant, by: Duration) -> Instant {
    moment.checked_add(by.min(FAR)).unwrap_or(moment)
}

#[cfg(test)]
mod tests;

//! When one class of calls is let through to a partner, as plain data: no clock, no lock.
//!
//! ```text
//!            too many of enough attempts failed
//!   CLOSED ───────────────────────────────────────▶ OPEN
//!      ▲                                            │ ▲
//!      │                              time is over  │ │ a probe failed
//!      │            a read succeeded                ▼ │
//!      └─────────────────────────────────────── HALF-OPEN
//! ```
//!
//! In HALF-OPEN a circuit of reads lets one call through, the probe. A circuit of writes lets
//! none through: it waits for a read, for a write is nothing to try a partner with. What
//! ends late, an attempt that began before the circuit changed, proves nothing any more and
//! is left out.

use std::time::Duration;

use tokio::time::Instant;

use super::window::{Counts, Window};
use crate::random::Random;
use crate::stack::limits::Breaker;

/// How much longer than its time a circuit may be open, so that replicas do not come back at
/// the same moment.
const JITTER: f64 = 0.1;
/// The doubling that no setting outgrows.
const MAX_DOUBLINGS: u32 = 16;
/// Until somebody who waits for what a read will tell asks again.
const AGAIN: Duration = Duration::from_secs(1);

/// One class of calls to one partner.
#[derive(Clone, Debug)]
pub(super) struct Circuit {
    kind: Kind,
    state: State,
    /// How often the circuit has changed: what began before is told from what began since.
    epoch: u64,
    /// How often its time was doubled.
    doublings: u32,
    /// How often it has opened.
    opened: u64,
}

/// What a circuit lets through when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One call, the probe.
    Reads,
    /// None.
    Writes,
}

#[derive(Clone, Debug)]
enum State {
    Closed {
        window: Window,
        since: Instant,
    },
    /// HALF-OPEN from `until` on; there may be a probe then.
    Open {
        until: Instant,
        has_probe: bool,
    },
}

/// How an attempt ended, as far as it tells how the partner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The partner answered, whatever it said.
    Alive,
    /// The partner did not answer, or said that it cannot.
    Failing,
    /// Neither: nothing was sent, or nobody waited for the answer.
    Neutral,
}

/// What is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    epoch: u64,
}

/// Where a circuit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Position {
    /// Calls pass.
    Closed,
    /// None passes until then.
    Open(Instant),
    /// Its time is over: a read decides what comes next.
    HalfOpen,
}

// === impl Circuit ===

impl Circuit {
    pub(super) fn new(kind: Kind, now: Instant, rules: &Breaker) -> Self {
        let state = State::Closed { window: Window::new(now, rules.window), since: now };
        Self { kind, state, epoch: 0, doublings: 0, opened: 0 }
    }

    /// For how long a call is refused; `None` if it passes.
    pub(super) fn refusal(&self, now: Instant) -> Option<Duration> {
        match (&self.state, self.kind) {
            (State::Closed { .. }, _) => None,
            (State::Open { until, .. }, _) if now < *until => Some(*until - now),
            (State::Open { has_probe: false, .. }, Kind::Reads) => None,
            (State::Open { .. }, _) => Some(AGAIN),
        }
    }

    /// Lets a call through, or says for how long it is refused.
    pub(super) fn enter(&mut self, now: Instant) -> Result<Ticket, Duration> {
        if let Some(refusal) = self.refusal(now) {
            return Err(refusal);
        }
        if let State::Open { has_probe, .. } = &mut self.state {
            *has_probe = true;
        }
        Ok(Ticket { epoch: self.epoch })
    }

    /// Counts how what was let through has ended.
    pub(super) fn leave(
        &mut self,
        ticket: Ticket,
        verdict: Verdict,
        now: Instant,
        rules: &Breaker,
        random: &Random,
    ) {
        if ticket.epoch != self.epoch {
            return;
        }
        match (&mut self.state, verdict) {
            (State::Open { has_probe, .. }, Verdict::Neutral) => *has_probe = false,
            (State::Open { .. }, Verdict::Alive) => self.close(now, rules),
            (State::Open { .. }, Verdict::Failing) => self.open(now, rules, random),
            (State::Closed { .. }, Verdict::Neutral) => {}
            (State::Closed { window, .. }, Verdict::Alive | Verdict::Failing) => {
                window.resize(now, rules.window);
                window.record(now, verdict == Verdict::Failing);
                if is_too_much(window.counts(now), rules) {
                    self.open(now, rules, random);
                }
            }
        }
    }

    /// Closes a circuit whose time is over: a read has succeeded.
    pub(super) fn read_succeeded(&mut self, now: Instant, rules: &Breaker) {
        if self.position(now) == Position::HalfOpen {
            self.close(now, rules);
        }
    }

    /// Where the circuit is.
    pub(super) fn position(&self, now: Instant) -> Position {
        match &self.state {
            State::Closed { .. } => Position::Closed,
            State::Open { until, .. } if now < *until => Position::Open(*until),
            State::Open { .. } => Position::HalfOpen,
        }
    }

    /// When its time is over; `None` for a circuit that is closed.
    pub(super) fn until(&self) -> Option<Instant> {
        match &self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => Some(*until),
        }
    }

    /// What is in the window; nothing while the circuit is not closed.
    pub(super) fn counts(&mut self, now: Instant) -> Counts {
        match &mut self.state {
            State::Closed { window, .. } => window.counts(now),
            State::Open { .. } => Counts::default(),
        }
    }

    /// How often it has opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// Begins anew.
    pub(super) fn reset(&mut self, now: Instant, rules: &Breaker) {
        self.close(now, rules);
        self.doublings = 0;
    }

    fn open(&mut self, now: Instant, rules: &Breaker, random: &Random) {
        self.doublings = match &self.state {
            // One that has closed only just goes on where it was.
            State::Closed { since, .. } if self.opened > 0 && now - *since < rules.max_open => {
                self.doublings.saturating_add(1)
            }
            State::Closed { .. } => 0,
            State::Open { .. } => self.doublings.saturating_add(1),
        };
        let times = 1_u32.checked_shl(self.doublings.min(MAX_DOUBLINGS)).unwrap_or(u32::MAX);
        let time = rules.open.saturating_mul(times).min(rules.max_open);
        let until = now + time.mul_f64(1.0 + JITTER * random.draw());
        self.state = State::Open { until, has_probe: false };
        self.opened += 1;
        self.epoch += 1;
    }

    fn close(&mut self, now: Instant, rules: &Breaker) {
        self.state = State::Closed { window: Window::new(now, rules.window), since: now };
        self.epoch += 1;
    }
}

/// Whether so many attempts have failed that the partner is left alone.
pub(super) fn is_too_much(counts: Counts, rules: &Breaker) -> bool {
    let Counts { attempts, failures } = counts;
    attempts >= rules.min_attempts
        && u64::from(failures) * 100 >= u64::from(attempts) * u64::from(rules.failure_percent)
}

#[cfg(test)]
mod tests;

//! The partner's own word on when it may be asked again (requirements R11, R12).
//!
//! A refusal with a hint closes the gate for everybody, and it opens no earlier than the
//! hint says. Headers that tell how much of a quota is left close it before the refusal,
//! and slow requests down before that. A gate opens a little late, by chance, so that
//! replicas that were refused together do not come back together.

use std::time::Duration;

use tokio::time::Instant;

use super::gcra::later;
use crate::partner::Quota;

/// How much longer than asked a gate is closed at most, in parts of the time.
const JITTER: f64 = 0.1;
/// How long a refusal without a hint closes the gate, the first time: twice as long each
/// next time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// For how long one answer closes the gate at most, whatever it says: then one request asks
/// again.
const LONGEST_CLOSED: Duration = Duration::from_secs(24 * 3600);
/// From this part of the limit on, what is left is spread over the time that is left.
const LOW: u64 = 5;

/// Open, slow or closed, as the partner has it.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed_until: Option<Instant>,
    pace: Option<Pace>,
    /// When the last request went through.
    passed: Option<Instant>,
    /// When the last refusal came, and how many came in a row.
    refused: Option<(Instant, u32)>,
    /// What the partner said last.
    heard: Option<(Quota, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    interval: Duration,
    until: Instant,
}

// === impl Gate ===

impl Gate {
    /// When the request after `ahead` others may pass, `now` at the earliest.
    pub(super) fn opens(&self, now: Instant, ahead: usize) -> Instant {
        let open = self.closed_until.map_or(now, |until| until.max(now));
        let Some(Pace { interval, until }) = self.pace.filter(|pace| open < pace.until) else {
            return open;
        };
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let next = self.passed.map_or(open, |passed| later(passed, interval).max(open));
        later(next, interval.saturating_mul(ahead)).min(until)
    }

    /// Notes that a request goes through.
    pub(super) fn pass(&mut self, now: Instant) {
        self.passed = Some(now);
    }

    /// Closes the gate, after a refusal of a request that was sent at `begun`. `jitter` is
    /// between 0 and 1.
    pub(super) fn refuse(
        &mut self,
        hint: Option<Duration>,
        begun: Instant,
        now: Instant,
        jitter: f64,
    ) {
        // Refusals of requests that were on their way together are one.
        let repeated = match self.refused {
            Some((last, count)) if begun >= last => count.saturating_add(1),
            Some((_, count)) => count,
            None => 0,
        };
        self.refused = Some((now, repeated));
        let pause = hint.unwrap_or_else(|| {
            let factor = 2_u32.checked_pow(repeated).unwrap_or(u32::MAX);
            FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
        });
        self.close_until(opens_after(pause, now, jitter));
    }

    /// Notes that a request that was sent at `begun` was not refused.
    pub(super) fn accept(&mut self, begun: Instant) {
        self.refused = self.refused.filter(|(last, _)| begun < *last);
    }

    /// Keeps what the partner says of its quota, and does nothing about it.
    pub(super) fn note(&mut self, quota: Quota, now: Instant) {
        self.heard = Some((quota, now));
    }

    /// Closes or slows down as `quota` says, with `in_flight` requests still open, of
    /// which the partner may not have known.
    pub(super) fn hear(&mut self, quota: Quota, in_flight: u32, now: Instant, jitter: f64) {
        self.note(quota, now);
        let left = quota.remaining.saturating_sub(u64::from(in_flight));
        let is_low = quota.limit.is_some_and(|limit| left.saturating_mul(LOW) <= limit);
        if quota.remaining == 0 {
            self.close_until(opens_after(quota.reset, now, jitter));
        } else if is_low || left == 0 {
            // Those that are open may be counted already: their answers will tell.
            let interval = quota.reset / u32::try_from(left.max(1)).unwrap_or(u32::MAX);
            self.pace = Some(Pace { interval, until: later(now, quota.reset) });
        } else {
            self.pace = None;
        }
    }

    /// Closes the gate until then, or for longer if it is already.
    pub(super) fn close_until(&mut self, until: Instant) {
        self.closed_until = self.closed_until.max(Some(until));
    }

    /// How long it is closed for, from now.
    pub(super) fn closed_for(&self, now: Instant) -> Option<Duration> {
        let left = self.closed_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// How far apart requests are, if the partner says that little is left.
    pub(super) fn interval(&self, now: Instant) -> Option<Duration> {
        self.pace.filter(|pace| now < pace.until).map(|pace| pace.interval)
    }

    /// What the partner said last, and how long ago.
    pub(super) fn heard(&self, now: Instant) -> Option<(Quota, Duration)> {
        self.heard.map(|(quota, when)| (quota, now.saturating_duration_since(when)))
    }

    /// Whether a gate that is forgotten and made anew would be the same.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let is_refusing = self.refused.is_some_and(|(last, _)| now < later(last, LONGEST_PAUSE));
        !is_refusing && self.closed_for(now).is_none() && self.interval(now).is_none()
    }
}

/// When a gate opens that is closed for `pause`: then or a little later. `jitter` is between
/// 0 and 1.
pub(super) fn opens_after(pause: Duration, now: Instant, jitter: f64) -> Instant {
    let pause = pause.min(LONGEST_CLOSED);
    let late = pause.mul_f64(JITTER * jitter.clamp(0.0, 1.0));
    later(now, pause.saturating_add(late).min(LONGEST_CLOSED))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn quota(remaining: u64, limit: u64, reset: u64) -> Quota {
        Quota { remaining, limit: Some(limit), reset: Duration::from_secs(reset) }
    }

    proptest! {
        #[test]
        fn r11_a_gate_never_opens_before_the_latest_hint_and_at_most_a_tenth_after(
            hints in prop::collection::vec((0_u64..100_000_000, 0_u64..100, 0.0..1.0), 1..20),
        ) {
            let (mut gate, begun) = (Gate::default(), Instant::now());
            let (mut now, mut earliest, mut latest) = (begun, begun, begun);
            for (hint, pause, jitter) in hints {
                now += Duration::from_secs(pause);
                let hint = Duration::from_secs(hint);
                gate.refuse(Some(hint), now, now, jitter);
                let hint = hint.min(LONGEST_CLOSED);
                earliest = earliest.max(now + hint);
                latest = latest.max(now + hint.mul_f64(1.1));
                let opens = gate.opens(now, 0);
                prop_assert!(opens >= earliest && opens <= latest);
                prop_assert_eq!(gate.opens(now, 1_000), opens);
            }
        }
    }

    #[test]
    fn r11_refusals_without_a_hint_close_for_longer_each_time() {
        let (mut gate, mut now) = (Gate::default(), Instant::now());
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            gate.refuse(None, now, now, 0.0);
            // Those that were on their way with it say nothing new.
            gate.refuse(None, now - SECOND, now, 0.0);
            assert_eq!(gate.closed_for(now), Some(expected * SECOND));
            now += expected * SECOND;
            assert_eq!(gate.closed_for(now), None);
        }
        gate.accept(now - 100 * SECOND);
        gate.refuse(None, now, now, 0.0);
        assert_eq!(gate.closed_for(now), Some(60 * SECOND), "an older answer proves nothing");
        gate.accept(now);
        gate.refuse(None, now, now + 60 * SECOND, 1.0);
        assert_eq!(gate.closed_for(now + 60 * SECOND), Some(SECOND.mul_f64(1.1)));
    }

    #[test]
    fn r11_no_answer_closes_the_gate_for_more_than_a_day() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.refuse(Some(1_000 * LONGEST_CLOSED), now, now, 1.0);
        assert_eq!(gate.closed_for(now), Some(LONGEST_CLOSED));
        // Another one may say so again.
        let later = now + LONGEST_CLOSED;
        gate.refuse(Some(1_000 * LONGEST_CLOSED), later, later, 0.0);
        assert_eq!(gate.closed_for(later), Some(LONGEST_CLOSED));
    }

    #[test]
    fn r12_a_quota_that_is_used_up_closes_until_the_window_ends() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.hear(quota(0, 600, 30), 5, now, 0.5);
        assert_eq!(gate.opens(now, 0), now + SECOND.mul_f64(31.5));
        let mut gate = Gate::default();
        gate.hear(Quota { limit: None, ..quota(1, 0, 30) }, 0, now, 0.5);
        assert_eq!(gate.opens(now, 9), now, "without a limit nobody knows what is little");
    }

    /// Of those that are open nobody knows whether the partner has counted them already.
    #[test]
    fn r12_what_may_be_used_up_by_those_that_are_open_slows_down_until_they_tell() {
        let now = Instant::now();
        for limit in [Some(600), None] {
            let mut gate = Gate::default();
            gate.pass(now);
            gate.hear(Quota { limit, ..quota(5, 0, 30) }, 5, now, 0.5);
            assert_eq!((gate.closed_for(now), gate.interval(now)), (None, Some(30 * SECOND)));
            assert_eq!(gate.opens(now, 0), now + 30 * SECOND);
            // They had been: the five are there.
            gate.hear(Quota { limit, ..quota(400, 0, 30) }, 0, now, 0.5);
            assert_eq!(gate.opens(now, 0), now);
        }
    }

    #[test]
    fn r12_what_is_left_is_spread_over_the_rest_of_the_window() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.pass(now);
        gate.hear(quota(121, 600, 60), 0, now, 0.0);
        assert_eq!(gate.opens(now, 5), now, "more than a fifth");
        gate.hear(quota(120, 600, 60), 0, now, 0.0);
        assert_eq!(gate.interval(now), Some(SECOND / 2));
        assert_eq!(gate.opens(now, 0), now + SECOND / 2);
        assert_eq!(gate.opens(now, 3), now + 2 * SECOND);
        assert_eq!(gate.opens(now, 1_000), now + 60 * SECOND, "then a new window begins");
        assert_eq!(gate.opens(now + SECOND, 0), now + SECOND);
        assert_eq!(
            (gate.opens(now + 60 * SECOND, 7), gate.interval(now + 60 * SECOND)),
            (now + 60 * SECOND, None)
        );
        // Those that are open are left out.
        gate.hear(quota(120, 600, 60), 90, now, 0.0);
        assert_eq!(gate.interval(now), Some(2 * SECOND));
        gate.hear(quota(599, 600, 60), 0, now, 0.0);
        assert_eq!((gate.opens(now, 9), gate.interval(now)), (now, None));
    }

    #[test]
    fn r12_a_hint_is_stronger_than_what_is_left() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.refuse(Some(10 * SECOND), now, now, 0.0);
        gate.hear(quota(599, 600, 1), 0, now, 0.0);
        gate.hear(quota(0, 600, 1), 0, now, 0.0);
        assert_eq!(gate.opens(now, 0), now + 10 * SECOND);
    }

    #[test]
    fn a_gate_is_idle_when_nothing_of_it_counts_any_more() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.pass(now);
        assert!(gate.is_idle(now));
        gate.refuse(Some(SECOND), now, now, 0.0);
        assert!(!gate.is_idle(now) && gate.is_idle(now + LONGEST_PAUSE));
        gate.hear(quota(1, 600, 100), 0, now, 0.0);
        assert!(!gate.is_idle(now + LONGEST_PAUSE) && gate.is_idle(now + 100 * SECOND));
    }
}

//! How many attempts have ended in the last seconds, and how many of them failed.
//!
//! The window slides in steps of a tenth: an attempt counts for at least nine tenths of it
//! and never for longer than the whole. So it is ten pairs of numbers, however many attempts
//! there are.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The parts of a window.
const STEPS: u32 = 10;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::stack) struct Counts {
    /// Attempts that have ended.
    pub(in crate::stack) attempts: u32,
    /// How many of them have failed.
    pub(in crate::stack) failures: u32,
}

/// Counts attempts over a sliding window.
#[derive(Clone, Debug)]
pub(super) struct Window {
    origin: Instant,
    length: Duration,
    /// The steps in which something has ended, oldest first.
    steps: VecDeque<(u128, Counts)>,
}

// === impl Window ===

impl Window {
    /// An empty window of this length.
    pub(super) fn new(now: Instant, length: Duration) -> Self {
        Self { origin: now, length, steps: VecDeque::new() }
    }

    /// Counts an attempt that ends now.
    pub(super) fn record(&mut self, now: Instant, is_failure: bool) {
        let step = self.slide(now);
        if self.steps.back().is_none_or(|(last, _)| *last != step) {
            self.steps.push_back((step, Counts::default()));
        }
        if let Some((_, counts)) = self.steps.back_mut() {
            counts.attempts = counts.attempts.saturating_add(1);
            counts.failures = counts.failures.saturating_add(is_failure.into());
        }
    }

    /// What the window holds now.
    pub(super) fn counts(&mut self, now: Instant) -> Counts {
        self.slide(now);
        self.steps.iter().fold(Counts::default(), |sum, (_, counts)| Counts {
            attempts: sum.attempts.saturating_add(counts.attempts),
            failures: sum.failures.saturating_add(counts.failures),
        })
    }

    /// Takes another length; what was counted over the one before is forgotten.
    pub(super) fn resize(&mut self, now: Instant, length: Duration) {
        if self.length != length {
            *self = Self::new(now, length);
        }
    }

    /// Forgets what is past, and gives the number of the step that `now` is in.
    fn slide(&mut self, now: Instant) -> u128 {
        let length = (self.length / STEPS).as_nanos().max(1);
        let step = now.duration_since(self.origin).as_nanos() / length;
        while self.steps.front().is_some_and(|(oldest, _)| oldest + u128::from(STEPS) <= step) {
            self.steps.pop_front();
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(number: u32) -> usize {
        number.try_into().unwrap()
    }

    proptest! {
        /// R17: against a list of everything that has ended.
        #[test]
        fn r17_what_is_younger_than_the_window_counts_and_what_is_older_does_not(
            ends in prop::collection::vec((0_u64..3_000, any::<bool>()), 0..200),
            length in 1_u64..20,
        ) {
            let origin = Instant::now();
            let length = Duration::from_secs(length);
            let mut window = Window::new(origin, length);
            let (mut now, mut all) = (origin, Vec::new());
            for (pause, is_failure) in ends {
                now += Duration::from_millis(pause);
                window.record(now, is_failure);
                all.push((now, is_failure));
                let Counts { attempts, failures } = window.counts(now);
                let within = |age: Duration| {
                    let young = all.iter().filter(|(at, _)| now.duration_since(*at) < age);
                    let failed = young.clone().filter(|(_, is_failure)| *is_failure).count();
                    (young.count(), failed)
                };
                let (least, most) = (within(length * 9 / 10), within(length));
                let counted = (count(attempts), count(failures));
                prop_assert!(least.0 <= counted.0 && counted.0 <= most.0);
                prop_assert!(least.1 <= counted.1 && counted.1 <= most.1);
                prop_assert!(window.steps.len() <= count(STEPS));
            }
        }
    }
}

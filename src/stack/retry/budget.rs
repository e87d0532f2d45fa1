//! How many attempts a partner is sent again (R2).
//!
//! When a partner fails, repeats are what keeps it down. So they are a share of the calls
//! of the last seconds, and a few in any case: each call adds to the balance, each repeat
//! takes one, until it is known not to be made, and both are forgotten with the window.
//! tower's `TpsBudget` counts alike, but nobody can read its balance, nor change its numbers
//! while it is in use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::stack::limits::{Retry, Tunable};

/// The slices of a window: how finely it moves.
const SLICES: u32 = 10;

/// What one partner may be sent again. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    limits: Tunable,
    ring: Arc<Mutex<Ring>>,
}

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Balance {
    /// Repeats that could be made just now.
    pub(crate) left: u64,
    /// Repeats since the start.
    pub(crate) repeated: u64,
    /// Repeats that were refused since the start, for nothing was left.
    pub(crate) refused: u64,
}

/// Where a repeat was counted that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Withdrawn {
    start: Instant,
    /// How many slices had passed since `start`.
    passed: u128,
}

/// The last window, the newest slice of it last.
#[derive(Debug)]
struct Ring {
    start: Instant,
    window: Duration,
    /// How many slices have passed since `start`.
    passed: u128,
    slices: [Slice; 10],
    repeated: u64,
    refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    calls: u64,
    repeats: u64,
}

// === impl Budget ===

impl Budget {
    pub(in crate::stack) fn new(limits: Tunable) -> Self {
        let window = limits.get().retry.budget_window;
        Self { limits, ring: Arc::new(Mutex::new(Ring::new(window))) }
    }

    /// Counts a call that the partner was sent.
    pub(super) fn deposit(&self) {
        self.with(|ring, _| ring.newest().calls += 1);
    }

    /// Takes a repeat, if there is one.
    pub(super) fn withdraw(&self) -> Option<Withdrawn> {
        self.with(|ring, limits| {
            if ring.left(limits) == 0 {
                ring.refused += 1;
                return None;
            }
            ring.newest().repeats += 1;
            ring.repeated += 1;
            Some(Withdrawn { start: ring.start, passed: ring.passed })
        })
    }

    /// Puts back one that was not made.
    pub(super) fn put_back(&self, withdrawn: Withdrawn) {
        self.with(|ring, _| {
            ring.repeated = ring.repeated.saturating_sub(1);
            // What the window has forgotten is back already.
            if let Some(slice) = ring.slice(withdrawn) {
                slice.repeats = slice.repeats.saturating_sub(1);
            }
        });
    }

    /// How it stands.
    pub(crate) fn balance(&self) -> Balance {
        self.with(|ring, limits| Balance {
            left: ring.left(limits),
            repeated: ring.repeated,
            refused: ring.refused,
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Ring, &Retry) -> T) -> T {
        let limits = self.limits.get();
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.advance(limits.retry.budget_window);
        change(&mut ring, &limits.retry)
    }
}

// === impl Ring ===

impl Ring {
    fn new(window: Duration) -> Self {
        let slices = [Slice::default(); 10];
        Self { start: Instant::now(), window, passed: 0, slices, repeated: 0, refused: 0 }
    }

    /// Forgets what is older than the window.
    fn advance(&mut self, window: Duration) {
        if window != self.window {
            let Self { repeated, refused, .. } = *self;
            *self = Self { repeated, refused, ..Self::new(window) };
        }
        let slice = (self.window / SLICES).as_nanos().max(1);
        let passed = self.start.elapsed().as_nanos() / slice;
        let fresh = usize::try_from(passed - self.passed).unwrap_or(usize::MAX);
        let fresh = fresh.min(self.slices.len());
        self.slices.rotate_left(fresh);
        self.slices.iter_mut().rev().take(fresh).for_each(|slice| *slice = Slice::default());
        self.passed = passed;
    }

    fn newest(&mut self) -> &mut Slice {
        let [.., newest] = &mut self.slices;
        newest
    }

    /// The slice in which a repeat was counted, while it is in the window.
    fn slice(&mut self, Withdrawn { start, passed }: Withdrawn) -> Option<&mut Slice> {
        let age = self.passed.checked_sub(passed).filter(|_| start == self.start)?;
        self.slices.iter_mut().rev().nth(usize::try_from(age).ok()?)
    }

    fn left(&self, limits: &Retry) -> u64 {
        let (calls, repeats) =
            self.slices.iter().fold((0_u64, 0_u64), |(calls, repeats), slice| {
                (calls.saturating_add(slice.calls), repeats.saturating_add(slice.repeats))
            });
        let share = calls.saturating_mul(limits.budget_percent.into()) / 100;
        let milliseconds = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        let reserve = milliseconds.saturating_mul(limits.budget_reserve.into()) / 1_000;
        share.saturating_add(reserve).saturating_sub(repeats)
    }
}

#[cfg(test)]
mod tests;

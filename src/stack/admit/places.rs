//! The places of those who wait (requirements R14, R15): bounded, and where there are too
//! few, whoever has the most for its share has to give one up.

use std::collections::HashMap;
use std::sync::Arc;

use super::waiter::Waiter;
use crate::callers::Caller;

/// Who has how many places.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By the caller's name.
    held: HashMap<String, u64>,
    taken: usize,
}

// === impl Places ===

impl Places {
    /// How many there are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// How many a caller has.
    pub(super) fn of(&self, caller: &str) -> u64 {
        self.held.get(caller).copied().unwrap_or_default()
    }

    /// Gives one to a call that has none.
    pub(super) fn give(&mut self, waiter: &Waiter) {
        if !waiter.set_seated(true) {
            self.taken += 1;
            *self.held.entry(waiter.caller.name().to_owned()).or_default() += 1;
        }
    }

    /// Takes back the one that a call has, if it has one.
    pub(super) fn take_back(&mut self, waiter: &Waiter) {
        if !waiter.set_seated(false) {
            return;
        }
        self.taken = self.taken.saturating_sub(1);
        let name = waiter.caller.name();
        if let Some(held) = self.held.get_mut(name) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held.remove(name);
            }
        }
    }

    /// Which of `waiters` has to make room for a call of `caller`: the last to come, of the
    /// caller that has the most places for its share, unless that would be `caller` itself.
    pub(super) fn most_for_its_share<'a>(
        &self,
        caller: &Caller,
        waiters: impl Iterator<Item = &'a Arc<Waiter>>,
    ) -> Option<Arc<Waiter>> {
        let own = self.weight(caller, 1);
        waiters
            .map(|waiter| (self.weight(&waiter.caller, 0), waiter))
            .filter(|(weight, waiter)| *weight > own && waiter.caller.name() != caller.name())
            .max_by_key(|(weight, waiter)| (*weight, waiter.id))
            .map(|(_, waiter)| Arc::clone(waiter))
    }

    /// The places of a caller and `more`, by its share.
    fn weight(&self, caller: &Caller, more: u64) -> u64 {
        (self.of(caller.name()) + more).saturating_mul(1 << 20) / u64::from(caller.share())
    }
}

//! Who takes the slots: those who have the turn of their lane, by the share of their callers
//! (requirement R14), so that a caller that has the turn of many lanes leaves some to others.

use std::sync::Arc;

use super::queue::Queue;
use super::slots::{Felt, Slots};
use super::waiter::Waiter;
use crate::stack::Concurrency;

/// Slots, and those who wait for one.
#[derive(Debug)]
pub(super) struct SlotLine {
    slots: Slots,
    waiting: Queue<Arc<Waiter>>,
}

// === impl SlotLine ===

impl SlotLine {
    pub(super) fn new(bounds: Concurrency) -> Self {
        Self { slots: Slots::new(bounds), waiting: Queue::default() }
    }

    /// How many requests may be open.
    pub(super) fn limit(&self, bounds: Concurrency) -> u32 {
        self.slots.limit(bounds)
    }

    /// How many are.
    pub(super) fn taken(&self) -> u32 {
        self.slots.taken()
    }

    /// Takes a slot for a call, or puts it in the line for one.
    pub(super) fn take(&mut self, waiter: &Arc<Waiter>, bounds: Concurrency) -> bool {
        if !self.waiting.contains(&waiter.caller, waiter.id) {
            self.waiting.push(&waiter.caller, waiter.id, Arc::clone(waiter));
        }
        let is_let = self.waiting.ahead_of(&waiter.caller, waiter.id) < self.free(bounds);
        if is_let {
            self.waiting.take(&waiter.caller, waiter.id);
            self.slots.take();
            self.call(bounds);
        }
        is_let
    }

    /// A call does not wait for a slot any more.
    pub(super) fn leave(&mut self, waiter: &Waiter, bounds: Concurrency) {
        self.waiting.remove(&waiter.caller, waiter.id);
        self.call(bounds);
    }

    /// Gives a slot back.
    pub(super) fn release(&mut self, felt: Felt, bounds: Concurrency) {
        self.slots.release(felt, bounds);
        self.call(bounds);
    }

    /// Calls as many as there are free slots.
    fn call(&self, bounds: Concurrency) {
        self.waiting.iter().take(self.free(bounds)).for_each(|waiter| waiter.wakes.notify_one());
    }

    fn free(&self, bounds: Concurrency) -> usize {
        usize::try_from(self.slots.free(bounds)).unwrap_or_default()
    }
}

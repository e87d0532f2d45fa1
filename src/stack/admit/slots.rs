//! How many requests are open at once, as many as the partner bears (requirements R15, R16).
//!
//! Additive increase, multiplicative decrease: while answers come and half of the slots
//! are in use there is one slot more for each, and a tenth fewer for each request that the
//! partner leaves unanswered, for a second at least, or cannot serve. So one slow partner takes a bounded part of
//! the gateway, and the least when it is slowest.

use crate::stack::Concurrency;

/// What the end of a request says of the partner's strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Felt {
    /// It answered in time.
    Strong,
    /// It did not answer, or said that it could not.
    Weak,
    /// Nothing: it was not reached, or it refused for another reason.
    Nothing,
}

/// Slots for open requests.
#[derive(Debug)]
pub(super) struct Slots {
    limit: u32,
    taken: u32,
}

// === impl Slots ===

impl Slots {
    pub(super) fn new(bounds: Concurrency) -> Self {
        Self { limit: within(bounds.initial, bounds), taken: 0 }
    }

    /// How many requests may be open.
    pub(super) fn limit(&self, bounds: Concurrency) -> u32 {
        within(self.limit, bounds)
    }

    /// How many are.
    pub(super) fn taken(&self) -> u32 {
        self.taken
    }

    /// How many more may be.
    pub(super) fn free(&self, bounds: Concurrency) -> u32 {
        self.limit(bounds).saturating_sub(self.taken)
    }

    /// Takes one, whether it is free or not.
    pub(super) fn take(&mut self) {
        self.taken = self.taken.saturating_add(1);
    }

    /// Gives one back.
    pub(super) fn release(&mut self, felt: Felt, bounds: Concurrency) {
        let limit = self.limit(bounds);
        let is_used = self.taken.saturating_mul(2) >= limit;
        self.taken = self.taken.saturating_sub(1);
        let limit = match felt {
            Felt::Strong if is_used => limit.saturating_add(1),
            Felt::Weak => limit.saturating_sub(limit.div_ceil(10)),
            Felt::Strong | Felt::Nothing => limit,
        };
        self.limit = within(limit, bounds);
    }
}

/// `limit` within its bounds; one at least, or nothing would ever be sent.
fn within(limit: u32, bounds: Concurrency) -> u32 {
    limit.min(bounds.max).max(bounds.min).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Concurrency = Concurrency { initial: 20, min: 4, max: 200 };

    fn ended(slots: &mut Slots, felt: Felt) -> u32 {
        slots.release(felt, BOUNDS);
        slots.limit(BOUNDS)
    }

    #[test]
    fn r16_the_limit_grows_by_one_while_half_is_in_use_and_shrinks_by_a_tenth() {
        let mut slots = Slots::new(BOUNDS);
        (0..11).for_each(|_| slots.take());
        assert_eq!(ended(&mut slots, Felt::Strong), 21);
        assert_eq!(ended(&mut slots, Felt::Strong), 21, "10 of 21 are less than half");
        assert_eq!(ended(&mut slots, Felt::Nothing), 21);
        assert_eq!(ended(&mut slots, Felt::Weak), 18);
        assert_eq!(slots.taken(), 7);
        for expected in [16, 14, 12, 10, 9, 8, 7] {
            assert_eq!(ended(&mut slots, Felt::Weak), expected);
        }
    }

    #[test]
    fn r16_the_bounds_may_change_and_count_at_once() {
        let mut slots = Slots::new(BOUNDS);
        assert_eq!(slots.free(BOUNDS), 20);
        (0..6).for_each(|_| slots.take());
        let narrow = Concurrency { initial: 1, min: 1, max: 5 };
        assert_eq!((slots.limit(narrow), slots.free(narrow)), (5, 0));
        assert_eq!(slots.limit(Concurrency { min: 40, ..BOUNDS }), 40);
        assert_eq!(slots.limit(Concurrency { initial: 0, min: 0, max: 0 }), 1);
    }

    proptest! {
        #[test]
        fn r15_the_limit_stays_within_its_bounds(ends in prop::collection::vec(0..4, 0..2_000)) {
            let mut slots = Slots::new(BOUNDS);
            for end in ends {
                match end {
                    0 => slots.take(),
                    1 => slots.release(Felt::Strong, BOUNDS),
                    2 => slots.release(Felt::Weak, BOUNDS),
                    _ => slots.release(Felt::Nothing, BOUNDS),
                }
                prop_assert!((4..=200).contains(&slots.limit(BOUNDS)));
            }
        }
    }

    /// R16: a partner that bears 50 at once, and answers 503 to those beyond.
    #[test]
    fn r16_the_limit_settles_around_what_the_partner_bears() {
        let (mut slots, mut limits) = (Slots::new(BOUNDS), Vec::new());
        for _ in 0..2_000 {
            while slots.free(BOUNDS) > 0 {
                slots.take();
            }
            let felt = if slots.taken() > 50 { Felt::Weak } else { Felt::Strong };
            limits.push(ended(&mut slots, felt));
        }
        let settled = &limits[100..];
        assert!(settled.iter().all(|limit| (40..=51).contains(limit)), "{settled:?}");
    }
}

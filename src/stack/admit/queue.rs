//! Who waits, and whose turn is next (requirement R14).
//!
//! Start-time fair queueing: who comes gets a number on a clock that turns drive, and the
//! lowest number is next. Each turn of a caller puts its own next number further, the less
//! the larger its share is; a caller that comes first now begins where the clock is. So
//! turns go round by share however many calls each caller has waiting, each caller's calls
//! stay in their order, and a caller that waited for nothing has saved nothing up.

use std::collections::{BTreeMap, HashMap};

use crate::callers::Caller;

/// What a turn costs a caller with a share of one.
const COST: u64 = 1 << 20;

/// A place in the queue; a lower one is nearer to its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    number: u64,
    /// The order of arrival.
    id: u64,
}

/// Those who wait.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: BTreeMap<Place, T>,
    /// The number that had its turn last.
    clock: u64,
    /// The next number of each caller, by name.
    next: HashMap<String, u64>,
}

// === impl Queue ===

impl<T> Queue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a call of `caller`; `id` is higher than that of every earlier one.
    pub(super) fn push(&mut self, caller: &Caller, id: u64, value: T) -> Place {
        let cost = (COST / u64::from(caller.share())).max(1);
        let own = self.next.get(caller.name()).copied().unwrap_or_default();
        let number = own.max(self.clock);
        self.next.insert(caller.name().to_owned(), number.saturating_add(cost));
        let place = Place { number, id };
        self.waiting.insert(place, value);
        place
    }

    /// Takes out the one whose turn is next.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (place, value) = self.waiting.pop_first()?;
        self.clock = place.number;
        self.forget_if_empty();
        Some(value)
    }

    /// Takes out one that waits no more.
    pub(super) fn remove(&mut self, place: Place) -> Option<T> {
        let value = self.waiting.remove(&place)?;
        self.forget_if_empty();
        Some(value)
    }

    /// How many are before this place.
    pub(super) fn ahead_of(&self, place: Place) -> usize {
        self.waiting.range(..place).count()
    }

    /// Those who wait, in the order of their turns.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &T)> {
        self.waiting.iter().map(|(place, value)| (*place, value))
    }

    // Where nobody waits nobody is ahead of anybody.
    fn forget_if_empty(&mut self) {
        if self.waiting.is_empty() {
            self.next.clear();
            self.clock = 0;
        }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), clock: 0, next: HashMap::new() }
    }
}

// === impl Place ===

impl Place {
    /// The order of arrival.
    pub(super) fn id(self) -> u64 {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caller(name: &str, share: u32) -> Caller {
        Caller::new(name, share, false)
    }

    #[test]
    fn r14_a_caller_that_comes_late_is_next_however_many_another_has_waiting() {
        let (mut queue, flood, late) = (Queue::default(), caller("flood", 1), caller("late", 1));
        (0..100).for_each(|id| {
            queue.push(&flood, id, "flood");
        });
        assert_eq!((queue.pop(), queue.pop()), (Some("flood"), Some("flood")));
        let place = queue.push(&late, 100, "late");
        queue.push(&late, 101, "late");
        assert!(queue.ahead_of(place) <= 1);
        let turns: Vec<_> = std::iter::from_fn(|| queue.pop()).take(6).collect();
        let of_late = turns.iter().take(4).filter(|turn| **turn == "late").count();
        assert_eq!(of_late, 2, "{turns:?}");
    }

    #[test]
    fn a_place_that_is_given_up_holds_nobody_up() {
        let (mut queue, a, b) = (Queue::default(), caller("a", 1), caller("b", 1));
        let places: Vec<_> = (0..6).map(|id| queue.push(&a, id, id)).collect();
        queue.push(&b, 6, 6);
        assert_eq!((queue.ahead_of(places[0]), queue.ahead_of(places[5])), (0, 6));
        assert_eq!((queue.remove(places[0]), queue.remove(places[0])), (Some(0), None));
        assert_eq!((queue.pop(), queue.pop(), queue.len()), (Some(6), Some(1), 4));
        while queue.pop().is_some() {}
        assert!(queue.is_empty() && queue.next.is_empty());
    }

    proptest! {
        /// While callers have calls waiting, each gets its share of the turns to within one
        /// turn of each of the others, and its calls keep their order.
        #[test]
        fn r14_turns_go_round_by_share(shares in prop::collection::vec(1_u32..20, 2..6)) {
            let callers: Vec<_> =
                shares.iter().enumerate().map(|(n, share)| caller(&n.to_string(), *share)).collect();
            let (mut queue, rounds) = (Queue::default(), 30);
            let mut id = 0;
            for (number, caller) in callers.iter().enumerate() {
                for call in 0..caller.share() * rounds {
                    queue.push(caller, id, (number, call));
                    id += 1;
                }
            }
            let all: u32 = shares.iter().sum();
            let mut had = vec![0_u32; shares.len()];
            for turn in 1..=all * (rounds - 1) {
                let (number, call) = queue.pop().unwrap();
                prop_assert_eq!(call, had[number], "in order");
                had[number] += 1;
                for (had, share) in had.iter().zip(&shares) {
                    let due = f64::from(turn) * f64::from(*share) / f64::from(all);
                    let apart = f64::from(*had) - due;
                    prop_assert!(apart.abs() <= f64::from(u32::try_from(shares.len()).unwrap()));
                }
            }
        }
    }
}

//! Who waits, and whose turn is next (requirement R14).
//!
//! Start-time fair queueing: each caller has a line of its own and a number on a clock that
//! turns drive, and the lowest number is next. Each turn of a caller puts its number
//! further, the less the larger its share is; a caller that comes first now begins where
//! the clock is. So turns go round by share however many calls each caller has waiting,
//! each caller's calls stay in their order, and a caller that waited for nothing has saved
//! nothing up. Only a turn costs: a call that leaves without one has taken nothing from
//! those behind it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::iter;

use crate::callers::Caller;

/// What a turn costs a caller with a share of one.
const COST: u64 = 1 << 20;

/// Those who wait. Of each caller a call is known by its id, the order of arrival.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// By the caller's name.
    lines: HashMap<String, Line<T>>,
    /// The number that had its turn last.
    clock: u64,
    len: usize,
}

/// One caller's calls. Its number stays when it is empty, for as long as others wait.
#[derive(Debug)]
struct Line<T> {
    /// The number of its first call; each further one is a turn's cost further.
    number: u64,
    cost: u64,
    /// The call with which it was empty no more: of equal numbers the older line is first.
    since: u64,
    waiting: BTreeMap<u64, T>,
}

// === impl Queue ===

impl<T> Queue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a call of `caller`.
    pub(super) fn push(&mut self, caller: &Caller, id: u64, value: T) {
        let line = self.lines.entry(caller.name().to_owned()).or_default();
        // The share may have changed.
        line.cost = (COST / u64::from(caller.share())).max(1);
        if line.waiting.is_empty() {
            (line.number, line.since) = (line.number.max(self.clock), id);
        }
        if line.waiting.insert(id, value).is_none() {
            self.len += 1;
        }
    }

    /// Takes out the one whose turn is next.
    pub(super) fn pop(&mut self) -> Option<T> {
        let lines = self.lines.iter().filter(|(_, line)| !line.waiting.is_empty());
        let (name, line) = lines.min_by_key(|(_, line)| line.place(0))?;
        let (name, id) = (name.clone(), *line.waiting.first_key_value()?.0);
        self.take_out(&name, id, true)
    }

    /// Takes out one that has its turn, whether it is the next or not.
    pub(super) fn take(&mut self, caller: &Caller, id: u64) -> Option<T> {
        self.take_out(caller.name(), id, true)
    }

    /// Takes out one that waits no more.
    pub(super) fn remove(&mut self, caller: &Caller, id: u64) -> Option<T> {
        self.take_out(caller.name(), id, false)
    }

    /// Whether this call waits.
    pub(super) fn contains(&self, caller: &Caller, id: u64) -> bool {
        self.lines.get(caller.name()).is_some_and(|line| line.waiting.contains_key(&id))
    }

    /// How many have their turn before this call.
    pub(super) fn ahead_of(&self, caller: &Caller, id: u64) -> usize {
        let Some(own) = self.lines.get(caller.name()) else { return 0 };
        let of_own = own.waiting.range(..id).count();
        let place = own.place(of_own);
        let others = self.lines.iter().filter(|(name, _)| *name != caller.name());
        others.map(|(_, line)| line.before(place)).sum::<usize>().saturating_add(of_own)
    }

    /// Those who wait, in the order of their turns.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut lines: Vec<_> =
            self.lines.values().map(|line| (line, line.waiting.values())).collect();
        let heads = lines.iter().enumerate();
        let mut heads: BinaryHeap<_> =
            heads.map(|(index, (line, _))| Reverse((line.place(0), 0, index))).collect();
        iter::from_fn(move || {
            loop {
                let Reverse((_, at, index)) = heads.pop()?;
                let (line, values) = lines.get_mut(index)?;
                if let Some(value) = values.next() {
                    heads.push(Reverse((line.place(at + 1), at + 1, index)));
                    return Some(value);
                }
            }
        })
    }

    /// The newest call of each caller that waits.
    pub(super) fn newest(&self) -> impl Iterator<Item = &T> {
        self.lines.values().filter_map(|line| Some(line.waiting.last_key_value()?.1))
    }

    fn take_out(&mut self, name: &str, id: u64, is_turn: bool) -> Option<T> {
        let line = self.lines.get_mut(name)?;
        let value = line.waiting.remove(&id)?;
        if is_turn {
            self.clock = self.clock.max(line.number);
            line.number = line.number.saturating_add(line.cost);
        }
        self.len = self.len.saturating_sub(1);
        // Where nobody waits nobody is ahead of anybody.
        if self.len == 0 {
            self.lines.clear();
            self.clock = 0;
        }
        Some(value)
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), clock: 0, len: 0 }
    }
}

// === impl Line ===

impl<T> Line<T> {
    /// What the turn of the call behind `ahead` others of this line is sorted by.
    fn place(&self, ahead: usize) -> (u64, u64) {
        let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
        (self.number.saturating_add(self.cost.saturating_mul(ahead)), self.since)
    }

    /// How many of this line have their turn before `place`, which is of another.
    fn before(&self, (number, since): (u64, u64)) -> usize {
        // The first number that is not before it.
        let end = if self.since < since { number.saturating_add(1) } else { number };
        let before = end.saturating_sub(self.number).div_ceil(self.cost);
        usize::try_from(before).unwrap_or(usize::MAX).min(self.waiting.len())
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { number: 0, cost: COST, since: 0, waiting: BTreeMap::new() }
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
        queue.push(&late, 100, "late");
        queue.push(&late, 101, "late");
        assert!(queue.ahead_of(&late, 100) <= 1);
        let turns: Vec<_> = iter::from_fn(|| queue.pop()).take(6).collect();
        let of_late = turns.iter().take(4).filter(|turn| **turn == "late").count();
        assert_eq!(of_late, 2, "{turns:?}");
    }

    #[test]
    fn a_place_that_is_given_up_holds_nobody_up() {
        let (mut queue, a, b) = (Queue::default(), caller("a", 1), caller("b", 1));
        (0..6).for_each(|id| queue.push(&a, id, id));
        queue.push(&b, 6, 6);
        assert_eq!(
            (queue.ahead_of(&a, 0), queue.ahead_of(&a, 5), queue.ahead_of(&b, 6)),
            (0, 6, 1)
        );
        assert_eq!((queue.remove(&a, 0), queue.remove(&a, 0)), (Some(0), None));
        assert!(queue.contains(&a, 1) && !queue.contains(&a, 0));
        assert_eq!((queue.pop(), queue.pop(), queue.len()), (Some(1), Some(6), 4));
        assert_eq!(queue.take(&a, 3), Some(3), "out of its order");
        while queue.pop().is_some() {}
        assert!(queue.is_empty() && queue.lines.is_empty());
    }

    /// A caller whose calls have short deadlines loses them without a turn: the one that can
    /// wait, and those that come after, are not behind turns that nobody had.
    #[test]
    fn r14_a_call_that_leaves_without_its_turn_gives_back_what_it_would_have_cost() {
        let (mut queue, hasty, calm) = (Queue::default(), caller("hasty", 1), caller("calm", 1));
        (0..100).for_each(|id| queue.push(&hasty, id, id));
        (100..200).for_each(|id| queue.push(&calm, id, id));
        queue.push(&hasty, 200, 200);
        (0..100).for_each(|id| {
            queue.remove(&hasty, id).unwrap();
        });
        queue.push(&hasty, 201, 201);
        assert_eq!((queue.ahead_of(&hasty, 200), queue.ahead_of(&hasty, 201)), (0, 2));
        let turns: Vec<_> = iter::from_fn(|| queue.pop()).take(4).collect();
        assert_eq!(turns, [200, 100, 201, 101]);
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

        /// What is told of the order is the order, whoever leaves.
        #[test]
        fn r14_who_is_ahead_has_its_turn_before(
            calls in prop::collection::vec((0_usize..4, prop::bool::weighted(0.3)), 1..60),
            had in 0_usize..10,
        ) {
            let callers: Vec<_> = [1, 1, 3, 20].map(|share| caller(&share.to_string(), share)).into();
            let (mut queue, mut entered) = (Queue::default(), Vec::new());
            for (id, (at, leaves)) in (0_u64..).zip(calls) {
                queue.push(&callers[at], id, id);
                entered.push((id, at, leaves));
            }
            for _ in 0..had {
                queue.pop();
            }
            for (id, at, _) in entered.iter().filter(|(_, _, leaves)| *leaves) {
                queue.remove(&callers[*at], *id);
            }
            let told: Vec<_> = queue.iter().copied().collect();
            for (ahead, id) in told.iter().enumerate() {
                let (_, at, _) = entered[usize::try_from(*id).unwrap()];
                prop_assert_eq!(queue.ahead_of(&callers[at], *id), ahead);
            }
            prop_assert_eq!(told.len(), queue.len());
            prop_assert_eq!(told, iter::from_fn(|| queue.pop()).collect::<Vec<_>>());
        }
    }
}

//! What the cases came to, by their lane and fault.

use std::collections::BTreeMap;

use super::Effect;
use super::bench::{Ending, Told};
use super::cases::{Case, Lane};
use crate::support::proxy::Fault;

#[derive(Debug, Default)]
pub(super) struct Tallies {
    tallies: BTreeMap<(Lane, Fault), Tally>,
    /// Those that may be repeated.
    repeatable: usize,
    /// Those of them that were on time only when they were tried again, by effect: the
    /// machine was too busy for them.
    late: BTreeMap<Effect, usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cases: usize,
    /// Those in which the connection came to the place where it fails.
    failed: usize,
    answered: usize,
    not_sent: usize,
    unknown: usize,
    unreadable: usize,
    acted: usize,
    reused: usize,
}

// === impl Tallies ===

impl Tallies {
    pub(super) fn add(&mut self, case: &Case, ending: &Ending) {
        self.repeatable += usize::from(case.effect != Effect::WriteOnce);
        let tally = self.tallies.entry((case.lane, case.cut.fault)).or_default();
        tally.cases += 1;
        tally.failed += usize::from(ending.seen.has_failed);
        tally.acted += ending.acted;
        tally.reused += usize::from(ending.seen.is_reused);
        match ending.told {
            Told::Answer => tally.answered += 1,
            Told::Unreadable => tally.unreadable += 1,
            Told::NotSent => tally.not_sent += 1,
            Told::Unknown => tally.unknown += 1,
        }
    }

    pub(super) fn add_late(&mut self, case: &Case) {
        *self.late.entry(case.effect).or_default() += 1;
    }

    pub(super) fn cases(&self) -> usize {
        self.tallies.values().map(|tally| tally.cases).sum()
    }

    #[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
    pub(super) fn print(&self) {
        let mut lanes = BTreeMap::<Lane, usize>::new();
        for ((lane, fault), tally) in &self.tallies {
            println!("{lane}, {fault:?}: {tally:?}");
            *lanes.entry(*lane).or_default() += tally.cases;
        }
        for (lane, cases) in lanes {
            println!("{lane}: {cases} cases");
        }
        println!("late for the load, and on time alone: {:?}", self.late);
    }

    /// The cases were what they should be, and not made easy by a busy machine.
    pub(super) fn assert_sound(&self) {
        let late: usize = self.late.values().sum();
        assert!(late * 50 <= self.repeatable, "{late} of {} were late", self.repeatable);
        for ((lane, fault), tally) in &self.tallies {
            let what = format!("{lane}, {fault:?}: {tally:?}");
            let share = tally.reused * 100 / tally.cases;
            assert!(if lane.is_reused { share > 90 } else { share == 0 }, "{what}");
            assert!(tally.failed * 100 > tally.cases * 90, "{what}");
            assert!(tally.acted > 0 && tally.answered > 0, "{what}");
        }
    }
}

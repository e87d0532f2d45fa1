use proptest::prelude::*;

use super::*;
use crate::stack::{Limits, Rate};

const SECOND: Duration = Duration::from_secs(1);

/// A book, its rules and its time.
struct Desk {
    book: Book,
    limits: Limits,
    now: Instant,
}

/// A call that has entered.
struct Entered {
    waiter: Arc<Waiter>,
}

impl Desk {
    fn new(rate: Option<Rate>, slots: u32, max_waiting: usize) -> Self {
        let concurrency = Concurrency { initial: slots, min: 1, max: slots };
        let limits = Limits { rate, concurrency, max_waiting, ..Limits::default() };
        Self { book: Book::new(concurrency), limits, now: Instant::now() }
    }

    fn enter(&mut self, caller: &Caller, patience: Duration) -> (Entered, Step) {
        let (now, rules) = (self.now, Rules { limits: &self.limits, counts_together: false });
        let waiter = self.book.enter(&None, caller, now + patience, rules, now).unwrap();
        let step = self.book.step(&waiter, rules, now);
        (Entered { waiter }, step)
    }

    fn step(&mut self, call: &Entered) -> Step {
        let rules = Rules { limits: &self.limits, counts_together: false };
        self.book.step(&call.waiter, rules, self.now)
    }

    fn leave(&mut self, call: &Entered) {
        let rules = Rules { limits: &self.limits, counts_together: false };
        self.book.leave(&call.waiter, rules);
    }

    fn over(&mut self, told: Told) {
        let rules = Rules { limits: &self.limits, counts_together: false };
        self.book.over(&None, told, rules, self.now, 0.0);
    }

    fn done(&mut self) {
        self.over(Told { is_accepted: true, ..nothing(self.now) });
    }
}

fn nothing(begun: Instant) -> Told {
    Told { begun, felt: Felt::Nothing, refused: None, is_accepted: false, quota: None }
}

fn caller(name: &str, share: u32) -> Caller {
    Caller::new(name, share, false)
}

fn every(per: Duration, burst: u32) -> Option<Rate> {
    Some(Rate { requests: 1, per, burst })
}

#[test]
fn r15_as_many_requests_are_open_as_there_are_slots_and_the_next_goes_when_one_is_over() {
    let (mut desk, a) = (Desk::new(None, 2, 10), caller("a", 1));
    let calls: Vec<_> = (0..4).map(|_| desk.enter(&a, 10 * SECOND)).collect();
    assert_eq!((calls[0].1, calls[1].1), (Step::Go, Step::Go));
    assert!(calls[2..].iter().all(|(_, step)| matches!(step, Step::Wait(_))));
    assert!(matches!(desk.step(&calls[3].0), Step::Wait(_)), "it has not the turn");
    desk.done();
    assert!(matches!(desk.step(&calls[3].0), Step::Wait(_)), "it has not the turn yet");
    assert_eq!(desk.step(&calls[2].0), Step::Go);
    desk.done();
    assert_eq!(desk.step(&calls[3].0), Step::Go);
    assert_eq!(
        (desk.book.places.taken(), desk.book.slots.taken(), desk.book.counts.admitted),
        (0, 2, 4)
    );
}

#[test]
fn r15_a_call_for_which_there_is_no_place_is_refused_at_once() {
    let (mut desk, a) = (Desk::new(None, 1, 2), caller("a", 1));
    let steps: Vec<_> = (0..4).map(|_| desk.enter(&a, 10 * SECOND)).collect();
    assert_eq!(steps[0].1, Step::Go);
    assert!(steps[1..3].iter().all(|(_, step)| matches!(step, Step::Wait(_))));
    assert_eq!(steps[3].1, Step::Refused(Refusal::Overloaded));
    assert_eq!((desk.book.places.taken(), desk.book.counts.overloaded), (2, 1));
    desk.leave(&steps[3].0);
    // A place that is given up is free again.
    desk.leave(&steps[2].0);
    assert!(matches!(desk.enter(&a, SECOND).1, Step::Wait(_)));
}

#[test]
fn r14_a_caller_that_has_all_the_places_gives_one_to_another_that_comes() {
    let (mut desk, flood, late) = (Desk::new(None, 1, 4), caller("flood", 1), caller("late", 1));
    let flooding: Vec<_> = (0..5).map(|_| desk.enter(&flood, 10 * SECOND)).collect();
    let late_calls: Vec<_> = (0..3).map(|_| desk.enter(&late, 10 * SECOND)).collect();
    // Two of four for each; the flood lost its newest.
    assert_eq!(desk.step(&flooding[4].0), Step::Refused(Refusal::Overloaded));
    assert_eq!(desk.step(&flooding[3].0), Step::Refused(Refusal::Overloaded));
    assert!(matches!(desk.step(&flooding[2].0), Step::Wait(_)));
    assert!(matches!(late_calls[1].1, Step::Wait(_)));
    assert_eq!(late_calls[2].1, Step::Refused(Refusal::Overloaded));
    assert_eq!(desk.book.places.taken(), 4);
    // A larger share is more places.
    let large = caller("large", 4);
    let large_calls: Vec<_> = (0..3).map(|_| desk.enter(&large, 10 * SECOND).1).collect();
    assert!(large_calls.iter().all(|step| matches!(step, Step::Wait(_))), "{large_calls:?}");
    assert_eq!(desk.enter(&large, 10 * SECOND).1, Step::Refused(Refusal::Overloaded));
    assert_eq!((desk.book.places.of("large"), desk.book.places.of("flood")), (3, 1));
}

#[test]
fn r13_who_cannot_go_in_time_is_told_at_once_and_exactly() {
    let (mut desk, a) = (Desk::new(every(SECOND, 1), 9, 9), caller("a", 1));
    let calls: Vec<_> = (0..5).map(|_| desk.enter(&a, 3 * SECOND)).collect();
    assert_eq!(calls[0].1, Step::Go);
    assert_eq!(calls[1].1, Step::Wait(desk.now + SECOND));
    assert!(matches!((calls[2].1, calls[3].1), (Step::Wait(_), Step::Wait(_))));
    assert_eq!(calls[4].1, Step::Refused(Refusal::RateLimited(4 * SECOND)));
    // It gets worse for those who wait.
    desk.over(Told { refused: Some(Refused::TooMany(Some(2 * SECOND))), ..nothing(desk.now) });
    assert_eq!(desk.step(&calls[3].0), Step::Refused(Refusal::RateLimited(4 * SECOND)));
    assert_eq!(desk.step(&calls[1].0), Step::Wait(desk.now + SECOND), "it looks again");
    assert_eq!((desk.book.counts.rate_limited, desk.book.places.taken()), (2, 2));
    desk.now += 2 * SECOND;
    assert_eq!(desk.step(&calls[1].0), Step::Go);
}

#[test]
fn nobody_waits_beyond_the_last_call() {
    let (mut desk, a) = (Desk::new(None, 1, 9), caller("a", 1));
    let _open = desk.enter(&a, SECOND);
    let (waiting, step) = desk.enter(&a, SECOND);
    assert_eq!(step, Step::Wait(desk.now + SECOND));
    desk.now += SECOND;
    assert_eq!(desk.step(&waiting), Step::Refused(Refusal::Overloaded));
    // One that would not have to wait may be late.
    desk.done();
    desk.leave(&waiting);
    assert_eq!(desk.enter(&a, Duration::ZERO).1, Step::Go);
    assert_eq!(desk.enter(&a, Duration::ZERO).1, Step::Refused(Refusal::Overloaded));
}

#[test]
fn lanes_that_are_idle_make_room_for_others() {
    let (mut desk, a) = (Desk::new(every(SECOND, 1), 10_000, 9), caller("a", 1));
    let rules = Rules { limits: &desk.limits, counts_together: false };
    let mut enter = |account: Option<usize>, now: Instant| {
        let owner = account.map(|account| account.to_string());
        let waiter = desk.book.enter(&owner, &a, now, rules, now)?;
        let step = desk.book.step(&waiter, rules, now);
        desk.book.over(&owner, nothing(now), rules, now, 0.0);
        Ok::<_, Refusal>(step)
    };
    for account in 0..MAX_LANES {
        assert_eq!(enter(Some(account), desk.now), Ok(Step::Go));
    }
    assert_eq!(enter(Some(MAX_LANES), desk.now), Err(Refusal::Overloaded));
    // The partner account's own is not one of them, and stays.
    assert_eq!(enter(None, desk.now), Ok(Step::Go));
    assert_eq!(enter(Some(MAX_LANES), desk.now + SECOND), Ok(Step::Go));
    let mut owners: Vec<_> = desk.book.lanes.keys().cloned().collect();
    owners.sort();
    assert_eq!(owners, [None, Some(MAX_LANES.to_string())]);
}

/// A caller that has the turn of many accounts leaves the slots to others too.
#[test]
fn r14_slots_go_round_among_callers_and_not_accounts() {
    let (mut desk, many, one) = (Desk::new(None, 1, 99), caller("many", 1), caller("one", 1));
    let (now, limits) = (desk.now, desk.limits.clone());
    let rules = Rules { limits: &limits, counts_together: false };
    let mut waiting: Vec<_> = (0..11)
        .map(|number| {
            let (owner, caller) =
                (Some(number.to_string()), if number < 10 { &many } else { &one });
            let waiter = desk.book.enter(&owner, caller, now + SECOND, rules, now).unwrap();
            let step = desk.book.step(&waiter, rules, now);
            assert_eq!(step == Step::Go, number == 0);
            waiter
        })
        .skip(1)
        .collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        desk.book.over(&None, nothing(now), rules, now, 0.0);
        let goes = |waiter: &Arc<Waiter>| desk.book.step(waiter, rules, now) == Step::Go;
        let at = waiting.iter().position(goes).unwrap();
        order.push(waiting.remove(at).caller.name().to_owned());
    }
    assert_eq!(order.iter().position(|name| name == "one"), Some(1), "{order:?}");
}

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    Enters { caller: usize, patience: u64 },
    Steps,
    Leaves(usize),
    IsOver(Felt),
    IsRefused(u64),
    TimePasses(u64),
}

fn events() -> impl Strategy<Value = Event> {
    let felt = prop::sample::select(vec![Felt::Strong, Felt::Weak, Felt::Nothing]);
    prop_oneof![
        4 => (0_usize..3, 0_u64..5_000)
            .prop_map(|(caller, patience)| Event::Enters { caller, patience }),
        2 => Just(Event::Steps),
        1 => (0_usize..20).prop_map(Event::Leaves),
        2 => felt.prop_map(Event::IsOver),
        1 => (0_u64..2_000).prop_map(Event::IsRefused),
        2 => (0_u64..500).prop_map(Event::TimePasses),
    ]
}

/// Calls and requests as the outside has them.
struct World {
    desk: Desk,
    waiting: Vec<Entered>,
    open: usize,
    sent: Vec<Instant>,
    closed_until: Instant,
}

impl World {
    fn settle(&mut self, call: Entered, step: Step) {
        match step {
            Step::Go => {
                self.open += 1;
                self.sent.push(self.desk.now);
                assert!(self.desk.now >= self.closed_until, "the gate is closed");
                self.desk.leave(&call);
            }
            Step::Wait(then) => {
                assert!(then > self.desk.now && then <= call.waiter.last_call);
                self.waiting.push(call);
            }
            Step::Refused(refusal) => {
                let too_late = call.waiter.last_call.saturating_duration_since(self.desk.now);
                assert!(!matches!(refusal, Refusal::RateLimited(wait) if wait <= too_late));
                self.desk.leave(&call);
            }
            Step::Ask => panic!("there is nobody to ask"),
        }
    }

    fn step_all(&mut self) {
        for call in std::mem::take(&mut self.waiting) {
            let step = self.desk.step(&call);
            self.settle(call, step);
        }
    }

    fn happens(&mut self, event: Event, callers: &[Caller]) {
        match event {
            Event::Enters { caller, patience } => {
                let patience = Duration::from_millis(patience);
                let (call, step) = self.desk.enter(&callers[caller], patience);
                self.settle(call, step);
            }
            Event::Steps => self.step_all(),
            Event::Leaves(at) if at < self.waiting.len() => {
                let call = self.waiting.swap_remove(at);
                self.desk.leave(&call);
            }
            Event::IsOver(felt) if self.open > 0 => {
                self.open -= 1;
                self.desk.over(Told { felt, ..nothing(self.desk.now) });
            }
            Event::IsRefused(hint) if self.open > 0 => {
                self.open -= 1;
                let hint = Duration::from_millis(hint);
                self.closed_until = self.closed_until.max(self.desk.now + hint);
                self.desk.over(Told {
                    refused: Some(Refused::TooMany(Some(hint))),
                    ..nothing(self.desk.now)
                });
            }
            Event::TimePasses(millis) => self.desk.now += Duration::from_millis(millis),
            Event::Leaves(_) | Event::IsOver(_) | Event::IsRefused(_) => {}
        }
    }

    fn check(&self) {
        let book = &self.desk.book;
        assert!(book.places.taken() <= self.desk.limits.max_waiting);
        assert_eq!(usize::try_from(book.slots.taken()).unwrap(), self.open);
        let held: u64 = ["a", "b", "c"].iter().map(|name| book.places.of(name)).sum();
        assert_eq!(usize::try_from(held).unwrap(), book.places.taken());
        for lane in book.lanes.values() {
            assert!(lane.turn.is_some() || lane.queue.is_empty(), "a turn is lost");
            assert_eq!(usize::try_from(lane.in_flight).unwrap(), self.open);
        }
    }
}

proptest! {
    /// Whatever calls do, and in whatever order they look: no turn, no slot and no place is
    /// lost, no limit is exceeded, and everybody is let through or refused in the end.
    #[test]
    fn r15_nothing_is_lost_and_nothing_is_exceeded(
        events in prop::collection::vec(events(), 1..300),
        slots in 1_u32..5,
        max_waiting in 0_usize..6,
    ) {
        let callers = [caller("a", 1), caller("b", 1), caller("c", 3)];
        let rate = Rate { requests: 10, per: SECOND, burst: 3 };
        let desk = Desk::new(Some(rate), slots, max_waiting);
        let closed_until = desk.now;
        let mut world =
            World { desk, waiting: Vec::new(), open: 0, sent: Vec::new(), closed_until };
        for event in events {
            world.happens(event, &callers);
            world.check();
        }
        for _ in 0..2_000 {
            world.happens(Event::TimePasses(10), &callers);
            world.step_all();
            while world.open > 0 {
                world.happens(Event::IsOver(Felt::Strong), &callers);
            }
        }
        prop_assert!(world.waiting.is_empty());
        prop_assert_eq!((world.desk.book.places.taken(), world.desk.book.slots.taken()), (0, 0));
        for (first, begin) in world.sent.iter().enumerate() {
            for (last, end) in world.sent.iter().enumerate().skip(first) {
                let most = 3 + (*end - *begin).as_millis() / 100;
                prop_assert!(u128::try_from(last - first + 1).unwrap() <= most);
            }
        }
    }
}

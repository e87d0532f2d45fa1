use proptest::prelude::*;

use super::*;

const RULES: Breaker = Breaker {
    is_enabled: true,
    window: Duration::from_secs(10),
    min_attempts: 20,
    failure_percent: 50,
    open: Duration::from_secs(5),
    max_open: Duration::from_secs(60),
};

/// A circuit and the moment that it is at.
struct Setting {
    circuit: Circuit,
    now: Instant,
    random: Random,
}

impl Setting {
    fn new(kind: Kind) -> Self {
        let now = Instant::now();
        Self { circuit: Circuit::new(kind, now, &RULES), now, random: Random::from_fn(|| 0.0) }
    }

    fn wait(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    fn leave(&mut self, ticket: Ticket, verdict: Verdict) {
        self.circuit.leave(ticket, verdict, self.now, &RULES, &self.random);
    }

    fn attempts(&mut self, count: usize, verdict: Verdict) {
        for _ in 0..count {
            let ticket = self.circuit.enter(self.now).unwrap();
            self.leave(ticket, verdict);
        }
    }

    fn refusal(&self) -> Option<Duration> {
        self.circuit.refusal(self.now)
    }
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn r17_it_opens_at_half_of_twenty_within_ten_seconds_and_not_before() {
    let mut few = Setting::new(Kind::Reads);
    few.attempts(19, Verdict::Failing);
    assert_eq!(few.refusal(), None, "19 are too few");
    few.attempts(1, Verdict::Failing);
    assert_eq!(few.refusal(), seconds(5));

    let mut mixed = Setting::new(Kind::Reads);
    mixed.attempts(11, Verdict::Alive);
    mixed.attempts(10, Verdict::Failing);
    assert_eq!(mixed.refusal(), None, "10 of 21");
    mixed.attempts(1, Verdict::Failing);
    assert_eq!(mixed.refusal(), seconds(5), "11 of 22");

    let mut slow = Setting::new(Kind::Reads);
    for _ in 0..100 {
        slow.attempts(1, Verdict::Failing);
        slow.wait(1.0);
    }
    assert_eq!(slow.refusal(), None, "never 20 in 10 s");
}

#[test]
fn r17_what_says_nothing_about_the_partner_counts_nowhere() {
    let mut setting = Setting::new(Kind::Reads);
    setting.attempts(1_000, Verdict::Neutral);
    setting.attempts(19, Verdict::Failing);
    assert_eq!(setting.circuit.counts(setting.now), Counts { attempts: 19, failures: 19 });
    assert_eq!(setting.refusal(), None);
}

#[test]
fn r17_one_read_is_let_through_when_the_time_is_over_and_decides() {
    let mut setting = Setting::new(Kind::Reads);
    setting.attempts(20, Verdict::Failing);
    setting.wait(4.0);
    assert_eq!(setting.refusal(), seconds(1), "the wait is told exactly");
    setting.wait(1.0);
    let probe = setting.circuit.enter(setting.now).unwrap();
    assert_eq!(setting.circuit.enter(setting.now), Err(AGAIN), "one probe at a time");
    setting.leave(probe, Verdict::Neutral);
    let probe = setting.circuit.enter(setting.now).unwrap();
    setting.leave(probe, Verdict::Alive);
    assert_eq!(setting.circuit.position(setting.now), Position::Closed);
}

#[test]
fn r17_the_time_doubles_up_to_its_bound_while_the_partner_goes_on_failing() {
    let mut setting = Setting::new(Kind::Reads);
    setting.attempts(20, Verdict::Failing);
    for expected in [5, 10, 20, 40, 60, 60] {
        assert_eq!(setting.refusal(), seconds(expected));
        setting.now += Duration::from_secs(expected);
        setting.attempts(1, Verdict::Failing);
    }
    setting.wait(60.0);
    setting.attempts(1, Verdict::Alive);
    setting.attempts(20, Verdict::Failing);
    assert_eq!(setting.refusal(), seconds(60), "it closed only just");
    setting.wait(60.0);
    setting.attempts(1, Verdict::Alive);
    setting.wait(60.0);
    setting.attempts(20, Verdict::Failing);
    assert_eq!(setting.refusal(), seconds(5), "it was closed for long");
}

#[test]
fn r17_replicas_do_not_come_back_at_the_same_moment() {
    let mut setting = Setting::new(Kind::Reads);
    setting.random = Random::from_fn(|| 1.0);
    setting.attempts(20, Verdict::Failing);
    assert_eq!(setting.refusal(), Some(Duration::from_millis(5_500)));
}

#[test]
fn r17_a_write_waits_for_a_read_however_long_that_takes() {
    let mut setting = Setting::new(Kind::Writes);
    setting.attempts(20, Verdict::Failing);
    setting.circuit.read_succeeded(setting.now, &RULES);
    assert_eq!(setting.refusal(), seconds(5), "a read does not cut the time short");
    setting.wait(3_600.0);
    assert_eq!(setting.refusal(), Some(AGAIN));
    setting.circuit.read_succeeded(setting.now, &RULES);
    assert_eq!(setting.refusal(), None);
}

#[test]
fn what_began_before_the_circuit_changed_proves_nothing_any_more() {
    let mut setting = Setting::new(Kind::Reads);
    let early = setting.circuit.enter(setting.now).unwrap();
    setting.attempts(20, Verdict::Failing);
    setting.leave(early, Verdict::Alive);
    assert_eq!(setting.refusal(), seconds(5));
    setting.wait(5.0);
    let probe = setting.circuit.enter(setting.now).unwrap();
    setting.leave(early, Verdict::Failing);
    assert_eq!(setting.circuit.position(setting.now), Position::HalfOpen);
    setting.leave(probe, Verdict::Alive);
    setting.leave(early, Verdict::Failing);
    assert_eq!(setting.circuit.counts(setting.now), Counts::default());
}

/// Something that happens to a circuit.
#[derive(Clone, Copy, Debug)]
enum Event {
    Enter,
    /// One of those under way ends.
    End(usize, Verdict),
    Wait(u64),
    ReadSucceeded,
}

fn event() -> impl Strategy<Value = Event> {
    let verdict = prop_oneof![
        1 => Just(Verdict::Alive),
        4 => Just(Verdict::Failing),
        1 => Just(Verdict::Neutral),
    ];
    prop_oneof![
        6 => Just(Event::Enter),
        6 => (any::<prop::sample::Index>(), verdict).prop_map(|(i, v)| Event::End(i.index(1_000), v)),
        1 => (0_u64..8_000).prop_map(Event::Wait),
        1 => Just(Event::ReadSucceeded),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// R17: whatever happens, in whatever order.
    #[test]
    fn r17_never_two_probes_never_a_write_as_one_and_it_opens_and_closes_by_the_rule(
        is_read in any::<bool>(),
        events in prop::collection::vec(event(), 1..400),
    ) {
        let kind = if is_read { Kind::Reads } else { Kind::Writes };
        let mut setting = Setting::new(kind);
        let rules = Breaker { min_attempts: 4, ..RULES };
        // What is under way, and whether it is a probe.
        let mut open: Vec<(Ticket, bool)> = Vec::new();
        for event in events {
            let before = setting.circuit.position(setting.now);
            match event {
                Event::Wait(milliseconds) => setting.now += Duration::from_millis(milliseconds),
                Event::ReadSucceeded if is_read => {}
                Event::ReadSucceeded => {
                    setting.circuit.read_succeeded(setting.now, &rules);
                    let after = setting.circuit.position(setting.now);
                    let expected = if before == Position::HalfOpen { Position::Closed } else { before };
                    prop_assert_eq!(after, expected);
                }
                Event::Enter => {
                    let told = setting.circuit.refusal(setting.now);
                    let probes = open.iter().filter(|(ticket, is_probe)| {
                        *is_probe && ticket.epoch == setting.circuit.epoch
                    });
                    let has_probe = probes.count() > 0;
                    match setting.circuit.enter(setting.now) {
                        Ok(ticket) => {
                            prop_assert_eq!(told, None);
                            let is_probe = before != Position::Closed;
                            prop_assert!(!is_probe || (is_read && !has_probe));
                            prop_assert!(!matches!(before, Position::Open(_)));
                            open.push((ticket, is_probe));
                        }
                        Err(wait) => {
                            prop_assert_eq!(told, Some(wait));
                            prop_assert!(before != Position::Closed);
                            prop_assert!(wait > Duration::ZERO && wait <= rules.max_open);
                            // Nobody is kept out without a reason.
                            prop_assert!(before != Position::HalfOpen || !is_read || has_probe);
                        }
                    }
                }
                Event::End(index, verdict) if !open.is_empty() => {
                    let (ticket, is_probe) = open.swap_remove(index % open.len());
                    let is_current = ticket.epoch == setting.circuit.epoch;
                    let counts = setting.circuit.counts(setting.now);
                    setting.circuit.leave(ticket, verdict, setting.now, &rules, &setting.random);
                    let after = setting.circuit.position(setting.now);
                    match (is_current, is_probe, verdict) {
                        (false, ..) => prop_assert_eq!(after, before),
                        (true, _, Verdict::Neutral) => prop_assert_eq!(after, before),
                        (true, true, Verdict::Alive) => prop_assert_eq!(after, Position::Closed),
                        (true, true, Verdict::Failing) => {
                            prop_assert!(matches!(after, Position::Open(_)));
                        }
                        (true, false, verdict) => {
                            let failures = counts.failures + u32::from(verdict == Verdict::Failing);
                            let attempts = counts.attempts + 1;
                            let opens = attempts >= 4 && failures * 2 >= attempts;
                            prop_assert_eq!(matches!(after, Position::Open(_)), opens);
                        }
                    }
                }
                Event::End(..) => {}
            }
        }
    }
}

use tokio::time::{advance, timeout};

use super::*;
use crate::stack::limits::Limits;

fn breakers() -> Breakers {
    Breakers::new("example", Tunable::new(Limits::default()), Random::from_fn(|| 0.0))
}

fn attempt(breakers: &Breakers, effect: Effect, verdict: Verdict) {
    breakers.enter(effect).unwrap().end(verdict);
}

fn fail(breakers: &Breakers, effect: Effect) {
    (0..20).for_each(|_| attempt(breakers, effect, Verdict::Failing));
}

async fn seconds(seconds: u64) {
    advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn r17_each_class_is_judged_by_its_own_attempts() {
    let breakers = breakers();
    fail(&breakers, Effect::WriteOnce);
    let refused = Some(Duration::from_secs(5));
    assert_eq!(CLASSES.map(|class| breakers.refusal(class)), [None, None, refused]);
    fail(&breakers, Effect::Read);
    assert_eq!(CLASSES.map(|class| breakers.refusal(class)), [refused, None, refused]);
}

#[tokio::test(start_paused = true)]
async fn r17_one_read_opens_the_way_to_all_of_them() {
    let breakers = breakers();
    CLASSES.iter().for_each(|class| fail(&breakers, *class));
    seconds(5).await;
    for write in [Effect::Idempotent, Effect::WriteOnce] {
        assert!(breakers.enter(write).is_err(), "a write is no probe");
    }
    let probe = breakers.enter(Effect::Read).unwrap();
    assert!(breakers.enter(Effect::Read).is_err(), "one probe at a time");
    probe.end(Verdict::Alive);
    assert_eq!(CLASSES.map(|class| breakers.refusal(class)), [None; 3]);
}

#[tokio::test(start_paused = true)]
async fn r17_a_probe_that_is_dropped_makes_room_for_the_next() {
    let breakers = breakers();
    fail(&breakers, Effect::Read);
    seconds(5).await;
    drop(breakers.enter(Effect::Read).unwrap());
    assert!(breakers.enter(Effect::Read).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_look_is_not_a_way_through() {
    let breakers = breakers();
    fail(&breakers, Effect::Read);
    seconds(5).await;
    for _ in 0..3 {
        assert_eq!(breakers.refusal(Effect::Read), None);
    }
    assert!(breakers.enter(Effect::Read).is_ok());
}

#[tokio::test(start_paused = true)]
async fn r17_a_read_is_wanted_once_a_class_has_waited_for_one() {
    let breakers = breakers();
    let wanted = |breakers: Breakers, seconds| async move {
        timeout(Duration::from_secs(seconds), breakers.wants_read()).await.is_ok()
    };
    assert!(!wanted(breakers.clone(), 3_600).await, "nothing waits");
    for class in CLASSES {
        fail(&breakers, class);
        assert!(!wanted(breakers.clone(), 5).await, "its time is not over, nor is the patience");
        assert!(wanted(breakers.clone(), 2).await, "{class:?}");
        attempt(&breakers, Effect::Read, Verdict::Alive);
        assert!(!wanted(breakers.clone(), 3_600).await, "a read has come");
    }
}

/// Whoever waits learns of what begins later.
#[tokio::test(start_paused = true)]
async fn r17_a_circuit_that_opens_wakes_whoever_reads_for_it() {
    let breakers = breakers();
    let (waiting, opening) = (breakers.wants_read(), async {
        seconds(100).await;
        fail(&breakers, Effect::Idempotent);
    });
    let both = timeout(Duration::from_secs(110), async { tokio::join!(waiting, opening) });
    assert!(both.await.is_ok());
}

/// R17: whoever waits to be sent is told when its own class is not sent any more.
#[tokio::test(start_paused = true)]
async fn r17_a_circuit_that_opens_is_told_to_those_of_its_class() {
    let breakers = breakers();
    let (writes, reads) =
        (breakers.until_refused(Effect::WriteOnce), breakers.until_refused(Effect::Read));
    let (writes, reads) =
        (timeout(Duration::from_secs(10), writes), timeout(Duration::from_secs(10), reads));
    let opening = async {
        seconds(1).await;
        fail(&breakers, Effect::Idempotent);
        seconds(1).await;
        fail(&breakers, Effect::WriteOnce);
    };
    let begun = Instant::now();
    let ended = async { (writes.await.is_ok(), begun.elapsed()) };
    let ((told, after), not_told, ()) = tokio::join!(ended, reads, opening);
    assert_eq!((told, after), (true, Duration::from_secs(2)));
    assert!(not_told.is_err(), "reads go on");
    assert!(timeout(Duration::ZERO, breakers.until_refused(Effect::WriteOnce)).await.is_ok());
    breakers.check(Effect::WriteOnce).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn no_read_is_wanted_while_reads_are_refused() {
    let breakers = breakers();
    fail(&breakers, Effect::WriteOnce);
    seconds(4).await;
    fail(&breakers, Effect::Read);
    let wanted = timeout(Duration::from_secs(5), breakers.wants_read()).await;
    assert!(
        wanted.is_err(),
        "writes could be tried from the fifth second on, reads from the ninth"
    );
    assert!(timeout(Duration::from_secs(2), breakers.wants_read()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn other_rules_count_from_the_moment_they_are_set() {
    let breakers = breakers();
    let limits = breakers.0.limits.clone();
    fail(&breakers, Effect::WriteOnce);
    let mut other = Limits::default();
    other.breaker.is_enabled = false;
    limits.set(other.clone());
    assert_eq!(breakers.refusal(Effect::WriteOnce), None, "it is switched off");
    fail(&breakers, Effect::WriteOnce);
    assert_eq!(breakers.refusal(Effect::WriteOnce), None);
    other.breaker = Breaker { min_attempts: 2, ..Breaker::default() };
    limits.set(other);
    attempt(&breakers, Effect::WriteOnce, Verdict::Failing);
    assert_eq!(breakers.refusal(Effect::WriteOnce), None);
    attempt(&breakers, Effect::WriteOnce, Verdict::Failing);
    assert!(breakers.refusal(Effect::WriteOnce).is_some());
}

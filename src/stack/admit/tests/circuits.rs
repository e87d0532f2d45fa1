//! R17: nobody waits for a partner that is left alone, and nothing of its quota is spent.

use super::*;

/// One failure opens a circuit.
fn strict(limits: Limits) -> Limits {
    let mut limits = limits;
    limits.breaker.min_attempts = 1;
    limits
}

/// A partner that takes a while, fails writes and serves reads.
#[expect(clippy::needless_pass_by_value, reason = "the stack's layers take it so")]
fn fails_writes(exchange: Exchange) -> BoxFuture<'static, Answer> {
    let is_write = exchange.call.operation.is_write();
    Box::pin(async move {
        sleep(SECOND / 2).await;
        if is_write { Err(refusal(500, None)) } else { Ok(reply()) }
    })
}

fn is_circuit_open(answer: &Answer) -> bool {
    answer.as_ref().is_err_and(|error| {
        matches!(error.kind(), Kind::CircuitOpen { .. }) && error.outcome() == Outcome::NotSent
    })
}

/// Whatever each waits for: the rate, a slot, the turn.
#[tokio::test(start_paused = true)]
async fn r17_those_who_wait_already_are_told_at_once_when_the_circuit_opens() {
    let slot = Concurrency { initial: 1, min: 1, max: 1 };
    for limits in [rated(1, 1), Limits { concurrency: slot, ..Limits::default() }] {
        let setting = given(strict(limits), fails_writes).await;
        let begun = Instant::now();
        let answers = join_all((0..4).map(|_| setting.call(call_of("a", 10 * SECOND)))).await;
        assert_eq!(begun.elapsed(), SECOND / 2);
        assert!(matches!(answers[0].as_ref().unwrap_err().kind(), Kind::Partner(_)));
        assert!(answers[1..].iter().all(is_circuit_open), "{answers:?}");
        let snapshot = setting.turns.snapshot();
        assert_eq!((snapshot.counts.admitted, snapshot.waiting), (1, 0), "no turn was spent");
    }
}

#[tokio::test(start_paused = true)]
async fn r17_those_who_wait_with_calls_of_another_class_go_on() {
    let setting = given(strict(rated(1, 1)), fails_writes).await;
    let read = || {
        let operation = testing::read_operation(&[Credential::Signature]);
        setting.call(Call { operation, ..call_of("a", 10 * SECOND) })
    };
    let write = setting.call(call_of("a", 10 * SECOND));
    let (write, reads) = tokio::join!(write, join_all([read(), read()]));
    assert!(write.is_err() && reads.iter().all(Result::is_ok), "{reads:?}");
    assert_eq!(setting.turns.snapshot().counts.admitted, 3);
}

/// While one read is the probe the others are refused, also those that it has found waiting.
#[tokio::test(start_paused = true)]
async fn r17_reads_that_wait_behind_the_probe_spend_no_turn() {
    let fails_once = {
        let count = Arc::<AtomicU32>::default();
        move |_: Exchange| -> BoxFuture<'static, Answer> {
            let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
            Box::pin(async move {
                sleep(3 * SECOND).await;
                if is_first { Err(refusal(500, None)) } else { Ok(reply()) }
            })
        }
    };
    let rate = Some(Rate { requests: 1, per: 10 * SECOND, burst: 1 });
    let setting = given(strict(Limits { rate, ..Limits::default() }), fails_once).await;
    let read = || {
        let operation = testing::read_operation(&[Credential::Signature]);
        setting.call(Call { operation, ..call_of("a", 100 * SECOND) })
    };
    let begun = Instant::now();
    read().await.unwrap_err();
    // It is half-open, and the rate leaves nobody through yet.
    sleep(6 * SECOND).await;
    let answers = join_all((0..3).map(|_| async { (read().await, begun.elapsed()) })).await;
    let (answers, ends): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    assert!(answers[0].is_ok() && answers[1..].iter().all(is_circuit_open), "{answers:?}");
    assert_eq!(ends, [13, 10, 10].map(Duration::from_secs));
    assert_eq!(setting.turns.snapshot().counts.admitted, 2);
}

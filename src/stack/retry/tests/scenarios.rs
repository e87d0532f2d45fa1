//! Scenarios of known retry strategies, restated with this one's numbers: the standard
//! mode of AWS' SDKs, gRPC's A6, and every form of `Retry-After`.

use super::*;

/// R1, R3: what the standard mode of AWS' SDKs is tested with. Every draw is the largest,
/// so pauses are the caps.
#[tokio::test(start_paused = true)]
async fn r1_r3_the_scenarios_of_the_standard_strategy() {
    let usual = Limits::default;
    let empty = || Limits { budget_percent: 0, budget_reserve: 0, ..usual() };
    let two_left = || Limits { budget_window: 2 * SECOND, budget_reserve: 1, ..usual() };
    let patient = || Limits { max_attempts: 5, ..usual() };
    let capped = || Limits { max_delay: Duration::from_millis(200), ..patient() };
    let once = || Limits { max_attempts: 1, ..usual() };
    for (name, limits, acts, error, times) in [
        ("succeeds at last", usual(), vec![500, 500, 200], None, vec![0, 100, 300]),
        ("attempts exhausted", usual(), vec![502, 502, 502, 200], Some("502"), vec![0, 100, 300]),
        ("the last error is told", usual(), vec![502, 503, 500], Some("500"), vec![0, 100, 300]),
        ("no budget", empty(), vec![500, 200], Some("500"), vec![0]),
        (
            "budget ends",
            Limits { max_attempts: 4, ..two_left() },
            vec![500; 4],
            Some("500"),
            vec![0, 100, 300],
        ),
        ("exponential", patient(), vec![500; 5], Some("500"), vec![0, 100, 300, 700, 1_500]),
        ("capped", capped(), vec![500; 5], Some("500"), vec![0, 100, 300, 500, 700]),
        ("not a passing failure", usual(), vec![400, 200], Some("400"), vec![0]),
        ("passing, then not", usual(), vec![503, 404, 200], Some("404"), vec![0, 100]),
        ("throttled", usual(), vec![429, 200], None, vec![0, 100]),
        ("switched off", once(), vec![503, 200], Some("503"), vec![0]),
        ("healthy", usual(), vec![200], None, vec![0]),
    ] {
        let change = Change { limits, ..Change::default() };
        let setting = given_with(change, acts.into_iter().map(status)).await;
        let result = setting.call(read()).await;
        assert_eq!(setting.script.times(), times, "{name}");
        let made = u32::try_from(times.len()).unwrap();
        match error {
            None => assert_eq!(result.unwrap().attempts, made, "{name}"),
            Some(error) => {
                let told = told(result);
                assert_eq!((&*told.0, told.2), (error, made), "{name}");
            }
        }
    }
}

/// gRFC A6: the deadline spans all attempts, and none is begun that it would cut off.
#[tokio::test(start_paused = true)]
async fn g16_a6_the_deadline_spans_all_attempts_and_pauses() {
    for (latency, deadline, times, end, error) in [
        // 350 ms left for a pause of 100 ms, then 250 ms for one of 200 ms.
        (0, 350, vec![0, 100], 100, "503"),
        (0, 400, vec![0, 100, 300], 300, "503"),
        (0, 1_000, vec![0, 100, 300], 300, "503"),
        (0, 199, vec![0], 0, "503"),
        (0, 200, vec![0, 100], 100, "503"),
        (300, 1_000, vec![0, 400, 900], 1_000, "Timeout"),
        (300, 999, vec![0, 400], 700, "503"),
        (900, 1_000, vec![0], 900, "503"),
        (1_100, 1_000, vec![0], 1_000, "Timeout"),
    ] {
        let latency = Duration::from_millis(latency);
        let setting = given_with(Change { latency, ..Change::default() }, [status(503)]).await;
        let start = Instant::now();
        let call = Call { deadline: start + Duration::from_millis(deadline), ..read() };
        let (what, outcome, attempts) = told(setting.call(call).await);
        let row = format!("{latency:?} of {deadline} ms");
        assert_eq!(start.elapsed().as_millis(), end, "{row}");
        assert_eq!(setting.script.times(), times, "{row}");
        assert_eq!((&*what, outcome), (error, Outcome::Unknown), "{row}");
        assert_eq!(usize::try_from(attempts).unwrap(), times.len(), "{row}");
        sleep(10 * SECOND).await;
        assert_eq!(setting.script.times().len(), times.len(), "{row}: nothing afterwards");
    }
}

/// gRFC A6's pushback is the partner's hint here: it is waited for, or it ends the call.
#[tokio::test(start_paused = true)]
async fn r11_a_hint_is_waited_for_or_ends_the_call() {
    for (act, deadline, draw, times) in [
        (hinted(429, "5"), 60, 0.0, vec![0, 5_000]),
        (hinted(429, "5"), 60, 1.0, vec![0, 5_500]),
        (hinted(503, "5"), 60, 0.5, vec![0, 5_250]),
        (hinted(429, "20"), 60, 0.0, vec![0, 20_000]),
        // Too long for a gateway to wait, and for the call.
        (hinted(429, "21"), 60, 0.0, vec![0]),
        (hinted(503, "3600"), 60, 0.0, vec![0]),
        (hinted(429, "5"), 5, 0.0, vec![0]),
        (hinted(503, "10"), 3, 0.0, vec![0]),
        // It speaks of these two only.
        (hinted(500, "5"), 60, 1.0, vec![0, 100]),
        (hinted(502, "3600"), 60, 1.0, vec![0, 100]),
    ] {
        let row = format!("{act:?} of {deadline} s, {draw}");
        let setting = given_with(Change { draw, ..Change::default() }, [act, ok()]).await;
        let call = Call { deadline: Instant::now() + deadline * SECOND, ..read() };
        let result = setting.call(call).await;
        assert_eq!(setting.script.times(), times, "{row}");
        let ended = result.err().map(|error| error.retry_after().is_some());
        assert_eq!(ended, (times.len() == 1).then_some(true), "{row}: it is told the hint");
    }
}

/// R10, through the whole layer. Half of every draw: 50 ms where there is no hint.
#[tokio::test(start_paused = true)]
async fn r10_every_form_of_a_hint_is_understood_or_ignored() {
    const DATE: &str = "Wed, 21 Oct 2026 07:27:58 GMT";
    for (value, expected) in [
        ("0", Some(50)),
        ("2", Some(2_100)),
        (" 2 ", Some(2_100)),
        ("120", None),
        (" 120 ", None),
        ("-1", Some(50)),
        ("1.5", Some(50)),
        ("1e3", Some(50)),
        ("99999999999999999999", Some(50)),
        ("", Some(50)),
        ("soon", Some(50)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", Some(2_100)),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", Some(2_100)),
        ("Wed Oct 21 07:28:00 2026", Some(2_100)),
        ("Wed, 21 Oct 2026 07:20:00 GMT", Some(50)),
        ("Wed, 21 Oct 2026 08:28:00 GMT", None),
        ("Wed, 31 Feb 2026 07:28:00 GMT", Some(50)),
    ] {
        for number in [429, 503] {
            let hint = Act::Answer(number, vec![("retry-after", value), ("date", DATE)]);
            let change = Change { draw: 0.5, ..Change::default() };
            let setting = given_with(change, [hint, ok()]).await;
            let result = setting.call(read()).await;
            let times: Vec<_> = [0].into_iter().chain(expected).collect();
            assert_eq!(setting.script.times(), times, "{number} {value:?}");
            assert_eq!(result.is_ok(), expected.is_some(), "{number} {value:?}");
        }
    }
}

/// R6: what a caller is told of a WRITE_ONCE whose attempts end like this.
#[tokio::test(start_paused = true)]
async fn r6_a_write_once_is_repeated_only_while_nothing_is_left_open() {
    use Act::{Broken, Late, Unreachable};
    for (acts, error) in [
        (vec![Unreachable, ok()], None),
        (vec![status(429), ok()], None),
        (vec![hinted(503, "1"), ok()], None),
        (vec![Unreachable, status(429), ok()], None),
        (vec![Unreachable], Some(("Unreachable", Outcome::NotSent, 3))),
        (vec![status(429), Unreachable], Some(("Unreachable", Outcome::Rejected, 3))),
        (vec![Broken, ok()], Some(("Unreachable", Outcome::Unknown, 1))),
        (vec![Late, ok()], Some(("Timeout", Outcome::Unknown, 1))),
        (vec![status(500), ok()], Some(("500", Outcome::Unknown, 1))),
        (vec![status(502), ok()], Some(("502", Outcome::Unknown, 1))),
        (vec![status(503), ok()], Some(("503", Outcome::Unknown, 1))),
        (vec![status(504), ok()], Some(("504", Outcome::Unknown, 1))),
        (vec![status(408), ok()], Some(("408", Outcome::Unknown, 1))),
        (vec![status(520), ok()], Some(("520", Outcome::Unknown, 1))),
        (vec![Unreachable, Broken, ok()], Some(("Unreachable", Outcome::Unknown, 2))),
        (vec![status(429), status(500), ok()], Some(("500", Outcome::Unknown, 2))),
        (vec![status(429), status(400), ok()], Some(("400", Outcome::Rejected, 2))),
    ] {
        let row = format!("{acts:?}");
        let setting = given(acts).await;
        let result = setting.call(write()).await;
        match error {
            None => assert!(result.is_ok(), "{row}: {result:?}"),
            Some((what, outcome, attempts)) => {
                assert_eq!(told(result), (what.into(), outcome, attempts), "{row}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r6_a_read_and_an_idempotent_write_are_repeated_after_all_that_passes() {
    use Act::{Broken, Late, Unreachable};
    for act in [Unreachable, Broken, Late, status(408), status(500), status(504), status(522)] {
        for effect in [Effect::Read, Effect::Idempotent] {
            let setting = given([act.clone(), act.clone(), ok()]).await;
            let call = read();
            assert_eq!(call.operation.effect, Effect::Read);
            let operation = testing::operation_of(&[Credential::Signature], effect);
            let reply = setting.call(Call { operation, ..call }).await;
            assert_eq!(reply.unwrap().attempts, 3, "{effect:?} {act:?}");
        }
    }
}

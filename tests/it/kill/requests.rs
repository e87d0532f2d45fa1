//! `kill -9` at every step of a call with a `request_id` (R7, R8).
//!
//! A round starts the real program, makes a call, kills the process where the round says,
//! starts it again and makes the same call: the partner acts once at most, and who asks is
//! answered from the record or told that nobody knows.

use std::time::Duration;

use partner_gateway::failpoint::Point;
use tokio::time::timeout;
use uuid::Uuid;

use super::{End, PATIENCE, halted, number};
use crate::partners::info;
use crate::request_ids::{Setting, assert_unknown, is_replayed, make};
use crate::support::client::Client;

/// What a series of rounds came to.
#[derive(Debug, Default)]
struct Tally {
    rounds: usize,
    made: usize,
    replayed: usize,
    unknown: usize,
    /// Made when they were asked for again: the first call had no record.
    made_later: usize,
}

/// Every place there is: each point, and the store failing at the end of the call.
fn ends() -> Vec<End> {
    let halt = |point: Point| format!("{}=halt", point.as_str());
    let mut ends: Vec<_> =
        Point::OF_A_RECORD.into_iter().map(|point| End::At(vec![halt(point)])).collect();
    let fails = format!("{}=fail", Point::BeforeEnd.as_str());
    ends.push(End::At(vec![fails, halt(Point::BeforeReply)]));
    ends.push(End::Answered);
    ends
}

/// Makes a call and kills its process on the way.
async fn kill(setting: &Setting, id: Uuid, end: &End) {
    let mut process = setting.start(&end.args()).await;
    let client = Client::connect(process.grpc).await;
    let call = make(&client, id, "one");
    match end {
        End::At(_) => {
            let halted = timeout(PATIENCE, halted(&process));
            tokio::select! {
                answer = call => panic!("{end:?} is not reached: {answer:?}"),
                halted = halted => halted.unwrap_or_else(|_| panic!("{end:?} is not reached")),
            }
        }
        End::After(time) => drop(timeout(*time, call).await),
        End::Answered => drop(call.await.unwrap()),
    }
    process.signal("KILL").await;
    process.ended().await;
}

async fn round(setting: &Setting, end: &End, tally: &mut Tally) {
    let (id, before) = (Uuid::new_v4(), setting.made().await);
    kill(setting, id, end).await;
    let by_the_first = setting.made().await - before;

    let process = setting.start(&[]).await;
    let client = Client::connect(process.grpc).await;
    let mut again = make(&client, id, "one").await;
    if again.as_ref().is_err_and(|status| info(status).reason == "REQUEST_IN_FLIGHT") {
        setting.overdue().await;
        again = make(&client, id, "one").await;
    }
    let made = setting.made().await - before;
    assert!(made <= 1, "{end:?}: it was made {made} times");
    match &again {
        Ok(answer) if is_replayed(answer) => {
            assert_eq!((by_the_first, made), (1, 1), "{end:?}");
            tally.replayed += 1;
        }
        Ok(_) => {
            assert_eq!((by_the_first, made), (0, 1), "{end:?}");
            tally.made_later += 1;
        }
        Err(status) => {
            assert_unknown(status);
            assert_eq!(by_the_first, made, "{end:?}");
            tally.unknown += 1;
        }
    }
    // Whatever was told stays true.
    match (again, make(&client, id, "one").await) {
        (Ok(first), Ok(last)) => {
            assert_eq!((&first.reply, is_replayed(&last)), (&last.reply, true), "{end:?}");
        }
        (Err(_), Err(status)) => assert_unknown(&status),
        other => panic!("{end:?}: {other:?}"),
    }
    assert_eq!(setting.made().await - before, made, "{end:?}");
    tally.rounds += 1;
    tally.made += made;
}

async fn each_place_once(setting: Setting) {
    let mut tally = Tally::default();
    for end in ends() {
        round(&setting, &end, &mut tally).await;
    }
    // Answered from its record: halted after the end or before the reply, and answered.
    // Unknown: halted with the record open, and where its end could not be written.
    assert_eq!((tally.replayed, tally.unknown, tally.made_later), (3, 4, 1), "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_kill_at_any_step_sends_nothing_twice_on_sqlite() {
    each_place_once(Setting::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_kill_at_any_step_sends_nothing_twice_on_postgres() {
    let Some(setting) = Setting::postgres().await else { return };
    each_place_once(setting).await;
}

/// As many rounds as `KILL_ROUNDS` says, on each store: every place in turn, and between
/// them moments that a seed chooses.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: scripts/kill-rounds runs it"]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
async fn rounds() {
    let (rounds, seed) = (number("KILL_ROUNDS", 200), number("KILL_SEED", 20261120));
    let mut settings = vec![("SQLite", Setting::sqlite().await)];
    settings.extend(Setting::postgres().await.map(|setting| ("PostgreSQL", setting)));
    for (store, setting) in settings {
        let (mut tally, mut random) = (Tally::default(), fastrand::Rng::with_seed(seed));
        let places = ends();
        for number in 0..usize::try_from(rounds).unwrap() {
            let end = match number % 2 {
                0 => places[number / 2 % places.len()].clone(),
                // Most of these are within a call.
                _ => End::After(Duration::from_micros(random.u64(0..60_000))),
            };
            round(&setting, &end, &mut tally).await;
        }
        println!("calls with a request id, {store}, seed {seed}: {tally:?}");
    }
}

//! Load with random faults, for as long as it is told (T12): nothing is done twice, no
//! answer is another call's, and the process takes no more at the end than at first.
//!
//! `scripts/soak` runs it for ten minutes at 500 calls a second; with all other tests it
//! is ten seconds of less.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tonic::Status;

use crate::byte_boundary::outcome;
use crate::support::client::{Answer, Client};
use crate::support::process::Process;
use crate::support::upstream::{self, Asked, Reaction};
use crate::support::usage;

const CONNECTIONS: usize = 8;
const WRITE_ONCE: &str = "trustap.v1.UserService/CreateGuestUser";
const READ: &str = "trustap.v1.OnlineTransactionService/GetTransaction";
/// Of a hundred requests, so many fail in each of five ways.
const FAULTS: u32 = 2;
/// What an allocator may keep, in bytes.
const SLACK: u64 = 24 * 1024 * 1024;
/// Connections come and go.
const FILES: usize = 150;

/// How often the partner has done each write.
type Done = Arc<Mutex<HashMap<String, usize>>>;

/// What calls came to.
#[derive(Clone, Debug, Default)]
struct Tally {
    calls: usize,
    answered: usize,
    unknown: usize,
    undone: usize,
}

/// A partner that fails a tenth of what it is asked, by chance.
fn react(asked: &Asked, done: &Done, random: &Mutex<fastrand::Rng>) -> Reaction {
    let chance = random.lock().unwrap().u32(0..100) / FAULTS;
    // Before it acts.
    match chance {
        0 => return Reaction::drop(),
        1 => return Reaction::answer(StatusCode::SERVICE_UNAVAILABLE, "{}"),
        _ => {}
    }
    let answer = if asked.method == Method::POST {
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        let email = body["email"].as_str().unwrap();
        *done.lock().unwrap().entry(email.to_owned()).or_default() += 1;
        json!({"id": "1-1", "email": email})
    } else {
        let id: u64 = asked.uri.path().rsplit('/').next().unwrap().parse().unwrap();
        json!({"id": id})
    };
    // After it has acted.
    match chance {
        2 => Reaction::drop(),
        3 => Reaction::answer(StatusCode::INTERNAL_SERVER_ERROR, "{}"),
        4 => Reaction::answer(StatusCode::OK, answer.to_string()).late(Duration::from_millis(300)),
        _ => Reaction::answer(StatusCode::OK, answer.to_string()),
    }
}

/// Makes the call of this number, and holds the answer against what was asked.
async fn call(client: Client, number: usize, done: Done) -> Tally {
    let mut tally = Tally { calls: 1, ..Tally::default() };
    if !number.is_multiple_of(3) {
        let told = client.call(READ, json!({"transactionId": number.to_string()})).await;
        match &told {
            Ok(answer) => {
                assert_eq!(answer.reply["id"], number.to_string(), "another call's answer");
                tally.answered += 1;
            }
            Err(_) => tally.undone += 1,
        }
        return tally;
    }
    let email = format!("{number}@example.com");
    let mut request = json!({
        "countryCode": "IE", "email": email, "firstName": "A", "lastName": "B",
        "tosAcceptance": {"ip": "192.0.2.1", "unixTimestamp": "1782950400"},
    });
    if number.is_multiple_of(2) {
        request["requestId"] = uuid::Uuid::new_v4().to_string().into();
    }
    let told: Result<Answer, Status> = client.call(WRITE_ONCE, request).await;
    let times = done.lock().unwrap().get(&email).copied().unwrap_or_default();
    assert!(times <= 1, "done {times} times: {told:?}");
    match &told {
        Ok(answer) => {
            assert_eq!((times, &answer.reply["email"]), (1, &email.into()), "{answer:?}");
            tally.answered += 1;
        }
        Err(status) if outcome(status).as_deref() == Some("UNKNOWN") => tally.unknown += 1,
        Err(status) => {
            assert_eq!(times, 0, "told that it was not done: {status:?}");
            tally.undone += 1;
        }
    }
    tally
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
async fn t12_nothing_is_done_twice_and_nothing_grows_under_load_with_faults() {
    let number = |name, otherwise| match std::env::var_os(name) {
        Some(text) => text.to_str().unwrap().parse().unwrap(),
        None => otherwise,
    };
    let (seconds, rate) = (number("SOAK_SECONDS", 10), number("SOAK_RATE", 150));
    let seed = number("SOAK_SEED", 20_261_121);
    let (done, random) = (Done::default(), Mutex::new(fastrand::Rng::with_seed(seed)));
    let counted = Arc::clone(&done);
    let partner = upstream::start(move |asked| react(&asked, &counted, &random)).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.toml");
    let settings = format!(
        "[partners.trustap]\nbase_url = 'http://{partner}/api/v1'\napi_key = 'k'\n\
        [partners.trustap.retry]\nbase_delay = '20ms'\n"
    );
    std::fs::write(&config, settings).unwrap();
    let process = Process::serve(&["--config", config.to_str().unwrap()], &[]).await;
    let clients = join_all((0..CONNECTIONS).map(|_| Client::connect(process.grpc))).await;

    let start = Instant::now();
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate).unwrap());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut calling, mut made, mut early) = (JoinSet::new(), 0, None);
    let mut total = Tally::default();
    while start.elapsed() < Duration::from_secs(seconds) {
        ticks.tick().await;
        calling.spawn(call(clients[made % CONNECTIONS].clone(), made, Arc::clone(&done)));
        made += 1;
        if early.is_none() && start.elapsed() > Duration::from_secs(seconds) / 4 {
            early = Some((usage::memory(process.id()), usage::files(process.id())));
        }
        while let Some(ended) = calling.try_join_next() {
            total = total.plus(&ended.unwrap());
        }
    }
    while let Some(ended) = calling.join_next().await {
        total = total.plus(&ended.unwrap());
    }
    sleep(Duration::from_millis(100)).await;
    let (memory, files) = early.unwrap();
    let (memory_after, files_after) = (usage::memory(process.id()), usage::files(process.id()));
    println!(
        "{seconds} s at {rate}/s, seed {seed}: {total:?}; {} to {} MiB, {files} to {files_after} files",
        memory >> 20,
        memory_after >> 20
    );
    assert!(done.lock().unwrap().values().all(|times| *times == 1), "done twice");
    assert!(total.answered * 10 > total.calls * 8, "{total:?}");
    assert!(total.unknown > 0, "no fault has hit a write: {total:?}");
    assert!(memory_after <= memory + memory / 5 + SLACK, "it grows: {memory} to {memory_after}");
    assert!(files_after <= files + FILES, "files stay open: {files} to {files_after}");
}

// === impl Tally ===

impl Tally {
    fn plus(&self, other: &Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            answered: self.answered + other.answered,
            unknown: self.unknown + other.unknown,
            undone: self.undone + other.undone,
        }
    }
}

//! `kill -9` at every step of a call that makes a key (S14).
//!
//! A round starts the real program, makes a sub-merchant, kills the process where the
//! round says, starts it again and compares: each key that the partner has issued works,
//! or an intent stands for it. One round for each place and store runs with all tests;
//! `scripts/kill-rounds` runs as many as are asked for.

mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use partner_gateway::failpoint::Point;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tokio::time::{sleep, timeout};

use crate::partners::info;
use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::kept::{CREATED_AT, create, credentials, intents, settings, sqlite, use_key};
use crate::support::postgres::Postgres;
use crate::support::process::Process;

/// For anything that a round waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a round ends the process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// At the last of these fail points.
    At(Vec<String>),
    /// After this time, wherever that is.
    After(Duration),
    /// After the answer.
    Answered,
}

/// What a series of rounds came to.
#[derive(Debug, Default)]
struct Tally {
    rounds: usize,
    issued: usize,
    kept: usize,
    flagged: usize,
    open: usize,
    unissued: usize,
}

/// A store that outlives the gateway's processes, and the partner.
struct Setting {
    control: Control,
    config: PathBuf,
    folder: tempfile::TempDir,
    /// The accounts whose keys have been proven.
    proven: BTreeSet<String>,
    intents: BTreeSet<String>,
}

// === impl End ===

impl End {
    /// Every place there is: each point, and the store failing at one before another.
    fn all() -> Vec<Self> {
        let halt = |point: Point| format!("{}=halt", point.as_str());
        let fail = |point: Point| format!("{}=fail", point.as_str());
        let at = |orders: &[String]| Self::At(orders.to_vec());
        let mut all: Vec<_> = Point::OF_A_KEY.into_iter().map(|point| at(&[halt(point)])).collect();
        all.push(at(&[fail(Point::BeforeCommit), halt(Point::AfterCommit)]));
        all.push(at(&[fail(Point::BeforeCommit), halt(Point::BeforeReply)]));
        all.push(Self::Answered);
        all
    }

    fn args(&self) -> Vec<String> {
        match self {
            End::At(orders) => {
                orders.iter().flat_map(|order| ["--fail-point".to_owned(), order.clone()]).collect()
            }
            End::After(_) | End::Answered => Vec::new(),
        }
    }
}

// === impl Setting ===

impl Setting {
    /// `url` makes the store's URL in a folder.
    async fn new(url: impl AsyncFnOnce(&Path) -> String) -> Self {
        let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
        let settings = settings(&control, &url(folder.path()).await);
        let config = folder.path().join("gateway.toml");
        std::fs::write(&config, settings).unwrap();
        Self { control, config, folder, proven: BTreeSet::new(), intents: BTreeSet::new() }
    }

    async fn start(&self, more: &[String]) -> Process {
        let mut args = vec!["--config", self.config.to_str().unwrap()];
        args.extend(more.iter().map(String::as_str));
        Process::serve(&args, &[]).await
    }

    /// How many keys the partner has issued.
    async fn issued(&self) -> usize {
        let arrived = self.control.arrived("trolley").await;
        let acted = |entry: &&Value| entry["path"] == CREATED_AT && entry["acted"] == true;
        arrived.iter().filter(acted).count()
    }

    async fn round(&mut self, end: &End, tally: &mut Tally) {
        let before = self.issued().await;
        let mut process = self.start(&end.args()).await;
        let client = Client::connect(process.grpc).await;
        let call = create(&client, "Acme");
        match end {
            End::At(_) => {
                let halted = timeout(PATIENCE, halted(&process));
                tokio::select! {
                    answer = call => panic!("{end:?} is not reached: {answer:?}"),
                    halted = halted => halted.unwrap_or_else(|_| panic!("{end:?} is not reached")),
                }
            }
            End::After(time) => {
                let _ = timeout(*time, call).await;
            }
            End::Answered => drop(call.await.unwrap()),
        }
        process.signal("KILL").await;
        process.ended().await;
        let issued = self.issued().await - before;
        self.compare(end, issued, tally).await;
    }

    /// Holds what the partner has issued in a round against what the gateway knows of it.
    async fn compare(&mut self, end: &End, issued: usize, tally: &mut Tally) {
        let process = self.start(&[]).await;
        let client = Client::connect(process.grpc).await;
        let mut kept = 0;
        for credential in credentials(&client).await {
            let account = credential["account"].as_str().unwrap().to_owned();
            if self.proven.insert(account.clone()) {
                use_key(&client, &account).await.unwrap_or_else(|error| panic!("{end:?}: {error}"));
                kept += 1;
            }
        }
        let mut states = BTreeMap::new();
        for intent in intents(&client).await {
            if self.intents.insert(intent["id"].as_str().unwrap().to_owned()) {
                *states.entry(intent["state"].to_string()).or_insert(0) += 1;
            }
        }
        let count = |state: &str| states.get(&format!("{state:?}")).copied().unwrap_or(0);
        let (flagged, open) = (count("STATE_FLAGGED"), count("STATE_OPEN"));
        assert!(kept + flagged + open >= issued, "{end:?}: a key is lost: {states:?}");
        assert!(kept <= issued, "{end:?}: a key from nowhere");
        tally.rounds += 1;
        tally.issued += issued;
        tally.kept += kept;
        tally.flagged += flagged;
        tally.open += open;
        tally.unissued += (kept + flagged + open).saturating_sub(issued);
    }

    /// Waits until no intent is open any more, as an operator would.
    async fn settle(&self) {
        let process = self.start(&[]).await;
        let client = Client::connect(process.grpc).await;
        let settled = async {
            while intents(&client).await.iter().any(|intent| intent["state"] == "STATE_OPEN") {
                sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(Duration::from_secs(180), settled).await.expect("an intent stays open for ever");
        assert_eq!(intents(&client).await.len(), self.intents.len());
    }
}

/// Waits until a process says that it stands at a fail point.
async fn halted(process: &Process) {
    let is_halt = |line: &Value| {
        line.as_str().is_some_and(|line| line.starts_with("fail point") && line.contains("Halt"))
    };
    while !process.log().iter().any(is_halt) {
        sleep(Duration::from_millis(5)).await;
    }
}

async fn each_place_once(mut setting: Setting) {
    let mut tally = Tally::default();
    for end in End::all() {
        setting.round(&end, &mut tally).await;
    }
    // Of the points, all after the partner's answer, and the one that is answered.
    assert_eq!(tally.issued, 7, "{tally:?}");
    assert_eq!(tally.kept, 3, "after the commit every key is kept: {tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_no_key_is_lost_by_a_kill_at_any_step_on_sqlite() {
    each_place_once(Setting::new(async |folder| sqlite(folder)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_no_key_is_lost_by_a_kill_at_any_step_on_postgres() {
    let Some(postgres) = Postgres::shared() else { return };
    each_place_once(Setting::new(async |_| postgres.database().await).await).await;
}

/// A number in the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var_os(name).and_then(|text| text.into_string().ok());
    text.map_or(otherwise, |text| text.parse().unwrap())
}

/// As many rounds as `KILL_ROUNDS` says, on each store: every place in turn, and between
/// them moments that a seed chooses.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: scripts/kill-rounds runs it"]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
async fn rounds() {
    let (rounds, seed) = (number("KILL_ROUNDS", 200), number("KILL_SEED", 20261120));
    let mut settings = vec![("SQLite", Setting::new(async |folder| sqlite(folder)).await)];
    if let Some(postgres) = Postgres::shared() {
        let setting = Setting::new(async |_| postgres.database().await).await;
        settings.push(("PostgreSQL", setting));
    }
    for (store, mut setting) in settings {
        let (mut tally, mut random) = (Tally::default(), fastrand::Rng::with_seed(seed));
        let places = End::all();
        for round in 0..usize::try_from(rounds).unwrap() {
            let end = match round % 2 {
                0 => places[round / 2 % places.len()].clone(),
                // Most of these are within a call.
                _ => End::After(Duration::from_micros(random.u64(0..120_000))),
            };
            setting.round(&end, &mut tally).await;
        }
        setting.settle().await;
        println!("{store}, seed {seed}: {tally:?}");
    }
}

/// Another connection holds the database when the partner answers: the key goes to the
/// journal, and from there to the database after the crash.
#[tokio::test(flavor = "multi_thread")]
async fn s14_a_key_in_the_journal_survives_a_kill() {
    let setting = Setting::new(async |folder| sqlite(folder)).await;
    let mut process = setting.start(&[]).await;
    let client = Client::connect(process.grpc).await;
    let delay = serde_json::json!({"kind": "delay", "millis": 1500});
    let fault = serde_json::json!({"partner": "trolley", "path": CREATED_AT, "fault": delay});
    setting.control.fault(fault).await;
    let lock = async {
        setting.control.until_arrived("trolley", CREATED_AT).await;
        let mut other = SqliteConnection::connect(&sqlite(setting.folder.path())).await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        other
    };
    let (made, lock) = tokio::join!(create(&client, "Acme"), lock);
    let made = made.unwrap().reply;
    process.signal("KILL").await;
    process.ended().await;
    lock.close().await.unwrap();
    let journal = setting.folder.path().join("gateway.db.journal");
    assert!(std::fs::metadata(&journal).unwrap().len() > 0, "it is not in the journal");

    let process = setting.start(&[]).await;
    let client = Client::connect(process.grpc).await;
    use_key(&client, made["id"].as_str().unwrap()).await.unwrap();
    assert_eq!(std::fs::metadata(&journal).unwrap().len(), 0);
    assert_eq!((credentials(&client).await.len(), intents(&client).await.len()), (1, 0));
}

/// Files that cannot grow any more, as on a full disk: what the partner has issued is
/// kept, or somebody is told.
#[tokio::test(flavor = "multi_thread")]
async fn s14_no_key_is_lost_on_a_full_disk() {
    let setting = Setting::new(async |folder| sqlite(folder)).await;
    // Made without the limit, and as small as it is.
    setting.start(&[]).await.signal("KILL").await;
    let largest = largest_file(setting.folder.path());
    let mut process = {
        let args = ["--config", setting.config.to_str().unwrap()];
        Process::serve_limited(&args, largest + 48 * 1024).await
    };
    let client = Client::connect(process.grpc).await;
    let mut calls = Calls::default();
    while calls.failed.len() < 3 && calls.made.len() < 200 {
        let issued = setting.issued().await;
        match create(&client, "Acme").await {
            Ok(answer) => {
                let call =
                    answer.metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned();
                calls.made.push((call, answer.reply["id"].as_str().unwrap().to_owned()));
            }
            Err(status) => {
                let is_issued = setting.issued().await > issued;
                calls.failed.push((info(&status).metadata["request_id"].clone(), is_issued));
            }
        }
    }
    assert!(!calls.failed.is_empty(), "the disk is never full");
    assert!(!calls.made.is_empty(), "it was full from the start");
    process.signal("KILL").await;
    process.ended().await;
    calls.compare(&setting).await;
}

/// What callers were told on a full disk.
#[derive(Debug, Default)]
struct Calls {
    /// The ids of the calls that were answered, and the accounts that they made.
    made: Vec<(String, String)>,
    /// The ids of the calls that failed, and whether the partner has issued a key.
    failed: Vec<(String, bool)>,
}

// === impl Calls ===

impl Calls {
    /// Each key works or an intent stands for its own call: that of a call that was never
    /// sent does not.
    async fn compare(&self, setting: &Setting) {
        let process = setting.start(&[]).await;
        let client = Client::connect(process.grpc).await;
        let kept = credentials(&client).await;
        let kept: Vec<_> = kept.iter().map(|it| it["account"].as_str().unwrap()).collect();
        for account in &kept {
            use_key(&client, account).await.unwrap();
        }
        let intents = intents(&client).await;
        let flagged: Vec<_> = intents.iter().map(|it| it["callId"].as_str().unwrap()).collect();
        for (call, account) in &self.made {
            let is_known = kept.contains(&account.as_str()) || flagged.contains(&call.as_str());
            assert!(is_known, "the key of {account} is lost: {intents:?}");
        }
        for (call, is_issued) in &self.failed {
            assert!(!is_issued || flagged.contains(&call.as_str()), "{call}: {intents:?}");
        }
    }
}

fn largest_file(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|file| file.metadata().unwrap().len()).max().unwrap()
}

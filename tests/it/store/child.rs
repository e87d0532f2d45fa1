//! Processes that are killed while they use the store: this test program again, with
//! one of the tests at the end of this file.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use partner_gateway::clock::Clock;
use partner_gateway::store::{Kept, NewIntent, Settings, Store};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child as Process, ChildStdout, Command};
use tokio::time::timeout;
use uuid::Uuid;

use super::place::{Place, keyring, new};

const PATIENCE: Duration = Duration::from_secs(20);
const URL: &str = "STORE_TEST_URL";
const JOURNAL: &str = "STORE_TEST_JOURNAL";
const KEYS: &str = "STORE_TEST_KEYS";
const SECRET: &str = "STORE_TEST_SECRET";

/// Another process that uses the same database.
pub(super) struct Child {
    process: Process,
    lines: Lines<BufReader<ChildStdout>>,
}

// === impl Child ===

impl Child {
    /// Starts one that does what the test `role` does. No file that it writes can become
    /// larger than `blocks` of 512 bytes.
    pub(super) fn start(
        place: &Place,
        role: &str,
        keys: &str,
        secret: &str,
        blocks: Option<u32>,
    ) -> Self {
        let limit = blocks.map_or("unlimited".to_owned(), |blocks| blocks.to_string());
        // A write beyond the limit fails instead of ending the process.
        let script = format!("trap '' XFSZ; ulimit -f {limit} && exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(std::env::current_exe().unwrap());
        command.args(["--ignored", "--nocapture", "--exact", &format!("store::child::{role}")]);
        command.env(URL, &place.url).env(JOURNAL, place.journal());
        command.env(KEYS, keys).env(SECRET, secret);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// What it says next.
    pub(super) async fn said(&mut self) -> String {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect("it says nothing");
            let line = line.unwrap().expect("it ended");
            // The test harness talks as well.
            if let Some((_, said)) = line.split_once("said: ") {
                return said.to_owned();
            }
        }
    }

    /// Ends it without a warning.
    pub(super) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn say(what: impl std::fmt::Display) {
    println!("said: {what}");
}

fn given(name: &str) -> String {
    std::env::var_os(name).expect("another test starts this one").into_string().unwrap()
}

async fn open() -> Store {
    let settings = Settings {
        url: given(URL).into(),
        keyring: keyring(&given(KEYS)),
        journal: Some(Path::new(&given(JOURNAL)).to_owned()),
        timeout: Duration::from_secs(1),
        max_connections: 4,
    };
    Store::open(settings, Clock::system()).await.unwrap()
}

fn intent() -> NewIntent {
    NewIntent {
        partner: "acme".to_owned(),
        rpc: "acme.v1.Accounts/Create".to_owned(),
        call_id: Uuid::from_u128(1),
        settles_by: jiff::Timestamp::MAX,
    }
}

/// Keeps one credential after the other and says which it has kept.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "another test starts it and kills it"]
async fn puts() {
    let store = open().await;
    for number in 0.. {
        store.put(new(&format!("M{number}"), &given(SECRET))).await.unwrap();
        say(number);
    }
}

/// Wraps one record after the other under the first key and says how many are left.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "another test starts it and kills it"]
async fn rotates() {
    let store = open().await;
    loop {
        say(store.rotate(1).await.unwrap().left);
    }
}

/// Keeps one issued key after the other until there is no room anywhere, and says where.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "another test starts it and kills it"]
async fn fills_the_disk() {
    let store = open().await;
    let id = store.begin_intent(intent()).await.unwrap();
    for number in 0.. {
        match store.fulfil_intent(id, new(&format!("M{number}"), &given(SECRET))).await {
            Ok(Kept::Committed(_)) => say("committed"),
            Ok(Kept::Journalled(_)) => say("journalled"),
            Err(error) => {
                let found = store.get(&new(&format!("M{number}"), "").name).await;
                assert!(found.unwrap().is_none(), "{error}");
                return say(format_args!("{error:?}"));
            }
        }
    }
}

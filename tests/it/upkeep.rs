//! What operators do to a gateway that keeps keys: its encryption keys change, another one
//! is started beside it, and somebody would like to see its memory.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use partner_gateway::clock::Clock;
use partner_gateway::seal::Keyring;
use partner_gateway::store::{NewIntent, Settings, Store};
use uuid::Uuid;

use crate::support::gateway::Gateway;
use crate::support::kept::{KEY, create, metrics, sqlite};
use crate::support::postgres::Postgres;
use crate::support::process::{Process, run};

const NEW: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The environment of a program with this store.
fn environment<'a>(url: &'a str, key: &'a str) -> [(&'a str, &'a str); 2] {
    [("PARTNER_GATEWAY__STORE__URL", url), ("PARTNER_GATEWAY__STORE__ENCRYPTION_KEY", key)]
}

async fn open(folder: &Path) -> Store {
    let settings = Settings {
        url: sqlite(folder).into(),
        keyring: Keyring::parse(&KEY.into()).unwrap(),
        journal: None,
        timeout: Duration::from_secs(2),
        max_connections: 2,
    };
    Store::open(settings, Clock::system()).await.unwrap()
}

async fn begin(store: &Store) {
    let intent = NewIntent {
        partner: "acme".to_owned(),
        rpc: "acme.v1.Accounts/Create".to_owned(),
        call_id: Uuid::from_u128(1),
        settles_by: jiff::Timestamp::MAX,
    };
    store.begin_intent(intent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_a_running_gateway_refuses_keys_without_one_that_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let gateway = Gateway::simulated(&format!(
        "[store]\nurl = \"{}\"\nencryption_key_file = \"{}\"\n\
         [credentials]\nreload_interval = \"50ms\"",
        sqlite(folder.path()),
        file.display()
    ))
    .await;
    create(&gateway.client, "Acme").await.unwrap();
    let is_told = async |text: &str| {
        for _ in 0..100 {
            if metrics(gateway.operations()).await.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{text} is not told");
    };
    std::fs::write(&file, NEW).unwrap();
    is_told("partner_gateway_keyring_refused 1").await;
    create(&gateway.client, "Acme again").await.unwrap();
    std::fs::write(&file, format!("{NEW}\n{KEY}")).unwrap();
    is_told("partner_gateway_keyring_refused 0").await;
    gateway.drain().await;
    // All of it comes under the new key, in its own time or now.
    let (url, keys) = (sqlite(folder.path()), format!("{NEW}\n{KEY}"));
    let output = run(&["rotate-keys"], &environment(&url, &keys)).await;
    assert!(output.status.success(), "{output:?}");
    let output = run(&["rotate-keys"], &environment(&url, NEW)).await;
    assert!(output.status.success(), "{output:?}");
}

/// What it cannot see may need the old key.
#[tokio::test(flavor = "multi_thread")]
async fn s16_rotate_keys_fails_while_another_process_holds_a_journal_with_keys() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(folder.path());
    let journal = folder.path().join("gateway.db.journal");
    let rotate = async || run(&["rotate-keys"], &environment(&url, KEY)).await;
    assert!(rotate().await.status.success());
    assert!(!journal.exists(), "it makes none");
    let mut held = File::create(&journal).unwrap();
    held.lock().unwrap();
    assert!(rotate().await.status.success(), "there is nothing in it");
    held.write_all(b"something").unwrap();
    let output = rotate().await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("gateway.db.journal") && told.contains("a gateway holds it"), "{told}");
}

/// S14: neither the command nor a second gateway, as in a rolling restart, flags the calls
/// of one that runs.
#[tokio::test(flavor = "multi_thread")]
async fn s14_calls_under_way_are_not_flagged_by_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(folder.path());
    let store = open(folder.path()).await;
    begin(&store).await;
    let output = run(&["rotate-keys"], &environment(&url, KEY)).await;
    assert!(output.status.success(), "{output:?}");
    let second = Process::serve(&["--simulate"], &environment(&url, KEY)).await;
    assert_eq!(store.flagged_intents().await.unwrap(), 0);
    drop(store);
    // Nor those of the second by the third; when both are gone, they are.
    let third = Process::serve(&["--simulate"], &environment(&url, KEY)).await;
    let is_held = |line: &serde_json::Value| {
        line["message"].as_str().is_some_and(|text| text.contains("holds the emergency journal"))
    };
    assert!(third.log().iter().any(is_held) && !second.log().iter().any(is_held));
    drop((second, third));
    let mut flagged = 0;
    for _ in 0..100 {
        flagged = open(folder.path()).await.flagged_intents().await.unwrap();
        if flagged == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(flagged, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_server_without_a_journal_is_warned_of_at_the_start() {
    let Some(cluster) = Postgres::shared() else { return };
    let url = cluster.database().await;
    let gateway = Process::serve(&["--simulate"], &environment(&url, KEY)).await;
    let is_warning = |line: &serde_json::Value| {
        let text = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && text.contains("there is no emergency journal")
    };
    assert!(gateway.log().iter().any(is_warning), "{:?}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_files_that_others_may_read_are_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    for name in ["gateway.db", "gateway.db.journal"] {
        let file = File::create(folder.path().join(name)).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let url = sqlite(folder.path());
    let gateway = Process::serve(&["--simulate"], &environment(&url, KEY)).await;
    let told = format!("{:?}", gateway.log());
    for what in ["may use the database", "may use the journal of the store"] {
        assert!(told.contains(what), "{what}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s19_no_core_dump_shows_the_memory() {
    let gateway = Process::serve(&["--simulate"], &[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<_> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}

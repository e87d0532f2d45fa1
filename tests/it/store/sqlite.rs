//! What only SQLite can show.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use partner_gateway::clock::Clock;
use partner_gateway::store::{Error, NewIntent, Settings, Store};
use secrecy::ExposeSecret as _;
use sqlx::{Executor as _, Row as _};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::child::Child;
use super::place::{OLD, Place, name, new};

#[tokio::test(flavor = "multi_thread")]
async fn its_files_are_for_their_owner_alone() {
    let place = Place::sqlite();
    let store = place.open_with_journal().await;
    store.put(new("M1", "secret")).await.unwrap();
    let files = std::fs::read_dir(place.folder.path()).unwrap();
    let mut seen = Vec::new();
    for file in files.map(Result::unwrap) {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
        seen.push(file.file_name().into_string().unwrap());
    }
    seen.sort();
    let expected = ["gateway.db", "gateway.db-shm", "gateway.db-wal", "gateway.db.lock", "journal"];
    assert_eq!(seen, expected);
}

/// Nothing that would open it, nor it itself, is left in the file or the log.
#[tokio::test(flavor = "multi_thread")]
async fn s20_a_deleted_secret_is_overwritten() {
    let place = Place::sqlite();
    let store = place.open().await;
    for number in 0..50 {
        store.put(new(&format!("M{number}"), "secret")).await.unwrap();
    }
    let rows = place.rows("SELECT secret FROM credentials ORDER BY id").await;
    let sealed: Vec<Vec<u8>> = rows.iter().map(|row| row.get("secret")).collect();
    // The wrapped data key, behind the header and the key's id.
    let wrapped: Vec<_> = sealed.iter().map(|bytes| &bytes[10..70]).collect();
    for number in (0..50).step_by(2) {
        store.delete_named(&name(&format!("M{number}"))).await.unwrap();
    }
    for (number, wrapped) in wrapped.iter().enumerate() {
        let holds = |file: &str| {
            let content = std::fs::read(place.folder.path().join(file)).unwrap();
            content.windows(wrapped.len()).any(|part| part == *wrapped)
        };
        let is_there = ["gateway.db", "gateway.db-wal"].into_iter().any(holds);
        assert_eq!(is_there, number % 2 == 1, "M{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a database is waited for, in real time")]
async fn a_lock_that_another_process_holds_is_an_error_in_time() {
    let place = Place::sqlite();
    let store = place.open().await;
    store.put(new("M1", "before")).await.unwrap();
    let outage = place.break_down().await;
    let start = Instant::now();
    let mut writes = JoinSet::new();
    for number in 0..20 {
        let store = store.clone();
        writes.spawn(async move { store.put(new(&format!("M{number}"), "during")).await });
    }
    for written in writes.join_all().await {
        assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // Reading goes on.
    assert_eq!(store.get(&name("M1")).await.unwrap().unwrap().1.expose_secret(), "before");
    outage.end().await;
    assert_eq!(store.put(new("M1", "after")).await.unwrap().version, 2);
}

/// S14: the disk has no room, first for the database and then for the journal.
#[tokio::test(flavor = "multi_thread")]
async fn s14_a_full_disk_loses_no_key_that_was_said_to_be_kept() {
    let place = Place::sqlite();
    let secret = "a secret ".repeat(200);
    let mut child = Child::start(&place, "fills_the_disk", OLD, &secret, Some(400));
    let mut said = Vec::new();
    while said.last().is_none_or(|last: &String| ["committed", "journalled"].contains(&&**last)) {
        said.push(child.said().await);
    }
    let end = said.pop().unwrap();
    assert!(end.starts_with("Unkept") && end.contains("FileTooLarge"), "{end}");
    let count = |place: &str| said.iter().filter(|said| *said == place).count();
    assert!(count("committed") > 3 && count("journalled") > 3, "{said:?}");
    child.kill().await;

    let store = place.open_with_journal().await;
    assert_eq!(store.journalled(), 0);
    for number in 0..said.len() {
        let (_, kept) = store.get(&name(&format!("M{number}"))).await.unwrap().unwrap();
        assert_eq!(kept.expose_secret(), secret);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_an_error() {
    let place = Place::sqlite();
    std::fs::write(place.folder.path().join("gateway.db"), "canary, not a database".repeat(100))
        .unwrap();
    let error = place.try_open(place.settings(OLD)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the file of the database is damaged (code 26)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_there_is_an_error() {
    let place = Place::sqlite();
    let url = format!("sqlite://{}/none/gateway.db", place.folder.path().display());
    let settings = Settings { url: url.into(), ..place.settings(OLD) };
    let error = place.try_open(settings).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_version_of_the_tables_is_refused() {
    let place = Place::sqlite();
    drop(place.open().await);
    place.execute("UPDATE _sqlx_migrations SET version = 999 WHERE version = 3").await;
    let error = place.try_open(place.settings(OLD)).await.unwrap_err();
    assert!(error.to_string().contains("later version"), "{error}");
}

/// The first start of eight processes, over and over.
#[tokio::test(flavor = "multi_thread")]
async fn first_starts_at_once_all_succeed() {
    for _ in 0..20 {
        let place = Place::sqlite();
        let mut starts = JoinSet::new();
        for _ in 0..8 {
            starts.spawn(Store::open(place.settings(OLD), Clock::system()));
        }
        for store in starts.join_all().await {
            store.unwrap();
        }
    }
}

/// SQLite itself gives up at once when it is to use a log and cannot yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_another_one_that_makes_the_file() {
    let place = Place::sqlite();
    std::fs::write(place.folder.path().join("gateway.db"), "").unwrap();
    let mut other = place.connect().await;
    other.execute("CREATE TABLE other (id TEXT)").await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let made = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        other.execute("COMMIT").await.unwrap();
    };
    let (store, ()) = tokio::join!(place.try_open(place.settings(OLD)), made);
    store.unwrap().put(new("M1", "secret")).await.unwrap();
}

/// S14: a process that runs beside, as in a rolling restart, takes no live call for one of
/// a process that is gone; and who comes after both does not spare the dead ones'.
#[tokio::test(flavor = "multi_thread")]
async fn s14_only_a_process_that_is_alone_flags_what_it_finds() {
    let place = Place::sqlite();
    let intent = || NewIntent {
        partner: "acme".to_owned(),
        rpc: "acme.v1.Accounts/Create".to_owned(),
        call_id: Uuid::from_u128(1),
        settles_by: jiff::Timestamp::MAX,
    };
    let first = place.open().await;
    first.begin_intent(intent()).await.unwrap();
    let beside = Store::open_beside(place.settings(OLD), Clock::system()).await.unwrap();
    let second = place.open().await;
    second.begin_intent(intent()).await.unwrap();
    drop((first, beside));
    // The second took no lock from the first, and counts all the same.
    let third = place.open().await;
    assert_eq!(third.flagged_intents().await.unwrap(), 0);
    drop((second, third));
    let beside = Store::open_beside(place.settings(OLD), Clock::system()).await.unwrap();
    assert_eq!(beside.flagged_intents().await.unwrap(), 0);
    assert_eq!(place.open().await.flagged_intents().await.unwrap(), 2);
}

/// A test on a paused clock may use the store in memory.
#[tokio::test(start_paused = true)]
async fn in_memory_no_time_passes() {
    let store = Store::in_memory(Clock::system()).await.unwrap();
    assert!(!store.is_durable());
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        tasks.spawn(async move {
            let account = format!("M{number}");
            store.put(new(&account, "secret")).await.unwrap();
            store.get(&name(&account)).await.unwrap().unwrap().0.version
        });
    }
    assert_eq!(tasks.join_all().await, [1; 50]);
    let other = Store::in_memory(Clock::system()).await.unwrap();
    assert!(other.get(&name("M1")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_in_the_way_does_not_keep_a_credential_from_being_deleted() {
    let place = Place::sqlite();
    let store = place.open().await;
    store.put(new("M1", "secret")).await.unwrap();
    let mut reader = place.connect().await;
    reader.execute("BEGIN").await.unwrap();
    reader.execute("SELECT * FROM credentials").await.unwrap();
    assert!(store.delete_named(&name("M1")).await.unwrap().is_some());
}

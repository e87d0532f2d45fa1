//! Records while the store takes nothing, or not yet.

use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::seal::Keyring;
use crate::store::Settings;

/// How long one operation of the store may take.
const LIMIT: Duration = Duration::from_millis(300);
/// For anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Records in a file that can be kept from being written.
struct Place {
    records: Records,
    context: Context,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            url: url(&folder).into(),
            keyring: Keyring::generate().unwrap(),
            journal: None,
            timeout: LIMIT,
            max_connections: 2,
        };
        let store = Store::open(settings, Clock::system()).await.unwrap();
        let context = Context { clock: Clock::system(), store, ..testing::context().await };
        let records = Records::new(&context, Duration::from_secs(30));
        Self { records, context, folder }
    }

    /// Nothing can be written while what is returned lives.
    async fn lock(&self) -> SqliteConnection {
        let mut connection = SqliteConnection::connect(&url(&self.folder)).await.unwrap();
        connection.execute("BEGIN EXCLUSIVE").await.unwrap();
        connection
    }

    async fn execute(&self, sql: &'static str) {
        let mut connection = SqliteConnection::connect(&url(&self.folder)).await.unwrap();
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn open(&self, number: u128) -> Result<Opened, Error> {
        open_in(&self.records, number).await
    }

    fn underway(&self) -> usize {
        self.records.change(|underway| underway.len())
    }

    async fn until_idle(&self) {
        self.context.tasks.close();
        timeout(PATIENCE, self.context.tasks.wait()).await.expect("a task goes on");
        self.context.tasks.reopen();
    }

    /// A record that is not made yet.
    fn unmade(&self, number: u128) -> NewRequest {
        let id = Uuid::from_u128(number);
        NewRequest {
            id: Uuid::now_v7(),
            key: RequestKey::new("a caller", "example", None, "a.v1.B/C", id),
            fingerprint: FINGERPRINT,
            call_id: Uuid::nil(),
            settles_by: self.records.settles_by(Instant::now()),
        }
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("store.db").display())
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn assert_not_sent(opened: Result<Opened, Error>) {
    let error = opened.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::StoreUnavailable, Outcome::NotSent));
}

#[tokio::test]
async fn r8_a_record_that_was_not_asked_for_leaves_nothing_behind() {
    let place = Place::new().await;
    place.execute("ALTER TABLE requests RENAME TO hidden").await;
    for number in 1..=3 {
        assert_not_sent(place.open(number).await);
        assert_eq!((place.underway(), place.context.tasks.len()), (0, 0));
    }
    place.execute("ALTER TABLE hidden RENAME TO requests").await;
    drop(new(place.open(1).await));
}

/// The insertion was asked for and not answered.
#[tokio::test]
async fn r8_a_record_that_may_be_there_is_taken_back_while_its_id_is_free() {
    let place = Place::new().await;
    let lock = place.lock().await;
    assert_not_sent(place.open(1).await);
    assert_eq!((place.underway(), place.context.tasks.len()), (0, 1));
    lock.close().await.unwrap();
    // Nothing is under way, and that is what a repeat is told.
    let record = new(place.open(1).await);
    place.until_idle().await;
    record.settle(&reply(1)).await;
    assert!(matches!(place.open(1).await, Ok(Opened::Done(_))));
}

/// The database may commit a record after it was deleted.
#[tokio::test]
async fn r8_a_record_that_comes_late_is_taken_back_too() {
    let place = Place::new().await;
    let late = place.unmade(1);
    place.records.take_back(late.clone(), later());
    sleep(LIMIT / 3).await;
    let store = &place.context.store;
    assert!(matches!(store.open_request(&late, &place.context.retention).await, Ok(Found::New)));
    place.until_idle().await;
    drop(new(place.open(1).await));
}

/// However long the store is away and however many calls come in meanwhile; and the process
/// can stop.
#[tokio::test]
async fn r8_what_is_taken_back_is_bounded_and_ends_with_the_process() {
    let place = Place::new().await;
    let lock = place.lock().await;
    for number in 0..2 * u128::try_from(TAKEN_BACK).unwrap() {
        place.records.take_back(place.unmade(number), later());
    }
    assert_eq!(place.context.tasks.len(), TAKEN_BACK);
    place.context.stopping.cancel();
    place.until_idle().await;
    lock.close().await.unwrap();
}

#[tokio::test]
async fn r8_nothing_is_forgotten_after_its_time() {
    let place = Place::new().await;
    let lock = place.lock().await;
    place.records.take_back(place.unmade(1), Instant::now());
    drop(place.records.end(place.unmade(2), End::Forgotten, Instant::now()));
    place.until_idle().await;
    lock.close().await.unwrap();
}

/// Its caller has ten seconds: half of them would be lost otherwise.
#[tokio::test]
async fn r8_an_answer_is_held_back_no_longer_than_a_write_may_take() {
    let place = Place::new().await;
    let record = new(place.open(1).await);
    let lock = place.lock().await;
    let begun = Instant::now();
    record.settle(&reply(1)).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(matches!(place.open(1).await, Ok(Opened::Done(_))), "from memory");
    lock.close().await.unwrap();
    place.until_idle().await;
    assert_eq!(place.underway(), 0);
    assert!(matches!(place.open(1).await, Ok(Opened::Done(_))), "from the store");
}

//! Grants while the database takes nothing (S14).

use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::seal::Keyring;
use crate::store::Settings;

/// Files of a store whose database can be made to take nothing.
pub(super) struct Place {
    folder: TempDir,
    keyring: Keyring,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), keyring: Keyring::generate().unwrap() }
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("store.db").display())
    }

    pub(super) async fn open(&self, has_journal: bool, clock: Clock) -> Store {
        let settings = Settings {
            url: self.url().into(),
            keyring: self.keyring.clone(),
            journal: has_journal.then(|| self.folder.path().join("journal")),
            timeout: Duration::from_millis(200),
            max_connections: 2,
        };
        Store::open(settings, clock).await.unwrap()
    }

    /// No secret can be written until [`accept`](Self::accept), and anything else can.
    pub(super) async fn refuse(&self) {
        for event in ["INSERT", "UPDATE OF secret"] {
            let name = event.split(' ').next().unwrap();
            let sql = format!(
                "CREATE TRIGGER refuse_{name} BEFORE {event} ON credentials \
                 BEGIN SELECT RAISE(ABORT, 'refused'); END"
            );
            self.execute(sql).await;
        }
    }

    pub(super) async fn accept(&self) {
        for name in ["INSERT", "UPDATE"] {
            self.execute(format!("DROP TRIGGER refuse_{name}")).await;
        }
    }

    pub(super) async fn execute(&self, sql: String) {
        let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Nothing can be written until the connection is closed.
    async fn lock(&self) -> SqliteConnection {
        let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        connection
    }
}

impl Setting {
    pub(super) async fn in_place(place: &Place, has_journal: bool) -> Self {
        let (sso, time) = (Sso::default(), Time::new());
        let store = place.open(has_journal, time.clock()).await;
        let grants = grants(&sso, &store, time.clock());
        let setting = Self { sso, store, time, grants };
        setting.admit_code().await.unwrap();
        setting
    }

    /// An access token, where the database takes nothing from the moment on that the
    /// endpoint is asked.
    async fn token_while_locked(&self, place: &Place) -> Result<String, Missing> {
        let before = self.sso.count();
        let locked = async {
            while self.sso.count() == before {
                tokio::task::yield_now().await;
            }
            place.lock().await
        };
        let (token, lock) = tokio::join!(self.token(), locked);
        lock.close().await.unwrap();
        token
    }
}

#[tokio::test]
async fn s14_a_rotated_token_that_the_database_does_not_take_goes_to_the_journal() {
    let place = Place::new();
    let setting = Setting::in_place(&place, true).await;
    setting.time.pass(1).await;
    assert_eq!(setting.token_while_locked(&place).await.unwrap(), "at-3");
    assert_eq!(setting.store.journalled(), 1, "durable before it was given");
    assert!(setting.kept().await.1.contains("rt-3"));

    // The process is killed; what comes after it has the files only.
    let Setting { sso, time, grants: before, store, .. } = setting;
    drop((before, store));
    // Its lease ends.
    time.pass(20).await;
    let store = place.open(true, time.clock()).await;
    let grants = grants(&sso, &store, time.clock());
    assert_eq!(token(&grants).await.unwrap(), "at-4");
    assert_eq!(store.journalled(), 0);
}

#[tokio::test]
async fn s14_a_journalled_token_is_used_by_the_next_renewal_of_the_same_process() {
    let place = Place::new();
    let setting = Setting::in_place(&place, true).await;
    setting.token_while_locked(&place).await.unwrap();
    setting.time.pass(180).await;
    assert_eq!(setting.token().await.unwrap(), "at-4");
    assert!(setting.kept().await.1.contains("rt-4"));
    assert_eq!(setting.store.journalled(), 0);
}

#[tokio::test]
async fn s14_without_a_journal_nobody_gets_the_access_token_before_the_other_is_durable() {
    let place = Place::new();
    let setting = Setting::in_place(&place, false).await;
    let Err(Missing::Failed(error)) = setting.token_while_locked(&place).await else { panic!() };
    assert_eq!(error.kind(), &Kind::StoreUnavailable);
    setting.time.pass(2).await;
    // What was kept in memory is written first, and used then.
    assert_eq!(setting.token().await.unwrap(), "at-4");
    assert!(setting.kept().await.1.contains("rt-4"));
}

#[tokio::test]
async fn a_replica_need_not_wait_for_a_lease_that_it_could_not_give_up() {
    let place = Place::new();
    let setting = Setting::in_place(&place, true).await;
    setting.token_while_locked(&place).await.unwrap();
    let (source, token) = setting.grants.token("u-1").await.unwrap();
    assert!(source.invalidate(&token));
    let lock = place.lock().await;
    assert!(matches!(setting.token().await, Err(Missing::Failed(_))), "still locked");
    lock.close().await.unwrap();
    // The pause of the source is over, and the lease is not.
    setting.time.pass(2).await;
    let begun = Instant::now();
    assert!(setting.token().await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_token_that_was_not_rotated_is_nothing_to_lose() {
    let place = Place::new();
    let setting = Setting::in_place(&place, false).await;
    setting.sso.keep_refresh_tokens();
    assert!(setting.token_while_locked(&place).await.is_ok());
}

#[tokio::test]
async fn a_grant_survives_a_restart() {
    let place = Place::new();
    let setting = Setting::in_place(&place, true).await;
    setting.token().await.unwrap();
    let Setting { sso, time, grants: before, store, .. } = setting;
    drop((before, store));
    let store = place.open(true, time.clock()).await;
    assert_eq!(token(&grants(&sso, &store, time.clock())).await.unwrap(), "at-4");
}

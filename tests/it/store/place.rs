//! A database of either kind, the stores that are opened on it, and what is done to it
//! behind their back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use partner_gateway::clock::Clock;
use partner_gateway::seal::Keyring;
use partner_gateway::store::{CredentialKind, Error, Name, New, Origin, Settings, Store};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;

use crate::support::postgres::Postgres;

/// Two keys of 32 bytes.
pub(super) const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(super) const NEW: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";
/// The bound on an operation.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// An empty database.
pub(super) struct Place {
    pub(super) url: String,
    /// For the journal, and for SQLite's file.
    pub(super) folder: TempDir,
    /// All that the database writes.
    pub(super) written: PathBuf,
    now: Arc<AtomicI64>,
}

/// Keeps a database from being written to.
pub(super) enum Outage {
    /// A lock that another process would hold.
    Locked(AnyConnection),
    /// Tables under another name.
    Hidden(String),
}

// === impl Place ===

impl Place {
    pub(super) fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("gateway.db").display());
        Self::new(url, folder.path().to_owned(), folder)
    }

    pub(super) async fn postgres() -> Option<Self> {
        let cluster = Postgres::shared()?;
        let url = cluster.database().await;
        Some(Self::new(url, cluster.folder().to_owned(), TempDir::new().unwrap()))
    }

    /// A database in a cluster that the test may stop.
    pub(super) async fn on(cluster: &Postgres) -> Self {
        let url = cluster.database().await;
        Self::new(url, cluster.folder().to_owned(), TempDir::new().unwrap())
    }

    fn new(url: String, written: PathBuf, folder: TempDir) -> Self {
        sqlx::any::install_default_drivers();
        let now = Arc::new(AtomicI64::new(1_800_000_000));
        Self { url, folder, written, now }
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    pub(super) fn settings(&self, keys: &str) -> Settings {
        Settings {
            url: self.url.clone().into(),
            keyring: keyring(keys),
            journal: None,
            timeout: TIMEOUT,
            max_connections: 4,
        }
    }

    /// A store, as one replica opens it.
    pub(super) async fn open(&self) -> Store {
        self.try_open(self.settings(OLD)).await.unwrap()
    }

    pub(super) async fn open_with(&self, keys: &str) -> Store {
        self.try_open(self.settings(keys)).await.unwrap()
    }

    /// A store that has the journal.
    pub(super) async fn open_with_journal(&self) -> Store {
        let settings = Settings { journal: Some(self.journal()), ..self.settings(OLD) };
        self.try_open(settings).await.unwrap()
    }

    pub(super) async fn try_open(&self, settings: Settings) -> Result<Store, Error> {
        let now = Arc::clone(&self.now);
        let now = move || Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap();
        Store::open(settings, Clock::from_fn(now)).await
    }

    /// What all its stores take for the time of day.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_second(self.now.load(Ordering::SeqCst)).unwrap()
    }

    pub(super) fn advance(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(super) async fn connect(&self) -> AnyConnection {
        AnyConnection::connect(&self.url).await.unwrap()
    }

    /// Runs SQL behind the stores' back.
    pub(super) async fn execute(&self, sql: &str) -> u64 {
        let mut connection = self.connect().await;
        let done = connection.execute(AssertSqlSafe(sql)).await.unwrap();
        connection.close().await.unwrap();
        done.rows_affected()
    }

    pub(super) async fn rows(&self, sql: &str) -> Vec<AnyRow> {
        let mut connection = self.connect().await;
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// Keeps the records of calls from being read on PostgreSQL and from being written on
    /// SQLite, for as long as what is returned lives.
    pub(super) async fn lock_requests(&self) -> AnyConnection {
        let mut connection = self.connect().await;
        match self.is_sqlite() {
            true => connection.execute("BEGIN EXCLUSIVE").await.unwrap(),
            false => {
                connection.execute("BEGIN").await.unwrap();
                connection.execute("LOCK TABLE requests").await.unwrap()
            }
        };
        connection
    }

    /// Makes the database fail for as long as what is returned lives.
    pub(super) async fn break_down(&self) -> Outage {
        if self.is_sqlite() {
            let mut connection = self.connect().await;
            connection.execute("BEGIN EXCLUSIVE").await.unwrap();
            return Outage::Locked(connection);
        }
        self.execute("ALTER TABLE intents RENAME TO hidden").await;
        Outage::Hidden(self.url.clone())
    }
}

// === impl Outage ===

impl Outage {
    pub(super) async fn end(self) {
        match self {
            Outage::Locked(connection) => connection.close().await.unwrap(),
            Outage::Hidden(url) => {
                let mut connection = AnyConnection::connect(&url).await.unwrap();
                connection.execute("ALTER TABLE hidden RENAME TO intents").await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }
}

pub(super) fn keyring(keys: &str) -> Keyring {
    Keyring::parse(&keys.into()).unwrap()
}

pub(super) fn name(account: &str) -> Name {
    Name { partner: "acme".to_owned(), kind: CredentialKind::KeyPair, account: account.to_owned() }
}

pub(super) fn new(account: &str, secret: &str) -> New {
    New {
        name: name(account),
        secret: secret.into(),
        expires: None,
        renews: None,
        origin: Origin::Issued,
    }
}

/// The files below a folder that hold one of the texts.
pub(super) fn files_with(folder: &Path, texts: &[String]) -> String {
    let mut grep = std::process::Command::new("grep");
    grep.args([
        "--recursive",
        "--files-with-matches",
        "--text",
        "--fixed-strings",
        "--no-messages",
    ]);
    for text in texts {
        grep.args(["-e", text]);
    }
    let found = grep.arg(folder).env("LC_ALL", "C").output().unwrap();
    String::from_utf8(found.stdout).unwrap()
}

//! Where the gateway keeps what must outlive it.
//!
//! One database behind it, SQLite in a file of its own or PostgreSQL, with the same
//! behaviour. Secrets are sealed on their way in and opened on their way out, so that
//! neither the database nor what it writes beside itself ever holds one. A key that a
//! partner shows once is written before its caller learns of it; when the database
//! takes nothing, an emergency journal does.

mod counts;
mod credentials;
mod database;
mod error;
mod intents;
mod journal;
mod leases;
mod postgres;
mod record;
mod replay;
mod rotation;
mod row;
mod sqlite;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

pub use counts::Counts;
pub use error::{Cause, Damage, Error};
pub use record::{
    CredentialKind, Cursor, Filter, Flag, Intent, IntentFilter, InvalidCursor, Kept, Name, New,
    NewIntent, Origin, Page, Record, Rotation,
};

use crate::clock::Clock;
use crate::seal::Keyring;
use database::{Backend, Database};
use journal::Journal;

/// The reason of intents whose process is gone.
const PROCESS_ENDED: &str = "PROCESS_ENDED";

/// What a store is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite://FILE`, `sqlite::memory:` or `postgres://…`; it may hold a password.
    pub url: SecretString,
    /// What secrets are sealed with.
    pub keyring: Keyring,
    /// The emergency journal. No other process may use the same file.
    pub journal: Option<PathBuf>,
    /// How long one operation may take.
    pub timeout: Duration,
    /// Connections to the database, one at least.
    pub max_connections: u32,
}

/// The gateway's store. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    database: Database,
    keyring: RwLock<Keyring>,
    journal: Option<Journal>,
    clock: Clock,
}

// === impl Store ===

impl Store {
    /// Opens the store: brings its tables up to date, moves what the journal holds into
    /// the database and, on SQLite, flags the intents of the process before.
    ///
    /// # Errors
    /// [`Error::Settings`] and [`Error::MissingKeys`] need the operator,
    /// [`Error::Journal`] the machine, [`Error::Unavailable`] the database.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self, Error> {
        let database = Database::open(&settings).await?;
        let journal = match settings.journal {
            Some(path) => Some(Journal::open(path, settings.timeout).await?),
            None => None,
        };
        let keyring = RwLock::new(settings.keyring);
        let store = Self(Arc::new(Inner { database, keyring, journal, clock }));
        store.refuse_missing_keys().await?;
        if let Err(error) = store.replay_journal().await {
            tracing::error!(%error, "the journal of the store is not in the database yet");
        }
        if store.0.database.backend == Backend::Sqlite {
            store.flag_all(PROCESS_ENDED).await?;
        }
        Ok(store)
    }

    /// A store that is gone with the process, under a key of its own.
    ///
    /// # Errors
    /// The machine gives no random bytes or no memory.
    pub async fn in_memory(clock: Clock) -> Result<Self, Error> {
        let settings = Settings {
            url: "sqlite::memory:".into(),
            keyring: Keyring::generate()?,
            journal: None,
            timeout: Duration::from_secs(2),
            max_connections: 1,
        };
        Self::open(settings, clock).await
    }

    /// Whether what is kept outlives the process.
    pub fn is_durable(&self) -> bool {
        self.0.database.backend != Backend::Memory
    }

    /// Uses other keys from now on.
    pub fn set_keyring(&self, keyring: Keyring) {
        *self.0.keyring.write().unwrap_or_else(PoisonError::into_inner) = keyring;
    }

    /// Proves that the database answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.0.database.change(sqlx::query("SELECT 1")).await.map(drop)
    }

    /// What secrets are sealed with just now.
    pub(crate) fn keyring(&self) -> Keyring {
        self.0.keyring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time of day, as exact as the database keeps it.
    fn now(&self) -> Timestamp {
        row::kept(self.0.clock.now())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("backend", &self.0.database.backend).finish_non_exhaustive()
    }
}

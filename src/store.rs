//! Where the gateway keeps what must outlive it.
//!
//! One database behind it, SQLite in a file of its own or PostgreSQL, with the same
//! behaviour. Secrets are sealed on their way in and opened on their way out, so that
//! neither the database nor what it writes beside itself ever holds one. A key that a
//! partner shows once is written before its caller learns of it; when the database
//! takes nothing, an emergency journal does. A call that is to be done once has a record,
//! with its answer, so that asking again does not do it again.

mod counts;
mod credentials;
mod database;
mod description;
mod error;
mod instance;
mod intents;
mod journal;
mod leases;
mod location;
mod pool;
mod postgres;
mod probe;
mod record;
mod replay;
mod requests;
mod rotation;
mod row;
mod sqlite;
mod succession;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

pub use error::{Cause, Damage, Error};
pub use location::Location;
pub use record::{
    CredentialKind, Cursor, Filter, Flag, Intent, IntentFilter, InvalidCursor, Kept, Name, New,
    NewIntent, Origin, Page, Record, Rotation,
};
pub use requests::{End, Found, NewRequest, RequestKey, RequestState, Retention, Unopened};
pub use succession::Predecessor;

use crate::clock::Clock;
use crate::seal::Keyring;
use database::{Backend, Database};
use instance::{Instance, Starting};
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
    /// The emergency journal. A process that finds it held by another one goes on without
    /// it until that has ended.
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
    /// Whether the keys that were last offered lack one that is in use.
    is_keyring_refused: AtomicBool,
    /// The records that the log has been told no key opens.
    unopenable: Mutex<BTreeSet<Uuid>>,
    journal: Option<Journal>,
    /// What tells other processes that this one uses the file.
    instance: OnceLock<Instance>,
    clock: Clock,
}

// === impl Store ===

impl Store {
    /// Opens the store: brings its tables up to date, moves what the journal holds into
    /// the database and, on SQLite, gives up on the intents and calls of the process before.
    /// If that still runs, this is done when they are overdue.
    ///
    /// # Errors
    /// [`Error::Settings`] and [`Error::MissingKeys`] need the operator,
    /// [`Error::Journal`] the machine, [`Error::Unavailable`] the database.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self, Error> {
        let location = Location::of(settings.url.expose_secret()).map_err(Error::Settings)?;
        let store = Self::open_beside(settings, clock).await?;
        if let Location::File(path) = location {
            store.enter(&path).await?;
        }
        Ok(store)
    }

    /// The same for a process that makes no calls: it gives up on nothing, and a gateway that
    /// starts meanwhile is alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_beside(settings: Settings, clock: Clock) -> Result<Self, Error> {
        let database = Database::open(&settings).await?;
        let journal = match settings.journal {
            Some(path) => Some(Journal::open(path, settings.timeout).await?),
            None => None,
        };
        let store = Self(Arc::new(Inner {
            database,
            keyring: RwLock::new(settings.keyring),
            is_keyring_refused: AtomicBool::default(),
            unopenable: Mutex::default(),
            journal,
            instance: OnceLock::new(),
            clock,
        }));
        store.refuse_missing_keys(&store.keyring()).await?;
        if let Err(error) = store.replay_journal().await {
            let error = error.chain();
            tracing::error!(error, "the journal of the store is not in the database yet");
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

    /// Uses other keys from now on, whatever is sealed with those before.
    pub fn set_keyring(&self, keyring: Keyring) {
        *self.0.keyring.write().unwrap_or_else(PoisonError::into_inner) = keyring;
        self.0.unopenable.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Uses other keys from now on, unless a key that is in use is not among them.
    ///
    /// # Errors
    /// [`Error::MissingKeys`] and [`Error::Unavailable`]: the keys are those before.
    pub async fn change_keyring(&self, keyring: Keyring) -> Result<(), Error> {
        let found = self.refuse_missing_keys(&keyring).await;
        let is_refused = matches!(found, Err(Error::MissingKeys(_)));
        self.0.is_keyring_refused.store(is_refused, Ordering::Relaxed);
        found?;
        self.set_keyring(keyring);
        Ok(())
    }

    /// Notes that what was offered last are no keys at all.
    pub fn refuse_keyring(&self) {
        self.0.is_keyring_refused.store(true, Ordering::Relaxed);
    }

    /// Whether the keys that were last offered were refused.
    pub fn is_keyring_refused(&self) -> bool {
        self.0.is_keyring_refused.load(Ordering::Relaxed)
    }

    /// The place of the emergency journal while another process holds it.
    pub fn journal_held_elsewhere(&self) -> Option<&Path> {
        let journal = self.0.journal.as_ref()?;
        journal.is_held_elsewhere().then(|| journal.path())
    }

    /// Takes the emergency journal if the process that held it has ended. Says whether it
    /// was taken just now.
    ///
    /// # Errors
    /// [`Error::Journal`]: it is held still, or cannot be opened.
    pub async fn take_over_journal(&self) -> Result<bool, Error> {
        let Some(journal) = &self.0.journal else { return Ok(false) };
        journal.take_over().await.map_err(Error::Journal)
    }

    /// Takes this process's place among those that use a file.
    async fn enter(&self, path: &Path) -> Result<(), Error> {
        let starting = Starting::beside(path).map_err(unlocked)?;
        if starting.is_alone() {
            self.flag_all(PROCESS_ENDED).await?;
            self.give_up_all().await?;
        }
        let instance = starting.started().await.map_err(unlocked)?;
        // There was none before: a store is opened once.
        self.0.instance.set(instance).ok();
        Ok(())
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

#[expect(clippy::needless_pass_by_value, reason = "it is used in map_err")]
fn unlocked(error: std::io::Error) -> Error {
    let what = "the file that shows who uses the database cannot be locked";
    Error::unavailable_with(what, error.kind().to_string())
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("backend", &self.0.database.backend).finish_non_exhaustive()
    }
}

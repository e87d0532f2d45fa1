//! The key pairs that are kept for sub-accounts.
//!
//! A partner shows such a key once, in the reply that makes it: it is written to the
//! store before its caller learns of it, and [`Intent`] stands for it from before the
//! partner is called. Calls use the keys through a cache, which is looked after often
//! enough to see what another replica or an operator changed, and which goes on while
//! the store is away.

mod intent;
mod opened;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) use intent::Intent;
use opened::{Found, Opened};

use super::KeyPair;
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome};
use crate::failpoint::{self, Point};
use crate::operation::Operation;
use crate::store::{self, CredentialKind, Name, New, NewIntent, Origin, Record, Store};

/// How long a call may still be under way after its last attempt must have ended: the
/// store's own time is in it.
const SETTLING: Duration = Duration::from_secs(30);
/// How soon what the store did not take is tried again, doubled up to the second.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// The kept key pairs of one partner. Clones share them.
#[derive(Clone)]
pub(crate) struct Vault(Arc<Inner>);

struct Inner {
    partner: &'static str,
    store: Store,
    clock: Clock,
    tasks: TaskTracker,
    stopping: CancellationToken,
    opened: Mutex<Opened>,
    /// When each account's key was last used, until that is in the store.
    used: Mutex<BTreeMap<String, Timestamp>>,
}

/// What a vault works with.
pub(crate) struct Means {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

/// Where an account's key was seen.
#[derive(Debug)]
enum Seen {
    Store(Option<KeyPair>),
    /// The store does not answer.
    Cache(KeyPair),
}

/// A key pair as the store has it.
#[derive(Deserialize)]
struct Kept {
    access_key: String,
    secret_key: SecretString,
}

// === impl Vault ===

impl Vault {
    /// The vault of `partner`, with nothing opened yet.
    pub(crate) fn new(partner: &'static str, means: Means) -> Self {
        let Means { store, clock, tasks, stopping } = means;
        let (opened, used) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { partner, store, clock, tasks, stopping, opened, used }))
    }

    /// The key pair that is kept for `account`.
    ///
    /// # Errors
    /// [`Kind::StoreUnavailable`] when the store does not answer and the key was not
    /// used of late; [`Kind::Internal`] when it cannot be decrypted.
    pub(super) async fn get(&self, account: &str) -> Result<Option<KeyPair>, Error> {
        let pair = self.find(account).await?;
        if pair.is_some() {
            locked(&self.0.used).insert(account.to_owned(), self.0.clock.now());
        }
        Ok(pair)
    }

    async fn find(&self, account: &str) -> Result<Option<KeyPair>, Error> {
        let (found, generation) = locked(&self.0.opened).find(account);
        let stale = match found {
            Found::Current(pair) => return Ok(Some(pair)),
            Found::Stale(pair) => Some(pair),
            Found::Nothing => None,
        };
        let found = self.0.store.get(&self.name(account)).await;
        match seen(found.map(|found| found.map(|(_, secret)| secret)), stale)? {
            Seen::Store(pair) => {
                locked(&self.0.opened).put(account, pair.clone(), generation);
                Ok(pair)
            }
            Seen::Cache(pair) => Ok(Some(pair)),
        }
    }

    /// Keeps a key pair that was issued elsewhere.
    ///
    /// # Errors
    /// As [`of_store`].
    pub(super) async fn import(&self, account: &str, pair: &KeyPair) -> Result<Record, Error> {
        let new = self.new_record(account, pair, Origin::Imported);
        let record = self.0.store.put(new).await.map_err(of_store)?;
        self.close(account);
        Ok(record)
    }

    /// Drops what is cached of `account`, so that the next call looks into the store.
    pub(super) fn close(&self, account: &str) {
        locked(&self.0.opened).close(account);
    }

    /// Writes down that a call to `operation` is about to make a key. It is durable when
    /// this returns.
    ///
    /// # Errors
    /// [`Kind::StoreUnavailable`]: the call must not be sent.
    pub(crate) async fn begin(
        &self,
        operation: &Operation,
        call_id: Uuid,
        settles_in: Duration,
    ) -> Result<Intent, Error> {
        let settles_by = self.0.clock.now().checked_add(settles_in.saturating_add(SETTLING));
        let intent = NewIntent {
            partner: self.0.partner.to_owned(),
            rpc: operation.rpc(),
            call_id,
            settles_by: settles_by.unwrap_or(Timestamp::MAX),
        };
        let begun = match failpoint::reach(Point::BeforeIntent).await {
            Ok(()) => self.0.store.begin_intent(intent).await,
            Err(failpoint::Injected) => Err(store::Error::Conflict),
        };
        let id = begun.map_err(of_store)?;
        Ok(Intent::new(id, self.clone()))
    }

    /// Forgets the key of an account that is gone at the partner.
    pub(crate) async fn forget(&self, account: String) {
        let (store, name) = (self.0.store.clone(), self.name(&account));
        self.close(&account);
        if let Err(error) = store.delete_named(&name).await {
            tracing::warn!(
                error = chain(&error),
                "the key of an account that is gone is still kept"
            );
            self.until_done(move || {
                let (store, name) = (store.clone(), name.clone());
                async move { store.delete_named(&name).await.map(|_| ()) }
            });
        }
    }

    /// Tells the store which keys were used since the last time.
    pub(crate) async fn note_uses(&self) {
        let used = std::mem::take(&mut *locked(&self.0.used));
        let named: Vec<_> = used.iter().map(|(account, at)| (self.name(account), *at)).collect();
        if !named.is_empty() && self.0.store.touch(&named).await.is_err() {
            // Kept for the next time; a later use is later.
            let mut newer = locked(&self.0.used);
            used.into_iter().for_each(|(account, at)| {
                newer.entry(account).or_insert(at);
            });
        }
    }

    fn name(&self, account: &str) -> Name {
        let partner = self.0.partner.to_owned();
        Name { partner, kind: CredentialKind::KeyPair, account: account.to_owned() }
    }

    fn new_record(&self, account: &str, pair: &KeyPair, origin: Origin) -> New {
        New { name: self.name(account), secret: write(pair), expires: None, renews: None, origin }
    }

    /// Does `work` in the background, again and again until it is done. When the gateway
    /// stops it is tried for the last time.
    fn until_done<F>(&self, work: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Result<(), store::Error>> + Send,
    {
        let stopping = self.0.stopping.clone();
        self.0.tasks.spawn(async move {
            let mut pause = FIRST_RETRY;
            loop {
                let is_last = tokio::select! {
                    () = tokio::time::sleep(pause) => false,
                    () = stopping.cancelled() => true,
                };
                match work().await {
                    Ok(()) => return,
                    Err(error) if is_last => {
                        return tracing::error!(
                            error = chain(&error),
                            "the store has not taken it"
                        );
                    }
                    Err(_) => pause = (pause * 2).min(LAST_RETRY),
                }
            }
        });
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("partner", &self.0.partner).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(pair: &KeyPair) -> SecretString {
    let KeyPair { access_key, secret_key } = pair;
    let secret_key = secret_key.expose_secret();
    serde_json::json!({"access_key": access_key, "secret_key": secret_key}).to_string().into()
}

/// Reads what [`write`] wrote.
pub(crate) fn read(secret: &SecretString) -> Result<KeyPair, Error> {
    let kept = serde_json::from_str(secret.expose_secret());
    // The cause would quote it.
    let Kept { access_key, secret_key } =
        kept.map_err(|_| Error::internal("a kept key pair cannot be read"))?;
    Ok(KeyPair { access_key, secret_key })
}

/// What counts: what the store has, or while it does not answer what it had.
fn seen(
    found: Result<Option<SecretString>, store::Error>,
    stale: Option<KeyPair>,
) -> Result<Seen, Error> {
    match (found, stale) {
        (Ok(found), _) => Ok(Seen::Store(found.as_ref().map(read).transpose()?)),
        // What cannot be a name has no key.
        (Err(store::Error::InvalidName), _) => Ok(Seen::Store(None)),
        (Err(error), Some(stale)) if is_outage(&error) => Ok(Seen::Cache(stale)),
        (Err(error), _) => Err(of_store(error)),
    }
}

/// An error and its causes, on one line.
fn chain(error: &store::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Whether the store may answer later what it does not answer now.
fn is_outage(error: &store::Error) -> bool {
    matches!(error, store::Error::Unavailable(_) | store::Error::Conflict)
}

/// What a failure of the store is to a call that waits for it; nothing was sent.
pub(crate) fn of_store(error: store::Error) -> Error {
    let kind = if is_outage(&error) || matches!(error, store::Error::Unkept { .. }) {
        Kind::StoreUnavailable
    } else {
        Kind::Internal
    };
    Error::new(kind, Outcome::NotSent).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Damage;

    fn pair(name: &str) -> KeyPair {
        KeyPair { access_key: name.to_owned(), secret_key: "secret".into() }
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is() {
        let kept = KeyPair { access_key: "a\"b".into(), secret_key: "s\\\n\u{1F511}".into() };
        let again = read(&write(&kept)).unwrap();
        assert_eq!(again.access_key, kept.access_key);
        assert_eq!(again.secret_key.expose_secret(), kept.secret_key.expose_secret());
        let error = read(&r#"{"secret_key":"canary"}"#.into()).unwrap_err();
        assert!(!format!("{error:?}").contains("canary"));
    }

    #[test]
    fn while_the_store_is_away_a_key_that_was_in_use_goes_on() {
        let away = || Err(store::Error::Conflict);
        let broken = || Err(store::Error::Corrupt(Damage::Column));
        let is_cached = |found, stale| matches!(seen(found, stale), Ok(Seen::Cache(_)));
        assert!(is_cached(away(), Some(pair("old"))));
        assert!(!is_cached(broken(), Some(pair("old"))), "that does not pass by itself");
        assert!(matches!(seen(Ok(None), Some(pair("old"))), Ok(Seen::Store(None))), "it is gone");
        let Ok(Seen::Store(Some(new))) = seen(Ok(Some(write(&pair("new")))), Some(pair("old")))
        else {
            panic!("the store comes first")
        };
        assert_eq!(new.access_key, "new");
        assert!(matches!(seen(Err(store::Error::InvalidName), None), Ok(Seen::Store(None))));
        let kind = |found| seen(found, None).unwrap_err().kind().clone();
        assert_eq!((kind(away()), kind(broken())), (Kind::StoreUnavailable, Kind::Internal));
    }
}

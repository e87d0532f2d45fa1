//! The key pairs that are kept for sub-accounts.
//!
//! A partner shows such a key once, in the reply that makes it: it is written to the
//! store before its caller learns of it, and [`Intent`] stands for it from before the
//! partner is called. Calls use the keys through a cache, which is looked after often
//! enough to see what another replica or an operator changed, and which goes on while
//! the store is away.

mod cache;
mod held;
mod intent;
mod opened;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use cache::Cache;
use held::Fate;
pub(crate) use intent::Intent;
use opened::Looked;

use super::KeyPair;
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome};
use crate::failpoint::{self, Point};
use crate::operation::Operation;
use crate::store::{self, CredentialKind, Damage, Name, New, NewIntent, Origin, Record, Store};

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
    cache: Cache,
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
        let (looked_in, used) = (store.clone(), Mutex::default());
        let look_up = move |account: &str| {
            let (store, name) = (looked_in.clone(), name(partner, account));
            async move { seen(store.get(&name).await) }.boxed()
        };
        let cache = Cache::new(Box::new(look_up), tasks.clone());
        Self(Arc::new(Inner { partner, store, clock, tasks, stopping, cache, used }))
    }

    /// The key pair that is kept for `account`.
    ///
    /// # Errors
    /// [`Kind::StoreUnavailable`] when the store does not answer and the key was not
    /// used of late; [`Kind::Internal`] when it cannot be decrypted.
    pub(super) async fn get(&self, account: &str) -> Result<Option<KeyPair>, Error> {
        let pair = self.0.cache.find(account).await?;
        if pair.is_some() {
            locked(&self.0.used).insert(account.to_owned(), self.0.clock.now());
        }
        Ok(pair)
    }

    /// Keeps a key pair that was issued elsewhere.
    ///
    /// # Errors
    /// As [`of_store`].
    pub(super) async fn import(&self, account: &str, pair: &KeyPair) -> Result<Record, Error> {
        let new = self.new_record(account, pair, Origin::Imported);
        let held = self.0.cache.opened().held(account);
        let put = match &held {
            None => self.0.store.put(new).await,
            Some(held) => {
                // Else the one that is held might be written after this one.
                let mut fate = held.fate().await;
                let put = self.0.store.put(new).await;
                if put.is_ok() {
                    *fate = Fate::Superseded;
                }
                put
            }
        };
        match put {
            Ok(_) => self.0.cache.opened().replace(account, Some(pair.clone())),
            // It may be kept nevertheless.
            Err(_) => self.0.cache.opened().refresh(account),
        }
        put.map_err(of_store)
    }

    /// Has the next call look into the store: the partner refuses the key of `account`.
    pub(super) fn refresh(&self, account: &str) {
        self.0.cache.opened().refresh(account);
    }

    /// Drops what is known of `account`, whose key was deleted. One that is only held is
    /// not written any more.
    pub(super) async fn forget(&self, account: &str) {
        let held = self.0.cache.opened().held(account);
        if let Some(held) = held {
            *held.fate().await = Fate::Superseded;
        }
        self.0.cache.opened().replace(account, None);
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

    /// Deletes the key of an account that is gone at the partner.
    pub(crate) async fn delete(&self, account: String) {
        let (store, name) = (self.0.store.clone(), name(self.0.partner, &account));
        self.forget(&account).await;
        let deleted = store.delete_named(&name).await;
        // Nor what a look has read meanwhile.
        self.0.cache.opened().replace(&account, None);
        if let Err(error) = deleted {
            tracing::warn!(
                error = error.chain(),
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
        let named = used.iter().map(|(account, at)| (name(self.0.partner, account), *at));
        let named: Vec<_> = named.collect();
        if named.is_empty() {
            return;
        }
        if let Err(error) = self.0.store.touch(&named).await {
            tracing::debug!(error = error.chain(), "uses of keys are noted later");
            // Kept for the next time; a later use is later.
            let mut newer = locked(&self.0.used);
            used.into_iter().for_each(|(account, at)| {
                newer.entry(account).or_insert(at);
            });
        }
    }

    fn new_record(&self, account: &str, pair: &KeyPair, origin: Origin) -> New {
        let (name, secret) = (name(self.0.partner, account), write(pair));
        New { name, secret, expires: None, renews: None, origin }
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
                            error = error.chain(),
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

fn name(partner: &str, account: &str) -> Name {
    let (partner, account) = (partner.to_owned(), account.to_owned());
    Name { partner, kind: CredentialKind::KeyPair, account }
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

/// What the store's answer says of the key.
fn seen(found: Result<Option<(Record, SecretString)>, store::Error>) -> Looked {
    match found {
        Ok(None) => Ok(None),
        Ok(Some((_, secret))) => match read(&secret) {
            Ok(pair) => Ok(Some(pair)),
            Err(_) => Err(Arc::new(store::Error::Corrupt(Damage::Column))),
        },
        // What cannot be a name has no key.
        Err(store::Error::InvalidName) => Ok(None),
        Err(error) => Err(Arc::new(error)),
    }
}

/// Whether the store may answer later what it does not answer now. A record under a key
/// that this process has not read yet is one that waits for it.
fn is_outage(error: &store::Error) -> bool {
    use store::Error::{Conflict, Unavailable, UnknownKey};
    matches!(error, Unavailable(_) | UnknownKey(_) | Conflict)
}

/// What a failure of the store is to a call that waits for it; nothing was sent.
pub(crate) fn of_store(error: store::Error) -> Error {
    unanswered(Arc::new(error))
}

/// The same, for a failure that several calls wait for.
fn unanswered(error: Arc<store::Error>) -> Error {
    let kind = if is_outage(&error) || matches!(*error, store::Error::Unkept { .. }) {
        Kind::StoreUnavailable
    } else {
        Kind::Internal
    };
    Error::new(kind, Outcome::NotSent).with_source(error)
}

#[cfg(test)]
mod tests;

//! The way to an account's key: out of memory, or by a look into the store.
//!
//! A look is a task of its own, for all callers that need it: a caller that goes away
//! stops waiting and nothing else, and the store is asked once however many there are.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::opened::{Found, Look, Looked, Looking, Opened};
use super::unanswered;
use crate::credentials::KeyPair;
use crate::error::Error;

/// How long a caller that has a key waits for what the store says of it. One that answers
/// at all does so in this time.
const SOON: Duration = Duration::from_millis(100);

/// Looks into the store, in bounded time.
pub(super) type LookUp = Box<dyn Fn(&str) -> BoxFuture<'static, Looked> + Send + Sync>;

/// The keys of one partner's accounts. Clones share them.
#[derive(Clone)]
pub(super) struct Cache(Arc<Shared>);

struct Shared {
    look_up: LookUp,
    tasks: TaskTracker,
    opened: Mutex<Opened>,
}

// === impl Cache ===

impl Cache {
    pub(super) fn new(look_up: LookUp, tasks: TaskTracker) -> Self {
        Self(Arc::new(Shared { look_up, tasks, opened: Mutex::default() }))
    }

    /// The key of `account`. May be dropped while it waits.
    ///
    /// # Errors
    /// As [`super::of_store`], if nothing is known of the key.
    pub(super) async fn find(&self, account: &str) -> Result<Option<KeyPair>, Error> {
        let (found, looking) = self.opened().find(account);
        if let Some(looking) = looking {
            self.look(account, looking);
        }
        match found {
            Found::Known(pair) => Ok(pair),
            Found::Stale(pair, look) => timeout(SOON, ended(look)).await.unwrap_or(Ok(Some(pair))),
            Found::Asked(look) => ended(look).await,
        }
    }

    /// What is in memory.
    pub(super) fn opened(&self) -> MutexGuard<'_, Opened> {
        self.0.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, account: &str, looking: Looking) {
        let (cache, account) = (self.clone(), account.to_owned());
        self.0.tasks.spawn(async move {
            let looked = (cache.0.look_up)(&account).await;
            cache.opened().end(&account, &looking, looked);
        });
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// What a look has seen, once it has ended.
async fn ended(mut look: Look) -> Result<Option<KeyPair>, Error> {
    match look.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(looked)) => looked.clone().map_err(unanswered),
        Ok(None) | Err(_) => Err(Error::internal("a look into the store was cut off")),
    }
}

#[cfg(test)]
mod tests;

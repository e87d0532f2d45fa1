//! What a renewal could not bring to the store: refresh tokens that nothing else has, and
//! leases that are still held.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use crate::store::{Error, New, Predecessor, Store};

/// What is left to do when the store is back, by user.
#[derive(Default)]
pub(super) struct Left(Mutex<State>);

#[derive(Default)]
struct State {
    unkept: BTreeMap<String, Arc<Unkept>>,
    unreleased: BTreeMap<String, Uuid>,
}

/// A grant that neither the store nor its journal has.
pub(super) struct Unkept {
    pub(super) new: New,
    pub(super) place: Place,
}

/// Which record it is for.
pub(super) enum Place {
    /// The one that it was made from.
    Of(Predecessor),
    /// That of the user, unless it was replaced after this.
    Put(Timestamp),
}

// === impl Left ===

impl Left {
    /// Holds a grant until it is kept.
    pub(super) fn hold(&self, new: New, place: Place) {
        let user = new.name.account.clone();
        self.state().unkept.insert(user, Arc::new(Unkept { new, place }));
    }

    /// Forgets the grant of a user.
    pub(super) fn forget(&self, user: &str) {
        self.state().unkept.remove(user);
    }

    /// The users whose grants are here only.
    pub(super) fn users(&self) -> Vec<String> {
        self.state().unkept.keys().cloned().collect()
    }

    /// Keeps the grant of a user that is here, if there is one and the store takes it.
    pub(super) async fn keep(&self, user: &str, store: &Store) -> Result<(), Error> {
        let Some(held) = self.state().unkept.get(user).cloned() else { return Ok(()) };
        held.keep(store).await?;
        let mut state = self.state();
        // Another may have come meanwhile.
        if state.unkept.get(user).is_some_and(|current| Arc::ptr_eq(current, &held)) {
            state.unkept.remove(user);
        }
        Ok(())
    }

    /// Notes that this holder could not give up the user's lease: who begins as this one
    /// need not wait for its end.
    pub(super) fn note_holder(&self, user: &str, holder: Uuid) {
        self.state().unreleased.insert(user.to_owned(), holder);
    }

    /// The holder that was noted.
    pub(super) fn take_holder(&self, user: &str) -> Option<Uuid> {
        self.state().unreleased.remove(user)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Unkept ===

impl Unkept {
    async fn keep(&self, store: &Store) -> Result<(), Error> {
        let is_kept = match &self.place {
            Place::Of(before) => store.succeed(before, self.new.clone()).await?.is_some(),
            Place::Put(at) => {
                let found = store.get(&self.new.name).await?;
                let is_ours = found.is_none_or(|(record, _)| record.updated <= *at);
                if is_ours {
                    store.keep(self.new.clone()).await?;
                }
                is_ours
            }
        };
        match is_kept {
            true => tracing::info!("the refresh token of a user that was in memory is kept"),
            false => tracing::warn!("a user's grant was replaced before it was kept"),
        }
        Ok(())
    }
}

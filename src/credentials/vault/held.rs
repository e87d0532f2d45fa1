//! A key that neither the database nor the journal has taken yet.
//!
//! Whoever holds it writes it until the store has it, or until it is said that another
//! key took its place or that its account is gone. That it is not found somewhere, as
//! when a partner refuses it once, says nothing: it is the only copy.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use crate::credentials::KeyPair;

/// The only copy of a key. Clones are of the same one.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) pair: KeyPair,
    fate: Arc<Mutex<Fate>>,
}

/// Whether a key that is held is still to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// The account's key.
    #[default]
    Wanted,
    /// There is a newer one, or the account is gone.
    Superseded,
}

// === impl Held ===

impl Held {
    pub(super) fn new(pair: KeyPair) -> Self {
        Self { pair, fate: Arc::default() }
    }

    /// Whether it is to be written. Nobody else writes a key of the account, or changes
    /// this, until the guard is gone.
    pub(super) async fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().await
    }

    /// Whether the other is of the same key.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.fate, &other.fate)
    }
}

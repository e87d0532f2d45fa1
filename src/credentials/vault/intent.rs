//! A call that may make a key, from before it is sent until the key is kept.
//!
//! | the call | its intent |
//! |---|---|
//! | had no effect, or made no key | is dropped |
//! | made a key, and the database has it | is gone with the same commit |
//! | made a key, and only the emergency journal has it | stays open until the database has it |
//! | made a key, and only this process has it | is flagged; the key is used and tried again, whoever refuses it |
//! | the same, and the account has a newer key or is gone | is dropped |
//! | the same, and another replica was given a key of the account | stays flagged; that one counts |
//! | made a key that cannot be read | is flagged |
//! | ended, and nobody knows whether it made a key | is flagged |
//! | never ended: the process died, or it was dropped | is flagged, by the store or by `Drop` |
//!
//! So a key that a partner has issued is kept, or a person is told to look (S14).

use tokio::runtime::Handle;
use uuid::Uuid;

use super::Vault;
use super::held::{Fate, Held};
use crate::credentials::KeyPair;
use crate::failpoint::{self, Point};
use crate::store::{self, Kept, New, Origin};

/// Nobody waited for the end of the call.
const ABANDONED: &str = "CALL_CUT_OFF";
/// The key is known and is in a process's memory only.
const NOT_DURABLE: &str = "KEY_NOT_DURABLE";

/// An open intent. It must be settled: one that is just dropped is flagged.
#[derive(Debug)]
#[must_use]
pub(crate) struct Intent {
    id: Uuid,
    vault: Vault,
    is_settled: bool,
}

impl Intent {
    pub(super) fn new(id: Uuid, vault: Vault) -> Self {
        Self { id, vault, is_settled: false }
    }

    /// Keeps the key that the call made. Whether it is durable: if not, it is held in
    /// memory, and tried again until the gateway ends.
    pub(crate) async fn fulfil(mut self, account: String, pair: KeyPair) -> bool {
        let new = self.vault.new_record(&account, &pair, Origin::Issued);
        // A key of the account that is still held has had its time.
        let older = self.vault.0.cache.opened().held(&account);
        if let Some(older) = older {
            *older.fate().await = Fate::Superseded;
        }
        let kept = match failpoint::reach(Point::BeforeCommit).await {
            Ok(()) => self.vault.0.store.fulfil_intent(self.id, new.clone()).await,
            Err(failpoint::Injected) => Err(store::Error::Conflict),
        };
        self.is_settled = true;
        match kept {
            Ok(kept) => {
                if let Kept::Journalled(_) = kept {
                    tracing::warn!(intent = %self.id, "a new key is in the emergency journal");
                }
                // Only now: what was read before does not count any more.
                self.vault.0.cache.opened().replace(&account, Some(pair));
                true
            }
            Err(error) => {
                tracing::error!(
                    intent = %self.id, error = error.chain(),
                    "a new key is in this process's memory only, and is tried again"
                );
                self.hold(account, pair, new);
                false
            }
        }
    }

    /// Ends the intent of a call that made no key. Nobody waits for it: its caller may
    /// have been told already that nothing was sent.
    pub(crate) fn discard(mut self) {
        self.is_settled = true;
        let (vault, id) = (self.vault.clone(), self.id);
        self.vault.0.tasks.spawn(async move {
            let store = vault.0.store.clone();
            if store.drop_intent(id).await.is_err() {
                vault.until_done(move || {
                    let store = store.clone();
                    async move { store.drop_intent(id).await }
                });
            }
        });
    }

    /// Tells that nobody knows whether the call made a key, or what it is.
    pub(crate) async fn flag(mut self, reason: &'static str) {
        tracing::warn!(intent = %self.id, reason, "a key may have been issued that is not kept");
        let flagged = self.vault.0.store.flag_intent(self.id, reason).await;
        self.is_settled = true;
        if let Err(error) = flagged {
            tracing::warn!(intent = %self.id, error = error.chain(), "it is flagged later");
            self.flag_later(reason);
        }
    }

    /// What [`fulfil`](Self::fulfil) does with a key that nothing takes.
    #[cfg(test)]
    pub(super) fn keep_in_memory(mut self, account: String, pair: KeyPair, new: New) {
        self.is_settled = true;
        self.hold(account, pair, new);
    }

    /// Uses the key from memory, and goes on trying to write it until the store has it or
    /// it is superseded.
    fn hold(&self, account: String, pair: KeyPair, new: New) {
        let (vault, id, held) = (self.vault.clone(), self.id, Held::new(pair));
        vault.0.cache.opened().hold(&account, held.clone());
        self.vault.until_done(move || {
            let (vault, account) = (vault.clone(), account.clone());
            let (held, new) = (held.clone(), new.clone());
            async move { vault.write_held(id, &account, &held, new).await }
        });
    }

    fn flag_later(&self, reason: &'static str) {
        let (store, id) = (self.vault.0.store.clone(), self.id);
        self.vault.until_done(move || {
            let store = store.clone();
            async move { store.flag_intent(id, reason).await }
        });
    }
}

// === impl Vault ===

impl Vault {
    /// Writes a key that is held, once more.
    async fn write_held(
        &self,
        id: Uuid,
        account: &str,
        held: &Held,
        new: New,
    ) -> Result<(), store::Error> {
        let fate = held.fate().await;
        if *fate == Fate::Superseded {
            return self.0.store.drop_intent(id).await;
        }
        // First the flag: whatever happens to the process, somebody is told.
        let flagged = self.0.store.flag_intent(id, NOT_DURABLE).await;
        if let Err(error) = &flagged {
            tracing::debug!(intent = %id, error = error.chain(), "it is not flagged yet");
        }
        if let Some((other, _)) = self.0.store.get(&new.name).await?
            && other.origin == Origin::Imported
        {
            // Somebody has put one at another replica, and judges by the flag which counts.
            flagged?;
            self.0.cache.opened().replace(account, None);
            tracing::warn!(intent = %id, "a key that was in memory only made way for one that was put");
            return Ok(());
        }
        self.0.store.fulfil_intent(id, new).await?;
        self.0.cache.opened().release(account, held);
        tracing::info!(intent = %id, "a key that was in memory only is kept");
        Ok(())
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        // Without a runtime the process ends, and the store finds the intent open.
        if !self.is_settled && Handle::try_current().is_ok() {
            self.flag_later(ABANDONED);
        }
    }
}

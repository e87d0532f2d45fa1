//! What is in the journal: written there when the database fails, found by those who
//! look for it, and carried to the database when that is back.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::credentials::{find, version_of};
use super::journal::Entry;
use super::row::Credential;
use super::{Error, Name, New, Predecessor, Record, Store};

// === impl Store ===

impl Store {
    /// Carries what the journal holds to the database. Says how many keys it was. What
    /// cannot be carried stays where it is, and does not keep the others from it.
    ///
    /// # Errors
    /// Why the first of those that stay does.
    pub async fn replay_journal(&self) -> Result<usize, Error> {
        let Some(journal) = &self.0.journal else { return Ok(0) };
        let mut carried = 0;
        let mut failure = None;
        for entry in journal.entries() {
            let done = async {
                self.carry(&entry).await?;
                journal.settle(entry.credential.record.id).await.map_err(Error::Journal)
            };
            match done.await {
                Ok(()) => carried += 1,
                Err(error @ (Error::Unavailable(_) | Error::Journal(_))) => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(carried), Err)
    }

    /// How many keys are in the journal and not in the database.
    pub fn journalled(&self) -> usize {
        self.0.journal.as_ref().map_or(0, |journal| journal.entries().len())
    }

    /// Writes a key to the journal, after the database failed with `error`.
    pub(super) async fn journal(
        &self,
        intent: Uuid,
        new: &New,
        id: Uuid,
        now: Timestamp,
        error: Error,
    ) -> Result<Record, Error> {
        self.journal_after(None, intent, new, id, now, error).await
    }

    /// Writes a key to the journal, together with what it takes the place of.
    pub(super) async fn journal_after(
        &self,
        before: Option<Predecessor>,
        intent: Uuid,
        new: &New,
        id: Uuid,
        now: Timestamp,
        error: Error,
    ) -> Result<Record, Error> {
        let Some(journal) = &self.0.journal else {
            return Err(Error::Unkept { store: Box::new(error), journal: None });
        };
        let record = version_of(new, id, now, None);
        let credential = Credential::seal(&self.keyring(), record, &new.secret)?;
        let record = credential.record.clone();
        tracing::error!(
            error = error.chain(),
            "the database does not take a key: it goes to the journal"
        );
        match journal.append(Entry { intent, before, credential }).await {
            Ok(()) => Ok(record),
            Err(failure) => {
                Err(Error::Unkept { store: Box::new(error), journal: Some(failure.kind()) })
            }
        }
    }

    /// The latest key of a name that is in the journal.
    pub(super) fn journalled_as(
        &self,
        name: &Name,
    ) -> Result<Option<(Record, SecretString)>, Error> {
        self.find_journalled(|record| record.name == *name)
    }

    /// The key of an id that is in the journal.
    pub(super) fn journalled_with_id(
        &self,
        id: Uuid,
    ) -> Result<Option<(Record, SecretString)>, Error> {
        self.find_journalled(|record| record.id == id)
    }

    /// Removes keys from the journal. Returns one of them.
    pub(super) async fn forget_journalled(
        &self,
        is_meant: impl Fn(&Record) -> bool,
    ) -> Result<Option<Record>, Error> {
        let mut forgotten = None;
        let Some(journal) = &self.0.journal else { return Ok(None) };
        for entry in journal.entries() {
            let record = entry.credential.record;
            if is_meant(&record) {
                journal.settle(record.id).await.map_err(Error::Journal)?;
                forgotten = Some(record);
            }
        }
        Ok(forgotten)
    }

    /// The ids of the keys that seal the journal's entries.
    pub(super) fn journal_kek_ids(&self) -> impl Iterator<Item = String> + use<> {
        let entries = self.0.journal.as_ref().map(super::Journal::entries).unwrap_or_default();
        entries.into_iter().map(|entry| entry.credential.record.kek_id)
    }

    fn find_journalled(
        &self,
        is_meant: impl Fn(&Record) -> bool,
    ) -> Result<Option<(Record, SecretString)>, Error> {
        let entries = self.0.journal.as_ref().map(super::Journal::entries).unwrap_or_default();
        let found = entries.into_iter().rev().find(|entry| is_meant(&entry.credential.record));
        let Some(Entry { credential, .. }) = found else { return Ok(None) };
        let secret = credential.open(&self.keyring())?;
        Ok(Some((credential.record, secret)))
    }

    /// Carries one entry to the database. Doing it again changes nothing.
    async fn carry(&self, entry: &Entry) -> Result<(), Error> {
        let record = &entry.credential.record;
        let new = New {
            name: record.name.clone(),
            secret: entry.credential.open(&self.keyring())?,
            expires: record.expires,
            renews: record.renews,
            origin: record.origin,
        };
        let work = async {
            let mut connection = self.0.database.acquire().await?;
            let mut transaction = self.0.database.begin(&mut connection).await?;
            match &entry.before {
                Some(before) => {
                    let written = self.write_after(&mut transaction, before, &new, record.created);
                    if written.await?.is_none() {
                        tracing::warn!(id = %record.id, "what a key of the journal was to replace is gone or was replaced by another: the key is dropped");
                    }
                }
                None => {
                    let found = find(&mut transaction, &record.name).await?;
                    if found.is_none_or(|found| self.is_older(&found, record, &new.secret)) {
                        self.write(&mut transaction, &new, record.id, record.created).await?;
                    }
                }
            }
            super::intents::remove(&mut transaction, entry.intent).await?;
            Ok(transaction.commit().await?)
        };
        self.0.database.within(work).await
    }

    /// Whether a key in the database is to be replaced by one from the journal: it is
    /// neither that key itself nor one that was kept after it.
    fn is_older(&self, found: &Credential, record: &Record, secret: &SecretString) -> bool {
        let is_same = |kept: SecretString| kept.expose_secret() == secret.expose_secret();
        if found.record.id == record.id || found.open(&self.keyring()).is_ok_and(is_same) {
            return false;
        }
        let is_older = found.record.updated <= record.created;
        if !is_older {
            tracing::warn!(id = %record.id, "a key of the journal was replaced by a later one before it was kept");
        }
        is_older
    }
}

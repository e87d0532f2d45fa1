//! Secrets that take the place of the one that they were made from: a refresh token that
//! was rotated. The one before is used up by then, so that the new one must not be lost,
//! and must not undo what others did to the record meanwhile either.
//!
//! Versions decide that, and secrets; clocks do not.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::credentials::{find, update, version_of};
use super::row::Credential;
use super::{Error, Kept, Name, New, Record, Store};

/// How often a write starts over when others write the same record.
const ATTEMPTS: u32 = 100;

/// What a secret takes the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// The record's id: one that was deleted and put again is another.
    pub(super) id: Uuid,
    /// The version that was read.
    pub(super) version: i64,
    /// Digests of the secrets whose place it takes at any version.
    pub(super) over: Vec<String>,
}

// === impl Predecessor ===

impl Predecessor {
    /// This version of the record and no other.
    pub fn of(record: &Record) -> Self {
        Self { id: record.id, version: record.version, over: Vec::new() }
    }

    /// The record's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Or any version of it with this secret.
    #[must_use]
    pub fn or(mut self, secret: &SecretString) -> Self {
        self.over.push(of_secret(secret));
        self
    }
}

/// A secret's digest. It tells nothing of a token: those cannot be guessed.
fn of_secret(secret: &SecretString) -> String {
    STANDARD.encode(digest(&SHA256, secret.expose_secret().as_bytes()))
}

// === impl Store ===

impl Store {
    /// Keeps a secret in the place of `before`: in the journal if the database does not
    /// take it, from where it is carried under the same condition. `None` if the record
    /// is gone or has become another since, which stays.
    ///
    /// # Errors
    /// [`Error::Unkept`]: it is nowhere but with the caller. Doing it again is safe.
    pub async fn succeed(&self, before: &Predecessor, new: New) -> Result<Option<Kept>, Error> {
        let (id, now) = (Uuid::now_v7(), self.now());
        let work = async {
            let mut connection = self.0.database.acquire().await?;
            self.write_after(&mut connection, before, &new, now).await
        };
        match self.0.database.within(work).await {
            Ok(written) => Ok(written.map(Kept::Committed)),
            Err(error) => {
                let before = Some(before.clone());
                let journalled = self.journal_after(before, Uuid::nil(), &new, id, now, error);
                journalled.await.map(|record| Some(Kept::Journalled(record)))
            }
        }
    }

    /// Whether a secret of that name is in the journal and not in the database yet.
    pub fn is_journalled(&self, name: &Name) -> bool {
        let entries = self.0.journal.as_ref().map(super::Journal::entries).unwrap_or_default();
        entries.iter().any(|entry| entry.credential.record.name == *name)
    }

    /// Writes `new` if the record is still what it takes the place of. Doing it again
    /// changes nothing.
    pub(super) async fn write_after(
        &self,
        connection: &mut AnyConnection,
        before: &Predecessor,
        new: &New,
        now: Timestamp,
    ) -> Result<Option<Record>, Error> {
        for _ in 0..ATTEMPTS {
            let found = find(connection, &new.name).await?;
            let Some(found) = found.filter(|found| found.record.id == before.id) else {
                return Ok(None);
            };
            if found.record.version != before.version {
                let secret = found.open(&self.keyring())?;
                if secret.expose_secret() == new.secret.expose_secret() {
                    return Ok(Some(found.record));
                }
                if !before.over.contains(&of_secret(&secret)) {
                    return Ok(None);
                }
            }
            let record = version_of(new, found.record.id, now, Some(found.record));
            let credential = Credential::seal(&self.keyring(), record, &new.secret)?;
            if update(connection, &credential).await? {
                return Ok(Some(credential.record));
            }
        }
        Err(Error::Conflict)
    }
}

#[cfg(test)]
mod tests;

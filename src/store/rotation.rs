//! A new key-encryption key: the data key of every credential and every kept answer is
//! wrapped anew, a batch at a time, while the store is in use. A round that is cut short is taken up by the next one.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use sqlx::Row as _;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::row::{Credential, credential_columns};
use super::{Error, Rotation, Store};
use crate::seal::Keyring;

/// How many records are read at a time.
const PAGE: i64 = 100;

const UNDER_ANOTHER: &str = concat!(
    "SELECT ",
    credential_columns!(),
    " FROM credentials WHERE kek_id <> $1 AND id > $2 ORDER BY id LIMIT $3"
);
const REWRAP: &str =
    "UPDATE credentials SET secret = $1, kek_id = $2 WHERE id = $3 AND secret = $4";
const LEFT: &str = "SELECT (SELECT COUNT(*) FROM credentials WHERE kek_id <> $1) \
     + (SELECT COUNT(*) FROM requests WHERE kek_id <> $1)";
const IN_USE: &str = "SELECT kek_id FROM credentials UNION \
     SELECT kek_id FROM requests WHERE kek_id IS NOT NULL";

// === impl Store ===

impl Store {
    /// Wraps the data keys of up to `batch` records under the keyring's first key. When
    /// nothing is left, no other key is needed any more. A record that no key opens is
    /// left as it is and logged; so is one that is only in the journal.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: what was done so far stays done.
    pub async fn rotate(&self, batch: u32) -> Result<Rotation, Error> {
        let keyring = self.keyring();
        let mut rewrapped = 0;
        let mut last = String::new();
        loop {
            let page = self.under_another(&keyring, &last).await?;
            let Some(end) = page.last() else { break };
            last = end.record.id.to_string();
            for credential in &page {
                if rewrapped == u64::from(batch) {
                    return self.rotated(&keyring, rewrapped).await;
                }
                rewrapped += u64::from(self.rewrap(&keyring, credential).await?);
            }
        }
        rewrapped += self.rotate_requests(&keyring, u64::from(batch) - rewrapped).await?;
        self.rotated(&keyring, rewrapped).await
    }

    /// Refuses a keyring that lacks a key which is in use.
    pub(super) async fn refuse_missing_keys(&self, keyring: &Keyring) -> Result<(), Error> {
        let rows = self.0.database.rows(sqlx::query(IN_USE)).await?;
        let id = |row: &AnyRow| Ok(row.try_get::<String, _>("kek_id")?);
        let mut missing = rows.iter().map(id).collect::<Result<BTreeSet<_>, Error>>()?;
        missing.extend(self.journal_kek_ids());
        for id in keyring.ids() {
            missing.remove(&id.to_string());
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Error::MissingKeys(missing.into_iter().collect()))
        }
    }

    async fn under_another(
        &self,
        keyring: &Keyring,
        after: &str,
    ) -> Result<Vec<Credential>, Error> {
        let query = sqlx::query(UNDER_ANOTHER).bind(keyring.first_id().to_string());
        let query = query.bind(after).bind(PAGE);
        let rows = self.0.database.rows(query).await?;
        rows.iter().map(Credential::read).collect()
    }

    /// Says whether it did; not if somebody else changed the record meanwhile.
    async fn rewrap(&self, keyring: &Keyring, old: &Credential) -> Result<bool, Error> {
        let new = match old.rewrap(keyring) {
            Ok(Some(new)) => new,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.tell_unopenable(old.record.id, &error);
                return Ok(false);
            }
        };
        let query = sqlx::query(REWRAP)
            .bind(new.secret)
            .bind(new.record.kek_id)
            .bind(new.record.id.to_string())
            .bind(&old.secret);
        Ok(self.0.database.change(query).await? == 1)
    }

    /// Once for each record, however often it is met.
    pub(super) fn tell_unopenable(&self, id: Uuid, error: &Error) {
        let mut told = self.0.unopenable.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(id) {
            let error = error.chain();
            tracing::error!(error, %id, "a record of the store cannot be opened");
        }
    }

    async fn rotated(&self, keyring: &Keyring, rewrapped: u64) -> Result<Rotation, Error> {
        let first = keyring.first_id().to_string();
        let left = self.0.database.count(sqlx::query(LEFT).bind(&first)).await?;
        let journalled = self.journal_kek_ids().filter(|id| *id != first).count();
        Ok(Rotation { rewrapped, left: left + u64::try_from(journalled).unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::super::{CredentialKind, Name, New, Origin};
    use super::*;
    use crate::clock::Clock;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn s16_a_record_that_no_key_opens_is_logged_once() {
        let store = Store::in_memory(Clock::system()).await.unwrap();
        let name =
            Name { partner: "acme".into(), kind: CredentialKind::KeyPair, account: "M1".into() };
        let (secret, origin) = ("canary".into(), Origin::Imported);
        store.put(New { name, secret, expires: None, renews: None, origin }).await.unwrap();
        let old = store.keyring().first_id();
        store.set_keyring(Keyring::generate().unwrap());
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let logging = tracing::subscriber::set_default(lines);
        for _ in 0..3 {
            assert_eq!(store.rotate(10).await.unwrap().left, 1);
        }
        drop(logging);
        let told = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(told.matches("cannot be opened").count(), 1, "{told}");
        assert!(told.contains(&old.to_string()) && !told.contains("canary"), "{told}");
    }
}

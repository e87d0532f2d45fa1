//! A new key-encryption key: the data key of every credential and every kept answer is
//! wrapped anew, a batch at a time, while the store is in use. A round that is cut short is
//! taken up by the next one.
//!
//! Rows are looked for by the keys that they need no more, not by the one that they should
//! be under: an index leads to those, and where there are none this costs one look at it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::PoisonError;

use sqlx::Row as _;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::requests::Request;
use super::row::{self, Credential, credential_columns};
use super::{Error, Rotation, Store};
use crate::seal::{Identity, Keyring, Sealed};

/// The statements on a table whose rows hold something sealed.
pub(super) struct Statements {
    /// The ids of all keys that rows are under: each leads to the next one in the index, so
    /// that it does not matter how many rows there are.
    pub(super) keys: &'static str,
    /// The first rows under the key $1 behind the id $2.
    pub(super) page: &'static str,
    /// How many rows are under the key $1, as far as it matters: this is asked after each
    /// batch, and must not take longer than the batch did.
    pub(super) count: &'static str,
    /// Replaces what is sealed by $1, under the key $2, in the row $3 if that still holds $4.
    pub(super) rewrap: &'static str,
}

/// The statements on `$table`, whose `$columns` hold something sealed in `$sealed`; of so
/// many rows at a time.
macro_rules! statements {
    ($table:literal, $columns:expr, $sealed:literal, $page:literal) => {
        Statements {
            keys: concat!(
                "WITH RECURSIVE used (kek_id) AS (SELECT '' UNION ALL \
                 SELECT (SELECT MIN(kek_id) FROM ",
                $table,
                " WHERE kek_id > used.kek_id) FROM used WHERE used.kek_id IS NOT NULL) \
                 SELECT kek_id FROM used WHERE kek_id <> ''"
            ),
            page: concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $table,
                " WHERE kek_id = $1 AND id > $2 ORDER BY id LIMIT ",
                $page
            ),
            count: concat!(
                "SELECT COUNT(*) FROM (SELECT id FROM ",
                $table,
                " WHERE kek_id = $1 LIMIT 100000) AS counted"
            ),
            rewrap: concat!(
                "UPDATE ",
                $table,
                " SET ",
                $sealed,
                " = $1, kek_id = $2 WHERE id = $3 AND ",
                $sealed,
                " = $4"
            ),
        }
    };
}
pub(super) use statements;

/// A row that holds something sealed.
pub(super) trait Holder: Sized {
    const SQL: Statements;

    fn read(row: &AnyRow) -> Result<Self, Error>;
    /// What its seal binds; its id is the row's.
    fn identity(&self) -> Identity<'_>;
    /// What is sealed.
    fn bytes(&self) -> &[u8];
}

// === impl Store ===

impl Store {
    /// Wraps the data keys of up to `batch` records under the keyring's first key. When
    /// nothing is left, no other key is needed any more. A record that no key opens is
    /// left as it is and logged; so is one that is only in the journal.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: what was done so far stays done.
    pub async fn rotate(&self, batch: u32) -> Result<Rotation, Error> {
        let (keyring, batch) = (self.keyring(), u64::from(batch));
        let first = keyring.first_id().to_string();
        let credentials = self.rotate_all::<Credential>(&keyring, batch).await?;
        let rest = batch - credentials.rewrapped;
        let requests = self.rotate_all::<Request>(&keyring, rest).await?;
        let journalled = self.journal_kek_ids().filter(|id| *id != first).count();
        let journalled = u64::try_from(journalled).unwrap_or_default();
        Ok(Rotation {
            rewrapped: credentials.rewrapped + requests.rewrapped,
            left: credentials.left + requests.left + journalled,
        })
    }

    /// Refuses a keyring that lacks a key which is in use.
    pub(super) async fn refuse_missing_keys(&self, keyring: &Keyring) -> Result<(), Error> {
        let mut missing = self.keys_of::<Credential>().await?;
        missing.extend(self.keys_of::<Request>().await?);
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

    /// The same for the rows of one table.
    async fn rotate_all<T: Holder>(
        &self,
        keyring: &Keyring,
        batch: u64,
    ) -> Result<Rotation, Error> {
        let mut done = Rotation { rewrapped: 0, left: 0 };
        let mut others = self.keys_of::<T>().await?;
        others.remove(&keyring.first_id().to_string());
        for key in others {
            let rest = batch - done.rewrapped;
            done.rewrapped += self.rotate_under::<T>(keyring, &key, rest).await?;
            done.left += self.0.database.count(sqlx::query(T::SQL.count).bind(&key)).await?;
        }
        Ok(done)
    }

    /// The same for those under one key. Says how many it did.
    async fn rotate_under<T: Holder>(
        &self,
        keyring: &Keyring,
        key: &str,
        batch: u64,
    ) -> Result<u64, Error> {
        let (mut rewrapped, mut last, mut page) = (0, String::new(), VecDeque::new());
        while rewrapped < batch {
            if page.is_empty() {
                let query = sqlx::query(T::SQL.page).bind(key).bind(&last);
                let rows = self.0.database.rows(query).await?;
                page = rows.iter().map(T::read).collect::<Result<_, Error>>()?;
            }
            let Some(row) = page.pop_front() else { break };
            rewrapped += u64::from(self.rewrap(keyring, &row).await?);
            last = row.identity().id.to_string();
        }
        Ok(rewrapped)
    }

    /// The ids of the keys that the rows of one table are under.
    async fn keys_of<T: Holder>(&self) -> Result<BTreeSet<String>, Error> {
        let rows = self.0.database.rows(sqlx::query(T::SQL.keys)).await?;
        rows.iter().map(|row| Ok(row.try_get("kek_id")?)).collect()
    }

    /// Says whether it did; not if somebody else changed the record meanwhile.
    async fn rewrap<T: Holder>(&self, keyring: &Keyring, old: &T) -> Result<bool, Error> {
        let id = old.identity().id;
        let new = match rewrapped(keyring, old) {
            Ok(Some(new)) => new,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.tell_unopenable(id, &error);
                return Ok(false);
            }
        };
        let query = sqlx::query(T::SQL.rewrap)
            .bind(new.to_bytes())
            .bind(new.kek_id().to_string())
            .bind(id.to_string())
            .bind(old.bytes());
        Ok(self.0.database.change(query).await? == 1)
    }

    /// Once for each record, however often it is met.
    fn tell_unopenable(&self, id: Uuid, error: &Error) {
        let mut told = self.0.unopenable.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(id) {
            let error = error.chain();
            tracing::error!(error, %id, "a record of the store cannot be opened");
        }
    }
}

// === impl Credential ===

impl Holder for Credential {
    const SQL: Statements = statements!("credentials", credential_columns!(), "secret", 100);

    fn read(row: &AnyRow) -> Result<Self, Error> {
        Self::read(row)
    }

    fn identity(&self) -> Identity<'_> {
        row::identity(&self.record)
    }

    fn bytes(&self) -> &[u8] {
        &self.secret
    }
}

/// What a row holds with its data key under the keyring's first key; `None` if it is there.
fn rewrapped(keyring: &Keyring, old: &impl Holder) -> Result<Option<Sealed>, Error> {
    let sealed = Sealed::from_bytes(old.bytes())?;
    Ok(keyring.rewrap(&old.identity(), &sealed)?)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use sqlx::AssertSqlSafe;

    use super::super::{CredentialKind, Name, New, Origin};
    use super::*;
    use crate::clock::Clock;

    /// However many rows there are. What costs one look in a database without rows costs
    /// one in any.
    #[tokio::test]
    async fn s16_every_row_is_found_over_the_index_of_the_keys() {
        async fn assert_of<T: Holder>(store: &Store, index: &str) {
            let (keys, page, count) = (T::SQL.keys, T::SQL.page, T::SQL.count);
            for (sql, bound) in
                [(keys, "(kek_id>?)"), (page, "(kek_id=? AND id>?)"), (count, "(kek_id=?)")]
            {
                let plan = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
                let plan =
                    store.0.database.rows(sqlx::query(plan).bind("").bind("")).await.unwrap();
                let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
                let reads: Vec<_> = plan.iter().filter(|it| !it.ends_with("used")).collect();
                assert!(
                    reads.iter().any(|it| it.ends_with(&format!("{index} {bound}"))),
                    "{plan:?}"
                );
                for other in ["SCAN credentials", "SCAN requests", "TEMP B-TREE"] {
                    assert!(!reads.iter().any(|it| it.contains(other)), "{plan:?}");
                }
            }
        }
        let store = Store::in_memory(Clock::system()).await.unwrap();
        assert_of::<Credential>(&store, "INDEX credentials_kek").await;
        assert_of::<Request>(&store, "INDEX requests_kek").await;
    }

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

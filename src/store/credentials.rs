//! Keeping credentials: each name once, its versions counted, a replacement only of the
//! version that was read.

use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::AnyConnection;
use uuid::Uuid;

use super::row::{Credential, credential_columns, kept, micros};
use super::{Cursor, Error, Filter, Name, New, Page, Record, Store};

/// How often a write starts over when others write the same name.
const ATTEMPTS: u32 = 100;

/// How many uses are noted in one transaction.
const CHUNK: usize = 200;

const FIND: &str = concat!(
    "SELECT ",
    credential_columns!(),
    " FROM credentials WHERE partner = $1 AND kind = $2 AND account = $3"
);
const FIND_BY_ID: &str =
    concat!("SELECT ", credential_columns!(), " FROM credentials WHERE id = $1");
const INSERT: &str = concat!(
    "INSERT INTO credentials (",
    credential_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING"
);
const UPDATE: &str = "UPDATE credentials SET version = $1, secret = $2, kek_id = $3, origin = $4, \
     updated = $5, expires = $6, renews = $7 WHERE id = $8 AND version = $9";
const DELETE: &str =
    concat!("DELETE FROM credentials WHERE id = $1 RETURNING ", credential_columns!());
const DELETE_NAMED: &str = concat!(
    "DELETE FROM credentials WHERE partner = $1 AND kind = $2 AND account = $3 RETURNING ",
    credential_columns!()
);
const TOUCH: &str = "UPDATE credentials SET last_used = $1 WHERE partner = $2 AND kind = $3 \
     AND account = $4 AND (last_used IS NULL OR last_used < $1)";
const LIST: &str = concat!(
    "SELECT ",
    credential_columns!(),
    " FROM credentials WHERE ($1 IS NULL OR partner = $1) AND ($2 IS NULL OR kind = $2) \
     AND ($3 IS NULL OR substr(account, 1, length($3)) = $3) AND ($4 IS NULL OR id > $4) \
     ORDER BY id LIMIT $5"
);

// === impl Store ===

impl Store {
    /// Keeps a credential. One of the same name is replaced.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it may be kept or not; putting it again is safe.
    pub async fn put(&self, new: New) -> Result<Record, Error> {
        let (id, now) = (Uuid::now_v7(), self.now());
        let work = async {
            let mut connection = self.0.database.acquire().await?;
            self.write(&mut connection, &new, id, now).await
        };
        self.0.database.within(work).await
    }

    /// The credential of a name, and its secret. One that is only in the journal so far
    /// is found as well, when the database is away too.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if its secret cannot be opened.
    pub async fn get(&self, name: &Name) -> Result<Option<(Record, SecretString)>, Error> {
        let journalled = self.journalled_as(name)?;
        let work = async {
            let mut connection = self.0.database.acquire().await?;
            find(&mut connection, name).await
        };
        let found = self.0.database.within(work).await;
        match (found, journalled) {
            (Ok(Some(found)), Some(journalled)) if found.record.updated >= journalled.0.updated => {
                self.opened(Some(found))
            }
            (_, Some(journalled)) => Ok(Some(journalled)),
            (found, None) => self.opened(found?),
        }
    }

    /// The credential of an id, and its secret.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if its secret cannot be opened.
    pub async fn get_by_id(&self, id: Uuid) -> Result<Option<(Record, SecretString)>, Error> {
        let query = sqlx::query(FIND_BY_ID).bind(id.to_string());
        let found = self.0.database.rows(query).await;
        match found.and_then(|rows| rows.first().map(Credential::read).transpose()) {
            Ok(Some(found)) => self.opened(Some(found)),
            found => match self.journalled_with_id(id)? {
                Some(journalled) => Ok(Some(journalled)),
                None => self.opened(found?),
            },
        }
    }

    /// Replaces the secret of a name if it is still at `expected_version`. Says whether
    /// it was.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it may be replaced or not; its version tells.
    pub async fn replace(
        &self,
        name: &Name,
        expected_version: i64,
        secret: &SecretString,
        expires: Option<Timestamp>,
        renews: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let work = async {
            let mut connection = self.0.database.acquire().await?;
            let found = find(&mut connection, name).await?;
            let Some(old) = found.filter(|old| old.record.version == expected_version) else {
                return Ok(false);
            };
            let record = Record {
                version: expected_version + 1,
                updated: self.now(),
                expires: expires.map(kept),
                renews: renews.map(kept),
                ..old.record
            };
            update(&mut connection, &Credential::seal(&self.keyring(), record, secret)?).await
        };
        self.0.database.within(work).await
    }

    /// Deletes a credential with its data key, so that no copy of its secret can be
    /// opened any more. Returns what it was.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it may be deleted or not.
    pub async fn delete(&self, id: Uuid) -> Result<Option<Record>, Error> {
        let query = sqlx::query(DELETE).bind(id.to_string());
        let deleted = first(&self.0.database.rows(query).await?)?;
        self.erase(deleted, |record| record.id == id).await
    }

    /// Deletes the credential of a name as [`delete`](Self::delete) does.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it may be deleted or not.
    pub async fn delete_named(&self, name: &Name) -> Result<Option<Record>, Error> {
        if !is_storable(name) {
            return Ok(None);
        }
        let query = sqlx::query(DELETE_NAMED).bind(&name.partner).bind(name.kind.as_str());
        let query = query.bind(&name.account);
        let deleted = first(&self.0.database.rows(query).await?)?;
        self.erase(deleted, |record| record.name == *name).await
    }

    /// The credentials that a filter lets through, oldest first, without their secrets.
    /// What is only in the journal is not among them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn list(
        &self,
        filter: &Filter,
        page_size: u32,
        after: Option<Cursor>,
    ) -> Result<Page<Record>, Error> {
        let texts = [&filter.partner, &filter.account_prefix];
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return Ok(Page::of(Vec::new(), page_size, |record: &Record| record.id));
        }
        let query = sqlx::query(LIST)
            .bind(&filter.partner)
            .bind(filter.kind.map(super::CredentialKind::as_str))
            .bind(&filter.account_prefix)
            .bind(after.map(|after| after.0.to_string()))
            .bind(i64::from(page_size) + 1);
        let rows = self.0.database.rows(query).await?;
        let read = |row| Ok(Credential::read(row)?.record);
        let items = rows.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
        Ok(Page::of(items, page_size, |record: &Record| record.id))
    }

    /// Notes when credentials were used, some hundred at a time, so that however many
    /// they are each statement has its time. A time before the one that is known is ignored.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some of them may be noted; noting them again is safe.
    pub async fn touch(&self, used: &[(Name, Timestamp)]) -> Result<(), Error> {
        // In one order everywhere, or two replicas would wait for each other.
        let mut used: Vec<_> = used.iter().filter(|(name, _)| is_storable(name)).collect();
        used.sort();
        for chunk in used.chunks(CHUNK) {
            self.0.database.within(self.touch_all(chunk)).await?;
        }
        Ok(())
    }

    async fn touch_all(&self, used: &[&(Name, Timestamp)]) -> Result<(), Error> {
        let mut connection = self.0.database.acquire().await?;
        let mut transaction = self.0.database.begin(&mut connection).await?;
        for (name, time) in used {
            let query = sqlx::query(TOUCH).bind(time.as_microsecond()).bind(&name.partner);
            let query = query.bind(name.kind.as_str()).bind(&name.account);
            query.execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Keeps `new`, under `id` if the name is not there.
    pub(super) async fn write(
        &self,
        connection: &mut AnyConnection,
        new: &New,
        id: Uuid,
        now: Timestamp,
    ) -> Result<Record, Error> {
        if !is_storable(&new.name) {
            return Err(Error::InvalidName);
        }
        for _ in 0..ATTEMPTS {
            let found = find(connection, &new.name).await?;
            let is_first = found.is_none();
            let record = version_of(new, id, now, found.map(|found| found.record));
            let credential = Credential::seal(&self.keyring(), record, &new.secret)?;
            let is_written = match is_first {
                true => insert(connection, &credential).await?,
                false => update(connection, &credential).await?,
            };
            if is_written {
                return Ok(credential.record);
            }
        }
        Err(Error::Conflict)
    }

    fn opened(&self, found: Option<Credential>) -> Result<Option<(Record, SecretString)>, Error> {
        let Some(found) = found else { return Ok(None) };
        let secret = found.open(&self.keyring())?;
        Ok(Some((found.record, secret)))
    }

    /// Removes what a deleted credential left elsewhere.
    async fn erase(
        &self,
        deleted: Option<Record>,
        is_same: impl Fn(&Record) -> bool,
    ) -> Result<Option<Record>, Error> {
        let journalled = self.forget_journalled(is_same).await?;
        if deleted.is_some() {
            self.0.database.purge().await;
        }
        Ok(deleted.or(journalled))
    }
}

/// The record that `new` becomes.
pub(super) fn version_of(new: &New, id: Uuid, now: Timestamp, old: Option<Record>) -> Record {
    Record {
        id: old.as_ref().map_or(id, |old| old.id),
        name: new.name.clone(),
        version: old.as_ref().map_or(1, |old| old.version + 1),
        created: old.as_ref().map_or(now, |old| old.created),
        updated: now,
        last_used: old.and_then(|old| old.last_used),
        expires: new.expires.map(kept),
        renews: new.renews.map(kept),
        origin: new.origin,
        kek_id: String::new(),
    }
}

/// Whether a database can hold the name: it may be a caller's own words.
pub(super) fn is_storable(name: &Name) -> bool {
    !name.partner.contains('\0') && !name.account.contains('\0')
}

pub(super) async fn find(
    connection: &mut AnyConnection,
    name: &Name,
) -> Result<Option<Credential>, Error> {
    if !is_storable(name) {
        return Ok(None);
    }
    let query = sqlx::query(FIND).bind(&name.partner).bind(name.kind.as_str());
    let row = query.bind(&name.account).fetch_optional(connection).await?;
    row.as_ref().map(Credential::read).transpose()
}

/// Says whether the name was free.
async fn insert(connection: &mut AnyConnection, new: &Credential) -> Result<bool, Error> {
    let record = &new.record;
    let query = sqlx::query(INSERT)
        .bind(record.id.to_string())
        .bind(&record.name.partner)
        .bind(record.name.kind.as_str())
        .bind(&record.name.account)
        .bind(record.version)
        .bind(&new.secret)
        .bind(&record.kek_id)
        .bind(record.origin.as_str())
        .bind(record.created.as_microsecond())
        .bind(record.updated.as_microsecond())
        .bind(micros(record.last_used))
        .bind(micros(record.expires))
        .bind(micros(record.renews));
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// Says whether the version before was still the current one.
pub(super) async fn update(
    connection: &mut AnyConnection,
    new: &Credential,
) -> Result<bool, Error> {
    let record = &new.record;
    let query = sqlx::query(UPDATE)
        .bind(record.version)
        .bind(&new.secret)
        .bind(&record.kek_id)
        .bind(record.origin.as_str())
        .bind(record.updated.as_microsecond())
        .bind(micros(record.expires))
        .bind(micros(record.renews))
        .bind(record.id.to_string())
        .bind(record.version - 1);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

fn first(rows: &[sqlx::any::AnyRow]) -> Result<Option<Record>, Error> {
    let first = rows.first().map(Credential::read).transpose()?;
    Ok(first.map(|credential| credential.record))
}

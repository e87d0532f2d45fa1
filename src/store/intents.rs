//! Intents: that a key which is shown once is about to be made.
//!
//! One is written before the partner is called and goes, in the same transaction, when
//! the key is kept. What is left of a crash is an intent without a key: it is flagged,
//! because nobody knows whether the partner issued one.

use sqlx::AnyConnection;
use uuid::Uuid;

use super::{Cursor, Error, Intent, IntentFilter, Kept, New, NewIntent, Page, Store, row};

/// The reason of intents that nobody settled in time.
const OVERDUE: &str = "NO_ANSWER_IN_TIME";

const BEGIN: &str = "INSERT INTO intents (id, partner, rpc, call_id, created, settles_by) \
     VALUES ($1, $2, $3, $4, $5, $6)";
const DROP: &str = "DELETE FROM intents WHERE id = $1";
const DISMISS: &str = "DELETE FROM intents WHERE id = $1 AND flagged IS NOT NULL";
const FLAG: &str = "UPDATE intents SET flagged = $1, reason = $2 WHERE id = $3";
const FLAG_OVERDUE: &str = "UPDATE intents SET flagged = $1, reason = $2 \
     WHERE flagged IS NULL AND settles_by < $3";
const LIST: &str = "SELECT id, partner, rpc, call_id, created, settles_by, flagged, reason \
     FROM intents WHERE ($1 IS NULL OR partner = $1) \
     AND ($2 IS NULL OR (flagged IS NOT NULL AND $2 = 1) OR (flagged IS NULL AND $2 = 0)) \
     AND ($3 IS NULL OR id > $3) ORDER BY id LIMIT $4";
const COUNT: &str = "SELECT COUNT(*) FROM intents WHERE flagged IS NOT NULL";

// === impl Store ===

impl Store {
    /// Writes an intent. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the partner must not be called.
    pub async fn begin_intent(&self, intent: NewIntent) -> Result<Uuid, Error> {
        let id = Uuid::now_v7();
        let query = sqlx::query(BEGIN)
            .bind(id.to_string())
            .bind(intent.partner)
            .bind(intent.rpc)
            .bind(intent.call_id.to_string())
            .bind(self.now().as_microsecond())
            .bind(intent.settles_by.as_microsecond());
        self.0.database.change(query).await?;
        Ok(id)
    }

    /// Keeps the key that was issued and removes its intent, both or neither. When the
    /// database does not take it, the journal does; the key is on a disk when this
    /// returns. A flagged intent, or one that is gone, does not keep it from that.
    ///
    /// # Errors
    /// [`Error::Unkept`]: the key is nowhere but with the caller.
    pub async fn fulfil_intent(&self, id: Uuid, new: New) -> Result<Kept, Error> {
        let (record_id, now) = (Uuid::now_v7(), self.now());
        let work = async {
            let mut connection = self.0.database.acquire().await?;
            let mut transaction = self.0.database.begin(&mut connection).await?;
            let record = self.write(&mut transaction, &new, record_id, now).await?;
            remove(&mut transaction, id).await?;
            transaction.commit().await?;
            Ok(record)
        };
        match self.0.database.within(work).await {
            Ok(record) => Ok(Kept::Committed(record)),
            Err(error) => self.journal(id, &new, record_id, now, error).await.map(Kept::Journalled),
        }
    }

    /// Keeps a credential that must not be lost, as [`fulfil_intent`](Self::fulfil_intent)
    /// does: in the journal if the database does not take it.
    ///
    /// # Errors
    /// [`Error::Unkept`]: it is nowhere but with the caller.
    pub async fn keep(&self, new: New) -> Result<Kept, Error> {
        self.fulfil_intent(Uuid::nil(), new).await
    }

    /// Removes an intent of which no key came.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it may stay, and be flagged later.
    pub async fn drop_intent(&self, id: Uuid) -> Result<(), Error> {
        self.0.database.change(sqlx::query(DROP).bind(id.to_string())).await.map(drop)
    }

    /// Says that nobody knows whether a key was issued.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it is flagged later, when it is overdue.
    pub async fn flag_intent(&self, id: Uuid, reason: &'static str) -> Result<(), Error> {
        let query = sqlx::query(FLAG).bind(self.now().as_microsecond()).bind(reason);
        self.0.database.change(query.bind(id.to_string())).await.map(drop)
    }

    /// Flags the intents whose call must be over. Says how many they were.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the next time does it.
    pub async fn flag_overdue(&self) -> Result<u64, Error> {
        let now = self.now().as_microsecond();
        self.0.database.change(sqlx::query(FLAG_OVERDUE).bind(now).bind(OVERDUE).bind(now)).await
    }

    /// The intents that a filter lets through, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn intents(
        &self,
        filter: &IntentFilter,
        page_size: u32,
        after: Option<Cursor>,
    ) -> Result<Page<Intent>, Error> {
        let query = sqlx::query(LIST)
            .bind(&filter.partner)
            .bind(filter.flagged.map(i64::from))
            .bind(after.map(|after| after.0.to_string()))
            .bind(i64::from(page_size) + 1);
        let rows = self.0.database.rows(query).await?;
        let items = rows.iter().map(row::intent).collect::<Result<Vec<_>, Error>>()?;
        Ok(Page::of(items, page_size, |intent: &Intent| intent.id))
    }

    /// How many intents are flagged.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn flagged_intents(&self) -> Result<u64, Error> {
        self.0.database.count(sqlx::query(COUNT)).await
    }

    /// Removes a flagged intent that an operator has dealt with. Says whether it was there.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it may be removed or not.
    pub async fn dismiss_intent(&self, id: Uuid) -> Result<bool, Error> {
        Ok(self.0.database.change(sqlx::query(DISMISS).bind(id.to_string())).await? == 1)
    }

    /// Flags every open intent.
    pub(super) async fn flag_all(&self, reason: &'static str) -> Result<u64, Error> {
        let query = sqlx::query(FLAG_OVERDUE).bind(self.now().as_microsecond()).bind(reason);
        self.0.database.change(query.bind(i64::MAX)).await
    }
}

/// Removes an intent, if it is there.
pub(super) async fn remove(connection: &mut AnyConnection, id: Uuid) -> Result<(), Error> {
    sqlx::query(DROP).bind(id.to_string()).execute(connection).await?;
    Ok(())
}

//! Calls that are done once for each request id, whichever replica they come to.
//!
//! A record is written before the partner is sent anything, and says how the call ended
//! for as long as its caller may ask again. What a process that died leaves behind is a
//! record without an end: its outcome is unknown, and it is never done again.

mod record;
mod rotation;

use secrecy::SecretSlice;
use sqlx::AnyConnection;
use tokio::time::{Duration, Instant};

pub(super) use record::Request;
pub use record::{End, Found, NewRequest, RequestKey, RequestState, Retention, Unopened};

use super::database::{Backend, Query};
use super::{Error, Store, row};

/// How often opening starts over when a record comes or goes meanwhile.
const ATTEMPTS: u32 = 100;
/// How many records are deleted in one statement, and for how long at a time: whoever looks
/// after the store has more to do, and comes again.
const CHUNK: i64 = 500;
const EXPIRING: Duration = Duration::from_secs(1);
/// What a store in memory may grow to before no new record is made.
const ROOM: u64 = 64 * 1024 * 1024;

const FIND: &str = "SELECT id, key, partner, rpc, fingerprint, state, settles_by, ended, answer, \
     kek_id FROM requests WHERE key = $1";
const INSERT: &str = "INSERT INTO requests \
     (id, key, partner, rpc, call_id, fingerprint, state, created, settles_by) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
// An end is written whether its record is there or not: a standby that took over may never
// have seen it, and the id would be free. An answer stands above all else, and stays.
const DONE: &str = "INSERT INTO requests (id, key, partner, rpc, call_id, fingerprint, state, \
     created, settles_by, ended, answer, kek_id) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
     ON CONFLICT (key) DO UPDATE SET id = excluded.id, call_id = excluded.call_id, \
     fingerprint = excluded.fingerprint, state = excluded.state, ended = excluded.ended, \
     answer = excluded.answer, kek_id = excluded.kek_id WHERE requests.state <> excluded.state";
const UNKNOWN: &str = "INSERT INTO requests \
     (id, key, partner, rpc, call_id, fingerprint, state, created, settles_by, ended) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
     ON CONFLICT (key) DO UPDATE SET state = excluded.state, ended = excluded.ended \
     WHERE requests.state = $11";
const GIVE_UP: &str = "UPDATE requests SET state = $1, ended = $2 WHERE id = $3 AND state = $4";
/// Deletes a record if it still is what it was.
const DROP: &str = "DELETE FROM requests WHERE id = $1 AND state = $2";
const OVERDUE: &str = "UPDATE requests SET state = $1, ended = $2 \
     WHERE state = $3 AND settles_by < $4";
const EXPIRE: &str = "DELETE FROM requests WHERE id IN \
     (SELECT id FROM requests WHERE state = $1 AND ended < $2 LIMIT $3)";
const USED: &str = "SELECT (page_count - freelist_count) * page_size \
     FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()";

// === impl Store ===

impl Store {
    /// Finds the record of a call, or makes it; then it is on the disk when this returns.
    /// Of several that try at once, one makes it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nothing may be sent; what is returned tells whether the record
    /// may be there. [`Error::Corrupt`] and [`Error::UnknownKey`]: the call had its effect,
    /// and its answer cannot be read.
    pub async fn open_request(
        &self,
        new: &NewRequest,
        keeps: &Retention,
    ) -> Result<Found, Unopened> {
        let mut may_exist = false;
        let work = async {
            let mut connection = self.0.database.acquire().await?;
            for _ in 0..ATTEMPTS {
                match find(&mut connection, &new.key).await? {
                    Some(request) if request.is_over(self.now(), keeps) => {
                        drop_over(&mut connection, &request).await?;
                    }
                    Some(request) if request.is_overdue(self.now()) => {
                        self.give_up(&mut connection, &request).await?;
                    }
                    Some(request) => return self.found(&request, new),
                    None if !self.has_room(&mut connection).await? => return Ok(Found::Full),
                    None => {
                        may_exist = true;
                        if self.insert(&mut connection, new).await? {
                            return Ok(Found::New);
                        }
                        may_exist = false;
                    }
                }
            }
            Err(Error::Conflict)
        };
        let found = self.0.database.within(work).await;
        found.map_err(|error| Unopened { error, may_exist })
    }

    /// Says how a call ended, also if its record is gone. It is on the disk when this returns.
    /// Says whether that changed anything.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: saying it again is safe.
    pub async fn end_request(&self, new: &NewRequest, end: &End) -> Result<bool, Error> {
        let now = self.now().as_microsecond();
        let query = match end {
            End::Done(answer) => {
                let sealed = self.keyring().seal(&new.key.identity(new.id), answer)?;
                self.row(DONE, new, RequestState::Done)
                    .bind(now)
                    .bind(sealed.to_bytes())
                    .bind(sealed.kek_id().to_string())
            }
            End::Unknown => self
                .row(UNKNOWN, new, RequestState::Unknown)
                .bind(now)
                .bind(RequestState::Started.as_str()),
            // Not one that was given up on: somebody has been told so, and may have done it
            // anew under another id.
            End::Forgotten => {
                sqlx::query(DROP).bind(new.id.to_string()).bind(RequestState::Started.as_str())
            }
        };
        Ok(self.0.database.change(query).await? > 0)
    }

    /// Gives up on the calls that must be over and whose end nobody told. Says how many
    /// they were.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the next time does it.
    pub async fn give_up_overdue(&self) -> Result<u64, Error> {
        self.give_up_before(self.now().as_microsecond()).await
    }

    /// Deletes records that nobody may ask for any more. Says how many they were; there may
    /// be more of them.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the next time does it.
    pub async fn expire_requests(&self, keeps: &Retention) -> Result<u64, Error> {
        let (mut expired, begun) = (0, Instant::now());
        for state in [RequestState::Done, RequestState::Unknown] {
            let before = keeps.since(state, self.now()).as_microsecond();
            loop {
                let query = sqlx::query(EXPIRE).bind(state.as_str()).bind(before).bind(CHUNK);
                let deleted = self.0.database.change(query).await?;
                expired += deleted;
                if deleted < CHUNK.unsigned_abs() || begun.elapsed() >= EXPIRING {
                    break;
                }
            }
        }
        Ok(expired)
    }

    /// Gives up on every call without an end: their process is gone.
    pub(super) async fn give_up_all(&self) -> Result<u64, Error> {
        self.give_up_before(i64::MAX).await
    }

    async fn give_up_before(&self, settles_by: i64) -> Result<u64, Error> {
        let query = sqlx::query(OVERDUE)
            .bind(RequestState::Unknown.as_str())
            .bind(self.now().as_microsecond())
            .bind(RequestState::Started.as_str())
            .bind(settles_by);
        self.0.database.change(query).await
    }

    /// Gives up on a call that the sweep has not come by yet. Whoever asked is told that its
    /// outcome is unknown, and that must be in the database by then: nothing frees the id any
    /// more. An answer that comes after all takes its place.
    async fn give_up(&self, on: &mut AnyConnection, request: &Request) -> Result<(), Error> {
        let query = sqlx::query(GIVE_UP)
            .bind(RequestState::Unknown.as_str())
            .bind(self.now().as_microsecond())
            .bind(request.id.to_string())
            .bind(RequestState::Started.as_str());
        query.execute(on).await?;
        Ok(())
    }

    /// What a record that is there says to a call with its key.
    fn found(&self, request: &Request, new: &NewRequest) -> Result<Found, Error> {
        match request.state {
            _ if request.fingerprint != new.fingerprint => Ok(Found::Other),
            RequestState::Started => Ok(Found::InFlight),
            RequestState::Unknown => Ok(Found::Unknown),
            RequestState::Done => self.answer(request).map(Found::Done),
        }
    }

    fn answer(&self, request: &Request) -> Result<SecretSlice<u8>, Error> {
        let sealed = request.sealed()?;
        Ok(self.keyring().open(&request.key.identity(request.id), &sealed)?)
    }

    /// Says whether the record was made; not if there is one of the key.
    async fn insert(&self, on: &mut AnyConnection, new: &NewRequest) -> Result<bool, Error> {
        let query = self.row(INSERT, new, RequestState::Started);
        Ok(query.execute(on).await?.rows_affected() == 1)
    }

    /// A statement that begins with the values of every row.
    fn row<'q>(&self, sql: &'static str, new: &NewRequest, state: RequestState) -> Query<'q> {
        sqlx::query(sql)
            .bind(new.id.to_string())
            .bind(new.key.digest().to_owned())
            .bind(new.key.partner().to_owned())
            .bind(new.key.rpc().to_owned())
            .bind(new.call_id.to_string())
            .bind(new.fingerprint.to_vec())
            .bind(state.as_str())
            .bind(self.now().as_microsecond())
            .bind(row::kept(new.settles_by).as_microsecond())
    }

    /// Whether another record may be made. A disk says so itself when it is full.
    async fn has_room(&self, on: &mut AnyConnection) -> Result<bool, Error> {
        if self.0.database.backend != Backend::Memory {
            return Ok(true);
        }
        let used: i64 = sqlx::query_scalar(USED).fetch_one(on).await?;
        Ok(used.unsigned_abs() < ROOM)
    }
}

async fn find(on: &mut AnyConnection, key: &RequestKey) -> Result<Option<Request>, Error> {
    let row = sqlx::query(FIND).bind(key.digest()).fetch_optional(on).await?;
    row.as_ref().map(Request::read).transpose()
}

/// Deletes a record whose time is over, if it still is what it was.
async fn drop_over(on: &mut AnyConnection, request: &Request) -> Result<(), Error> {
    let query = sqlx::query(DROP).bind(request.id.to_string()).bind(request.state.as_str());
    query.execute(on).await?;
    Ok(())
}

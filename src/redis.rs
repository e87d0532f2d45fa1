//! What replicas share over Redis: a value with a life, the lease on replacing it, and what
//! is left of a quota.
//!
//! Redis is a help and never a condition. Each operation is bounded by `PATIENCE`, and
//! whatever goes wrong is one error, `Away`, that says no more: its text could hold what
//! the server was sent. A connection that is lost, or on which no answer came in time, is
//! made anew by the next operation: of a server that is gone without a word its connections
//! never hear.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, RedisError, Script};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// The longest that an operation may take.
const PATIENCE: Duration = Duration::from_millis(200);
/// The largest value that is read, in bytes.
const MAX_VALUE: isize = 64 * 1024;

/// Writes the value unless its end has come, or somebody else holds the lease, and gives up
/// the lease. A server that hung does late what it was asked for: so it is told a moment of
/// its own clock, and no length of time.
const PUBLISH: &str = "\
    local holder = redis.call('GET', KEYS[2]) \
    if holder and holder ~= ARGV[1] then return 0 end \
    local time = redis.call('TIME') \
    local left = ARGV[3] - time[1] * 1000 - math.ceil(time[2] / 1000) \
    if left > 0 then redis.call('SET', KEYS[1], ARGV[2], 'PX', left) end \
    if holder then redis.call('DEL', KEYS[2]) end \
    return 1";

/// Gives up the lease, if it is still this holder's.
const RELEASE: &str = "\
    if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end \
    return 0";

/// Counts a request of a quota by the generic cell rate algorithm, if its time has come: the
/// value is when the next one is due, in microseconds. A value that is none is as good as
/// nothing, and none is further away than a burst puts it.
const COUNT: &str = "\
    local time = redis.call('TIME') \
    local now = time[1] * 1000000 + time[2] \
    local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2]) \
    local due = redis.pcall('GET', KEYS[1]) \
    due = type(due) == 'string' and tonumber(due) \
    if not (due and due > now) then due = now end \
    due = math.min(due, now + interval + tolerance) \
    local granted = due - tolerance <= now \
    if granted then due = due + interval end \
    local life = math.ceil((due - now) / 1000) \
    redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', life) \
    return {granted and 1 or 0, due - now}";

/// A Redis server. Clones share the connection.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    client: Client,
    connection: Mutex<Option<ConnectionManager>>,
    /// Whether the last operation failed, so that only a change is logged.
    is_away: AtomicBool,
}

/// A URL that names no Redis server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it names no Redis server")]
pub struct InvalidUrl;

/// Redis cannot be reached, does not answer in time, or not with what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis is not available")]
pub(crate) struct Away;

/// A value that replicas share, by the names of its keys.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    value: String,
    lease: String,
}

/// What became of a request that asked to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Whether it may be sent, and is counted.
    pub(crate) is_granted: bool,
    /// From now until the next one is due.
    pub(crate) due: Duration,
}

/// What was found.
pub(crate) struct Found {
    /// The value.
    pub(crate) value: Vec<u8>,
    /// How long it is good from now.
    pub(crate) left: Duration,
}

// === impl Redis ===

impl Redis {
    /// The server at `url`. Nothing is connected before the first operation.
    ///
    /// # Errors
    /// [`InvalidUrl`], which does not repeat it: a password may be in it.
    pub fn new(url: &SecretString) -> Result<Self, InvalidUrl> {
        let client = Client::open(url.expose_secret()).map_err(|_| InvalidUrl)?;
        let (connection, is_away) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { client, connection, is_away })))
    }

    /// The value at `place`, if there is one.
    pub(crate) async fn read(&self, place: &Place) -> Result<Option<Found>, Away> {
        let mut query = ::redis::pipe();
        // Life and value are of one moment.
        query.atomic().getrange(&place.value, 0, MAX_VALUE - 1).pttl(&place.value);
        let (value, left): (Vec<u8>, i64) =
            self.ask(async |mut connection| query.query_async(&mut connection).await).await?;
        let left = u64::try_from(left).map(Duration::from_millis).unwrap_or_default();
        Ok(Some(Found { value, left }).filter(|f| !f.value.is_empty() && !f.left.is_zero()))
    }

    /// Takes the lease for `ttl`; `false` if somebody has it.
    pub(crate) async fn lease(
        &self,
        place: &Place,
        holder: Uuid,
        ttl: Duration,
    ) -> Result<bool, Away> {
        let mut query = ::redis::cmd("SET");
        let holder = holder.simple().to_string();
        query.arg(&place.lease).arg(holder).arg("NX").arg("PX").arg(millis(ttl));
        let taken: Option<String> =
            self.ask(async |mut connection| query.query_async(&mut connection).await).await?;
        Ok(taken.is_some())
    }

    /// Writes the value, which is good until `end`, and gives up the lease, unless it is
    /// another's: then nothing is done.
    pub(crate) async fn publish(
        &self,
        place: &Place,
        holder: Uuid,
        value: &[u8],
        end: Instant,
    ) -> Result<bool, Away> {
        let end = self.time().await? + millis(end.saturating_duration_since(Instant::now()));
        let script = Script::new(PUBLISH);
        let mut call = script.key(&place.value);
        call.key(&place.lease).arg(holder.simple().to_string()).arg(value).arg(end);
        let written: i64 =
            self.ask(async |mut connection| call.invoke_async(&mut connection).await).await?;
        Ok(written == 1)
    }

    /// Gives up the lease, if it is this holder's.
    pub(crate) async fn release(&self, place: &Place, holder: Uuid) -> Result<(), Away> {
        let script = Script::new(RELEASE);
        let mut call = script.key(&place.lease);
        call.arg(holder.simple().to_string());
        let _: i64 =
            self.ask(async |mut connection| call.invoke_async(&mut connection).await).await?;
        Ok(())
    }

    /// Counts a request of the quota at `place` that is to be sent now, if it is due by no
    /// more than `tolerance`. The next one is due `interval` after it.
    pub(crate) async fn count(
        &self,
        place: &Place,
        interval: Duration,
        tolerance: Duration,
    ) -> Result<Counted, Away> {
        let script = Script::new(COUNT);
        let mut call = script.key(&place.value);
        call.arg(micros(interval).max(1)).arg(micros(tolerance));
        let (granted, due): (i64, u64) =
            self.ask(async |mut connection| call.invoke_async(&mut connection).await).await?;
        Ok(Counted { is_granted: granted == 1, due: Duration::from_micros(due) })
    }

    /// The server's own time in milliseconds, no later than it is.
    async fn time(&self) -> Result<u64, Away> {
        let query = ::redis::cmd("TIME");
        let (seconds, micros): (u64, u64) =
            self.ask(async |mut connection| query.query_async(&mut connection).await).await?;
        Ok(seconds * 1_000 + micros / 1_000)
    }

    /// Does `operation` in time, and logs when the server goes and when it is back.
    async fn ask<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        operation: impl FnOnce(ConnectionManager) -> F,
    ) -> Result<T, Away> {
        let asked = async { operation(self.connection()?).await };
        let result = timeout(PATIENCE, asked).await;
        let problem = match &result {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.category()),
            Err(_) => {
                *self.held() = None;
                Some("no answer in time")
            }
        };
        let was_away = self.0.is_away.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_away => {
                tracing::warn!(problem, "Redis is away: tokens and quotas are not shared");
            }
            None if was_away => tracing::info!("Redis is back"),
            Some(_) | None => {}
        }
        result.map_err(|_| Away)?.map_err(|_| Away)
    }

    fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let mut held = self.held();
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        // One try: whoever asks next tries again. Answers have their time in `ask`.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(None);
        let made = ConnectionManager::new_lazy_with_config(self.0.client.clone(), config)?;
        Ok(held.insert(made).clone())
    }

    fn held(&self) -> MutexGuard<'_, Option<ConnectionManager>> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The client's URL may hold a password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

// === impl Place ===

impl Place {
    /// The place of that name. Its keys are in one slot of a cluster.
    pub(crate) fn new(name: &str) -> Self {
        let key = |what| format!("partner-gateway:{{{name}}}:{what}");
        Self { value: key("value"), lease: key("lease") }
    }
}

/// Whole microseconds, rounded up: a quota is never counted faster than it is.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// Whole milliseconds, one at least: Redis takes no life of nothing.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_checked_and_never_shown() {
        assert!(Redis::new(&"http://canary".into()).is_err());
        let redis = Redis::new(&"redis://:canary@localhost:6379/1".into()).unwrap();
        assert_eq!(format!("{redis:?}"), "Redis");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_away_at_once_and_again() {
        let redis = Redis::new(&"redis://127.0.0.1:1".into()).unwrap();
        let place = Place::new("a");
        for _ in 0..3 {
            let begun = Instant::now();
            assert!(redis.read(&place).await.is_err());
            assert!(redis.lease(&place, Uuid::nil(), PATIENCE).await.is_err());
            assert!(begun.elapsed() < 5 * PATIENCE);
        }
    }
}

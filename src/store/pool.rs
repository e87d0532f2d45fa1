//! Connections that are used again, and left alone once they are of no use.
//!
//! The library's own pool waits without an end for a connection to answer when it is given
//! back: a server that died silently would keep all of its room for good, for where nothing
//! is unacknowledged nothing is sent again either, and no error comes. And a connection to a
//! server that only reads by now answers well: it would be used for every write, and each
//! would fail, while there is a server to write to.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::Error;
use super::database::{Backend, late};

/// How long an unused connection is kept, and any.
const IDLE: Duration = Duration::from_secs(10 * 60);
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The connections to a database.
#[derive(Debug)]
pub(super) struct Pool {
    pool: AnyPool,
    /// How long one operation may take.
    limit: Duration,
    refusals: Arc<Refusals>,
    /// The connections that are on their way back.
    returns: TaskTracker,
}

/// A connection for one operation.
pub(super) struct Pooled {
    connection: PoolConnection<Any>,
    limit: Duration,
    returns: TaskTracker,
}

/// What a server that only reads has refused.
#[derive(Debug, Default)]
struct Refusals {
    /// When it last refused a write.
    write: Mutex<Option<Instant>>,
    /// A new connection was found to be one to such a server.
    connection: Notify,
}

// === impl Pool ===

impl Pool {
    /// Connections to what `options` lead to, none of which is made yet.
    pub(super) fn new(
        backend: Backend,
        options: AnyConnectOptions,
        size: u32,
        limit: Duration,
    ) -> Self {
        let refusals = Arc::<Refusals>::default();
        let (at_first, again) = (Arc::clone(&refusals), Arc::clone(&refusals));
        let pool = AnyPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(limit)
            .idle_timeout(IDLE)
            .max_lifetime(LIFETIME)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let refusals = Arc::clone(&at_first);
                Box::pin(async move {
                    let is_set = backend.set_up(connection, limit).await;
                    is_set.map_err(|error| refusals.of_connection(&error))
                })
            })
            .before_acquire(move |connection, it| {
                let is_outdated = again.is_older(it.age);
                Box::pin(async move {
                    if is_outdated {
                        return Ok(false);
                    }
                    // An operation that meets one which hangs has most of its time left.
                    let answer = timeout(limit / 4, connection.ping()).await;
                    answer.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|()| true)
                })
            });
        let pool = pool.connect_lazy_with(options);
        Self { pool, limit, refusals, returns: TaskTracker::new() }
    }

    /// How long one operation may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Bounds an operation.
    pub(super) async fn within<T>(
        &self,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = timeout(self.limit, operation).await.map_err(|_| late())?;
        if let Err(error) = &done
            && error.is_read_only()
        {
            self.refusals.of_write();
        }
        done
    }

    /// A connection, within an operation. Where only servers can be reached that do not
    /// write this is said at once: the library would try to the end of the operation's time.
    pub(super) async fn acquire(&self) -> Result<Pooled, Error> {
        let refused = self.refusals.connection.notified();
        let connection = tokio::select! {
            biased;
            connection = self.pool.acquire() => connection?,
            () = refused => return Err(Error::read_only()),
        };
        Ok(Pooled { connection, limit: self.limit, returns: self.returns.clone() })
    }
}

// === impl Pooled ===

impl Deref for Pooled {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

impl Drop for Pooled {
    /// Gives the connection back, if it answers: the library does the same, and would wait
    /// without an end. By the time that is given to it the server has given up whatever it
    /// was still asked to do. What is cut off here is closed, and its room is free.
    fn drop(&mut self) {
        let returned = self.connection.return_to_pool();
        self.returns.spawn(timeout(self.limit, returned));
    }
}

// === impl Refusals ===

impl Refusals {
    /// A new connection cannot be used. What the library is told, it keeps to itself.
    fn of_connection(&self, error: &Error) -> sqlx::Error {
        if error.is_read_only() {
            self.connection.notify_waiters();
        }
        sqlx::Error::Io(io::Error::other(error.chain()))
    }

    /// A write was refused: every connection that there is may be to the same server.
    fn of_write(&self) {
        *self.write.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection of this age was there when a write was refused.
    fn is_older(&self, age: Duration) -> bool {
        let refused = *self.write.lock().unwrap_or_else(PoisonError::into_inner);
        refused.is_some_and(|at| age >= at.elapsed())
    }
}

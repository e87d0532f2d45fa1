//! The database behind the store: its connections, one way to bound an operation, and the
//! few things in which SQLite and PostgreSQL differ. The SQL is the same for both.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::any::{AnyArguments, AnyConnectOptions, AnyRow};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{
    Any, AnyConnection, ConnectOptions as _, Connection as _, Row as _, SqlSafeStr as _,
    Transaction,
};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::pool::{Pool, Pooled};
use super::{Error, Location, Settings, postgres, sqlite};

/// How long a start may wait for the migrations of another one.
const MIGRATION: Duration = Duration::from_secs(60);

/// A query with its values.
pub(super) type Query<'q> = sqlx::query::Query<'q, Any, AnyArguments>;

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) backend: Backend,
    connections: Connections,
}

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// SQLite in a file.
    Sqlite,
    /// SQLite in memory: gone with its one connection.
    Memory,
    /// PostgreSQL.
    Postgres,
}

#[derive(Debug)]
enum Connections {
    Pool(Pool),
    /// In memory there is nothing to wait for, hence no timer, which a test's paused clock
    /// would run ahead with.
    One(Arc<Mutex<AnyConnection>>),
}

/// A connection for one operation.
pub(super) enum Connection {
    Pooled(Pooled),
    One(OwnedMutexGuard<AnyConnection>),
}

// === impl Backend ===

impl Backend {
    fn of(location: &Location) -> Self {
        match location {
            Location::Memory => Backend::Memory,
            Location::File(_) => Backend::Sqlite,
            Location::Server => Backend::Postgres,
        }
    }

    /// What begins a transaction that writes. SQLite waits for its turn only here: a
    /// transaction that begins to write later fails at once.
    fn begin(self) -> &'static str {
        match self {
            Backend::Sqlite | Backend::Memory => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// Sets what holds for each connection, for operations that may take as long as `limit`.
    pub(super) async fn set_up(
        self,
        connection: &mut AnyConnection,
        limit: Duration,
    ) -> Result<(), Error> {
        match self {
            Backend::Sqlite | Backend::Memory => Ok(sqlite::set_up(connection, limit).await?),
            Backend::Postgres => postgres::set_up(connection, limit).await,
        }
    }

    async fn migrate(self, connection: &mut AnyConnection) -> Result<(), Error> {
        let migrated = match self {
            Backend::Sqlite | Backend::Memory => sqlite::migrate(connection).await,
            Backend::Postgres => postgres::migrate(connection).await,
        };
        migrated.map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            MigrateError::VersionMissing(_) => {
                Error::Settings("the database was written by a later version of the gateway")
            }
            _ => Error::Settings("the database holds other migrations than this gateway's"),
        })
    }
}

// === impl Database ===

impl Database {
    /// Opens the database and brings its tables up to date.
    pub(super) async fn open(settings: &Settings) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let unreadable = |_| Error::Settings("the URL of the store cannot be read");
        let url = settings.url.expose_secret();
        let location = Location::of(url).map_err(Error::Settings)?;
        let backend = Backend::of(&location);
        let options: AnyConnectOptions = url.parse().map_err(unreadable)?;
        let options = options.disable_statement_logging();
        let limit = settings.timeout;
        let connections = match backend {
            Backend::Memory => {
                let mut connection = options.connect().await?;
                backend.set_up(&mut connection, limit).await?;
                backend.migrate(&mut connection).await?;
                Connections::One(Arc::new(Mutex::new(connection)))
            }
            Backend::Sqlite | Backend::Postgres => {
                if let Location::File(path) = &location {
                    sqlite::create_file(path).await?;
                }
                migrate(backend, &options, limit).await?;
                let size = settings.max_connections.max(1);
                Connections::Pool(Pool::new(backend, options, size, limit))
            }
        };
        Ok(Self { backend, connections })
    }

    /// Bounds an operation.
    pub(super) async fn within<T>(
        &self,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match &self.connections {
            Connections::Pool(pool) => pool.within(operation).await,
            Connections::One(_) => operation.await,
        }
    }

    /// How long one operation may take.
    pub(super) fn limit(&self) -> Duration {
        match &self.connections {
            Connections::Pool(pool) => pool.limit(),
            Connections::One(_) => Duration::ZERO,
        }
    }

    /// A connection, within an operation.
    pub(super) async fn acquire(&self) -> Result<Connection, Error> {
        match &self.connections {
            Connections::Pool(pool) => Ok(Connection::Pooled(pool.acquire().await?)),
            Connections::One(one) => Ok(Connection::One(Arc::clone(one).lock_owned().await)),
        }
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin<'c>(
        &self,
        connection: &'c mut Connection,
    ) -> Result<Transaction<'c, Any>, Error> {
        Ok(connection.begin_with(self.backend.begin()).await?)
    }

    /// The rows of one query.
    pub(super) async fn rows(&self, query: Query<'_>) -> Result<Vec<AnyRow>, Error> {
        let work = async { Ok(query.fetch_all(&mut *self.acquire().await?).await?) };
        self.within(work).await
    }

    /// The number that one query answers.
    pub(super) async fn count(&self, query: Query<'_>) -> Result<u64, Error> {
        let rows = self.rows(query).await?;
        let count = rows.first().map(|row| row.try_get::<i64, _>(0)).transpose()?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
    }

    /// Runs one statement. Says how many rows it changed.
    pub(super) async fn change(&self, query: Query<'_>) -> Result<u64, Error> {
        let work = async {
            let done = query.execute(&mut *self.acquire().await?).await?;
            Ok(done.rows_affected())
        };
        self.within(work).await
    }

    /// Removes what deleted rows leave behind, as far as the database lets us.
    pub(super) async fn purge(&self) {
        if self.backend == Backend::Sqlite
            && let Err(error) = self.rows(sqlx::query(sqlite::PURGE)).await
        {
            let error = error.chain();
            tracing::warn!(error, "the log of the database still holds a deleted record, sealed");
        }
    }
}

// === impl Connection ===

impl Deref for Connection {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Connection::Pooled(connection) => connection,
            Connection::One(connection) => connection,
        }
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Connection::Pooled(connection) => connection,
            Connection::One(connection) => connection,
        }
    }
}

pub(super) fn late() -> Error {
    Error::unavailable("the database does not answer in time")
}

/// Migrates over a connection of its own: it may wait for others that do the same, and
/// what is wrong with the database is told, not tried again.
async fn migrate(
    backend: Backend,
    options: &AnyConnectOptions,
    limit: Duration,
) -> Result<(), Error> {
    let mut connection = timeout(limit, options.connect()).await.map_err(|_| late())??;
    let work = async {
        backend.set_up(&mut connection, MIGRATION).await?;
        backend.migrate(&mut connection).await
    };
    timeout(MIGRATION, work).await.map_err(|_| late())??;
    Ok(connection.close().await?)
}

/// The migrations, from their texts.
pub(super) fn migrator(texts: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(texts.iter().map(migration).collect())
}

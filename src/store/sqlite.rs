//! What is particular to SQLite: its file, its settings, and that nothing but a write
//! lock keeps two starts from migrating at once.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use tokio::fs::OpenOptions;
use tokio::time::sleep;

use super::Error;
use super::database::migrator;

const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "store", include_str!("../../migrations/sqlite/0001_store.sql")),
    (2, "requests", include_str!("../../migrations/sqlite/0002_requests.sql")),
    (3, "rotation", include_str!("../../migrations/sqlite/0003_rotation.sql")),
];

/// Between two attempts to use the log.
const PAUSE: Duration = Duration::from_millis(10);

/// Writes the log back and empties it: it still holds what was deleted. When a reader is
/// in the way, the next one does it.
pub(super) const PURGE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// Makes the file, for its owner alone; the files beside it get the same mode. An
/// existing one is not touched, not even opened: closing it would drop the locks that
/// this process may hold on it.
pub(super) async fn create_file(path: &Path) -> Result<(), Error> {
    let mut file = OpenOptions::new();
    file.write(true).create_new(true).mode(0o600);
    match file.open(path).await {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            let what = "the file of the database cannot be made";
            Err(Error::unavailable_with(what, error.kind().to_string()))
        }
        Err(_) => {
            warn_if_shown(path).await;
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// Says that others may read a file that was there.
async fn warn_if_shown(path: &Path) {
    let is_shown = |found: Metadata| found.permissions().mode() & 0o077 != 0;
    if tokio::fs::metadata(path).await.is_ok_and(is_shown) {
        tracing::warn!(file = %path.display(), "others than its owner may use the database");
    }
}

/// Sets what holds for each connection. A commit is on the disk when it returns, what is
/// deleted is overwritten, and temporary tables stay in memory.
pub(super) async fn set_up(connection: &mut AnyConnection, limit: Duration) -> sqlx::Result<()> {
    // Waiting ends by itself, before the operation's own bound.
    let patience = (limit.mul_f64(0.8)).as_millis();
    let settings = AssertSqlSafe(format!(
        "PRAGMA busy_timeout = {patience}; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;"
    ));
    connection.execute(settings).await?;
    Ok(())
}

/// Migrates in one transaction that holds the write lock, so that of several starts one
/// does it and the others find it done.
pub(super) async fn migrate(connection: &mut AnyConnection) -> Result<(), MigrateError> {
    use_log(connection).await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator(&MIGRATIONS).run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(())
}

/// Makes the file one that is written through a log. While another start does the same,
/// SQLite refuses at once, whatever its patience; who waits is bounded by the caller.
async fn use_log(connection: &mut AnyConnection) -> sqlx::Result<()> {
    loop {
        match connection.execute("PRAGMA journal_mode = WAL").await {
            Err(error) if is_busy(&error) => sleep(PAUSE).await,
            done => return done.map(drop),
        }
    }
}

/// SQLITE_BUSY, for whatever reason: the kind is in the low byte of the code.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code % 256 == 5)
}

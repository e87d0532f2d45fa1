//! What is particular to PostgreSQL.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

use super::Error;
use super::database::migrator;

const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "store", include_str!("../../migrations/postgres/0001_store.sql")),
    (2, "requests", include_str!("../../migrations/postgres/0002_requests.sql")),
    (3, "rotation", include_str!("../../migrations/postgres/0003_rotation.sql")),
];

/// Sets what holds for each connection. The server ends by itself what nobody waits for
/// any more, and a commit is on its disk when it returns, whatever its own default. One that
/// only reads, as a standby does, is not used at all: what it holds may be out of date.
pub(super) async fn set_up(connection: &mut AnyConnection, limit: Duration) -> Result<(), Error> {
    let limit = limit.as_millis();
    let settings = AssertSqlSafe(format!(
        "SET statement_timeout = {limit}; SET idle_in_transaction_session_timeout = {limit}; \
         SET synchronous_commit = on;"
    ));
    connection.execute(settings).await?;
    let answer = connection.fetch_one("SHOW transaction_read_only").await?;
    match answer.try_get(0)? {
        "off" => Ok(()),
        _ => Err(Error::read_only()),
    }
}

/// Migrates. An advisory lock, which the migrator takes, keeps others from it.
pub(super) async fn migrate(connection: &mut AnyConnection) -> Result<(), MigrateError> {
    migrator(&MIGRATIONS).run_direct(None, connection, false).await
}

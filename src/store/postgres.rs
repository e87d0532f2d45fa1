//! What is particular to PostgreSQL.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::{AnyConnection, AssertSqlSafe, Executor as _};

use super::database::migrator;

const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "store", include_str!("../../migrations/postgres/0001_store.sql")),
    (2, "requests", include_str!("../../migrations/postgres/0002_requests.sql")),
];

/// Sets what holds for each connection. The server ends by itself what nobody waits for
/// any more, and a commit is on its disk when it returns, whatever its own default.
pub(super) async fn set_up(connection: &mut AnyConnection, limit: Duration) -> sqlx::Result<()> {
    let limit = limit.as_millis();
    let settings = AssertSqlSafe(format!(
        "SET statement_timeout = {limit}; SET idle_in_transaction_session_timeout = {limit}; \
         SET synchronous_commit = on;"
    ));
    connection.execute(settings).await?;
    Ok(())
}

/// Migrates. An advisory lock, which the migrator takes, keeps others from it.
pub(super) async fn migrate(connection: &mut AnyConnection) -> Result<(), MigrateError> {
    migrator(&MIGRATIONS).run_direct(None, connection, false).await
}

//! How much the store holds, for the operators' view.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{CredentialKind, Error, RequestState, Store};

const CREDENTIALS: &str =
    "SELECT partner, kind, COUNT(*) AS number FROM credentials GROUP BY partner, kind";
const INTENTS: &str = "SELECT partner, COUNT(*) AS number, COUNT(flagged) AS flagged \
     FROM intents GROUP BY partner";
const REQUESTS: &str =
    "SELECT partner, state, COUNT(*) AS number FROM requests GROUP BY partner, state";

// === impl Store ===

impl Store {
    /// Partner, kind, and how many credentials.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn count_credentials(&self) -> Result<Vec<(String, CredentialKind, u64)>, Error> {
        let rows = self.0.database.rows(sqlx::query(CREDENTIALS)).await?;
        Ok(rows.iter().filter_map(credential).collect())
    }

    /// Partner, how many open intents, how many flagged ones.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn count_intents(&self) -> Result<Vec<(String, u64, u64)>, Error> {
        let rows = self.0.database.rows(sqlx::query(INTENTS)).await?;
        rows.iter().map(intent).collect()
    }

    /// Partner, state, and how many records of calls that are done once.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn count_requests(&self) -> Result<Vec<(String, RequestState, u64)>, Error> {
        let rows = self.0.database.rows(sqlx::query(REQUESTS)).await?;
        Ok(rows.iter().filter_map(request).collect())
    }
}

/// A kind of a later version is not counted.
fn credential(row: &AnyRow) -> Option<(String, CredentialKind, u64)> {
    let kind = CredentialKind::parse(row.try_get("kind").ok()?)?;
    Some((row.try_get("partner").ok()?, kind, number(row, "number").ok()?))
}

fn intent(row: &AnyRow) -> Result<(String, u64, u64), Error> {
    let (all, flagged) = (number(row, "number")?, number(row, "flagged")?);
    Ok((row.try_get("partner")?, all.saturating_sub(flagged), flagged))
}

/// A state of a later version is not counted.
fn request(row: &AnyRow) -> Option<(String, RequestState, u64)> {
    let state = RequestState::parse(row.try_get("state").ok()?)?;
    Some((row.try_get("partner").ok()?, state, number(row, "number").ok()?))
}

fn number(row: &AnyRow, column: &str) -> Result<u64, Error> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::clock::Clock;

    /// However many answers there are, and however large.
    #[tokio::test]
    async fn a_count_of_records_reads_an_index_alone() {
        let store = Store::in_memory(Clock::system()).await.unwrap();
        let plan = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {REQUESTS}"));
        let plan = store.0.database.rows(sqlx::query(plan)).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let is_covered = |line: &String| line.contains("COVERING INDEX requests_state");
        assert!(plan.iter().any(is_covered), "{plan:?}");
    }
}

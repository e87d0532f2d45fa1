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

/// How much the store holds, by partner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Partner, kind, and how many credentials.
    pub credentials: Vec<(String, CredentialKind, u64)>,
    /// Partner, how many open intents, how many flagged ones.
    pub intents: Vec<(String, u64, u64)>,
    /// Partner, state, and how many records of calls that are done once.
    pub requests: Vec<(String, RequestState, u64)>,
}

// === impl Counts ===

impl Counts {
    /// How many flagged intents are of this partner.
    pub fn flagged(&self, partner: &str) -> u64 {
        let of_partner = self.intents.iter().filter(|(name, ..)| name == partner);
        of_partner.map(|(_, _, flagged)| flagged).sum()
    }
}

// === impl Store ===

impl Store {
    /// Counts what the database holds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn counts(&self) -> Result<Counts, Error> {
        let credentials = self.0.database.rows(sqlx::query(CREDENTIALS)).await?;
        let intents = self.0.database.rows(sqlx::query(INTENTS)).await?;
        let requests = self.0.database.rows(sqlx::query(REQUESTS)).await?;
        Ok(Counts {
            credentials: credentials.iter().filter_map(credential).collect(),
            intents: intents.iter().map(intent).collect::<Result<_, Error>>()?,
            requests: requests.iter().filter_map(request).collect(),
        })
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

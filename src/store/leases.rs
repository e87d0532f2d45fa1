//! Which replica renews a credential. A lease only saves work: what two replicas write at
//! once, the version sorts out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;
use uuid::Uuid;

use super::credentials::is_storable;
use super::{CredentialKind, Error, Name, Store};

const LEASE: &str = "UPDATE credentials SET lease_holder = $1, lease_until = $2 \
     WHERE partner = $3 AND kind = $4 AND account = $5 \
     AND (lease_holder IS NULL OR lease_holder = $1 OR lease_until <= $6)";
const RELEASE: &str = "UPDATE credentials SET lease_holder = NULL, lease_until = NULL \
     WHERE partner = $1 AND kind = $2 AND account = $3 AND lease_holder = $4";
const DUE: &str = "SELECT account FROM credentials WHERE partner = $1 AND kind = $2 \
     AND renews <= $3 AND (lease_holder IS NULL OR lease_until <= $4) ORDER BY renews, id LIMIT $5";
const POSTPONE: &str = "UPDATE credentials SET renews = $1 + CASE \
     WHEN ($1 - updated) / 10 < $2 THEN $2 WHEN ($1 - updated) / 10 > $3 THEN $3 \
     ELSE ($1 - updated) / 10 END \
     WHERE partner = $4 AND kind = $5 AND account = $6 AND renews <= $1";

// === impl Store ===

impl Store {
    /// Takes the lease of a credential for `ttl`, or takes it for longer. Says whether
    /// `holder` has it; nobody has one of a name that is not kept. Time is this
    /// machine's: replicas' clocks should differ by much less than `ttl`.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the lease may be taken or not.
    pub async fn lease(&self, name: &Name, holder: Uuid, ttl: Duration) -> Result<bool, Error> {
        if !is_storable(name) {
            return Ok(false);
        }
        let now = self.now();
        let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
        let until = now.checked_add(ttl).unwrap_or(Timestamp::MAX);
        let query = sqlx::query(LEASE)
            .bind(holder.to_string())
            .bind(until.as_microsecond())
            .bind(&name.partner)
            .bind(name.kind.as_str())
            .bind(&name.account)
            .bind(now.as_microsecond());
        Ok(self.0.database.change(query).await? == 1)
    }

    /// Gives up the lease, if `holder` has it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it ends by itself.
    pub async fn release(&self, name: &Name, holder: Uuid) -> Result<(), Error> {
        if !is_storable(name) {
            return Ok(());
        }
        let query = sqlx::query(RELEASE)
            .bind(&name.partner)
            .bind(name.kind.as_str())
            .bind(&name.account)
            .bind(holder.to_string());
        self.0.database.change(query).await.map(drop)
    }

    /// How long one operation of the store may take; leases are sized by it.
    pub(crate) fn limit(&self) -> Duration {
        self.0.database.limit()
    }

    /// Puts a credential that is due behind the others that are: until a tenth of the
    /// time has passed that it was not renewed for, but `least` and at most `most`.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it stays due.
    pub async fn postpone(
        &self,
        name: &Name,
        least: Duration,
        most: Duration,
    ) -> Result<(), Error> {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let query = sqlx::query(POSTPONE)
            .bind(self.now().as_microsecond())
            .bind(micros(least))
            .bind(micros(most))
            .bind(&name.partner)
            .bind(name.kind.as_str())
            .bind(&name.account);
        self.0.database.change(query).await.map(drop)
    }

    /// The credentials that are to be renewed at `before` and that nobody has leased, the
    /// most urgent first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn due(
        &self,
        partner: &str,
        kind: CredentialKind,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Name>, Error> {
        let query = sqlx::query(DUE)
            .bind(partner)
            .bind(kind.as_str())
            .bind(before.as_microsecond())
            .bind(self.now().as_microsecond())
            .bind(i64::from(limit));
        let rows = self.0.database.rows(query).await?;
        let name = |row: &sqlx::any::AnyRow| {
            Ok(Name { partner: partner.to_owned(), kind, account: row.try_get("account")? })
        };
        rows.iter().map(name).collect()
    }
}

//! One renewal of one grant, by one replica at a time.
//!
//! A refresh may end the refresh token that it was made with (rotation), and who loses
//! the new one has locked the user out. So whoever renews holds the grant's lease, and the
//! new refresh token is durable before anybody gets the access token that came with it:
//! in the store, or in its emergency journal, or, when both fail, here in memory, written
//! by the next renewal before anything else.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::endpoint::{self, Endpoint, Granted};
use super::kept::{self, Kept, Times};
use crate::clock::Clock;
use crate::credentials::token::{Issued, Refusal};
use crate::store::{Name, New, Record, Store};

/// How long a renewal may hold the lease: a request and what the store takes.
const LEASE: Duration = endpoint::REQUEST.saturating_mul(2);
/// How long to wait for the lease. Longer than it lasts, so that one of a replica that is
/// gone is waited out.
const PATIENCE: Duration = LEASE.saturating_add(Duration::from_secs(5));
/// Between two tries to get the lease.
const POLL: Duration = Duration::from_millis(100);
/// How often a renewal starts over because the grant was replaced meanwhile.
const ROUNDS: usize = 3;

/// Renews a partner's grants.
pub(super) struct Renewal {
    pub(super) endpoint: Endpoint,
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// What the store did not take, by user.
    pub(super) left: Mutex<Left>,
}

/// What is left to do when the store is back.
#[derive(Default)]
pub(super) struct Left {
    /// Refresh tokens that neither the store nor its journal has, each with the version of
    /// the record that they are to replace.
    unkept: BTreeMap<String, (i64, New)>,
    /// The holders of leases that could not be given up: who begins with such a one need
    /// not wait for its end.
    unreleased: BTreeMap<String, Uuid>,
}

/// Which renewals are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// An access token is needed.
    Now,
    /// Only if nobody has renewed it in the meantime.
    Due,
}

/// Why there is no access token.
#[derive(Debug)]
pub(super) enum Failure {
    /// No grant of the user is kept.
    Absent,
    /// The partner does not take it any more.
    Ended,
    /// Somebody else has renewed it.
    NotDue,
    /// The token endpoint gave none.
    Refused(Refusal),
    /// The store did not answer, or the record cannot be read.
    Store,
}

// === impl Renewal ===

impl Renewal {
    /// Renews the grant of `user`.
    pub(super) async fn renew(&self, user: &str, when: When) -> Result<Issued, Failure> {
        let name = self.name(user);
        let left = self.left().unreleased.remove(user);
        let holder = left.unwrap_or_else(Uuid::new_v4);
        if let Err(failure) = self.lease(&name, holder).await {
            self.left().unreleased.extend(left.map(|holder| (name.account, holder)));
            return Err(failure);
        }
        let renewed = self.renew_leased(&name, when).await;
        if when == When::Now && renewed.is_ok() {
            // For lists only.
            let _ = self.store.touch(&[(name.clone(), self.clock.now())]).await;
        }
        if self.store.release(&name, holder).await.is_err() {
            self.left().unreleased.insert(name.account, holder);
        }
        renewed
    }

    /// Forgets what of `user` is only here.
    pub(super) fn forget(&self, user: &str) {
        self.left().unkept.remove(user);
    }

    pub(super) fn name(&self, user: &str) -> Name {
        kept::name(self.endpoint.partner.name(), user)
    }

    async fn lease(&self, name: &Name, holder: Uuid) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            // Nobody gets a lease on what is not kept.
            self.read(name).await?;
            if self.store.journalled() > 0 {
                // Versions count in the database only. What fails is tried again.
                let _ = self.store.replay_journal().await;
            }
            if self.store.lease(name, holder, LEASE).await.map_err(away)? {
                return Ok(());
            }
            if Instant::now() >= end {
                let problem = "another replica is renewing the grant";
                return Err(Failure::Refused(Refusal::transient(problem)));
            }
            sleep(POLL).await;
        }
    }

    async fn renew_leased(&self, name: &Name, when: When) -> Result<Issued, Failure> {
        self.keep_what_is_left(name).await?;
        for _ in 0..ROUNDS {
            let (record, token) = self.read(name).await?;
            if when == When::Due && record.renews.is_none_or(|renews| self.clock.now() < renews) {
                return Err(Failure::NotDue);
            }
            match self.endpoint.refresh(&token).await {
                Ok(granted) => {
                    if let Some(access) = self.rotate(&record, &token, granted).await? {
                        return access.map_err(Failure::Refused);
                    }
                }
                Err(endpoint::Failure::Grant) => {
                    if self.end(&record).await {
                        return Err(Failure::Ended);
                    }
                }
                Err(endpoint::Failure::Other(refusal)) => return Err(Failure::Refused(refusal)),
            }
        }
        Err(Failure::Refused(Refusal::transient("the grant is being replaced again and again")))
    }

    /// Makes the refresh token that counts from now on durable, and only then gives the
    /// access token; `None` if the grant was replaced by another meanwhile.
    async fn rotate(
        &self,
        record: &Record,
        used: &SecretString,
        granted: Granted,
    ) -> Result<Option<Result<Issued, Refusal>>, Failure> {
        let times = Times::of(granted.life, self.clock.now());
        let is_rotated = granted.refresh_token.is_some();
        let token = granted.refresh_token.as_ref().unwrap_or(used);
        let new = kept::new(record.name.clone(), token, times, record.origin);
        let new = new.ok_or(Failure::Store)?;
        let Times { expires, renews } = times;
        let replaced =
            self.store.replace(&record.name, record.version, &new.secret, expires, renews).await;
        match replaced {
            Ok(true) => Ok(Some(granted.access)),
            Ok(false) => Ok(None),
            // The one before still counts: nothing is lost.
            Err(_) if !is_rotated => Ok(Some(granted.access)),
            Err(_) => {
                self.keep(record.version, new).await?;
                Ok(Some(granted.access))
            }
        }
    }

    /// Writes what the database did not take to the journal, or else notes it.
    async fn keep(&self, version: i64, new: New) -> Result<(), Failure> {
        let Err(error) = self.store.keep(new.clone()).await else { return Ok(()) };
        tracing::error!(%error, "the refresh token of a user is in memory only");
        self.left().unkept.insert(new.name.account.clone(), (version, new));
        Err(Failure::Store)
    }

    /// Writes what could not be written before. What has been replaced since is forgotten.
    async fn keep_what_is_left(&self, name: &Name) -> Result<(), Failure> {
        let left = self.left().unkept.get(&name.account).cloned();
        let Some((version, new)) = left else { return Ok(()) };
        let New { secret, expires, renews, .. } = &new;
        self.store.replace(name, version, secret, *expires, *renews).await.map_err(away)?;
        self.left().unkept.remove(&name.account);
        Ok(())
    }

    /// Notes that the partner takes the grant no more. `false` if it was replaced by
    /// another meanwhile, of which nothing is known.
    async fn end(&self, record: &Record) -> bool {
        let Times { expires, renews } = Times::ended(self.clock.now());
        let Ok(secret) = Kept::Ended.to_secret() else { return true };
        let ended = self.store.replace(&record.name, record.version, &secret, expires, renews);
        // If the store is away, it is asked and noted again later.
        let is_current = ended.await.unwrap_or(true);
        if is_current {
            tracing::warn!(
                partner = record.name.partner,
                credential = %record.id,
                "the partner refuses a user's grant for good: the user has to log in again"
            );
        }
        is_current
    }

    async fn read(&self, name: &Name) -> Result<(Record, SecretString), Failure> {
        let found = self.store.get(name).await.map_err(away)?;
        let (record, secret) = found.ok_or(Failure::Absent)?;
        match Kept::read(&secret) {
            Some(Kept::Live(token)) => Ok((record, token)),
            Some(Kept::Ended) => Err(Failure::Ended),
            None => {
                tracing::error!(credential = %record.id, "a kept grant cannot be read");
                Err(Failure::Store)
            }
        }
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn away(error: crate::store::Error) -> Failure {
    tracing::warn!(%error, "a user's grant cannot be read");
    Failure::Store
}

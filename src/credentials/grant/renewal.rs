//! One renewal of one grant, by one replica at a time.
//!
//! A refresh may end the refresh token that it was made with (rotation), and who loses
//! the new one has locked the user out. So whoever renews holds the grant's lease, and the
//! new refresh token is durable before anybody gets the access token that came with it:
//! in the store, or in its emergency journal, or, when both fail, here in memory, written
//! by the next renewal before anything else.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::endpoint::{self, Endpoint, Granted};
use super::kept::{self, Kept, Refused, Times};
use super::left::{Left, Place};
use crate::clock::Clock;
use crate::credentials::token::{Issued, Refusal};
use crate::store::{Name, New, Predecessor, Record, Store};

/// What a lease lasts beside the request and the store's operations.
const MARGIN: Duration = Duration::from_secs(2);
/// How many operations of the store there are in a round at most.
const OPERATIONS: u32 = 4;
/// How much longer than a lease lasts to wait for it, so that one of a replica that is
/// gone is waited out.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries to get the lease.
const POLL: Duration = Duration::from_millis(100);
/// How often a renewal starts over because the grant was replaced meanwhile.
const ROUNDS: usize = 3;

/// Renews a partner's grants.
pub(super) struct Renewal {
    pub(super) endpoint: Endpoint,
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// What the store did not take.
    pub(super) left: Left,
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
        self.bring_home(&name).await?;
        let left = self.left.take_holder(user);
        let holder = left.unwrap_or_else(Uuid::new_v4);
        if let Err(failure) = self.lease(&name, holder).await {
            if let Some(holder) = left {
                self.left.note_holder(user, holder);
            }
            return Err(failure);
        }
        let renewed = self.renew_leased(&name, holder, when).await;
        if when == When::Now && renewed.is_ok() {
            // For lists only.
            let _ = self.store.touch(&[(name.clone(), self.clock.now())]).await;
        }
        if self.store.release(&name, holder).await.is_err() {
            self.left.note_holder(user, holder);
        }
        renewed
    }

    /// Brings the grants to the store that are in memory only, whoever asks for them.
    pub(super) async fn bring_all_home(&self) {
        for user in self.left.users() {
            if let Err(error) = self.left.keep(&user, &self.store).await {
                tracing::warn!(
                    error = error.chain(),
                    "the refresh token of a user is in memory only"
                );
                return;
            }
        }
    }

    pub(super) fn name(&self, user: &str) -> Name {
        kept::name(self.endpoint.partner.name(), user)
    }

    /// Brings to the database what of the grant is elsewhere: the refresh token there is
    /// used up then, and must be neither shown again nor taken for the state of things.
    async fn bring_home(&self, name: &Name) -> Result<(), Failure> {
        self.left.keep(&name.account, &self.store).await.map_err(away)?;
        if self.store.is_journalled(name) {
            // Others' entries may fail as they like, and this one's is seen below.
            if let Err(error) = self.store.replay_journal().await {
                tracing::warn!(error = error.chain(), "a user's grant is in the journal only");
            }
        }
        self.is_home(name)
    }

    fn is_home(&self, name: &Name) -> Result<(), Failure> {
        match self.store.is_journalled(name) {
            true => Err(Failure::Store),
            false => Ok(()),
        }
    }

    async fn lease(&self, name: &Name, holder: Uuid) -> Result<(), Failure> {
        let end = Instant::now() + self.ttl() + PATIENCE;
        loop {
            // Nobody gets a lease on what is not kept.
            self.read(name).await?;
            match self.extend(name, holder).await {
                Err(Failure::Refused(_)) if Instant::now() < end => sleep(POLL).await,
                leased => return leased,
            }
        }
    }

    /// Takes the lease, or takes it for longer.
    async fn extend(&self, name: &Name, holder: Uuid) -> Result<(), Failure> {
        if self.store.lease(name, holder, self.ttl()).await.map_err(away)? {
            return Ok(());
        }
        let problem = "another replica is renewing the grant";
        Err(Failure::Refused(Refusal::transient(problem)))
    }

    /// How long a round may hold the lease: a request and what the store takes.
    fn ttl(&self) -> Duration {
        endpoint::REQUEST + self.store.limit() * OPERATIONS + MARGIN
    }

    async fn renew_leased(&self, name: &Name, holder: Uuid, when: When) -> Result<Issued, Failure> {
        for round in 0..ROUNDS {
            if round > 0 {
                self.lease(name, holder).await?;
            }
            self.is_home(name)?;
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
                    if self.end(&record, &token).await {
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
        let token = granted.refresh_token.as_ref().unwrap_or(used);
        let new = kept::new(record.name.clone(), token, times, record.origin);
        let new = new.ok_or(Failure::Store)?;
        // Some endpoints repeat the one that still counts.
        if token.expose_secret() != used.expose_secret() {
            let is_kept = self.keep(before(record, used)?, new).await?;
            return Ok(is_kept.then_some(granted.access));
        }
        let New { name, secret, expires, renews, .. } = &new;
        let replaced = self.store.replace(name, record.version, secret, *expires, *renews).await;
        // If the store is away the one before still counts: nothing is lost.
        Ok(replaced.unwrap_or(true).then_some(granted.access))
    }

    /// Keeps a rotated token, or else holds it. `false` if its record has become another
    /// meanwhile.
    async fn keep(&self, before: Predecessor, new: New) -> Result<bool, Failure> {
        match self.store.succeed(&before, new.clone()).await {
            Ok(kept) => {
                if kept.is_none() {
                    tracing::warn!(
                        credential = %before.id(),
                        "a user's grant was put anew or deleted while it was renewed"
                    );
                }
                Ok(kept.is_some())
            }
            Err(error) => {
                tracing::error!(
                    error = error.chain(),
                    "the refresh token of a user is in memory only"
                );
                self.left.hold(new, Place::Of(before));
                Err(Failure::Store)
            }
        }
    }

    /// Notes that the partner takes the grant no more. `false` if it was replaced by
    /// another meanwhile, of which nothing is known.
    async fn end(&self, record: &Record, token: &SecretString) -> bool {
        let Times { expires, renews } = Times::ended(self.clock.now());
        let Ok(secret) = Kept::Ended(Refused::of(token)).to_secret() else { return true };
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
            Some(Kept::Ended(_)) => Err(Failure::Ended),
            None => {
                tracing::error!(credential = %record.id, "a kept grant cannot be read");
                Err(Failure::Store)
            }
        }
    }
}

/// What the successor of the token `used` takes the place of: the record as it was read,
/// or with that token still, or as ended for that token. Whoever ended it was shown what
/// is used up, and the successor is good.
fn before(record: &Record, used: &SecretString) -> Result<Predecessor, Failure> {
    let mut before = Predecessor::of(record);
    for state in [Kept::Live(used.clone()), Kept::Ended(Refused::of(used))] {
        before = before.or(&state.to_secret().map_err(|_| Failure::Store)?);
    }
    Ok(before)
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn away(error: crate::store::Error) -> Failure {
    tracing::warn!(error = error.chain(), "a user's grant cannot be read");
    Failure::Store
}

//! One access token for all replicas, over Redis: for a partner at which a new token ends
//! the one before, so that replicas with tokens of their own would end each other's (O11).
//!
//! Wraps the fetch of a [`TokenSource`](super::token::TokenSource), which goes on knowing
//! when a token is needed. A replica that needs one takes what another has published,
//! unless it had that very token before, which is then refused or old. Where there is
//! none it takes a lease, fetches and publishes; the others wait for that. Whatever is
//! wrong with Redis, the replica fetches a token of its own: no call fails for it.
//!
//! How long a token is good is told by Redis as a remaining time, never as a moment:
//! clocks differ. Redis sees sealed bytes only.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::token::{Fetch, Issued, Refusal};
use crate::redis::{Away, Found, Place, Redis};
use crate::seal::{Identity, Sealed};
use crate::store::Store;

/// How long one replica may take to fetch a token before another may try.
const LEASE: Duration = Duration::from_secs(10);
/// How long a replica waits for another's token before it fetches its own.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for another's token.
const POLL: Duration = Duration::from_millis(50);
/// The share of its life that a token must have left to be taken: at 80 % it is renewed.
const FRESH: f64 = 0.25;
/// How many of the tokens that this replica has had it remembers.
const REMEMBERED: usize = 8;

/// Whose token it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    /// The partner's key.
    pub(super) partner: &'a str,
    /// Where its API is: sandbox and production may share a Redis.
    pub(super) base_url: &'a str,
    /// The OAuth2 client's id.
    pub(super) client_id: &'a str,
}

/// Shares what a fetch brings.
struct Shared {
    own: Fetch,
    redis: Redis,
    /// Whose keyring seals the token.
    store: Store,
    partner: String,
    /// Names the token to Redis; says nothing of the client.
    name: String,
    place: Place,
    /// The ids of the tokens that this replica has had, newest last.
    had: Mutex<VecDeque<String>>,
}

/// What is sealed.
#[derive(Deserialize, Serialize)]
struct Published<T> {
    /// Random: which token it is.
    id: String,
    token: T,
    /// Its whole life.
    life_ms: u64,
}

/// A token that another replica published.
struct Taken {
    id: String,
    issued: Issued,
}

/// What a replica does next.
enum Turn {
    Taken(Issued),
    Fetch,
    Wait,
}

/// A fetch that takes a token from other replicas, or gives them `own`'s.
pub(super) fn fetch(own: Fetch, owner: Owner<'_>, redis: Redis, store: Store) -> Fetch {
    let name = name(owner);
    let place = Place::new(&format!("token:{name}"));
    let (partner, had) = (owner.partner.to_owned(), Mutex::default());
    let shared = Arc::new(Shared { own, redis, store, partner, name, place, had });
    Box::new(move || {
        let shared = Arc::clone(&shared);
        Box::pin(async move { shared.fetch().await })
    })
}

/// The partner and what tells the client from others.
fn name(owner: Owner<'_>) -> String {
    let client = format!("{}\0{}", owner.base_url, owner.client_id);
    let hash = digest(&SHA256, client.as_bytes());
    let short = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}"));
    format!("{}:{}", owner.partner, short.collect::<String>())
}

// === impl Shared ===

impl Shared {
    async fn fetch(&self) -> Result<Issued, Refusal> {
        let (holder, end) = (Uuid::new_v4(), Instant::now() + PATIENCE);
        loop {
            match self.take_or_lease(holder).await {
                Ok(Turn::Taken(issued)) => return Ok(issued),
                Ok(Turn::Wait) if Instant::now() < end => sleep(POLL).await,
                // With the lease, or without Redis.
                Ok(Turn::Fetch | Turn::Wait) | Err(Away) => return self.fetch_own(holder).await,
            }
        }
    }

    async fn take_or_lease(&self, holder: Uuid) -> Result<Turn, Away> {
        if let Some(issued) = self.take().await? {
            return Ok(Turn::Taken(issued));
        }
        if !self.redis.lease(&self.place, holder, LEASE).await? {
            return Ok(Turn::Wait);
        }
        // Between the look and the lease another may have published and released.
        match self.take().await {
            Ok(Some(issued)) => {
                self.release(holder).await;
                Ok(Turn::Taken(issued))
            }
            Ok(None) | Err(Away) => Ok(Turn::Fetch),
        }
    }

    /// Another replica's token, if there is a good one.
    async fn take(&self) -> Result<Option<Issued>, Away> {
        let Some(found) = self.redis.read(&self.place).await? else { return Ok(None) };
        let Some(taken) = self.open(&found) else { return Ok(None) };
        if !self.remember(taken.id) {
            return Ok(None);
        }
        tracing::debug!(partner = self.partner, "took the token of another replica");
        // Its life is counted from the beginning of the fetch, which was before.
        Ok(Some(taken.issued))
    }

    async fn fetch_own(&self, holder: Uuid) -> Result<Issued, Refusal> {
        let begun = Instant::now();
        let result = (self.own)().await;
        match &result {
            Ok(Issued { secret, lifetime: Some(life) }) => {
                self.publish(holder, secret, *life, begun).await;
            }
            // None to share; whoever waits may try.
            Ok(_) | Err(_) => self.release(holder).await,
        }
        result
    }

    async fn publish(&self, holder: Uuid, secret: &SecretString, life: Duration, begun: Instant) {
        let id = Uuid::new_v4().simple().to_string();
        self.remember(id.clone());
        let Some(sealed) = self.seal(id, secret, life) else {
            return self.release(holder).await;
        };
        match self.redis.publish(&self.place, holder, &sealed, begun + life).await {
            Ok(true) => {}
            // A lease that was asked for when it began to hang is not to outlast that.
            Err(Away) => self.release(holder).await,
            Ok(false) => {
                tracing::warn!(partner = self.partner, "another replica fetches a token as well");
            }
        }
    }

    async fn release(&self, holder: Uuid) {
        // If it fails, the lease ends by itself.
        let _ = self.redis.release(&self.place, holder).await;
    }

    /// Says whether the replica had no such token before.
    fn remember(&self, id: String) -> bool {
        let mut had = self.had.lock().unwrap_or_else(PoisonError::into_inner);
        if had.contains(&id) {
            return false;
        }
        if had.len() == REMEMBERED {
            had.pop_front();
        }
        had.push_back(id);
        true
    }

    fn seal(&self, id: String, secret: &SecretString, life: Duration) -> Option<Vec<u8>> {
        let life_ms = u64::try_from(life.as_millis()).ok()?;
        let published = Published { id, token: secret.expose_secret(), life_ms };
        let plain = Zeroizing::new(serde_json::to_vec(&published).ok()?);
        let sealed = self.store.keyring().seal(&self.identity(), &plain).ok()?;
        Some(sealed.to_bytes())
    }

    /// What was published; `None` if it is not to be used, whatever the reason.
    fn open(&self, found: &Found) -> Option<Taken> {
        let sealed = Sealed::from_bytes(&found.value).ok()?;
        let plain = self.store.keyring().open(&self.identity(), &sealed).ok()?;
        let published: Published<SecretString> =
            serde_json::from_slice(plain.expose_secret()).ok()?;
        let life = Duration::from_millis(published.life_ms);
        // More than its life can only be wrong.
        let left = found.left.min(life);
        let issued = Issued { secret: published.token, lifetime: Some(left) };
        (left > life.mul_f64(FRESH)).then_some(Taken { id: published.id, issued })
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            purpose: "shared access token",
            partner: &self.partner,
            kind: "client_token",
            account: &self.name,
            id: Uuid::nil(),
            version: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::clock::Clock;

    const OWNER: Owner<'_> =
        Owner { partner: "example", base_url: "https://api.example", client_id: "client" };

    async fn shared() -> Shared {
        Shared {
            own: Box::new(|| async { Err(Refusal::transient("not asked")) }.boxed()),
            // Nobody listens there.
            redis: Redis::new(&"redis://127.0.0.1:1".into()).unwrap(),
            store: Store::in_memory(Clock::system()).await.unwrap(),
            partner: "example".to_owned(),
            name: name(OWNER),
            place: Place::new("token"),
            had: Mutex::default(),
        }
    }

    #[test]
    fn a_place_says_nothing_of_the_client_and_is_of_one_client_at_one_place() {
        let own = name(OWNER);
        assert!(own.starts_with("example:") && !own.contains("client"), "{own}");
        for other in [
            Owner { partner: "other", ..OWNER },
            Owner { base_url: "https://sandbox.example", ..OWNER },
            Owner { client_id: "other", ..OWNER },
        ] {
            assert_ne!(own, name(other));
        }
    }

    #[tokio::test]
    async fn only_a_fresh_token_that_was_sealed_by_us_is_taken() {
        let (shared, other) = (shared().await, shared().await);
        let life = Duration::from_secs(100);
        let sealed = shared.seal("id".to_owned(), &"at\"1".into(), life).unwrap();
        let open = |by: &Shared, value: &[u8], left| {
            let taken = by.open(&Found { value: value.to_vec(), left: Duration::from_secs(left) });
            taken.map(|taken| taken.issued.lifetime.unwrap().as_secs())
        };
        assert_eq!(open(&shared, &sealed, 60), Some(60));
        assert_eq!(open(&shared, &sealed, 1000), Some(100), "never more than its life");
        assert_eq!(open(&shared, &sealed, 25), None, "it is about to be renewed");
        assert_eq!(open(&other, &sealed, 60), None, "another keyring");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(open(&shared, &altered, 60), None);
        }
        assert_eq!(open(&shared, b"", 60), None);
    }

    #[tokio::test]
    async fn a_token_that_this_replica_had_is_not_taken_again() {
        let shared = shared().await;
        assert!(shared.remember("1".into()));
        assert!(!shared.remember("1".into()));
        for id in 2..100 {
            assert!(shared.remember(id.to_string()));
        }
        assert!(!shared.remember("99".into()) && shared.remember("1".into()));
        assert_eq!(shared.had.lock().unwrap().len(), REMEMBERED);
    }

    #[tokio::test]
    async fn without_redis_a_replica_fetches_its_own_token() {
        let token = || async { Ok(Issued { secret: "own".into(), lifetime: Some(LEASE) }) }.boxed();
        let shared = Shared { own: Box::new(token), ..shared().await };
        let issued = shared.fetch().await.unwrap();
        assert_eq!(issued.secret.expose_secret(), "own");
    }
}

//! One quota for all replicas, counted in Redis (requirement R14).
//!
//! Each check is one atomic step by the clock of Redis. Redis is a help and never a
//! condition: while it is away this replica keeps to its own share, and asks again after
//! a while. A Redis that has lost its memory grants one burst more than the quota has.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::Instant;

use super::gcra::Tempo;
use super::lane::Owner;
use crate::redis::{Counted, Place, Redis};
use crate::stack::Rate;

/// How long a replica counts alone before it asks for the others again.
const ALONE: Duration = Duration::from_secs(2);

/// The quotas of one partner, shared over Redis.
#[derive(Debug)]
pub(super) struct Shared {
    redis: Redis,
    /// The partner's key.
    partner: String,
    /// Where its API is: sandbox and production may share a Redis.
    base_url: String,
    /// Until when nobody asks, after Redis was found to be away.
    alone_until: Mutex<Option<Instant>>,
}

/// What asking for one request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It may be sent, and is counted. The next is due so long from now.
    Granted(Duration),
    /// It may not, and is not counted.
    Denied(Duration),
    /// Nobody can say.
    Away,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(redis: Redis, partner: &str, base_url: &str) -> Self {
        let (partner, base_url) = (partner.to_owned(), base_url.to_owned());
        Self { redis, partner, base_url, alone_until: Mutex::default() }
    }

    /// Whether Redis is asked.
    pub(super) fn is_there(&self) -> bool {
        let until = self.alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| until <= Instant::now())
    }

    /// Asks for one request of the quota of `owner`.
    pub(super) async fn take(&self, owner: &Owner, rate: Rate) -> Asked {
        let (place, tempo) = (self.place(owner), Tempo::whole(rate));
        match self.redis.count(&place, tempo.interval(), tempo.tolerance()).await {
            Ok(Counted { is_granted: true, due }) => Asked::Granted(due),
            Ok(Counted { is_granted: false, due }) => Asked::Denied(due),
            Err(_) => {
                let mut until = self.alone_until.lock().unwrap_or_else(PoisonError::into_inner);
                *until = Some(Instant::now() + ALONE);
                Asked::Away
            }
        }
    }

    /// Names the quota; says nothing of the account.
    fn place(&self, owner: &Owner) -> Place {
        let account = owner.as_deref().unwrap_or_default();
        let hash = digest(&SHA256, format!("{}\0{account}", self.base_url).as_bytes());
        let short = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}"));
        Place::new(&format!("quota:{}:{}", self.partner, short.collect::<String>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(partner: &str, base_url: &str) -> Shared {
        // Nobody listens there.
        Shared::new(Redis::new(&"redis://127.0.0.1:1".into()).unwrap(), partner, base_url)
    }

    #[test]
    fn a_place_says_nothing_of_the_account_and_is_of_one_account_at_one_place() {
        let place = |shared: &Shared, owner: Option<&str>| {
            format!("{:?}", shared.place(&owner.map(str::to_owned)))
        };
        let example = shared("example", "https://api.example");
        let own = place(&example, Some("canary"));
        assert!(own.contains("quota:example:") && !own.contains("canary"), "{own}");
        let others = [
            place(&example, None),
            place(&example, Some("other")),
            place(&shared("other", "https://api.example"), Some("canary")),
            place(&shared("example", "https://sandbox.example"), Some("canary")),
        ];
        assert!(others.iter().all(|other| *other != own));
        assert_eq!(own, place(&example, Some("canary")));
    }

    #[tokio::test]
    async fn r14_redis_is_left_alone_for_a_while_when_it_is_away() {
        let shared = shared("example", "https://api.example");
        assert!(shared.is_there());
        let rate = Rate { requests: 1, per: Duration::from_secs(1), burst: 1 };
        assert_eq!(shared.take(&None, rate).await, Asked::Away);
        assert!(!shared.is_there());
        let until = shared.alone_until.lock().unwrap().unwrap();
        assert!(until <= Instant::now() + ALONE);
    }
}

//! The users whose access tokens are in memory, and those who are known to have none.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use super::renewal::Failure;
use crate::credentials::token::TokenSource;

/// How many users of each sort are remembered.
const MAX_USERS: usize = 10_000;
/// How long a user is taken to have no grant: another replica may be given one.
const WITHOUT: Duration = Duration::from_secs(10);
/// How many of the longest unused sources are looked at to find one that may go.
const CANDIDATES: usize = 16;

/// Why a user has no access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No grant is kept.
    Absent,
    /// The partner takes it no more.
    Ended,
}

/// What is behind the last failure of a source, if it is not the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is no grant to have a token by.
    None(End),
    /// The store did not answer.
    StoreAway,
}

/// The last reason of one source. Clones share it.
#[derive(Clone, Default)]
pub(super) struct LastWhy(Arc<Mutex<Option<Why>>>);

/// A source, and where it leaves its reasons.
pub(super) type Source = (TokenSource, LastWhy);

/// Both are in the order of their last use.
pub(super) struct Users {
    sources: LruCache<String, Source>,
    without: LruCache<String, (End, Instant)>,
    max: usize,
}

// === impl Why ===

impl Why {
    pub(super) fn of(failure: &Failure) -> Option<Self> {
        Some(match failure {
            Failure::Absent => Why::None(End::Absent),
            Failure::Ended => Why::None(End::Ended),
            Failure::Store => Why::StoreAway,
            Failure::NotDue | Failure::Refused(_) => return None,
        })
    }
}

// === impl LastWhy ===

impl LastWhy {
    pub(super) fn get(&self) -> Option<Why> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, why: Option<Why>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

// === impl Users ===

impl Users {
    fn new(max: usize) -> Self {
        let bound = NonZeroUsize::new(max).unwrap_or(NonZeroUsize::MIN);
        // The sources are bounded below: some must not go.
        Self { sources: LruCache::unbounded(), without: LruCache::sparse(bound), max }
    }

    /// The source of `user`, a new one if there is none.
    ///
    /// # Errors
    /// Why there is no grant to have a token by, as was found a moment ago.
    pub(super) fn find(
        &mut self,
        user: &str,
        now: Instant,
        make: impl FnOnce() -> Source,
    ) -> Result<Source, End> {
        if let Some(source) = self.sources.get(user) {
            return Ok(source.clone());
        }
        if let Some((end, until)) = self.without.get(user) {
            if now < *until {
                return Err(*end);
            }
            self.without.pop(user);
        }
        while self.sources.len() >= self.max && self.evict() {}
        let source = make();
        self.sources.put(user.to_owned(), source.clone());
        Ok(source)
    }

    /// Notes what the source of that reason came to know, unless there is another by now.
    pub(super) fn end(&mut self, user: &str, told: &LastWhy, end: End, now: Instant) {
        if self.sources.peek(user).is_some_and(|(_, current)| current.is(told)) {
            self.sources.pop(user);
            self.without.put(user.to_owned(), (end, now + WITHOUT));
        }
    }

    /// Lets every source try anew what failed for the client's secret.
    pub(super) fn secret_changed(&self) {
        self.sources.iter().for_each(|(_, (source, _))| source.secret_changed());
    }

    /// Forgets everything of a user.
    pub(super) fn forget(&mut self, user: &str) {
        self.sources.pop(user);
        self.without.pop(user);
    }

    /// Forgets the source that was not used for longest, if it may go. When none may, there
    /// are more than the bound for a while: as many as there are calls under way.
    fn evict(&mut self) -> bool {
        let oldest = self.sources.iter().rev().take(CANDIDATES);
        let mut idle = oldest.filter(|(_, (source, _))| source.is_idle());
        let Some(user) = idle.next().map(|(user, _)| user.clone()) else { return false };
        self.sources.pop(&user).is_some()
    }
}

impl Default for Users {
    fn default() -> Self {
        Self::new(MAX_USERS)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::credentials::token::{Fetch, Issued};

    /// A source whose fetch never ends, or ends at once.
    fn source(is_slow: bool) -> Source {
        let fetch: Fetch = Box::new(move || {
            async move {
                if is_slow {
                    std::future::pending::<()>().await;
                }
                Ok(Issued { secret: "t".into(), lifetime: Some(Duration::from_secs(180)) })
            }
            .boxed()
        });
        let source = TokenSource::new(fetch, TaskTracker::new(), Box::new(|_| ()));
        (source, LastWhy::default())
    }

    fn find(users: &mut Users, user: &str) -> Result<Source, End> {
        users.find(user, Instant::now(), || source(false))
    }

    #[tokio::test]
    async fn the_longest_unused_source_is_forgotten() {
        let mut users = Users::new(2);
        for user in ["a", "b", "a", "c"] {
            find(&mut users, user).unwrap();
        }
        let left: Vec<_> = users.sources.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(left, ["c", "a"]);
    }

    #[tokio::test]
    async fn a_source_that_is_waited_for_or_is_fetching_is_not_forgotten() {
        let mut users = Users::new(2);
        let (waited_for, _) = find(&mut users, "a").unwrap();
        let (fetching, _) = users.find("b", Instant::now(), || source(true)).unwrap();
        assert!(fetching.token().now_or_never().is_none());
        drop(fetching);
        for user in ["c", "d", "e"] {
            find(&mut users, user).unwrap();
        }
        let left: Vec<_> = users.sources.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(left, ["e", "b", "a"], "more than the bound, and the rest is gone");
        drop(waited_for);
        find(&mut users, "f").unwrap();
        let left: Vec<_> = users.sources.iter().map(|(user, _)| user.as_str()).collect();
        assert_eq!(left, ["f", "b"], "back within the bound");
    }

    #[tokio::test(start_paused = true)]
    async fn that_there_is_no_grant_is_believed_for_ten_seconds() {
        let mut users = Users::new(2);
        let (_, told) = find(&mut users, "a").unwrap();
        users.end("a", &told, End::Ended, Instant::now());
        assert_eq!(find(&mut users, "a").map(drop), Err(End::Ended));
        tokio::time::advance(WITHOUT).await;
        assert!(find(&mut users, "a").is_ok());
        users.end("a", &told, End::Ended, Instant::now());
        assert!(find(&mut users, "a").is_ok(), "that was another source's");
        users.end("b", &told, End::Absent, Instant::now());
        users.forget("a");
        assert!(find(&mut users, "b").is_ok());
    }
}

//! A secret that may be replaced while it is in use.
//!
//! A file and a partner do not change at the same moment, so for a while nobody knows
//! which of two secrets the partner takes. Attempts carry the new one; when the partner
//! refuses it, the one before is carried from then on, until that is refused. So no call
//! fails, whichever side is changed first, as long as one of the two is good.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

/// How long the secret before is kept, counted from when it was last the preferred one.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// A secret, and for some time the one before. Clones share it.
pub(crate) struct Rotating<T>(Arc<Inner<T>>);

struct Inner<T> {
    /// What it is, for the log.
    what: String,
    versions: RwLock<Versions<T>>,
}

struct Versions<T> {
    /// What attempts carry.
    preferred: Arc<T>,
    /// What is carried when that is refused.
    other: Option<Other<T>>,
    /// Counts the changes of what is preferred.
    epoch: u64,
}

struct Other<T> {
    value: Arc<T>,
    /// From when on it is forgotten; `None` for the one that was read last.
    end: Option<Instant>,
}

/// A secret as an attempt carries it.
pub(crate) struct Held<T> {
    value: Arc<T>,
    epoch: u64,
    of: Rotating<T>,
}

// === impl Rotating ===

impl<T> Rotating<T> {
    /// A secret that has not been replaced yet.
    pub(super) fn new(what: impl Into<String>, value: T) -> Self {
        let versions = Versions { preferred: Arc::new(value), other: None, epoch: 0 };
        Self(Arc::new(Inner { what: what.into(), versions: RwLock::new(versions) }))
    }

    /// What it is.
    pub(super) fn what(&self) -> &str {
        &self.0.what
    }

    /// The one to carry now.
    pub(super) fn held(&self) -> Held<T> {
        let versions = self.0.versions.read().unwrap_or_else(PoisonError::into_inner);
        let value = Arc::clone(&versions.preferred);
        Held { value, epoch: versions.epoch, of: self.clone() }
    }

    /// Takes `value` for the new one. Of those before, the one that was preferred is kept.
    pub(super) fn replace(&self, value: T) {
        self.change(|versions| {
            let end = Some(Instant::now() + KEPT);
            let value = std::mem::replace(&mut versions.preferred, Arc::new(value));
            versions.other = Some(Other { value, end });
            versions.epoch += 1;
        });
    }

    /// Notes that the partner refused what was carried in `epoch`.
    fn refused(&self, epoch: u64) -> bool {
        let is_new = self.change(|versions| {
            if epoch != versions.epoch {
                // What is preferred now was not what was refused, or was not refused then.
                return Some(None);
            }
            let now = Instant::now();
            let other = versions.other.take();
            let other = other.filter(|other| other.end.is_none_or(|end| now < end))?;
            let value = std::mem::replace(&mut versions.preferred, other.value);
            // Of the two exactly one is the newest, and that has no end.
            let is_new = other.end.is_none();
            versions.other = Some(Other { value, end: is_new.then(|| now + KEPT) });
            versions.epoch += 1;
            Some(Some(is_new))
        });
        match is_new {
            None => return false,
            Some(None) => {}
            Some(Some(true)) => tracing::info!(secret = self.0.what, "the new one is used again"),
            Some(Some(false)) => tracing::warn!(
                secret = self.0.what,
                "the partner refuses the new one: the one before is used"
            ),
        }
        true
    }

    fn change<R>(&self, change: impl FnOnce(&mut Versions<T>) -> R) -> R {
        change(&mut self.0.versions.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Clone for Rotating<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Rotating<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rotating({})", self.0.what)
    }
}

// === impl Held ===

impl<T> Held<T> {
    /// The secret.
    pub(super) fn get(&self) -> &T {
        &self.value
    }

    /// Says that the partner refused it, and whether another attempt would carry another.
    pub(super) fn refused(&self) -> bool {
        self.of.refused(self.epoch)
    }
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), epoch: self.epoch, of: self.of.clone() }
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.of.0.what)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn rotating() -> Rotating<&'static str> {
        Rotating::new("test", "v1")
    }

    #[tokio::test(start_paused = true)]
    async fn s19_a_secret_that_was_not_replaced_has_no_other() {
        let rotating = rotating();
        assert!(!rotating.held().refused());
        assert_eq!(*rotating.held().get(), "v1");
    }

    #[tokio::test(start_paused = true)]
    async fn s19_what_the_partner_takes_is_preferred_from_then_on() {
        let rotating = rotating();
        rotating.replace("v2");
        let new = rotating.held();
        assert_eq!(*new.get(), "v2");
        assert!(new.refused());
        assert_eq!(*rotating.held().get(), "v1");
        assert!(rotating.held().refused());
        assert_eq!(*rotating.held().get(), "v2");
    }

    #[tokio::test(start_paused = true)]
    async fn s19_a_refusal_of_what_was_carried_before_a_change_changes_nothing() {
        let rotating = rotating();
        rotating.replace("v2");
        let many: Vec<_> = (0..500).map(|_| rotating.held()).collect();
        assert!(many.iter().all(Held::refused), "all may try again");
        assert_eq!(*rotating.held().get(), "v1", "changed once");
        // The partner changes: those that were sent with the new one before that are late.
        assert!(rotating.held().refused());
        assert!(many[0].refused(), "the new one is good by now");
        assert_eq!(*rotating.held().get(), "v2");
    }

    #[tokio::test(start_paused = true)]
    async fn s19_the_one_that_worked_is_what_the_next_change_keeps() {
        let rotating = rotating();
        rotating.replace("half");
        rotating.held().refused();
        rotating.replace("v2");
        assert_eq!(*rotating.held().get(), "v2");
        rotating.held().refused();
        assert_eq!(*rotating.held().get(), "v1");
    }

    #[tokio::test(start_paused = true)]
    async fn s19_the_one_before_is_forgotten_after_an_hour_unless_it_is_the_one_that_works() {
        let rotating = rotating();
        rotating.replace("v2");
        advance(KEPT).await;
        assert!(!rotating.held().refused());
        assert_eq!(*rotating.held().get(), "v2");

        rotating.replace("v3");
        rotating.held().refused();
        advance(100 * KEPT).await;
        assert_eq!(*rotating.held().get(), "v2", "the partner is slow to change");
        assert!(rotating.held().refused());
        assert_eq!(*rotating.held().get(), "v3");
    }
}

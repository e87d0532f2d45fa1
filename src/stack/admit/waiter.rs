//! A call that asks for its turn, as those see it who decide.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lane::Owner;
use crate::callers::Caller;
use crate::error::{Error, Kind, Outcome};

/// A call that asks for its turn.
#[derive(Debug)]
pub(super) struct Waiter {
    /// The order of arrival.
    pub(super) id: u64,
    /// Whose quota it waits for.
    pub(super) owner: Owner,
    pub(super) caller: Caller,
    /// When it has to go at the latest.
    pub(super) last_call: Instant,
    /// Tells it to look again.
    pub(super) wakes: Notify,
    /// Whether it takes one of the places of those who wait.
    is_seated: AtomicBool,
    /// Why it is not let through, once somebody else found that out.
    refusal: OnceLock<Refusal>,
}

/// Why a call is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The quota is used up for longer than the call can wait: for so long.
    RateLimited(Duration),
    /// There is no room.
    Overloaded,
}

// === impl Waiter ===

impl Waiter {
    pub(super) fn new(id: u64, owner: &Owner, caller: &Caller, last_call: Instant) -> Arc<Self> {
        Arc::new(Self {
            id,
            owner: owner.clone(),
            caller: caller.clone(),
            last_call,
            wakes: Notify::new(),
            is_seated: AtomicBool::new(false),
            refusal: OnceLock::new(),
        })
    }

    /// Refuses it, whatever it is waiting for; says whether it was not refused before.
    pub(super) fn refuse(&self, refusal: Refusal) -> bool {
        self.wakes.notify_one();
        self.refusal.set(refusal).is_ok()
    }

    /// Why it was refused, if it was.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get().copied()
    }

    /// Whether it has a place.
    pub(super) fn is_seated(&self) -> bool {
        self.is_seated.load(Ordering::Relaxed)
    }

    /// Takes a place or gives it up; says whether it had one.
    pub(super) fn set_seated(&self, is_seated: bool) -> bool {
        self.is_seated.swap(is_seated, Ordering::Relaxed)
    }
}

// === impl Refusal ===

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::RateLimited(retry_after) => Kind::RateLimited { retry_after },
            Refusal::Overloaded => Kind::Overloaded,
        };
        Error::new(kind, Outcome::NotSent)
    }
}

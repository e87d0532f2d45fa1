//! How hard a partner is used: numbers that can change while the gateway runs.
//!
//! Each layer looks them up for each call, so a change counts from the next call on.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How hard a partner is used, and when it is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many requests each of its accounts is sent; `None` for as many as there are.
    pub rate: Option<Rate>,
    /// How many calls may wait for their turn at once.
    pub max_waiting: usize,
    /// How many replicas share the quota: what one of them takes when it cannot ask the
    /// others.
    pub replicas: u32,
    /// How many requests may be open at once.
    pub concurrency: Concurrency,
    /// When a failed attempt is made again.
    pub retry: Retry,
    /// When a partner that fails is left alone.
    pub breaker: Breaker,
}

/// A quota: `requests` in each `per`, and `burst` of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests in each period; 1 at least.
    pub requests: u32,
    /// The period.
    pub per: Duration,
    /// How many may be sent at once; 1 at least.
    pub burst: u32,
}

/// How many requests may be open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// At the start.
    pub initial: u32,
    /// However badly the partner does.
    pub min: u32,
    /// However well it does.
    pub max: u32,
}

/// When a failed attempt is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts for one call, the first among them.
    pub max_attempts: u32,
    /// The first pause is between nothing and this; each next one may be twice as long.
    pub base_delay: Duration,
    /// The longest pause, and the longest that a partner's hint is waited for.
    pub max_delay: Duration,
    /// An attempt is not begun with less time than this.
    pub min_time: Duration,
    /// Repeated attempts in percent of the calls in `budget_window`.
    pub budget_percent: u32,
    /// What the budget is counted over.
    pub budget_window: Duration,
    /// Repeated attempts in each second whatever the number of calls.
    pub budget_reserve: u32,
    /// The longest request that is kept for another attempt, in bytes.
    pub max_body: usize,
}

/// When a partner that fails is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Whether it ever is.
    pub is_enabled: bool,
    /// What is counted over.
    pub window: Duration,
    /// With fewer attempts in the window nothing is concluded.
    pub min_attempts: u32,
    /// From this share of failures on, in percent.
    pub failure_percent: u32,
    /// For how long, the first time.
    pub open: Duration,
    /// For how long at most: it doubles each time.
    pub max_open: Duration,
}

/// The limits of one partner, as they are just now. Clones share them.
#[derive(Clone, Debug)]
pub struct Tunable(Arc<RwLock<Arc<Limits>>>);

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: None,
            max_waiting: 12_000,
            replicas: 1,
            concurrency: Concurrency::default(),
            retry: Retry::default(),
            breaker: Breaker::default(),
        }
    }
}

// === impl Concurrency ===

impl Default for Concurrency {
    fn default() -> Self {
        Self { initial: 20, min: 4, max: 200 }
    }
}

// === impl Retry ===

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(20),
            min_time: Duration::from_millis(100),
            budget_percent: 20,
            budget_window: Duration::from_secs(10),
            budget_reserve: 1,
            max_body: 64 * 1024,
        }
    }
}

// === impl Breaker ===

impl Default for Breaker {
    fn default() -> Self {
        Self {
            is_enabled: true,
            window: Duration::from_secs(10),
            min_attempts: 20,
            failure_percent: 50,
            open: Duration::from_secs(5),
            max_open: Duration::from_secs(60),
        }
    }
}

// === impl Tunable ===

impl Tunable {
    /// These limits, until others are set.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(limits))))
    }

    /// The limits just now.
    pub fn get(&self) -> Arc<Limits> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses other limits from now on.
    pub fn set(&self, limits: Limits) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }
}

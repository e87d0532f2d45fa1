//! How hard a partner is used: the part of its section that may change while the gateway
//! runs. The defaults are those of the stack, so there is one source of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value;
use crate::stack;

/// `rate_limit`: the quota that the gateway keeps to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Requests in each period; 0 for as many as there are.
    pub requests: u32,
    /// The period.
    #[serde(with = "value::duration")]
    pub per: Duration,
    /// How many may be sent at once.
    pub burst: u32,
    /// How many calls may wait for their turn.
    pub max_waiting: usize,
}

/// `concurrency`: how many requests may be open at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Concurrency {
    /// At the start.
    pub initial: u32,
    /// However badly the partner does.
    pub min: u32,
    /// However well it does.
    pub max: u32,
}

/// `retry`: when a failed attempt is made again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Attempts for one call, the first among them.
    pub max_attempts: u32,
    /// The first pause is at most this.
    #[serde(with = "value::duration")]
    pub base_delay: Duration,
    /// The longest pause.
    #[serde(with = "value::duration")]
    pub max_delay: Duration,
    /// The least time that an attempt is begun with.
    #[serde(with = "value::duration")]
    pub min_time: Duration,
    /// Repeated attempts in percent of the calls.
    pub budget_percent: u32,
    /// What the budget is counted over.
    #[serde(with = "value::duration")]
    pub budget_window: Duration,
    /// Repeated attempts in each second whatever the number of calls.
    pub budget_reserve: u32,
    /// The longest request that is repeated, in bytes.
    pub max_body_bytes: usize,
}

/// `breaker`: when a partner that fails is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Whether it ever is.
    pub enabled: bool,
    /// What is counted over.
    #[serde(with = "value::duration")]
    pub window: Duration,
    /// With fewer attempts nothing is concluded.
    pub min_attempts: u32,
    /// From this share of failures on.
    pub failure_percent: u32,
    /// For how long, the first time.
    #[serde(with = "value::duration")]
    pub open: Duration,
    /// For how long at most.
    #[serde(with = "value::duration")]
    pub max_open: Duration,
}

/// The four of them, whichever partner they are of.
#[derive(Clone, Copy, Debug)]
pub struct Tuning<'a> {
    /// The quota.
    pub rate_limit: &'a RateLimit,
    /// How many requests may be open.
    pub concurrency: &'a Concurrency,
    /// When an attempt is made again.
    pub retry: &'a Retry,
    /// When the partner is left alone.
    pub breaker: &'a Breaker,
}

// === impl RateLimit ===

impl RateLimit {
    /// That of a partner that promises this many requests in each minute.
    pub(super) fn per_minute(requests: u32, burst: u32) -> Self {
        Self { requests, burst, ..Self::default() }
    }

    fn rate(&self) -> Option<stack::Rate> {
        let Self { requests, per, burst, .. } = *self;
        (requests > 0).then_some(stack::Rate { requests, per, burst })
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        let max_waiting = stack::Limits::default().max_waiting;
        Self { requests: 0, per: Duration::from_secs(60), burst: 1, max_waiting }
    }
}

// === impl Concurrency ===

impl Default for Concurrency {
    fn default() -> Self {
        let stack::Concurrency { initial, min, max } = stack::Concurrency::default();
        Self { initial, min, max }
    }
}

// === impl Retry ===

impl Default for Retry {
    fn default() -> Self {
        let retry = stack::Retry::default();
        Self {
            max_attempts: retry.max_attempts,
            base_delay: retry.base_delay,
            max_delay: retry.max_delay,
            min_time: retry.min_time,
            budget_percent: retry.budget_percent,
            budget_window: retry.budget_window,
            budget_reserve: retry.budget_reserve,
            max_body_bytes: retry.max_body,
        }
    }
}

// === impl Breaker ===

impl Default for Breaker {
    fn default() -> Self {
        let breaker = stack::Breaker::default();
        Self {
            enabled: breaker.is_enabled,
            window: breaker.window,
            min_attempts: breaker.min_attempts,
            failure_percent: breaker.failure_percent,
            open: breaker.open,
            max_open: breaker.max_open,
        }
    }
}

// === impl Tuning ===

impl Tuning<'_> {
    fn room_to_wait(&self, max_calls: usize) -> usize {
        let open = usize::try_from(self.concurrency.max).unwrap_or(usize::MAX);
        (max_calls - max_calls / 4).saturating_sub(open).max(max_calls / 2)
    }

    /// What the stack takes, in a gateway of this many replicas that has room for
    /// `max_calls`. Those that wait and those that are open take three quarters of it at most,
    /// so it is the fair queue of the partner that refuses calls, and not the door.
    pub fn limits(&self, replicas: u32, max_calls: usize) -> stack::Limits {
        let Tuning { rate_limit, concurrency, retry, breaker } = self;
        stack::Limits {
            rate: rate_limit.rate(),
            max_waiting: rate_limit.max_waiting.min(self.room_to_wait(max_calls)),
            replicas,
            concurrency: stack::Concurrency {
                initial: concurrency.initial,
                min: concurrency.min,
                max: concurrency.max,
            },
            retry: stack::Retry {
                max_attempts: retry.max_attempts,
                base_delay: retry.base_delay,
                max_delay: retry.max_delay,
                min_time: retry.min_time,
                budget_percent: retry.budget_percent,
                budget_window: retry.budget_window,
                budget_reserve: retry.budget_reserve,
                max_body: retry.max_body_bytes,
            },
            breaker: stack::Breaker {
                is_enabled: breaker.enabled,
                window: breaker.window,
                min_attempts: breaker.min_attempts,
                failure_percent: breaker.failure_percent,
                open: breaker.open,
                max_open: breaker.max_open,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_stacks() {
        let (rate_limit, concurrency) = (&RateLimit::default(), &Concurrency::default());
        let (retry, breaker) = (&Retry::default(), &Breaker::default());
        let tuning = Tuning { rate_limit, concurrency, retry, breaker };
        assert_eq!(tuning.limits(1, usize::MAX), stack::Limits::default());
    }
}

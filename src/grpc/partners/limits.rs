//! The limits that are in force, as operators read them.

use super::{count, duration};
use crate::pb::gateway::v1 as pb;
use crate::pb::gateway::v1::limits as parts;
use crate::stack::{Breaker, Concurrency, Limits, Rate, Retry};

/// The numbers of `limits`.
pub(super) fn limits(limits: &Limits) -> pb::Limits {
    pb::Limits {
        rate_limit: limits.rate.map(rate),
        max_waiting: count(limits.max_waiting),
        replicas: count(limits.replicas),
        concurrency: Some(concurrency(limits.concurrency)),
        retry: Some(retry(limits.retry)),
        breaker: Some(breaker(limits.breaker)),
    }
}

fn rate(rate: Rate) -> parts::Rate {
    let Rate { requests, per, burst } = rate;
    parts::Rate { requests: count(requests), per: Some(duration(per)), burst: count(burst) }
}

fn concurrency(concurrency: Concurrency) -> parts::Concurrency {
    let Concurrency { initial, min, max } = concurrency;
    parts::Concurrency { initial: count(initial), min: count(min), max: count(max) }
}

fn retry(retry: Retry) -> parts::Retry {
    parts::Retry {
        max_attempts: count(retry.max_attempts),
        base_delay: Some(duration(retry.base_delay)),
        max_delay: Some(duration(retry.max_delay)),
        min_time: Some(duration(retry.min_time)),
        budget_percent: count(retry.budget_percent),
        budget_window: Some(duration(retry.budget_window)),
        budget_reserve: count(retry.budget_reserve),
        max_body_bytes: count(retry.max_body),
    }
}

fn breaker(breaker: Breaker) -> parts::BreakerRules {
    parts::BreakerRules {
        enabled: breaker.is_enabled,
        window: Some(duration(breaker.window)),
        min_attempts: count(breaker.min_attempts),
        failure_percent: count(breaker.failure_percent),
        open: Some(duration(breaker.open)),
        max_open: Some(duration(breaker.max_open)),
    }
}

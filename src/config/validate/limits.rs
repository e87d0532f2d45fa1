//! The rules of a partner's tuning: numbers that contradict each other would make a
//! partner unreachable, or the limit none.

use super::{at_least_one, at_most, not_zero};
use crate::config::{Breaker, Concurrency, Faults, RateLimit, Retry, Tuning};

/// More calls than any machine holds.
const MAX_WAITING: usize = 1_000_000;
/// More is a storm and not a second chance.
const MAX_ATTEMPTS: usize = 10;
/// The largest request that is worth keeping for another attempt.
const MAX_BODY: usize = 1 << 24;

/// Judges the numbers that may change while the gateway runs.
pub(super) fn tuning(section: &str, tuning: Tuning<'_>, faults: &mut Faults) {
    let Tuning { rate_limit, concurrency, retry, breaker } = tuning;
    rate(&format!("{section}.rate_limit"), rate_limit, faults);
    open(&format!("{section}.concurrency"), concurrency, faults);
    repeated(&format!("{section}.retry"), retry, faults);
    left_alone(&format!("{section}.breaker"), breaker, faults);
}

fn rate(section: &str, rate: &RateLimit, faults: &mut Faults) {
    not_zero(&format!("{section}.per"), rate.per, faults);
    at_least_one(&format!("{section}.burst"), rate.burst > 0, faults);
    at_most(&format!("{section}.max_waiting"), rate.max_waiting, MAX_WAITING, faults);
}

fn open(section: &str, concurrency: &Concurrency, faults: &mut Faults) {
    // `initial` is taken within the two.
    let Concurrency { min, max, .. } = *concurrency;
    at_least_one(&format!("{section}.min"), min > 0, faults);
    if max < min {
        faults.push(format!("{section}.max"), format!("is less than {section}.min"));
    }
}

fn repeated(section: &str, retry: &Retry, faults: &mut Faults) {
    let key = format!("{section}.max_attempts");
    at_least_one(&key, retry.max_attempts > 0, faults);
    at_most(&key, usize::try_from(retry.max_attempts).unwrap_or(usize::MAX), MAX_ATTEMPTS, faults);
    not_zero(&format!("{section}.base_delay"), retry.base_delay, faults);
    if retry.max_delay < retry.base_delay {
        faults.push(format!("{section}.max_delay"), "is shorter than base_delay");
    }
    if retry.budget_percent > 100 {
        faults.push(format!("{section}.budget_percent"), "must be from 0 to 100");
    }
    not_zero(&format!("{section}.budget_window"), retry.budget_window, faults);
    at_most(&format!("{section}.max_body_bytes"), retry.max_body_bytes, MAX_BODY, faults);
}

fn left_alone(section: &str, breaker: &Breaker, faults: &mut Faults) {
    not_zero(&format!("{section}.window"), breaker.window, faults);
    at_least_one(&format!("{section}.min_attempts"), breaker.min_attempts > 0, faults);
    if !(1..=100).contains(&breaker.failure_percent) {
        faults.push(format!("{section}.failure_percent"), "must be from 1 to 100");
    }
    not_zero(&format!("{section}.open"), breaker.open, faults);
    if breaker.max_open < breaker.open {
        faults.push(format!("{section}.max_open"), "is shorter than open");
    }
}

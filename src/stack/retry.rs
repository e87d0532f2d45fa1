//! Failed attempts are made again where that is safe, and worth it.
//!
//! The one layer that repeats what failed (R5): the HTTP client is told not to, and a
//! caller's own library says how often it has asked, so that repeats do not multiply
//! (G34). [`decision`] says which failures may be repeated, [`backoff`] how long to wait,
//! [`budget`] how many repeats the partner can bear. Whatever forbids one, the caller is
//! told at once, and of the last attempt that was made (R2).

mod backoff;
mod budget;
mod decision;

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service, ServiceExt as _};
use tracing::Instrument as _;

pub use self::budget::Budget;
use self::budget::Withdrawn;
use super::exchange::{Exchange, Mark, Phase, Progress};
use super::limits::{Retry as Limits, Tunable};
use super::repeat::Repeat;
use super::{Answering, Next};
use crate::call::Reply;
use crate::error::Error;
use crate::random::Random;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::spans;

/// Repeats failed attempts.
#[derive(Clone, Debug)]
pub(super) struct RetryLayer {
    limits: Tunable,
    budget: Budget,
    random: Random,
    stopping: CancellationToken,
    metrics: Metrics,
}

/// Repeats failed attempts.
#[derive(Clone, Debug)]
pub(super) struct Retry<S> {
    inner: S,
    with: RetryLayer,
}

/// The first pass of a call. Once it is over, or given up, it counts in the budget if an
/// attempt was made: the budget limits repeats, so the first attempt never asks it.
struct First {
    budget: Budget,
    mark: Mark,
}

/// A repeat that the budget has given. Once it is over, or given up, the budget has it back
/// if it was not made: what is refused in the gateway is nothing that the partner has to
/// bear.
struct Given {
    budget: Budget,
    withdrawn: Withdrawn,
    repeat: Repeat,
}

// === impl RetryLayer ===

impl RetryLayer {
    pub(super) fn new(limits: Tunable, budget: Budget, context: &super::Context) -> Self {
        let super::Context { random, stopping, metrics, .. } = context;
        let (random, stopping) = (random.clone(), stopping.clone());
        Self { limits, budget, random, stopping, metrics: metrics.clone() }
    }

    fn first(&self, progress: &Progress) -> First {
        First { budget: self.budget.clone(), mark: progress.mark() }
    }

    /// Makes a call, again if it has to be.
    async fn run<S: Next>(
        self,
        mut ready: S,
        again: S,
        exchange: Exchange,
        limits: Limits,
    ) -> Result<Reply, Error> {
        let progress = exchange.progress.clone();
        let mut result = self.first(&progress).counted(ready.call(exchange.clone())).await;
        for number in 1.. {
            let Err(error) = result else { break };
            let pause = self.pause(&limits, &exchange, &error, number);
            let repeat = pause.and_then(|pause| Some((pause, self.give(&exchange, &error)?)));
            let Some((pause, given)) = repeat else { return Err(error) };
            let attempts = progress.attempts();
            tracing::debug!(attempts, ?pause, cause = %error, "another attempt will be made");
            let backoff = progress.timed(Phase::Backoff);
            let pausing = self.stopping.run_until_cancelled(sleep(pause));
            if pausing.instrument(spans::backoff()).await.is_none() {
                return Err(error);
            }
            drop(backoff);
            result = again.clone().oneshot(exchange.clone()).await;
            if result.is_err() && !given.repeat.was_made() {
                // It was not let through to the partner: what the partner did is the news.
                return Err(error);
            }
        }
        result
    }

    /// How long to wait before the repeat of this `number` after `error`; `None` if there
    /// must not be one.
    fn pause(
        &self,
        limits: &Limits,
        exchange: &Exchange,
        error: &Error,
        number: u32,
    ) -> Option<Duration> {
        let (call, progress) = (&exchange.call, &exchange.progress);
        let outcome = error.outcome().worse(progress.outcome());
        let is_allowed = progress.attempts() < limits.max_attempts
            && decision::may_repeat(call.operation.effect, outcome, error);
        if !is_allowed {
            return None;
        }
        let pause = backoff::pause(limits, number, error.retry_after(), &self.random)?;
        // Work that cannot end in time is not begun (G16).
        let left = call.deadline.saturating_duration_since(Instant::now());
        (left >= pause.saturating_add(limits.min_time)).then_some(pause)
    }

    /// A repeat after `error`; `None` if nothing is left of the budget.
    fn give(&self, exchange: &Exchange, error: &Error) -> Option<Given> {
        let (budget, withdrawn) = (self.budget.clone(), self.budget.withdraw()?);
        Some(Given { budget, withdrawn, repeat: Repeat::after(error, exchange, &self.metrics) })
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry { inner, with: self.clone() }
    }
}

// === impl Retry ===

impl<S: Next> Service<Exchange> for Retry<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let again = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, again.clone());
        let limits = self.with.limits.get().retry;
        match may_ever_repeat(&limits, &exchange) {
            true => Box::pin(self.with.clone().run(ready, again, exchange, limits)),
            false => Box::pin(self.with.first(&exchange.progress).counted(ready.call(exchange))),
        }
    }
}

// === impl First ===

impl First {
    /// The answer of the first pass, counted before anything is made of it.
    async fn counted<T>(self, answer: impl Future<Output = T>) -> T {
        let answer = answer.await;
        drop(self);
        answer
    }
}

impl Drop for First {
    fn drop(&mut self) {
        // What was refused in the gateway is nothing that the partner has to bear (R4).
        if self.mark.was_sent() {
            self.budget.deposit();
        }
    }
}

// === impl Given ===

impl Drop for Given {
    fn drop(&mut self) {
        if !self.repeat.was_made() {
            self.budget.put_back(self.withdrawn);
        }
    }
}

/// Whether a repeat is possible, whatever becomes of the first attempt.
fn may_ever_repeat(limits: &Limits, exchange: &Exchange) -> bool {
    let call = &exchange.call;
    let size = call.body.as_ref().map_or(0, |body| body.bytes.len());
    limits.max_attempts > 1 && call.previous_attempts == 0 && size <= limits.max_body
}

#[cfg(test)]
mod tests;

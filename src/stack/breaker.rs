//! A partner that fails is left alone for a while, each class of calls by itself (R17).
//!
//! When half of the attempts of a class have failed, more of them help nobody: callers wait
//! for what will fail, and a partner that struggles is kept from getting up. They are
//! refused then, NOT_SENT, until a read has shown that the partner is back.
//!
//! The circuits are the gateway's own, and not a library's, for what libraries leave out is
//! the point here: a write is never what a partner is tried with, one read opens the way
//! for the writes, and a wait that is told to the caller is exact.
//!
//! What counts as a failure is no answer, a status of 5xx, and an answer that leaves the
//! outcome open. What the caller did wrong, a quota that is used up, and what was never sent
//! say nothing about the partner. Of the attempts that are given up in the middle those
//! count that the partner let wait for a second or more, until the caller's time was over.

mod circuit;
mod circuits;
mod window;

use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tower::{Layer, Service};

pub use self::circuits::Breakers;
pub(crate) use self::circuits::Standing;

use self::circuit::Verdict;
use self::circuits::Pass;
use super::exchange::{Exchange, Mark};
use super::{Answering, Next};
use crate::call::Reply;
use crate::error::{Error, Kind, Meaning, Outcome, PartnerFailure};

/// Leaves a failing partner alone.
#[derive(Clone, Debug)]
pub(super) struct BreakerLayer {
    breakers: Breakers,
}

/// Leaves a failing partner alone.
#[derive(Clone, Debug)]
pub(super) struct Breaker<S> {
    inner: S,
    breakers: Breakers,
}

/// An attempt that was let through, and that counts however it ends.
struct Open {
    pass: Option<Pass>,
    mark: Mark,
}

// === impl BreakerLayer ===

impl BreakerLayer {
    pub(super) fn new(breakers: Breakers) -> Self {
        Self { breakers }
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Breaker { inner, breakers: self.breakers.clone() }
    }
}

// === impl Breaker ===

impl<S: Next> Service<Exchange> for Breaker<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let inner = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, inner);
        let breakers = self.breakers.clone();
        Box::pin(async move {
            let pass = breakers.enter(exchange.call.operation.effect).map_err(left_alone)?;
            let open = Open { pass: Some(pass), mark: exchange.progress.mark() };
            let result = ready.call(exchange).await;
            open.end(&result);
            result
        })
    }
}

// === impl Open ===

impl Open {
    fn end(mut self, result: &Result<Reply, Error>) {
        let verdict = if self.mark.was_sent() { verdict(result) } else { Verdict::Neutral };
        self.count(verdict);
    }

    fn count(&mut self, verdict: Verdict) {
        if let Some(pass) = self.pass.take() {
            pass.end(verdict);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let has_failed = self.mark.has_run_out();
        self.count(if has_failed { Verdict::Failing } else { Verdict::Neutral });
    }
}

/// What a call is told that is not sent, for the partner is left alone for so long.
fn left_alone(retry_after: Duration) -> Error {
    Error::new(Kind::CircuitOpen { retry_after }, Outcome::NotSent)
}

/// What the end of an attempt tells about the partner.
fn verdict(result: &Result<Reply, Error>) -> Verdict {
    let error = match result {
        Ok(_) => return Verdict::Alive,
        Err(error) => error,
    };
    match error.kind() {
        Kind::Unreachable | Kind::Timeout | Kind::BadResponse { .. } => Verdict::Failing,
        Kind::Partner(failure) | Kind::CredentialsRejected(failure, _) => {
            of_answer(failure, error.outcome())
        }
        _ => Verdict::Neutral,
    }
}

fn of_answer(failure: &PartnerFailure, outcome: Outcome) -> Verdict {
    let is_limited = failure.status == StatusCode::TOO_MANY_REQUESTS
        || failure.meaning == Some(Meaning::RateLimited);
    match () {
        () if is_limited => Verdict::Neutral,
        () if failure.status.is_server_error() => Verdict::Failing,
        () if outcome == Outcome::Unknown => Verdict::Failing,
        () => Verdict::Alive,
    }
}

#[cfg(test)]
mod tests;

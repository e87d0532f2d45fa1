//! One request to the partner, counted and traced.
//!
//! None begins once the call's deadline has passed: the caller has been told by then
//! whether anything was sent. A read that is dropped in the middle, by the deadline or by
//! a caller that is gone, is counted as a failure too: the partner did not answer in time.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field};

use super::exchange::{Exchange, Phase, Progress, Timed};
use super::{Answering, Next};
use crate::call::Reply;
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome};
use crate::failpoint::{self, Point};
use crate::operation::Operation;
use crate::partner::{LastFailure, Partner, Status};

/// Counts and traces attempts.
#[derive(Clone, Debug)]
pub(super) struct AttemptLayer {
    partner: Arc<dyn Partner>,
    host: Arc<str>,
    clock: Clock,
    status: Arc<Status>,
}

/// Counts and traces each attempt that passes.
#[derive(Clone, Debug)]
pub(super) struct Attempt<S> {
    inner: S,
    with: AttemptLayer,
}

/// An attempt that has begun and must end, one way or the other.
struct Open {
    with: AttemptLayer,
    progress: Progress,
    operation: &'static Operation,
    is_ended: bool,
    _timed: Timed,
}

// === impl AttemptLayer ===

impl AttemptLayer {
    pub(super) fn new(partner: Arc<dyn Partner>, host: Arc<str>, context: &super::Context) -> Self {
        let super::Context { clock, status, .. } = context;
        Self { partner, host, clock: clock.clone(), status: Arc::clone(status) }
    }

    fn span(&self, number: u32, operation: &Operation) -> Span {
        tracing::info_span!(
            "attempt",
            attempt = number,
            http.request.method = operation.verb.as_str(),
            server.address = &*self.host,
            http.response.status_code = field::Empty,
            partner_request_id = field::Empty,
            outcome = field::Empty,
        )
    }
}

impl<S> Layer<S> for AttemptLayer {
    type Service = Attempt<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Attempt { inner, with: self.clone() }
    }
}

// === impl Attempt ===

impl<S: Next> Service<Exchange> for Attempt<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let inner = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, inner);
        let with = self.with.clone();
        Box::pin(async move {
            let operation = exchange.call.operation;
            let progress = exchange.progress.clone();
            let Some(number) = progress.begin() else {
                return Err(Error::new(Kind::Timeout, Outcome::NotSent));
            };
            with.status.record_attempt();
            let span = with.span(number, operation);
            let _timed = progress.timed(Phase::Attempt);
            let open = Open { with, progress, operation, is_ended: false, _timed };
            let attempt = async move {
                let _ = failpoint::reach(Point::BeforeSend).await;
                let result = ready.call(exchange).await;
                open.end(number, result)
            };
            attempt.instrument(span).await
        })
    }
}

// === impl Open ===

impl Open {
    fn end(mut self, number: u32, result: Result<Reply, Error>) -> Result<Reply, Error> {
        self.is_ended = true;
        let span = Span::current();
        let (status, id, outcome) = match &result {
            // What succeeded has had its effect.
            Ok(reply) => {
                let id = self.with.partner.request_id(&reply.headers);
                (Some(reply.status), id, Outcome::Unknown)
            }
            Err(error) => {
                let rpc = self.operation.rpc();
                let failure = LastFailure::new(rpc, error, self.with.clock.now());
                self.with.status.record_failure(failure);
                span.record("outcome", error.outcome().as_str());
                let id = error.partner_request_id().map(str::to_owned);
                (error.http_status(), id, error.outcome())
            }
        };
        self.progress.end(outcome);
        if let Some(status) = status {
            span.record("http.response.status_code", status.as_u16());
        }
        if let Some(id) = &id {
            span.record("partner_request_id", id);
        }
        result.map(|reply| Reply { attempts: number, partner_request_id: id, ..reply })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_ended {
            let failure = LastFailure::abandoned(self.operation.rpc(), self.with.clock.now());
            self.with.status.record_failure(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::Instant;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::call::Call;
    use crate::stack::testing;

    /// G17: what is told at the deadline, or when the gateway stops, stays true.
    #[tokio::test(start_paused = true)]
    async fn no_attempt_begins_after_the_deadline_or_when_the_waiting_is_over() {
        let late = Exchange::new(Call { deadline: Instant::now(), ..testing::call() });
        let closed = Exchange::new(testing::call());
        closed.progress.close();
        for exchange in [late, closed] {
            let (sent, context) = (Arc::<AtomicU32>::default(), testing::context().await);
            let counted = Arc::clone(&sent);
            let partner = service_fn(move |_: Exchange| {
                counted.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Err::<Reply, _>(Error::new(Kind::Internal, Outcome::Unknown)))
            });
            let layer = AttemptLayer::new(Arc::new(testing::Example), "host".into(), &context);
            let error = layer.layer(partner).oneshot(exchange).await.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (&Kind::Timeout, Outcome::NotSent));
            assert_eq!((sent.load(Ordering::SeqCst), context.status.attempts()), (0, 0));
        }
    }
}

//! One request to the partner, counted and traced.
//!
//! None begins once the call's deadline has passed: the caller has been told by then
//! whether anything was sent. A read that is dropped in the middle, by the deadline or by
//! a caller that is gone, is counted as a failure too: the partner did not answer in time.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};

use super::exchange::{Exchange, Phase, Progress, Timed};
use super::{Answering, Next};
use crate::call::Reply;
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome};
use crate::failpoint::{self, Point};
use crate::operation::Operation;
use crate::partner::{LastFailure, Partner, Status};
use crate::telemetry::metrics::{Attempted, Metrics};
use crate::telemetry::{self, spans};

/// Counts and traces attempts.
#[derive(Clone, Debug)]
pub(super) struct AttemptLayer {
    partner: Arc<dyn Partner>,
    /// The partner's host and port.
    origin: (Arc<str>, Option<u16>),
    clock: Clock,
    status: Arc<Status>,
    metrics: Metrics,
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
    begin: Instant,
    span: Span,
    is_ended: bool,
    _timed: Timed,
}

// === impl AttemptLayer ===

impl AttemptLayer {
    pub(super) fn new(
        partner: Arc<dyn Partner>,
        origin: (Arc<str>, Option<u16>),
        context: &super::Context,
    ) -> Self {
        let super::Context { clock, status, metrics, .. } = context;
        let (clock, status, metrics) = (clock.clone(), Arc::clone(status), metrics.clone());
        Self { partner, origin, clock, status, metrics }
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

    fn call(&mut self, mut exchange: Exchange) -> Self::Future {
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
            let span = spans::attempt(operation, number, &with.origin.0, with.origin.1);
            telemetry::pass_on(&span, &mut exchange.call.headers);
            let (begin, is_ended) = (Instant::now(), false);
            let _timed = progress.timed(Phase::Attempt);
            let span_of_it = span.clone();
            let open =
                Open { with, progress, operation, begin, span: span_of_it, is_ended, _timed };
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
        let (id, outcome) = match &result {
            // What succeeded has had its effect.
            Ok(reply) => {
                self.tell(Some(reply.status), None, "SUCCEEDED");
                (self.with.partner.request_id(&reply.headers), Outcome::Unknown)
            }
            Err(error) => {
                let rpc = self.operation.rpc();
                let failure = LastFailure::new(rpc, error, self.with.clock.now());
                let (status, outcome) = (error.http_status(), error.outcome());
                self.tell(status, Some(failure.kind), outcome.as_str());
                self.with.status.record_failure(failure);
                (error.partner_request_id().map(str::to_owned), outcome)
            }
        };
        self.progress.end(outcome);
        if let Some(id) = &id {
            self.span.record("gateway.partner_request_id", id);
        }
        result.map(|reply| Reply { attempts: number, partner_request_id: id, ..reply })
    }

    /// Tells how it ended, in its span and in what is counted. A status that is a failure
    /// is told as the failure, as the conventions for HTTP have it.
    fn tell(&self, status: Option<StatusCode>, failure: Option<&str>, outcome: &'static str) {
        let http_status = status.map(|status| status.as_u16());
        let is_refusal = status.is_some_and(|it| it.is_client_error() || it.is_server_error());
        let error_type = failure.map(|kind| match http_status.filter(|_| is_refusal) {
            Some(status) => status.to_string(),
            None => kind.to_owned(),
        });
        self.span.record("http.response.status_code", http_status.map(i64::from));
        self.span.record("gateway.outcome", outcome);
        if let Some(error_type) = &error_type {
            self.span.record("error.type", &**error_type);
            self.span.record("otel.status_code", "error");
        }
        self.with.metrics.attempted(&Attempted {
            operation: self.operation,
            host: &self.with.origin.0,
            http_status,
            error_type,
            outcome,
            duration: self.begin.elapsed(),
            trace: telemetry::kept_trace_id(&self.span),
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_ended {
            let failure = LastFailure::abandoned(self.operation.rpc(), self.with.clock.now());
            self.tell(None, Some(failure.kind), Outcome::Unknown.as_str());
            self.with.status.record_failure(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

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
            let layer =
                AttemptLayer::new(Arc::new(testing::Example), ("host".into(), None), &context);
            let error = layer.layer(partner).oneshot(exchange).await.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (&Kind::Timeout, Outcome::NotSent));
            assert_eq!((sent.load(Ordering::SeqCst), context.status.attempts()), (0, 0));
        }
    }
}

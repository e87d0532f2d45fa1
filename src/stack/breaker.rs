//! A partner that fails is left alone for a while.

use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::exchange::Exchange;
use super::{Answering, Next};
use crate::call::Reply;
use crate::error::Error;

/// Leaves a failing partner alone.
#[derive(Clone, Debug)]
pub(super) struct BreakerLayer;

/// Leaves a failing partner alone.
#[derive(Clone, Debug)]
pub(super) struct Breaker<S> {
    inner: S,
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Breaker { inner }
    }
}

impl<S: Next> Service<Exchange> for Breaker<S> {
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

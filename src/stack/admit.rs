//! A request waits for its turn.

use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::exchange::Exchange;
use super::{Answering, Next};
use crate::call::Reply;
use crate::error::Error;

/// Lets requests pass one by one.
#[derive(Clone, Debug)]
pub(super) struct AdmitLayer;

/// Lets requests pass one by one.
#[derive(Clone, Debug)]
pub(super) struct Admit<S> {
    inner: S,
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Admit { inner }
    }
}

impl<S: Next> Service<Exchange> for Admit<S> {
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

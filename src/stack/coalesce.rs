//! Identical reads in flight are one, for callers that have asked for it.
//!
//! Reads are identical when they would be the same request with the same credential: the
//! rpc, the account, the user's own token, the target, the headers and the body are equal.
//! Who calls makes no difference: both callers have asked for it, and both would be given
//! the same answer. It may be as old as the oldest of the calls that share it.
//!
//! The shared call belongs to nobody: it runs as a task of its own and ends when nobody waits
//! for it any more. It has its first caller's time and that of one attempt more, so that who
//! comes later and waits as long finds room in it; each who waits has their own deadline
//! outside of this layer, and one that has more time than the shared call makes a call of its
//! own, which others join from then on.

mod flights;

use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest;
use secrecy::ExposeSecret as _;
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};
use tracing::Instrument as _;

use self::flights::{Flights, Key, Place};
use super::exchange::Exchange;
use super::{Answering, Next};
use crate::call::{Call, Reply};
use crate::error::Error;
use crate::operation::Effect;

/// Joins identical reads.
#[derive(Clone, Debug)]
pub(super) struct CoalesceLayer {
    flights: Flights,
    tasks: TaskTracker,
    /// What a shared call has beyond its first caller's time.
    time: Duration,
}

/// Joins identical reads.
#[derive(Clone, Debug)]
pub(super) struct Coalesce<S> {
    inner: S,
    with: CoalesceLayer,
}

// === impl CoalesceLayer ===

impl CoalesceLayer {
    pub(super) fn new(context: &super::Context, time: Duration) -> Self {
        Self { flights: Flights::default(), tasks: context.tasks.clone(), time }
    }

    /// Makes the call that those who wait share.
    fn share<S: Next>(&self, mut inner: S, call: &Call, key: Key) -> Place {
        let deadline = call.deadline + self.time;
        let exchange = Exchange::new(Call { deadline, ..call.clone() });
        let (place, flight) = self.flights.begin(key, deadline, exchange.progress.clone());
        let answer = async move { inner.call(exchange).await };
        self.tasks.spawn(flight.fly(answer).in_current_span());
        place
    }
}

impl<S> Layer<S> for CoalesceLayer {
    type Service = Coalesce<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Coalesce { inner, with: self.clone() }
    }
}

// === impl Coalesce ===

impl<S: Next> Service<Exchange> for Coalesce<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let inner = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, inner);
        let call = &exchange.call;
        if call.operation.effect != Effect::Read || !call.caller.coalesces_reads() {
            return Box::pin(ready.call(exchange));
        }
        let with = self.with.clone();
        Box::pin(async move {
            let call = &exchange.call;
            let key = key(call);
            let joined = with.flights.join(&key, call.deadline);
            let place = joined.unwrap_or_else(|| with.share(ready, call, key));
            // What is told of this call at its end is what became of the shared one.
            exchange.progress.follow(place.progress());
            place.wait(call.deadline).await
        })
    }
}

/// What tells one read from another.
fn key(call: &Call) -> Key {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut add = |part: Option<&[u8]>| {
        // Lengths, so that no part runs into the next; an absent part is not an empty one.
        context.update(&[part.is_some().into()]);
        context.update(&part.map_or(0, <[u8]>::len).to_be_bytes());
        context.update(part.unwrap_or_default());
    };
    add(Some(call.operation.rpc().as_bytes()));
    add(call.account.as_deref().map(str::as_bytes));
    add(call.user_token.as_ref().map(|token| token.expose_secret().as_bytes()));
    add(Some(call.target.as_bytes()));
    add(call.body.as_ref().map(|body| body.content_type.as_bytes()));
    add(call.body.as_ref().map(|body| body.bytes.as_ref()));
    for (name, value) in &call.headers {
        add(Some(name.as_str().as_bytes()));
        add(Some(value.as_bytes()));
    }
    let digest = context.finish();
    digest.as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! Identical reads in flight are one, for callers that have asked for it.
//!
//! Reads are identical when the same caller would make the same request with the same
//! credential: the rpc, the account, the user's own token, the target, the headers and the
//! body are equal. The answer may be as old as the oldest of the calls that share it.
//!
//! The shared call belongs to nobody: it runs as a task of its own and ends when nobody waits
//! for it any more, or at its first caller's deadline. Each who waits has their own deadline
//! outside of this layer, and one that has time left when the first's was over, or too short
//! for its turn in the quota, makes the call anew, as the next first. One that was refused for
//! want of room was for all of them: each that asked again would only add to the crowd.

mod flights;

use std::task::{Context, Poll};

use aws_lc_rs::digest;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::{Layer, Service, ServiceExt as _};
use tracing::Instrument as _;

use self::flights::{Flights, Key, Place};
use super::exchange::Exchange;
use super::{Answering, Next};
use crate::call::{Call, Reply};
use crate::error::{Error, Kind};
use crate::operation::Effect;

/// Joins identical reads.
#[derive(Clone, Debug)]
pub(super) struct CoalesceLayer {
    flights: Flights,
    tasks: TaskTracker,
}

/// Joins identical reads.
#[derive(Clone, Debug)]
pub(super) struct Coalesce<S> {
    inner: S,
    with: CoalesceLayer,
}

// === impl CoalesceLayer ===

impl CoalesceLayer {
    pub(super) fn new(context: &super::Context) -> Self {
        Self { flights: Flights::default(), tasks: context.tasks.clone() }
    }

    /// Makes the call that those who wait share.
    fn share<S: Next>(&self, inner: S, call: &Call, key: Key) -> Place {
        let exchange = Exchange::new(call.clone());
        let (place, flight) = self.flights.begin(key, exchange.progress.clone(), call.deadline);
        self.tasks.spawn(flight.fly(inner.oneshot(exchange)).in_current_span());
        place
    }

    /// The answer of the shared call, or of the next one where the first's time was short.
    async fn run<S: Next>(
        &self,
        mut ready: S,
        again: S,
        exchange: Exchange,
    ) -> Result<Reply, Error> {
        let call = &exchange.call;
        let key = key(call);
        loop {
            let joined = self.flights.join(&key);
            let place = joined.unwrap_or_else(|| self.share(ready, call, key));
            // What is told of this call at its end is what became of the shared one.
            exchange.progress.follow(place.progress());
            let deadline = place.deadline();
            match place.wait(call.deadline).await {
                Err(error) if is_for_time(&error, deadline, call.deadline) => {
                    ready = again.clone();
                }
                result => return result,
            }
        }
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
        let again = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, again.clone());
        let call = &exchange.call;
        if call.operation.effect != Effect::Read || !call.caller.coalesces_reads() {
            return Box::pin(ready.call(exchange));
        }
        let with = self.with.clone();
        Box::pin(async move { with.run(ready, again, exchange).await })
    }
}

/// Whether a call that has time until `own` could come to another end than the shared one,
/// which had until `shared` and ended so: that time was over, or too short for its turn,
/// and `own` is not.
fn is_for_time(error: &Error, shared: Instant, own: Instant) -> bool {
    let now = Instant::now();
    let could = match error.kind() {
        Kind::Timeout => now >= shared,
        Kind::RateLimited { retry_after } => *retry_after < own.saturating_duration_since(now),
        _ => false,
    };
    could && own > shared
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
    add(Some(call.caller.name().as_bytes()));
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

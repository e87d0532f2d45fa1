//! A request waits for its turn.
//!
//! What bounds the requests to a partner is in one place: the rate of its quota, what the
//! partner itself says of that, how many requests it bears at once, and how callers share
//! all that. The turn is asked for by each attempt, and a call whose turn cannot come in
//! time is told so at once, with the exact time until it could.
//!
//! A call passes like this. It stands in the queue of its quota, its *lane*, until it has
//! the *turn* (`queue`). With the turn it waits for the partner's *gate* (`gate`) and for
//! the rate (`gcra`), then it takes a *slot* among all requests to the partner (`slots`,
//! `slot_line`), and last of all it is counted, among all replicas if they count together (`shared`).
//! So nobody holds a slot while waiting for the rate, and what is counted goes.

mod book;
mod gate;
mod gcra;
mod lane;
mod places;
mod queue;
mod shared;
mod slot_line;
mod slots;
mod snapshot;
mod turns;
mod waiter;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use tokio::time::Instant;
use tower::{Layer, Service};

pub(crate) use self::snapshot::LaneSnapshot;
pub(crate) use self::turns::Turns;

use self::book::{Refused, Told};
use self::lane::Owner;
use self::shared::Shared;
use self::slots::Felt;
use super::breaker::Breakers;
use super::exchange::Exchange;
use super::{Answering, Next};
use crate::call::{Call, Reply};
use crate::error::{Error, Kind, Meaning, Outcome, PartnerFailure};
use crate::operation::Credential;
use crate::partner::Quota;

/// Lets requests pass one by one.
#[derive(Clone, Debug)]
pub(super) struct AdmitLayer {
    turns: Turns,
}

/// Lets a request pass when its turn has come.
#[derive(Clone, Debug)]
pub(super) struct Admit<S> {
    inner: S,
    turns: Turns,
}

/// The turns of the calls to `partner` at `base_url`.
pub(super) fn turns(
    partner: &str,
    base_url: &str,
    limits: super::Tunable,
    breakers: Breakers,
    context: &super::Context,
) -> Turns {
    let shared = context.redis.clone().map(|redis| Shared::new(redis, partner, base_url));
    Turns::new(limits, shared, breakers, context.random.clone(), context.stopping.clone())
}

// === impl AdmitLayer ===

impl AdmitLayer {
    pub(super) fn new(turns: Turns) -> Self {
        Self { turns }
    }
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Admit { inner, turns: self.turns.clone() }
    }
}

// === impl Admit ===

impl<S: Next> Service<Exchange> for Admit<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut exchange: Exchange) -> Self::Future {
        let inner = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, inner);
        let turns = self.turns.clone();
        Box::pin(async move {
            let slot = turns.turn(&owner(&exchange.call), &exchange).await?;
            exchange.quota = Arc::default();
            let quota = Arc::clone(&exchange.quota);
            let result = ready.call(exchange).await;
            let told = told(&result, slot.begun(), quota.get().copied());
            slot.over(told);
            result
        })
    }
}

/// Whose quota the call counts in: whoever signs it has one.
fn owner(call: &Call) -> Owner {
    let signs = call.operation.credentials.contains(&Credential::AccountSignature);
    call.account.clone().filter(|_| signs)
}

/// What there is to learn from the end of a request.
fn told(result: &Result<Reply, Error>, begun: Instant, quota: Option<Quota>) -> Told {
    let failure = match result.as_ref().map_err(Error::kind) {
        Err(Kind::Partner(failure)) => Some(failure),
        Ok(_) | Err(_) => None,
    };
    let refused = failure.and_then(refused);
    let is_accepted = refused.is_none() && (result.is_ok() || failure.is_some());
    Told { begun, felt: felt(result), refused, is_accepted, quota }
}

/// Whether the partner asks to be left alone, and for how long, if it says so. A hint of
/// nothing is no hint: who is refused and comes back at once is refused again.
fn refused(failure: &PartnerFailure) -> Option<Refused> {
    let PartnerFailure { status, meaning, retry_after, .. } = failure;
    let hint = retry_after.filter(|hint| !hint.is_zero());
    match *status {
        StatusCode::TOO_MANY_REQUESTS => Some(Refused::TooMany(hint)),
        _ if *meaning == Some(Meaning::RateLimited) => Some(Refused::TooMany(hint)),
        StatusCode::SERVICE_UNAVAILABLE => hint.map(Refused::Unavailable),
        _ => None,
    }
}

fn felt(result: &Result<Reply, Error>) -> Felt {
    let error = match result {
        Ok(_) => return Felt::Strong,
        Err(error) => error,
    };
    match error.kind() {
        Kind::Timeout | Kind::Unreachable if error.outcome() == Outcome::Unknown => Felt::Weak,
        Kind::Partner(failure) => match failure.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Felt::Weak,
            StatusCode::TOO_MANY_REQUESTS => Felt::Nothing,
            status if status.is_server_error() => Felt::Nothing,
            _ => Felt::Strong,
        },
        _ => Felt::Nothing,
    }
}

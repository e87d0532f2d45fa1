//! A WRITE_ONCE call is done once for each `request_id`, however often it is made.
//!
//! A caller that lost an answer asks again with the same id: it gets the first success,
//! or is told that the first call is still under way, or that its outcome is not known.
//! The record is durable before the first byte is sent and ends with the call, also when
//! the caller has stopped waiting, or the call is dropped half-way (R7, R8; AIP-155).
//!
//! | the call | a repeat |
//! |---|---|
//! | was answered | gets the answer |
//! | had no effect: not sent, or refused | is made |
//! | is under way, or its end is not written yet | is told so |
//! | may have had its effect, or its process died | is told so, and never made |

use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest;
use secrecy::{ExposeSecret as _, SecretString};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::exchange::{Exchange, Phase};
use super::records::{Opened, Records};
use super::{Answering, Next};
use crate::call::{Call, Reply};
use crate::credentials::subject;
use crate::error::{Error, Kind, Outcome};
use crate::operation::Effect;
use crate::store::RequestKey;
use crate::telemetry::spans;

/// Keeps the records of one partner.
#[derive(Clone, Debug)]
pub(super) struct IdempotencyLayer {
    records: Records,
}

/// Answers a repeated call from the record of the first.
#[derive(Clone, Debug)]
pub(super) struct Idempotency<S> {
    inner: S,
    records: Records,
}

// === impl IdempotencyLayer ===

impl IdempotencyLayer {
    /// For calls whose attempts take no longer than `attempt`.
    pub(super) fn new(context: &super::Context, attempt: Duration) -> Self {
        Self { records: Records::new(context, attempt) }
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Idempotency { inner, records: self.records.clone() }
    }
}

// === impl Idempotency ===

impl<S: Next> Service<Exchange> for Idempotency<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let inner = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, inner);
        let Some(key) = key(&exchange.call) else { return Box::pin(ready.call(exchange)) };
        let records = self.records.clone();
        Box::pin(async move {
            let progress = exchange.progress.clone();
            let record = match open(&records, key, &exchange).await? {
                Opened::New(record) => record,
                Opened::Done(reply) => return Ok(reply),
                // The first call may act any moment: this one was not sent, and yet.
                Opened::InFlight => return Err(refused(Kind::RequestInFlight, Outcome::Unknown)),
                Opened::Unknown => return Err(refused(Kind::OutcomeUnknown, Outcome::Unknown)),
                Opened::Other => return Err(refused(Kind::RequestIdReused, Outcome::NotSent)),
                Opened::Full => return Err(refused(Kind::Overloaded, Outcome::NotSent)),
            };
            let result = ready.call(exchange).await;
            let _timed = progress.timed(Phase::Store);
            record.settle(&result).instrument(spans::idempotency()).await;
            result
        })
    }
}

async fn open(records: &Records, key: RequestKey, exchange: &Exchange) -> Result<Opened, Error> {
    let _timed = exchange.progress.timed(Phase::Store);
    let opened = records.open(key, fingerprint(&exchange.call), exchange);
    opened.instrument(spans::idempotency()).await
}

/// What a call is known by; `None` for one that is not held to be done once.
fn key(call: &Call) -> Option<RequestKey> {
    let Call { operation, account, caller, .. } = call;
    let request_id = call.request_id.filter(|_| operation.effect == Effect::WriteOnce)?;
    let (partner, rpc) = (&operation.partner, operation.rpc());
    Some(RequestKey::new(caller.name(), partner, account.as_deref(), &rpc, request_id))
}

/// Tells one request from another: for whom, where and what. The request id is in it, so
/// that it says nothing to whoever does not have that.
fn fingerprint(call: &Call) -> [u8; 32] {
    let user = call.user_token.as_ref().map(|token| user(token, call.account.as_deref()));
    let user = user.as_deref().map(str::as_bytes);
    let body = call.body.as_ref().map(|body| body.bytes.as_ref());
    let id = call.request_id.as_ref().map(|id| id.as_bytes().as_slice());
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [id, user, Some(call.target.as_bytes()), body] {
        // Lengths, so that no part runs into the next; an absent part is not an empty one.
        context.update(&[part.is_some().into()]);
        context.update(&part.map_or(0, <[u8]>::len).to_be_bytes());
        context.update(part.unwrap_or_default());
    }
    let digest = context.finish();
    digest.as_ref().try_into().unwrap_or_default()
}

/// Whose call it is, by the token that its caller brought: the same with a renewed one.
/// So what was answered to one user is not answered to another, nor to a caller without a
/// token. Of a token that does not tell its user only the account can be asked.
fn user(token: &SecretString, account: Option<&str>) -> String {
    let opaque = || account.map_or_else(|| token.expose_secret().to_owned(), |_| String::new());
    subject::of(token).unwrap_or_else(opaque)
}

fn refused(kind: Kind, outcome: Outcome) -> Error {
    Error::new(kind, outcome)
}

#[cfg(test)]
mod tests;

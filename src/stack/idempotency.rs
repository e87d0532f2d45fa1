//! A WRITE_ONCE call is done once for each `request_id`, however often it is made.
//!
//! A caller that lost an answer asks again with the same id: it gets the first success,
//! or is told that the first call is still under way, or that its outcome is not known.
//! The record is made before the first byte is sent and ends with the call, also when
//! the caller has stopped waiting, or the call is dropped half-way (R7, R8; AIP-155).
//!
//! Records are kept in this process: a restart forgets them, another replica does not
//! know them.

use std::task::{Context, Poll};

use aws_lc_rs::digest;
use secrecy::{ExposeSecret as _, SecretString};
use tower::{Layer, Service};

use super::exchange::{Exchange, Progress};
use super::records::{Key, Opened, Records};
use super::{Answering, Next};
use crate::call::{Call, Reply};
use crate::credentials::subject;
use crate::error::{Error, Kind, Outcome};
use crate::operation::Effect;

/// Keeps the records of one partner.
#[derive(Clone, Debug, Default)]
pub(super) struct IdempotencyLayer {
    records: Records,
}

/// Answers a repeated call from the record of the first.
#[derive(Clone, Debug)]
pub(super) struct Idempotency<S> {
    inner: S,
    records: Records,
}

/// The record of a call under way. However the call ends, its record is settled: a
/// success is kept, a call without effect forgotten, any other stays unknown.
struct Open {
    records: Records,
    key: Key,
    progress: Progress,
    settled: bool,
}

// === impl IdempotencyLayer ===

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
            match records.open(&key, fingerprint(&exchange.call)) {
                Opened::New => {}
                Opened::Done(reply) => return Ok(reply),
                // The first call may act any moment: this one was not sent, and yet.
                Opened::InFlight => return Err(refused(Kind::RequestInFlight, Outcome::Unknown)),
                Opened::Unknown => return Err(refused(Kind::OutcomeUnknown, Outcome::Unknown)),
                Opened::Other => return Err(refused(Kind::RequestIdReused, Outcome::NotSent)),
                Opened::Full => return Err(refused(Kind::Overloaded, Outcome::NotSent)),
            }
            let progress = exchange.progress.clone();
            let open = Open { records, key, progress, settled: false };
            let result = ready.call(exchange).await;
            open.settle(&result);
            result
        })
    }
}

/// What a call is known by; `None` for one that is not held to be done once.
fn key(call: &Call) -> Option<Key> {
    let request_id = call.request_id.filter(|_| call.operation.effect == Effect::WriteOnce)?;
    Some(Key { rpc: call.operation.rpc(), request_id })
}

/// Tells one request from another: for whom, where and what.
fn fingerprint(call: &Call) -> [u8; 32] {
    let account = call.account.as_deref();
    let user = call.user_token.as_ref().map(|token| user(token, account));
    let user = user.as_deref().map(str::as_bytes);
    let body = call.body.as_ref().map(|body| body.bytes.as_ref());
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [account.map(str::as_bytes), user, Some(call.target.as_bytes()), body] {
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

// === impl Open ===

impl Open {
    fn settle(mut self, result: &Result<Reply, Error>) {
        self.settled = true;
        match result {
            Ok(reply) => self.records.done(&self.key, reply),
            Err(error) => self.end(error.outcome().worse(self.progress.outcome())),
        }
    }

    fn end(&self, outcome: Outcome) {
        match outcome {
            Outcome::NotSent | Outcome::Rejected => self.records.forget(&self.key),
            Outcome::Unknown => self.records.unknown(&self.key),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.settled {
            self.end(self.progress.outcome());
        }
    }
}

#[cfg(test)]
mod tests;

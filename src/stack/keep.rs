//! Keeps the key that a partner shows once.
//!
//! The key is in the partner's answer and nowhere else, so what may make one is written
//! down before it is sent, and the key before its caller learns of it (S14). A call whose
//! intent cannot be written is not sent; [`Intent`](crate::credentials::Intent) has the
//! table of all other ends. What deletes an account drops its key.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::exchange::{Exchange, Phase};
use super::{Answering, Next};
use crate::call::Reply;
use crate::credentials::{Intent, KeyPair, Vault};
use crate::error::{Error, Outcome};
use crate::failpoint::{self, Point};
use crate::operation::AccountKey;
use crate::partner::{KeyChange, Partner, Unkeepable};

const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
const UNREADABLE: &str = "KEY_UNREADABLE";

/// Keeps the keys of one partner's accounts.
#[derive(Clone, Debug)]
pub(super) struct KeepLayer {
    partner: Arc<dyn Partner>,
    vault: Vault,
    /// How long an attempt takes at most.
    attempt: Duration,
}

/// Keeps the key that a call makes.
#[derive(Clone, Debug)]
pub(super) struct Keep<S> {
    inner: S,
    with: KeepLayer,
}

// === impl KeepLayer ===

impl KeepLayer {
    pub(super) fn new(partner: Arc<dyn Partner>, vault: Vault, attempt: Duration) -> Self {
        Self { partner, vault, attempt }
    }

    /// Writes down that the call may make a key. The last attempt begins before the
    /// call's deadline.
    async fn begin(&self, exchange: &Exchange) -> Result<Intent, Error> {
        let _timed = exchange.progress.timed(Phase::Store);
        let call = &exchange.call;
        let left = call.deadline.saturating_duration_since(Instant::now());
        let intent = self.vault.begin(call.operation, call.id, left + self.attempt).await?;
        let _ = failpoint::reach(Point::AfterIntent).await;
        Ok(intent)
    }

    /// Keeps the key of the reply. Whether there is one and it is durable.
    async fn keep(&self, intent: Intent, request: &[u8], reply: &Reply) -> bool {
        match self.partner.key_change(AccountKey::Issued, request, &reply.body) {
            Ok(Some(KeyChange::Issued { account, access_key, secret_key })) => {
                let access_key = access_key.expose_secret().to_owned();
                let is_kept = intent.fulfil(account, KeyPair { access_key, secret_key }).await;
                let _ = failpoint::reach(Point::AfterCommit).await;
                is_kept
            }
            Ok(Some(KeyChange::Deleted { .. }) | None) => {
                intent.discard();
                false
            }
            Err(Unkeepable) => {
                intent.flag(UNREADABLE).await;
                false
            }
        }
    }

    async fn issue<S: Next>(&self, mut inner: S, exchange: Exchange) -> Result<Reply, Error> {
        let intent = self.begin(&exchange).await?;
        let (request, progress) = (body(&exchange), exchange.progress.clone());
        let result = inner.call(exchange).await;
        let _ = failpoint::reach(Point::AfterAnswer).await;
        match result {
            Ok(reply) => {
                let _timed = progress.timed(Phase::Store);
                let is_key_kept = self.keep(intent, &request, &reply).await;
                Ok(Reply { is_key_kept, ..reply })
            }
            Err(error) => {
                match error.outcome().worse(progress.outcome()) {
                    Outcome::NotSent | Outcome::Rejected => intent.discard(),
                    Outcome::Unknown => intent.flag(OUTCOME_UNKNOWN).await,
                }
                Err(error)
            }
        }
    }

    async fn delete<S: Next>(&self, mut inner: S, exchange: Exchange) -> Result<Reply, Error> {
        let request = body(&exchange);
        let reply = inner.call(exchange).await?;
        let change = self.partner.key_change(AccountKey::Deleted, &request, &reply.body);
        if let Ok(Some(KeyChange::Deleted { account })) = change {
            self.vault.delete(account).await;
        }
        Ok(reply)
    }
}

impl<S> Layer<S> for KeepLayer {
    type Service = Keep<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Keep { inner, with: self.clone() }
    }
}

// === impl Keep ===

impl<S: Next> Service<Exchange> for Keep<S> {
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
        match exchange.call.operation.account_key {
            None => Box::pin(ready.call(exchange)),
            Some(AccountKey::Issued) => Box::pin(async move { with.issue(ready, exchange).await }),
            Some(AccountKey::Deleted) => {
                Box::pin(async move { with.delete(ready, exchange).await })
            }
        }
    }
}

fn body(exchange: &Exchange) -> Bytes {
    exchange.call.body.as_ref().map(|body| body.bytes.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;

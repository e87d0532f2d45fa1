//! Puts the credential on an attempt.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::timeout_at;
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::exchange::{Exchange, Phase};
use super::{Answering, Next};
use crate::call::Reply;
use crate::clock::Clock;
use crate::credentials::{Authenticator, Carried};
use crate::error::{Error, Kind, Outcome};
use crate::partner::{LastFailure, Status};
use crate::telemetry::spans;

/// Adds credentials.
#[derive(Clone, Debug)]
pub(super) struct AuthenticateLayer {
    authenticator: Arc<Authenticator>,
    host: Arc<str>,
    clock: Clock,
    status: Arc<Status>,
}

/// Puts a credential on every attempt that passes.
#[derive(Clone, Debug)]
pub(super) struct Authenticate<S> {
    inner: S,
    with: AuthenticateLayer,
}

impl AuthenticateLayer {
    pub(super) fn new(
        authenticator: Arc<Authenticator>,
        host: Arc<str>,
        context: &super::Context,
    ) -> Self {
        let super::Context { clock, status, .. } = context;
        Self { authenticator, host, clock: clock.clone(), status: Arc::clone(status) }
    }

    async fn authorize(&self, exchange: &mut Exchange) -> Result<(), Error> {
        // The call of a caller that has been told NOT_SENT must not hold its record longer.
        let deadline = exchange.call.deadline;
        let _timed = exchange.progress.timed(Phase::Token);
        let call = &mut exchange.call;
        let authorized = async {
            match exchange.progress.stands_in() {
                false => self.authenticator.authorize(call).await,
                true => self.authenticator.stand_in(call).await,
            }
        };
        let authorized = timeout_at(deadline, authorized).instrument(spans::token()).await;
        let carried =
            authorized.unwrap_or_else(|_| Err(Error::new(Kind::Timeout, Outcome::NotSent)));
        let Carried { used, secrets } = carried.map_err(|error| match error.kind() {
            // The token endpoint is the partner's.
            Kind::TokenUnavailable { .. } => {
                let rpc = exchange.call.operation.rpc();
                self.status.note(LastFailure::new(rpc, &error, self.clock.now()));
                error.with_host(&*self.host)
            }
            _ => error,
        })?;
        exchange.secrets = secrets;
        // A second value is impossible: each attempt brings its own place for it.
        let _ = exchange.used.set(used);
        Ok(())
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticate { inner, with: self.clone() }
    }
}

impl<S: Next> Service<Exchange> for Authenticate<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut exchange: Exchange) -> Self::Future {
        let inner = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, inner);
        let with = self.with.clone();
        Box::pin(async move {
            with.authorize(&mut exchange).await?;
            ready.call(exchange).await
        })
    }
}

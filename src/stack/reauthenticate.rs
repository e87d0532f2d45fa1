//! One more attempt when the partner refuses the credential.
//!
//! A refused credential is a refusal before processing, so the attempt had no effect
//! and may be repeated, a write too. It is repeated once: when a new credential is
//! refused as well, more of them will not help. For a user's token that is refused where
//! the partner account's own credential would do, that one is tried. It is one of the
//! attempts that a call has, and it needs no budget: a partner that refuses is not down.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tower::{Layer, Service, ServiceExt as _};

use super::exchange::Exchange;
use super::limits::Tunable;
use super::repeat::Repeat;
use super::{Answering, Next};
use crate::call::Reply;
use crate::credentials::{Authenticator, Remedy, Used};
use crate::error::{Error, Kind, Outcome, Refused};
use crate::telemetry::metrics::Metrics;

/// Repeats calls whose credential is refused.
#[derive(Clone, Debug)]
pub(super) struct ReauthenticateLayer {
    authenticator: Arc<Authenticator>,
    limits: Tunable,
    metrics: Metrics,
}

/// Repeats a call whose credential is refused, with another one.
#[derive(Clone, Debug)]
pub(super) struct Reauthenticate<S> {
    inner: S,
    with: ReauthenticateLayer,
}

impl ReauthenticateLayer {
    pub(super) fn new(
        authenticator: Arc<Authenticator>,
        limits: Tunable,
        context: &super::Context,
    ) -> Self {
        Self { authenticator, limits, metrics: context.metrics.clone() }
    }
}

impl<S> Layer<S> for ReauthenticateLayer {
    type Service = Reauthenticate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Reauthenticate { inner, with: self.clone() }
    }
}

impl<S: Next> Service<Exchange> for Reauthenticate<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut exchange: Exchange) -> Self::Future {
        let again = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, again.clone());
        let ReauthenticateLayer { authenticator, limits, metrics } = self.with.clone();
        Box::pin(async move {
            // What was used must be this attempt's: another may have renewed it since.
            let used = Arc::new(OnceLock::new());
            exchange.used = Arc::clone(&used);
            let repeat = exchange.clone();
            let error = match ready.call(exchange).await {
                Err(error) if error.is_unauthenticated() => error,
                result => return result,
            };
            // A partner that also failed otherwise may have acted.
            let has_no_effect = error.outcome() == Outcome::Rejected;
            let operation = repeat.call.operation;
            let remedy = used.get().filter(|_| has_no_effect);
            let remedy = remedy.and_then(|used| authenticator.remedy(operation, used));
            // Without an attempt left, what was dropped helps the next call.
            let is_left = repeat.progress.attempts() < limits.get().retry.max_attempts;
            let Some(remedy) = remedy.filter(|_| is_left) else {
                return Err(rejected(error, used.get()));
            };
            let _counted = Repeat::after(&error, &repeat, &metrics);
            let used = Arc::new(OnceLock::new());
            if remedy == Remedy::StandIn {
                repeat.progress.stand_in();
            }
            let repeat = Exchange { used: Arc::clone(&used), ..repeat };
            match again.oneshot(repeat).await {
                Err(error) if error.is_unauthenticated() => {
                    // So that the next call knows: whether it helps, this one does not ask.
                    used.get().map(|used| authenticator.remedy(operation, used));
                    Err(rejected(error, used.get()))
                }
                result => result,
            }
        })
    }
}

/// The error of a credential that was refused for good: one between the gateway and the
/// partner, and no caller may take it for their own at the gateway.
fn rejected(error: Error, used: Option<&Used>) -> Error {
    let Some(failure) = error.partner_failure() else { return error };
    let refused = used.map_or(Refused::Gateways, Used::refused);
    let rejected = Error::new(Kind::CredentialsRejected(failure.clone(), refused), error.outcome())
        .with_partner_request_id(error.partner_request_id().map(str::to_owned));
    match error.host() {
        Some(host) => rejected.with_host(host),
        None => rejected,
    }
}

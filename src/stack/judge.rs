//! Success or failure: what a partner's answer means.
//!
//! The partner reads its own error body, [`outcome`] says what the answer proves about
//! the call's effect, and nothing of the credential may be left in the texts that go on.

use std::sync::Arc;
use std::task::{Context, Poll};

use secrecy::SecretString;
use tower::{Layer, Service};

use super::exchange::Exchange;
use super::{Answering, Next, outcome, scrub};
use crate::call::Reply;
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome, PartnerFailure};
use crate::partner::Partner;

/// Turns answers that are failures into errors.
#[derive(Clone, Debug)]
pub(super) struct JudgeLayer {
    partner: Arc<dyn Partner>,
    host: Arc<str>,
    clock: Clock,
}

/// Turns an answer that is a failure into an error.
#[derive(Clone, Debug)]
pub(super) struct Judge<S> {
    inner: S,
    with: JudgeLayer,
}

impl JudgeLayer {
    pub(super) fn new(partner: Arc<dyn Partner>, host: Arc<str>, clock: Clock) -> Self {
        Self { partner, host, clock }
    }

    fn judge(&self, answer: Reply, secrets: &[SecretString]) -> Result<Reply, Error> {
        let Reply { status, headers, .. } = &answer;
        let error = if status.is_informational() || status.is_redirection() {
            let problem = "it is neither a success nor an error, and redirects are not followed";
            let kind = Kind::BadResponse { status: *status, problem: problem.to_owned() };
            Error::new(kind, Outcome::Unknown)
        } else {
            let Some(mut failure) = self.failure(&answer) else { return Ok(answer) };
            failure.retry_after = self.partner.retry_after(*status, headers, self.clock.now());
            scrub::scrub(&mut failure, secrets);
            let outcome = outcome::of(&failure);
            Error::new(Kind::Partner(failure), outcome)
        };
        Err(error.with_host(&*self.host).with_partner_request_id(self.partner.request_id(headers)))
    }

    fn failure(&self, answer: &Reply) -> Option<PartnerFailure> {
        self.partner.failure(answer.status, &answer.headers, &answer.body)
    }
}

impl<S> Layer<S> for JudgeLayer {
    type Service = Judge<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Judge { inner, with: self.clone() }
    }
}

impl<S: Next> Service<Exchange> for Judge<S> {
    type Response = Reply;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, exchange: Exchange) -> Self::Future {
        let (secrets, quota) = (exchange.secrets.clone(), Arc::clone(&exchange.quota));
        let answer = self.inner.call(exchange);
        let with = self.with.clone();
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(said) = with.partner.quota(&answer.headers, with.clock.now()) {
                // A second value is impossible: each attempt brings its own place for it.
                let _ = quota.set(said);
            }
            with.judge(answer, &secrets)
        })
    }
}

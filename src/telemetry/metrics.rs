//! Every metric of the gateway, declared in the files below this one.
//!
//! Labels have values of the contract's and the gateway's own only, never a caller's or
//! an account's: their number is bounded. Recording is one call of [`Metrics`], from
//! wherever something happens; clones share what they count.

mod calls;
mod family;
mod kept;
mod limits;
mod page;
mod process;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use opentelemetry::trace::TraceId;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::call::Spent;
use crate::operation::Operation;
pub(crate) use calls::phases;
pub use calls::{Attempted, Ended};
use family::Declare;
pub use family::Declared;
pub use limits::Protection;

/// The method of an rpc that nobody serves: callers must not be able to make labels (G42).
pub const OTHER: &str = "other";

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0, which has exemplars.
    OpenMetrics,
}

/// The metrics of one process. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    registry: Registry,
    declared: Vec<Declared>,
    calls: calls::Calls,
    limits: limits::Limits,
    kept: kept::Kept,
    process: process::Process,
}

// === impl Format ===

impl Format {
    /// What whoever sends this `Accept` is given.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    /// The type of a page.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let (mut registry, mut declared) = (Registry::default(), Vec::new());
        let meter = super::meter();
        let mut declare =
            Declare { registry: &mut registry, meter: meter.as_ref(), declared: &mut declared };
        let calls = calls::Calls::declare(&mut declare);
        let limits = limits::Limits::declare(&mut declare);
        let kept = kept::Kept::declare(&mut declare);
        let process = process::Process::declare(&mut declare);
        Self(Arc::new(Families { registry, declared, calls, limits, kept, process }))
    }
}

/// At the door.
impl Metrics {
    /// A call of `method` ("package.Service/Method", or [`OTHER`]) came in.
    pub fn call_started(&self, method: &'static str) {
        self.0.calls.started(method);
    }

    /// A call has ended.
    pub fn call_ended(&self, call: &Ended) {
        self.0.calls.ended(call);
    }
}

/// On the way to a partner.
impl Metrics {
    /// What became of a call, and where its time went.
    pub fn call_told(
        &self,
        operation: &'static Operation,
        outcome: &'static str,
        spent: &Spent,
        trace: Option<TraceId>,
    ) {
        self.0.calls.told(operation, outcome, spent, trace);
    }

    /// A request to a partner has ended.
    pub fn attempted(&self, attempt: &Attempted<'_>) {
        self.0.calls.attempted(attempt);
    }

    /// Another attempt is made because the one before ended for this reason.
    pub fn retried(&self, partner: &str, reason: &str) {
        self.0.limits.retries.add([partner.to_owned().into(), reason.to_owned().into()], 1);
    }

    /// How the layers do that protect a partner, and its callers.
    pub fn set_protection(&self, partner: &str, protection: &Protection) {
        self.0.limits.set(partner, protection);
    }

    /// The state that a breaker is in, of `states` that there are.
    pub fn set_breaker_state(
        &self,
        partner: &str,
        effect: &'static str,
        state: &'static str,
        states: &[&'static str],
    ) {
        for each in states {
            let labels = [partner.to_owned().into(), effect.into(), (*each).into()];
            self.0.limits.breaker.set(labels, u64::from(*each == state));
        }
    }
}

/// Of what is kept.
impl Metrics {
    /// Notes whether the store answers.
    pub fn set_store_up(&self, is_up: bool) {
        self.0.kept.store_up.set([], u64::from(is_up));
    }

    /// Notes how many keys are in the emergency journal.
    pub fn set_journalled_keys(&self, count: usize) {
        self.0.kept.journalled_keys.set([], u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Notes whether encryption keys were refused.
    pub fn set_keyring_refused(&self, is_refused: bool) {
        self.0.kept.keyring_refused.set([], u64::from(is_refused));
    }

    /// Notes how many intents are open, and how many flagged.
    pub fn set_key_intents(&self, open: u64, flagged: u64) {
        for (state, count) in [("open", open), ("flagged", flagged)] {
            self.0.kept.key_intents.set([state.into()], count);
        }
    }

    /// Notes how many credentials there are of each partner and kind.
    pub fn set_credentials<'a>(
        &self,
        counts: impl IntoIterator<Item = (&'a str, &'static str, u64)>,
    ) {
        let counts = counts.into_iter();
        self.0.kept.credentials.replace(
            counts.map(|(partner, kind, count)| ([partner.to_owned().into(), kind.into()], count)),
        );
    }

    /// Notes how many records there are of calls that are done once, by partner and state.
    pub fn set_request_ids<'a>(
        &self,
        counts: impl IntoIterator<Item = (&'a str, &'static str, u64)>,
    ) {
        let counts = counts.into_iter();
        self.0.kept.request_ids.replace(
            counts
                .map(|(partner, state, count)| ([partner.to_owned().into(), state.into()], count)),
        );
    }

    /// Notes how many requests for a token ended in `outcome` since the start.
    pub fn set_token_requests(&self, partner: &str, outcome: &'static str, count: u64) {
        self.0.kept.token_requests.raise([partner.to_owned().into(), outcome.into()], count);
    }

    /// Notes how much drift there was in a partner's answers since the start.
    pub fn set_drift(&self, partner: &str, members: u64) {
        self.0.kept.drift.raise([partner.to_owned().into()], members);
    }
}

/// Of the process.
impl Metrics {
    /// The process has started.
    pub fn process_started(&self, now: Timestamp) {
        self.0.process.started(now);
    }

    /// Notes whether a changed configuration was refused.
    pub fn set_configuration_refused(&self, is_refused: bool) {
        self.0.process.configuration_refused.set([], u64::from(is_refused));
    }

    /// Looks at the process.
    pub fn look_at_process(&self) {
        self.0.process.look(super::tally());
    }

    /// All metrics that there are, whether anything feeds them yet or not.
    pub fn declared(&self) -> &[Declared] {
        &self.0.declared
    }

    /// All metrics as text.
    ///
    /// # Errors
    /// Never but for a fault of this module.
    pub fn page(&self, format: Format) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0.registry)?;
        // How a family is written that has no labels.
        let page = page.replace("{} ", " ");
        Ok(match format {
            Format::OpenMetrics => page,
            Format::Text => page::plain(&page),
        })
    }
}

#[cfg(test)]
mod tests;

//! An attempt after the first, counted when it was made.
//!
//! Before that nobody knows whether it will be: the breaker, the queue or a stop may keep it
//! from the partner, and a caller may go away while it waits.

use super::exchange::{Exchange, Mark};
use crate::error::Error;
use crate::partner::kind_name;
use crate::telemetry::metrics::Metrics;

/// An attempt that is to be made again. It counts when it is over, or given up.
pub(super) struct Repeat {
    metrics: Metrics,
    partner: &'static str,
    reason: String,
    mark: Mark,
}

// === impl Repeat ===

impl Repeat {
    /// The one that follows on `error`.
    pub(super) fn after(error: &Error, exchange: &Exchange, metrics: &Metrics) -> Self {
        let (metrics, mark) = (metrics.clone(), exchange.progress.mark());
        let partner = &*exchange.call.operation.partner;
        Self { metrics, partner, reason: reason(error), mark }
    }

    /// Whether the partner was sent it.
    pub(super) fn was_made(&self) -> bool {
        self.mark.was_sent()
    }
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if self.was_made() {
            self.metrics.retried(self.partner, &self.reason);
        }
    }
}

/// Why an attempt is repeated: the answer's status, or what happened instead of one.
fn reason(error: &Error) -> String {
    match error.http_status() {
        Some(status) => status.as_u16().to_string(),
        None => kind_name(error.kind()).to_owned(),
    }
}

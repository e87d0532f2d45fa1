//! One line per call, at the edge.

use std::fmt;

use crate::error::{Error, Kind};
use crate::operation::Operation;

use super::Arrival;
use super::reason::Reason;

/// Tells how a call ended, and how many requests the partner was sent for it. Failures that somebody must look at are warnings; a caller's own mistakes and a
/// partner's ordinary refusals are not.
pub(super) fn log(
    operation: &Operation,
    arrival: &Arrival,
    attempts: u32,
    result: Result<(), &Error>,
) {
    let rpc = operation.rpc();
    let duration = arrival.time.elapsed().as_secs_f64();
    match result {
        Ok(()) => tracing::info!(rpc, attempts, duration, code = "OK", "call answered"),
        Err(error) => {
            let reason = Reason::of(error, operation);
            let (code, reason) = (reason.code(), reason.as_str());
            let outcome = error.outcome().as_str();
            let http_status = error.http_status().map(|status| status.as_u16());
            match error.kind() {
                Kind::InvalidRequest(_) | Kind::Partner(_) => tracing::info!(
                    rpc,
                    attempts,
                    duration,
                    ?code,
                    reason,
                    outcome,
                    http_status,
                    "call refused"
                ),
                _ => tracing::warn!(
                    rpc, attempts, duration, ?code, reason, outcome, http_status,
                    error = %Chain(error), "call failed"
                ),
            }
        }
    }
}

/// An error and its causes, on one line.
pub(super) struct Chain<'a>(pub(super) &'a Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

//! When a caller is to try again, and when it must not.
//!
//! `RetryInfo` and `grpc-retry-pushback-ms` say the same (G13; gRFC A6): clients obey the
//! one or the other, and a write that may have had its effect is repeated by neither.

use std::time::Duration;

use crate::error::{Error, Kind, Outcome};
use crate::grpc::reason::Reason;
use crate::operation::{Effect, Operation};

/// How long a caller is asked to wait when nobody knows better.
pub(super) const DEFAULT_RETRY: Duration = Duration::from_secs(1);
/// The same while the first call with a request id is under way: most take less.
pub(super) const IN_FLIGHT_RETRY: Duration = Duration::from_millis(250);

/// When to try again: as the partner asks, as the gateway's own gates say, or after a
/// while. Whole milliseconds that a pushback can hold, rounded up, so that `RetryInfo`
/// and pushback say the same and neither is too early (G13).
pub(super) fn retry_delay(error: &Error, reason: Reason) -> Option<Duration> {
    let known = match error.kind() {
        Kind::RateLimited { retry_after } | Kind::CircuitOpen { retry_after } => Some(*retry_after),
        _ => error.retry_after(),
    };
    let nanoseconds = known.or_else(|| usual_delay(reason))?.as_nanos();
    let milliseconds = i32::try_from(nanoseconds.div_ceil(1_000_000)).unwrap_or(i32::MAX);
    Some(Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default()))
}

/// When to try again where nobody knows better, if that helps at all. Of a partner that
/// is not available nothing is said: clients have a back-off of their own.
pub(super) fn usual_delay(reason: Reason) -> Option<Duration> {
    match reason {
        Reason::RequestInFlight => Some(IN_FLIGHT_RETRY),
        Reason::PartnerRateLimited
        | Reason::Overloaded
        | Reason::StoreUnavailable
        | Reason::ShuttingDown => Some(DEFAULT_RETRY),
        _ => None,
    }
}

/// `grpc-retry-pushback-ms` where it is not the delay of `RetryInfo`: −1 where a client
/// that retries by itself could do a thing twice, or for nothing (G3, G13; gRFC A6).
pub(super) fn pushback(error: &Error, operation: &Operation, reason: Reason) -> Option<i32> {
    let is_hopeless =
        matches!(reason, Reason::PartnerCredentialsRejected | Reason::PartnerTokenRefused);
    (may_have_acted(error, operation, reason) || is_hopeless).then_some(-1)
}

/// Whether a WRITE_ONCE may have had its effect and nothing is going to tell.
fn may_have_acted(error: &Error, operation: &Operation, reason: Reason) -> bool {
    // Asking again with the same id is how its caller learns the outcome: of a call that is
    // under way, or whose answer this replica will be able to open.
    let will_be_told = match reason {
        Reason::RequestInFlight => true,
        Reason::StoreUnavailable => error.attempts() == 0,
        _ => false,
    };
    operation.effect == Effect::WriteOnce && error.outcome() == Outcome::Unknown && !will_be_told
}

/// What tells whether it had (R8).
pub(super) fn to_read(
    error: &Error,
    operation: &Operation,
    reason: Reason,
) -> Option<&'static Operation> {
    operation.reconcile.filter(|_| may_have_acted(error, operation, reason))
}

pub(super) fn milliseconds(delay: Duration) -> i32 {
    i32::try_from(delay.as_millis()).unwrap_or(i32::MAX)
}

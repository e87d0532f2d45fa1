//! What the tests of the gRPC face share.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{Arrival, Report};
use crate::callers::Caller;

/// A call that came in just now, of a caller that waits for `timeout`.
pub(super) fn arrival(timeout: Duration) -> Arrival {
    let (id, time, caller) = (Uuid::nil(), Instant::now(), Caller::anonymous());
    Arrival { id, time, timeout, caller, previous_attempts: 0, report: Report::default() }
}

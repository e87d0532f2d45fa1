//! A call of the gateway's own services: what a failure of it is told, to its caller and to
//! its report alike.

use tonic::{Request, Status};
use uuid::Uuid;

use crate::error::Error;

use super::reason::Reason;
use super::{Arrival, Report, status};

/// One call; of one that did not come in through the edge nobody is told.
#[derive(Clone, Debug)]
pub struct OwnCall {
    /// The gateway's id of it; nil for one that did not come in through the edge.
    pub id: Uuid,
    report: Report,
}

// === impl OwnCall ===

impl OwnCall {
    /// The call that `request` is of.
    pub fn of<T>(request: &Request<T>) -> Self {
        let arrival = request.extensions().get::<Arrival>();
        let (id, report) = arrival.map(|it| (it.id, it.report.clone())).unwrap_or_default();
        Self { id, report }
    }

    /// Makes the status of whatever fails.
    pub(super) fn failing(&self) -> impl Fn(Error) -> Status + Send + Sync {
        move |error| {
            self.report.failed_here(&error);
            status::of_own(&error, self.id)
        }
    }

    /// Refuses the call for this reason, in these words.
    pub fn refused(&self, reason: Reason, text: &str) -> Status {
        self.report.refused(reason);
        status::of_gateway(reason, text, self.id)
    }
}

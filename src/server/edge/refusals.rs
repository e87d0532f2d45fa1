//! What the edge answers by itself. Each answer leaves its reason in the call's report, so
//! that the call's line and span have it like that of any other failure.

use std::time::Duration;

use tonic::Status;
use uuid::Uuid;

use crate::grpc::reason::Reason;
use crate::grpc::{Report, status};
use crate::operation::Operation;

/// Makes these answers to one call.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    pub(super) id: Uuid,
    pub(super) report: Report,
    /// What a partner is asked for by it.
    pub(super) operation: Option<&'static Operation>,
}

// === impl Refusals ===

impl Refusals {
    /// Refuses for this reason, in these words; nothing was sent to a partner.
    pub(super) fn of(&self, reason: Reason, text: &str) -> Status {
        self.report.refused(reason);
        match self.operation {
            Some(operation) => status::of_refused(reason, text, operation, self.id),
            None => status::of_gateway(reason, text, self.id),
        }
    }

    pub(super) fn unknown_caller(&self) -> Status {
        let text = "authorization must be Bearer with a token of a caller that the gateway knows";
        self.of(Reason::UnknownCaller, text)
    }

    pub(super) fn overloaded(&self) -> Status {
        self.of(Reason::Overloaded, "the gateway has as many calls as it takes")
    }

    pub(super) fn invalid_timeout(&self) -> Status {
        let text = "grpc-timeout must be at most eight digits and a unit";
        self.of(Reason::InvalidTimeout, text)
    }

    /// The call is given up at its deadline.
    pub(super) fn deadline_exceeded(&self) -> Status {
        self.lost(Reason::DeadlineExceeded, "the deadline passed")
    }

    /// A bug ends one call, not the connection with everybody's (S25).
    pub(super) fn panicked(&self) -> Status {
        self.lost(Reason::Internal, "an internal fault of the gateway")
    }

    /// The connection of a stream is closed; another can be opened after `retry`.
    pub(super) fn closing(&self, retry: Duration) -> Status {
        self.report.refused(Reason::ShuttingDown);
        status::of_closing(self.id, retry)
    }

    /// Gives the call up; it may have come as far as the partner.
    pub(super) fn lost(&self, reason: Reason, text: &str) -> Status {
        self.report.refused(reason);
        match self.operation {
            Some(operation) => status::of_lost(reason, text, operation, self.id),
            None => status::of_gateway(reason, text, self.id),
        }
    }
}

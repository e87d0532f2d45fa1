//! Who did what with a credential: one line each, under the target "audit".
//!
//! What was tried is told as well: a change whose answer is lost may have been made.

use uuid::Uuid;

use crate::error::Error;
use crate::grpc::reason::Reason;
use crate::store::Record;

/// Something that one call does with a credential or an intent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audit {
    action: &'static str,
    call: Uuid,
}

/// What it is done with.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// The credential of an account; an account that the partner tells is not known before.
    Account { partner: String, account: Option<String> },
    /// The credential of an id.
    Credential(Uuid),
    /// The intent of an id.
    Intent(Uuid),
}

// === impl Audit ===

impl Audit {
    pub(super) fn new(action: &'static str, call: Uuid) -> Self {
        Self { action, call }
    }

    /// It was done with this credential.
    pub(super) fn done(self, record: &Record) {
        tracing::info!(
            target: "audit",
            action = self.action,
            result = "done",
            request_id = %self.call,
            credential = %record.id,
            partner = record.name.partner,
            kind = record.name.kind.as_str(),
            account = record.name.account,
            "credential"
        );
    }

    /// The intent of this id is dismissed.
    pub(super) fn dismissed(self, intent: Uuid) {
        let (action, call) = (self.action, self.call);
        tracing::info!(
            target: "audit", action, result = "done", request_id = %call, %intent, "key intent"
        );
    }

    /// There is nothing that it could be done with.
    pub(super) fn absent(self, subject: &Subject) {
        self.not_done(subject, "absent", None);
    }

    /// The configuration does not allow it.
    pub(super) fn denied(self, subject: &Subject) {
        self.not_done(subject, "denied", Some(Reason::NotAllowed.as_str()));
    }

    /// It failed; when the store did not answer, it may be done nevertheless.
    pub(super) fn failed(self, subject: &Subject, error: &Error) {
        self.not_done(subject, "failed", Some(Reason::of_own(error).as_str()));
    }

    fn not_done(self, subject: &Subject, result: &'static str, reason: Option<&'static str>) {
        let (action, call) = (self.action, self.call);
        match subject {
            Subject::Account { partner, account } => tracing::info!(
                target: "audit", action, result, reason, request_id = %call, partner, account,
                "credential"
            ),
            Subject::Credential(id) => tracing::info!(
                target: "audit", action, result, reason, request_id = %call, credential = %id,
                "credential"
            ),
            Subject::Intent(id) => tracing::info!(
                target: "audit", action, result, reason, request_id = %call, intent = %id,
                "key intent"
            ),
        }
    }
}

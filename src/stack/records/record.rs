//! The record of one call: it is ended however its call ends.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::super::exchange::{Exchange, Progress};
use super::{Inner, Records, Underway, answer};
use crate::call::Reply;
use crate::error::{Error, Outcome};
use crate::operation::Operation;
use crate::store::{End, NewRequest, RequestKey};

/// The record of a call under way. However the call ends, its record is ended: a success
/// is kept, a call without effect forgotten, any other stays unknown.
#[derive(Debug)]
#[must_use = "a record that is dropped ends by how far its call has come"]
pub(in crate::stack) struct Record {
    records: Records,
    pub(super) new: NewRequest,
    operation: &'static Operation,
    pub(super) progress: Progress,
    deadline: Instant,
    stage: Stage,
}

/// How far a record has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It may be there, or not.
    Opening,
    /// It is durable, and its call may be under way.
    Started,
    /// Whatever is left to do is done without it.
    Over,
}

// === impl Record ===

impl Record {
    /// The record of a call that the store is about to be asked for.
    pub(super) fn new(
        records: &Records,
        key: RequestKey,
        fingerprint: [u8; 32],
        exchange: &Exchange,
    ) -> Self {
        let Exchange { call, progress, .. } = exchange;
        Self {
            records: records.clone(),
            new: NewRequest {
                id: Uuid::now_v7(),
                key,
                fingerprint,
                call_id: call.id,
                settles_by: records.settles_by(call.deadline),
            },
            operation: call.operation,
            progress: progress.clone(),
            deadline: call.deadline,
            stage: Stage::Opening,
        }
    }

    /// Ends the record by how its call ended. It is durable when this returns, unless the
    /// store is slow: an answer is held back for no longer than one operation of the store
    /// may take, nor than half of the time that its caller still has.
    pub(in crate::stack) async fn settle(mut self, result: &Result<Reply, Error>) {
        let Inner { store, is_readable, .. } = &*self.records.0;
        let end = match result {
            Ok(reply) if is_readable(self.operation, reply) => End::Done(answer::write(reply)),
            // It cannot be shown to anybody, so asking again must not find it.
            Ok(_) => End::Unknown,
            Err(error) => end_of(error.outcome().worse(self.progress.outcome())),
        };
        let left = self.deadline.saturating_duration_since(Instant::now()) / 2;
        // In memory nothing is slow.
        let most = if store.is_durable() { left.min(store.limit()) } else { left };
        let ended = self.end(end);
        // Its task goes on.
        let _ = timeout(most, ended).await;
    }

    /// The store has said that the call is the first.
    pub(super) fn start(&mut self) {
        self.stage = Stage::Started;
        let fingerprint = self.new.fingerprint;
        self.records.note(&self.new.key, Underway::Started { fingerprint, end: None });
    }

    /// The record is not there: that of another call is, or none.
    pub(super) fn leave(mut self) {
        self.stage = Stage::Over;
        self.records.leave(&self.new.key);
    }

    fn end(&mut self, end: End) -> JoinHandle<()> {
        self.stage = Stage::Over;
        self.records.end(self.new.clone(), end, self.over())
    }

    /// When the call must be over.
    fn over(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.records.most(self.deadline)).unwrap_or(now)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Without a runtime the process ends, and the store finds the record open.
        let is_running = Handle::try_current().is_ok();
        match self.stage {
            Stage::Opening => {
                self.records.leave(&self.new.key);
                if is_running {
                    self.records.take_back(self.new.clone(), self.over());
                }
            }
            Stage::Started if is_running => drop(self.end(end_of(self.progress.outcome()))),
            Stage::Started | Stage::Over => {}
        }
    }
}

/// What is kept of a call that was not answered.
fn end_of(outcome: Outcome) -> End {
    match outcome {
        Outcome::NotSent | Outcome::Rejected => End::Forgotten,
        Outcome::Unknown => End::Unknown,
    }
}

//! The records of calls that are done once.
//!
//! They are in the store, where a restart and other replicas find them. Beside it this
//! process knows those that are under way in it: a thousand duplicates at once ask the
//! store once, and an end that the store does not take yet is told from memory.

mod answer;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use super::exchange::{Exchange, Progress};
use crate::call::Reply;
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome};
use crate::failpoint::{self, Point};
use crate::store::{self, End, Found, NewRequest, RequestKey, Retention, Store};

/// By how much replicas' clocks may differ, and how long a record takes to be written.
const MARGIN: Duration = Duration::from_secs(60);
/// How soon what the store did not take is tried again, doubled up to the second.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(15);

/// What is known of an id when a call comes in with it.
#[derive(Debug)]
pub(super) enum Opened {
    /// Nothing: the call is the first, and this is its record.
    New(Record),
    /// The first call is under way.
    InFlight,
    /// The first call was answered with this, which is marked as replayed.
    Done(Reply),
    /// The first call may or may not have had its effect.
    Unknown,
    /// The first call asked for something else.
    Other,
    /// Nothing, and there is no room for a record.
    Full,
}

/// The records of one partner. Clones share them.
#[derive(Clone)]
pub(super) struct Records(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    tasks: TaskTracker,
    stopping: CancellationToken,
    retention: Retention,
    /// How long an attempt takes at most.
    attempt: Duration,
    underway: Mutex<HashMap<RequestKey, Underway>>,
}

/// A call whose end the store has not taken yet.
struct Underway {
    fingerprint: [u8; 32],
    /// How it ended, if it has: with an answer, or nobody knows how.
    end: Option<End>,
}

/// The record of a call under way. However the call ends, its record is ended: a success
/// is kept, a call without effect forgotten, any other stays unknown.
#[derive(Debug)]
#[must_use = "a record that is dropped ends by how far its call has come"]
pub(super) struct Record {
    records: Records,
    id: Uuid,
    key: RequestKey,
    progress: Progress,
    deadline: Instant,
    is_settled: bool,
}

// === impl Records ===

impl Records {
    /// The records of calls whose attempts take no longer than `attempt`.
    pub(super) fn new(context: &super::Context, attempt: Duration) -> Self {
        let super::Context { store, clock, tasks, stopping, retention, .. } = context.clone();
        let underway = Mutex::default();
        Self(Arc::new(Inner { store, clock, tasks, stopping, retention, attempt, underway }))
    }

    /// Finds the record of the call that is known by `key`, or makes it: then it is durable.
    ///
    /// # Errors
    /// The store does not answer: nothing may be sent.
    pub(super) async fn open(
        &self,
        key: RequestKey,
        fingerprint: [u8; 32],
        exchange: &Exchange,
    ) -> Result<Opened, Error> {
        if let Some(known) = self.enter(&key, fingerprint) {
            return known;
        }
        let record = Record {
            records: self.clone(),
            id: Uuid::now_v7(),
            key,
            progress: exchange.progress.clone(),
            deadline: exchange.call.deadline,
            is_settled: false,
        };
        let new = NewRequest {
            id: record.id,
            key: record.key.clone(),
            fingerprint,
            call_id: exchange.call.id,
            settles_by: self.settles_by(record.deadline),
        };
        let found = match failpoint::reach(Point::BeforeRecord).await {
            Ok(()) => self.0.store.open_request(&new, &self.0.retention).await,
            Err(failpoint::Injected) => Err(store::Error::Conflict),
        };
        match found {
            Ok(Found::New) => {
                let _ = failpoint::reach(Point::AfterRecord).await;
                Ok(Opened::New(record))
            }
            Ok(found) => {
                record.leave();
                known(found)
            }
            // It may have been made nevertheless: dropping it takes it back.
            Err(error) => Err(of_store(error)),
        }
    }

    /// What this process knows of `key`; from now on that a call of it is under way.
    fn enter(&self, key: &RequestKey, fingerprint: [u8; 32]) -> Option<Result<Opened, Error>> {
        self.change(|underway| match underway.entry(key.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Underway { fingerprint, end: None });
                None
            }
            Entry::Occupied(found) => Some(match found.get() {
                first if first.fingerprint != fingerprint => Ok(Opened::Other),
                Underway { end: Some(End::Done(answer)), .. } => done(answer),
                Underway { end: Some(End::Unknown), .. } => Ok(Opened::Unknown),
                // One that is to be forgotten can be made again when the store has done so.
                Underway { end: None | Some(End::Forgotten), .. } => Ok(Opened::InFlight),
            }),
        })
    }

    /// Has the store take how a call ended, again and again until it does. When the gateway
    /// stops it is tried for the last time.
    fn end(&self, id: Uuid, key: RequestKey, end: End) -> JoinHandle<()> {
        self.change(|underway| {
            if let Some(call) = underway.get_mut(&key) {
                call.end = Some(end.clone());
            }
        });
        let records = self.clone();
        let work = async move {
            let mut pause = FIRST_RETRY;
            loop {
                let is_last = records.0.stopping.is_cancelled();
                match records.write(id, &key, &end).await {
                    Ok(()) => break,
                    Err(error) if is_last => {
                        let error = error.chain();
                        tracing::error!(error, rpc = key.rpc(), "how a call ended is lost");
                        break;
                    }
                    Err(error) if pause == FIRST_RETRY => {
                        let error = error.chain();
                        tracing::warn!(
                            error,
                            rpc = key.rpc(),
                            "how a call ended is in memory only"
                        );
                    }
                    Err(_) => {}
                }
                tokio::select! {
                    () = sleep(pause) => pause = (pause * 2).min(LAST_RETRY),
                    () = records.0.stopping.cancelled() => {}
                }
            }
            records.leave(&key);
        };
        self.0.tasks.spawn(work.in_current_span())
    }

    async fn write(&self, id: Uuid, key: &RequestKey, end: &End) -> Result<(), store::Error> {
        if failpoint::reach(Point::BeforeEnd).await.is_err() {
            return Err(store::Error::Conflict);
        }
        self.0.store.end_request(id, key, end).await?;
        let _ = failpoint::reach(Point::AfterEnd).await;
        Ok(())
    }

    /// From now on the store alone tells of `key`.
    fn leave(&self, key: &RequestKey) {
        self.change(|underway| underway.remove(key));
    }

    /// When a call is over, by any replica's clock: its last attempt begins before the
    /// deadline.
    fn settles_by(&self, deadline: Instant) -> Timestamp {
        let left = deadline.saturating_duration_since(Instant::now());
        let most = left.saturating_add(self.0.attempt).saturating_add(MARGIN);
        self.0.clock.now().checked_add(most).unwrap_or(Timestamp::MAX)
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<RequestKey, Underway>) -> T) -> T {
        change(&mut self.0.underway.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// Replies may hold secrets, and ids are the callers' own.
impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let underway = self.change(|underway| underway.len());
        f.debug_struct("Records").field("underway", &underway).finish_non_exhaustive()
    }
}

// === impl Record ===

impl Record {
    /// Ends the record by how its call ended. It is durable when this returns, unless the
    /// store is slow: an answer is not held back for longer than half of the time that its
    /// caller still has.
    pub(super) async fn settle(mut self, result: &Result<Reply, Error>) {
        let end = match result {
            Ok(reply) => End::Done(answer::write(reply)),
            Err(error) => end_of(error.outcome().worse(self.progress.outcome())),
        };
        self.is_settled = true;
        let ended = self.records.end(self.id, self.key.clone(), end);
        let left = self.deadline.saturating_duration_since(Instant::now());
        // Its task goes on.
        let _ = timeout(left / 2, ended).await;
    }

    /// Drops a record that was not made: the store has one of the same key.
    fn leave(mut self) {
        self.is_settled = true;
        self.records.leave(&self.key);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Without a runtime the process ends, and the store finds the record open.
        if !self.is_settled && Handle::try_current().is_ok() {
            let end = end_of(self.progress.outcome());
            drop(self.records.end(self.id, self.key.clone(), end));
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

/// What the store has found, of a record that is there.
fn known(found: Found) -> Result<Opened, Error> {
    match found {
        Found::New | Found::InFlight => Ok(Opened::InFlight),
        Found::Done(answer) => done(answer.expose_secret()),
        Found::Unknown => Ok(Opened::Unknown),
        Found::Other => Ok(Opened::Other),
        Found::Full => Ok(Opened::Full),
    }
}

fn done(answer: &[u8]) -> Result<Opened, Error> {
    let reply = answer::read(answer);
    // The call had its effect.
    reply.map(Opened::Done).ok_or_else(|| Error::new(Kind::OutcomeUnknown, Outcome::Unknown))
}

/// What a failure of the store is to a call that waits for its record.
fn of_store(error: store::Error) -> Error {
    use store::Error::{Conflict, Corrupt, Unavailable, UnknownKey};
    let (kind, outcome) = match &error {
        Unavailable(_) | Conflict => (Kind::StoreUnavailable, Outcome::NotSent),
        // The first call had its effect; a key that is read later will open its answer.
        UnknownKey(_) => (Kind::StoreUnavailable, Outcome::Unknown),
        Corrupt(_) => (Kind::OutcomeUnknown, Outcome::Unknown),
        _ => (Kind::Internal, Outcome::NotSent),
    };
    Error::new(kind, outcome).with_source(error)
}

#[cfg(test)]
mod tests;

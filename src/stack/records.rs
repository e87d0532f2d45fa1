//! The records of calls that are done once.
//!
//! They are in the store, where a restart and other replicas find them. Beside it this
//! process knows those that are under way in it: a thousand duplicates at once ask the
//! store once, and an end that the store does not take yet is told from memory.

mod answer;
mod record;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

pub(super) use record::Record;

use super::Readable;
use super::exchange::Exchange;
use crate::call::Reply;
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome};
use crate::failpoint::{self, Point};
use crate::store::{self, End, Found, NewRequest, RequestKey, Retention, Store, Unopened};

/// By how much replicas' clocks may differ, and how long a record takes to be written.
const MARGIN: Duration = Duration::from_secs(60);
/// How soon what the store did not take is tried again, doubled up to the second.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(15);
/// How many records are taken back at a time. Beyond that they are left: the store gives
/// up on them when their time is over.
const TAKEN_BACK: usize = 256;

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
    is_readable: Readable,
    /// How long an attempt takes at most.
    attempt: Duration,
    /// Room for the tasks that take a record back.
    taken_back: Arc<Semaphore>,
    underway: Mutex<HashMap<RequestKey, Underway>>,
}

/// A call whose end the store has not taken yet.
enum Underway {
    /// The store has not said yet whether it is the first.
    Opening,
    /// It is.
    Started {
        fingerprint: [u8; 32],
        /// How it ended, if it has.
        end: Option<End>,
    },
}

// === impl Records ===

impl Records {
    /// The records of calls whose attempts take no longer than `attempt`.
    pub(super) fn new(context: &super::Context, attempt: Duration) -> Self {
        let super::Context { store, clock, tasks, stopping, retention, is_readable, .. } =
            context.clone();
        Self(Arc::new(Inner {
            store,
            clock,
            tasks,
            stopping,
            retention,
            is_readable,
            attempt,
            taken_back: Arc::new(Semaphore::new(TAKEN_BACK)),
            underway: Mutex::default(),
        }))
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
        let mut record = Record::new(self, key, fingerprint, exchange);
        let found = match failpoint::reach(Point::BeforeRecord).await {
            Ok(()) => self.0.store.open_request(&record.new, &self.0.retention).await,
            Err(failpoint::Injected) => {
                Err(Unopened { error: store::Error::Conflict, may_exist: false })
            }
        };
        match found {
            Ok(Found::New) => {
                record.start();
                let _ = failpoint::reach(Point::AfterRecord).await;
                Ok(Opened::New(record))
            }
            Ok(found) => {
                record.leave();
                known(found)
            }
            // Dropping the record takes it back.
            Err(Unopened { error, may_exist: true }) => Err(of_store(error)),
            Err(Unopened { error, may_exist: false }) => {
                record.leave();
                Err(of_store(error))
            }
        }
    }

    /// What this process knows of `key`; from now on that a call of it is under way.
    fn enter(&self, key: &RequestKey, fingerprint: [u8; 32]) -> Option<Result<Opened, Error>> {
        self.change(|underway| match underway.entry(key.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Underway::Opening);
                None
            }
            Entry::Occupied(found) => Some(match found.get() {
                // Perhaps it is not the first, and then nothing may be compared with it.
                Underway::Opening => Ok(Opened::InFlight),
                Underway::Started { fingerprint: first, .. } if *first != fingerprint => {
                    Ok(Opened::Other)
                }
                Underway::Started { end: Some(End::Done(answer)), .. } => done(answer),
                Underway::Started { end: Some(End::Unknown), .. } => Ok(Opened::Unknown),
                // One that is to be forgotten can be made again when the store has done so.
                Underway::Started { end: None | Some(End::Forgotten), .. } => Ok(Opened::InFlight),
            }),
        })
    }

    /// Has the store take how a call ended, again and again until it does. When the gateway
    /// stops it is tried for the last time.
    fn end(&self, new: NewRequest, end: End, over: Instant) -> JoinHandle<()> {
        let (fingerprint, ended) = (new.fingerprint, Some(end.clone()));
        self.note(&new.key, Underway::Started { fingerprint, end: ended });
        let records = self.clone();
        let work = async move {
            records.write(&new, &end, over).await;
            records.leave(&new.key);
        };
        self.0.tasks.spawn(work.in_current_span())
    }

    async fn write(&self, new: &NewRequest, end: &End, over: Instant) {
        let rpc = new.key.rpc();
        let mut pause = FIRST_RETRY;
        loop {
            // What is forgotten after its time the store has given up on.
            let is_late = *end == End::Forgotten && Instant::now() >= over;
            let is_last = is_late || self.0.stopping.is_cancelled();
            match self.write_once(new, end).await {
                Ok(()) => return,
                Err(error) if is_last => {
                    let error = error.chain();
                    return tracing::error!(error, rpc, "how a call ended is lost");
                }
                Err(error) if pause == FIRST_RETRY => {
                    let error = error.chain();
                    tracing::warn!(error, rpc, "how a call ended is in memory only");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = sleep(pause) => pause = longer(pause),
                () = self.0.stopping.cancelled() => {}
            }
        }
    }

    async fn write_once(&self, new: &NewRequest, end: &End) -> Result<(), store::Error> {
        if failpoint::reach(Point::BeforeEnd).await.is_err() {
            return Err(store::Error::Conflict);
        }
        self.0.store.end_request(new, end).await?;
        let _ = failpoint::reach(Point::AfterEnd).await;
        Ok(())
    }

    /// Deletes a record that may have been made though making it failed; nothing was sent,
    /// and nobody waits for it. Of one that stays nevertheless the store says in time that
    /// the outcome is not known.
    fn take_back(&self, new: NewRequest, over: Instant) {
        let Ok(room) = Arc::clone(&self.0.taken_back).try_acquire_owned() else { return };
        let records = self.clone();
        let work = async move {
            let _room = room;
            let (mut pause, mut is_certain) = (FIRST_RETRY, false);
            loop {
                match records.0.store.end_request(&new, &End::Forgotten).await {
                    Ok(false) if !is_certain => {
                        // It may come yet, until the time for making it is over.
                        (pause, is_certain) = (records.0.store.limit(), true);
                    }
                    Ok(_) => return,
                    Err(_) => pause = longer(pause),
                }
                let slept = records.0.stopping.run_until_cancelled(sleep(pause)).await;
                if slept.is_none() || Instant::now() >= over {
                    return;
                }
            }
        };
        self.0.tasks.spawn(work.in_current_span());
    }

    fn note(&self, key: &RequestKey, now: Underway) {
        self.change(|underway| underway.insert(key.clone(), now));
    }

    /// From now on the store alone tells of `key`.
    fn leave(&self, key: &RequestKey) {
        self.change(|underway| underway.remove(key));
    }

    /// How long a call may last yet: its last attempt begins before the deadline.
    fn most(&self, deadline: Instant) -> Duration {
        let left = deadline.saturating_duration_since(Instant::now());
        left.saturating_add(self.0.attempt).saturating_add(MARGIN)
    }

    /// When a call is over, by any replica's clock.
    fn settles_by(&self, deadline: Instant) -> Timestamp {
        self.0.clock.now().checked_add(self.most(deadline)).unwrap_or(Timestamp::MAX)
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

/// The pause after this one.
fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LAST_RETRY)
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

//! The records of calls that are done once.
//!
//! A record is kept for as long as the contract promises and never dropped before: a
//! repeated call would be done twice. When there is no room, new calls are refused.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use uuid::Uuid;

use crate::call::Reply;

/// How long a success is replayed: as the contract promises.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Bounds on what is kept. A write is a rare thing: this is days of them.
const MAX_RECORDS: usize = 100_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What a call is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) rpc: String,
    pub(super) request_id: Uuid,
}

/// What is known of an id when a call comes in with it.
#[derive(Clone, Debug)]
pub(super) enum Opened {
    /// Nothing: the call is the first, and its record is made.
    New,
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
#[derive(Clone, Default)]
pub(super) struct Records(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    by_key: HashMap<Key, Record>,
    /// Ended records, oldest first.
    ended: VecDeque<(Instant, Key)>,
    bytes: usize,
}

struct Record {
    fingerprint: [u8; 32],
    state: State,
}

enum State {
    InFlight,
    Done(Answer),
    Unknown,
}

/// What is kept of a reply.
struct Answer {
    status: StatusCode,
    body: Bytes,
    partner_request_id: Option<String>,
    is_key_kept: bool,
}

// === impl Records ===

impl Records {
    /// Finds the record of `key`, or makes it.
    pub(super) fn open(&self, key: &Key, fingerprint: [u8; 32]) -> Opened {
        self.change(|kept| {
            kept.evict();
            let Some(record) = kept.by_key.get(key) else {
                if kept.is_full() {
                    return Opened::Full;
                }
                let record = Record { fingerprint, state: State::InFlight };
                kept.by_key.insert(key.clone(), record);
                return Opened::New;
            };
            match &record.state {
                _ if record.fingerprint != fingerprint => Opened::Other,
                State::InFlight => Opened::InFlight,
                State::Done(answer) => Opened::Done(answer.replay()),
                State::Unknown => Opened::Unknown,
            }
        })
    }

    /// Keeps the answer of a call.
    pub(super) fn done(&self, key: &Key, reply: &Reply) {
        self.change(|kept| {
            kept.bytes += reply.body.len();
            kept.end(key, State::Done(Answer::of(reply)));
        });
    }

    /// Keeps that nobody knows how a call ended.
    pub(super) fn unknown(&self, key: &Key) {
        self.change(|kept| kept.end(key, State::Unknown));
    }

    /// Forgets a call that had no effect.
    pub(super) fn forget(&self, key: &Key) {
        self.change(|kept| kept.by_key.remove(key));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// Replies may hold secrets, and ids are the callers' own.
impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.change(|kept| kept.by_key.len());
        f.debug_struct("Records").field("count", &count).finish()
    }
}

// === impl Kept ===

impl Kept {
    fn is_full(&self) -> bool {
        self.by_key.len() >= MAX_RECORDS || self.bytes >= MAX_BYTES
    }

    fn end(&mut self, key: &Key, state: State) {
        if let Some(record) = self.by_key.get_mut(key) {
            record.state = state;
            self.ended.push_back((Instant::now() + RETENTION, key.clone()));
        }
    }

    /// Drops the records whose time is over.
    fn evict(&mut self) {
        let now = Instant::now();
        while self.ended.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, key)) = self.ended.pop_front() else { return };
            if let Some(Record { state: State::Done(answer), .. }) = self.by_key.remove(&key) {
                self.bytes -= answer.body.len();
            }
        }
    }
}

// === impl Answer ===

impl Answer {
    fn of(reply: &Reply) -> Self {
        let Reply { status, body, partner_request_id, is_key_kept, .. } = reply;
        Self {
            status: *status,
            // A copy: what came may be a part of a much larger piece of memory.
            body: Bytes::copy_from_slice(body),
            partner_request_id: partner_request_id.clone(),
            is_key_kept: *is_key_kept,
        }
    }

    fn replay(&self) -> Reply {
        Reply {
            replayed: true,
            partner_request_id: self.partner_request_id.clone(),
            is_key_kept: self.is_key_kept,
            ..Reply::new(self.status, HeaderMap::new(), self.body.clone())
        }
    }
}

#[cfg(test)]
mod tests;

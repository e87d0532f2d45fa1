//! Lines on their way to stderr, for which no call waits.
//!
//! Writing to a pipe blocks while its other end is not read: a container runtime whose disk
//! stalls would stop every thread that logs, with answers that are paid for. So one thread
//! writes, from a queue that is bounded in bytes. What finds no room is counted and forgotten.
//! The audit has room of its own: no number of calls takes its place.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines of one kind that may wait: some ten thousand lines of calls.
const ROOM: usize = 4 * 1024 * 1024;

/// The target of the audit.
const AUDIT: &str = "audit";

/// What a line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ordinary,
    Audit,
}

/// The queue. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// A line has come.
    came: Condvar,
    /// All that had come is written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<(Kind, Vec<u8>)>,
    /// Whether there is one more, which is being written.
    is_writing: bool,
    ordinary: Room,
    audit: Room,
    /// How many lost lines the log itself has told.
    told: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Room {
    taken: usize,
    dropped: u64,
}

/// Where a line is put.
#[derive(Debug)]
pub(in crate::telemetry) struct Entry {
    queue: Queue,
    kind: Kind,
}

// === impl Queue ===

impl Queue {
    /// Writes what is put into the queue to `output`, in a thread that ends with the process.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(in crate::telemetry) fn to(output: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Self::default();
        let own = queue.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || own.write(output))?;
        Ok(queue)
    }

    /// Puts a line into the queue, if there is room.
    pub(super) fn put(&self, kind: Kind, line: &[u8]) {
        let mut state = self.lock();
        let room = state.room(kind);
        if room.taken + line.len() > ROOM {
            room.dropped += 1;
            return;
        }
        room.taken += line.len();
        state.lines.push_back((kind, line.to_vec()));
        drop(state);
        self.0.came.notify_one();
    }

    /// Waits until all lines are written, for so long at most.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        drop(self.0.written.wait_timeout_while(self.lock(), patience, is_busy));
    }

    /// How many lines were lost, by what they were of.
    pub(in crate::telemetry) fn dropped(&self) -> [(&'static str, u64); 2] {
        let state = self.lock();
        [("ordinary", state.ordinary.dropped), ("audit", state.audit.dropped)]
    }

    fn write(&self, mut output: impl Write) {
        loop {
            let (kind, line) = self.next();
            let written = output.write_all(&line);
            let untold = self.written(kind, &line, written.is_ok());
            if let Some(count) = untold {
                tracing::warn!(count, "lines of the log are lost: stderr was not read in time");
            }
        }
    }

    fn next(&self) -> (Kind, Vec<u8>) {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.is_writing = true;
                return line;
            }
            state = self.0.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes the end of a line. When it was the last, how many were lost that nobody has been
    /// told of.
    fn written(&self, kind: Kind, line: &[u8], is_whole: bool) -> Option<u64> {
        let mut state = self.lock();
        state.is_writing = false;
        let room = state.room(kind);
        room.taken -= line.len();
        room.dropped += u64::from(!is_whole);
        if state.lines.is_empty() {
            self.0.written.notify_all();
        }
        // Where nothing can be written, that cannot be told either.
        if !state.lines.is_empty() || !is_whole {
            return None;
        }
        let lost = state.ordinary.dropped + state.audit.dropped;
        let untold = lost - std::mem::replace(&mut state.told, lost);
        (untold > 0).then_some(untold)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Entry;

    fn make_writer(&'a self) -> Entry {
        Entry { queue: self.clone(), kind: Kind::Ordinary }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Entry {
        let kind = if line.target() == AUDIT { Kind::Audit } else { Kind::Ordinary };
        Entry { queue: self.clone(), kind }
    }
}

// === impl State ===

impl State {
    fn room(&mut self, kind: Kind) -> &mut Room {
        match kind {
            Kind::Ordinary => &mut self.ordinary,
            Kind::Audit => &mut self.audit,
        }
    }
}

// === impl Entry ===

impl Write for Entry {
    /// Takes a whole line at once, as the formatter writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.put(self.kind, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

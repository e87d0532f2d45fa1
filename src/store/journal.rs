//! The emergency journal: where a key goes that is shown once when the database does not
//! take it.
//!
//! A file that is only appended to, each frame forced to the disk before the caller
//! hears of it, and emptied when everything in it is in the database. It holds sealed
//! secrets only. A process holds the file for as long as it runs.

mod frame;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

pub(super) use frame::Entry;
use frame::Frame;

use super::Error;

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    shared: Arc<Mutex<State>>,
    limit: Duration,
}

#[derive(Debug)]
struct State {
    file: File,
    /// What is in the file and not in the database, by the record's id.
    entries: BTreeMap<Uuid, Entry>,
}

// === impl Journal ===

impl Journal {
    /// Opens the file, or makes it for its owner alone, and reads what is in it. Frames
    /// that cannot be read are copied to a file beside it.
    pub(super) async fn open(path: PathBuf, limit: Duration) -> Result<Self, Error> {
        let opened = tokio::task::spawn_blocking(move || State::open(&path));
        let state = opened.await.map_err(io::Error::other).flatten().map_err(Error::Journal)?;
        Ok(Self { shared: Arc::new(Mutex::new(state)), limit })
    }

    /// Writes an entry. It is on the disk when this returns.
    pub(super) async fn append(&self, entry: Entry) -> io::Result<()> {
        self.with(move |state| {
            state.write(&Frame::Kept(Box::new(entry.clone())))?;
            state.entries.insert(entry.credential.record.id, entry);
            Ok(())
        })
        .await
    }

    /// Forgets an entry that is in the database now, or that nobody wants any more.
    pub(super) async fn settle(&self, id: Uuid) -> io::Result<()> {
        self.with(move |state| {
            match state.entries.keys().any(|other| *other != id) {
                true => state.write(&Frame::Settled(id))?,
                false => state.clear()?,
            }
            state.entries.remove(&id);
            Ok(())
        })
        .await
    }

    /// What is in the journal and not in the database, oldest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        state.entries.values().cloned().collect()
    }

    /// Works on the file, off the runtime's own threads.
    async fn with(
        &self,
        work: impl FnOnce(&mut State) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let done = tokio::time::timeout(self.limit, done).await?;
        done.map_err(io::Error::other).flatten()
    }
}

// === impl State ===

impl State {
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(path)?;
        file.try_lock()?;
        sync_folder(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let content = frame::read(&bytes);
        if !content.broken.is_empty() {
            let beside = path.with_added_extension("broken");
            set_aside(&beside, &content.broken)?;
            tracing::error!(
                frames = content.broken.len(),
                file = %beside.display(),
                "the journal of the store holds frames that cannot be read: keys may be lost"
            );
        }
        let mut state = Self { file, entries: BTreeMap::new() };
        for frame in content.frames {
            match frame {
                Frame::Kept(entry) => state.entries.insert(entry.credential.record.id, *entry),
                Frame::Settled(id) => state.entries.remove(&id),
            };
        }
        match state.entries.is_empty() {
            true => state.clear()?,
            // A frame that was never whole was never promised to anybody.
            false => state.cut(content.whole)?,
        }
        Ok(state)
    }

    fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        let bytes = frame.to_bytes()?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_all());
        if written.is_err() {
            // If this fails as well, the next frame still begins on a line of its own.
            self.file.set_len(before).ok();
        }
        written
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if length < self.file.metadata()?.len() {
            self.file.set_len(length)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.cut(0)
    }
}

/// Keeps what cannot be read for somebody to look at, each frame once.
fn set_aside(path: &Path, broken: &[Vec<u8>]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut before = Vec::new();
    file.read_to_end(&mut before)?;
    for line in broken {
        if !before.split(|byte| *byte == b'\n').any(|known| known == line) {
            file.write_all(&[line, &b"\n"[..]].concat())?;
        }
    }
    file.sync_all()?;
    sync_folder(path)
}

/// Forces the folder's entry of a new file to the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;

//! The emergency journal: where a key goes that is shown once when the database does not
//! take it.
//!
//! A file that is only appended to, each frame forced to the disk before the caller
//! hears of it, and emptied when everything in it is in the database. It holds sealed
//! secrets only. A process holds the file for as long as it runs; one that finds it held
//! takes it when the other has ended.
//!
//! A disk may hang. So only threads that may block touch the file, one at a time and each
//! within a bound, and what is in it is known without it.

mod frame;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use uuid::Uuid;

pub(super) use frame::Entry;
use frame::Frame;

use super::Error;

/// The journal, whether this process holds its file yet or not.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// `None` while another process holds it.
    file: Arc<AsyncMutex<Option<Log>>>,
    entries: Entries,
    limit: Duration,
}

/// What is in the file and not in the database, by the record's id. Its lock is never
/// held while the file is worked on.
#[derive(Clone, Debug, Default)]
struct Entries(Arc<Mutex<BTreeMap<Uuid, Entry>>>);

/// The file.
#[derive(Debug)]
struct Log(File);

// === impl Journal ===

impl Journal {
    /// Opens the file, or makes it for its owner alone, and reads what is in it. Frames
    /// that cannot be read are copied to a file beside it. While another process holds
    /// it, nothing is in it and nothing is taken.
    pub(super) async fn open(path: PathBuf, limit: Duration) -> Result<Self, Error> {
        let (file, entries) = (Arc::default(), Entries::default());
        let journal = Self { path, file, entries, limit };
        match journal.take_over().await {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(Error::Journal(error)),
            _ => Ok(journal),
        }
    }

    /// Takes the file if it is not held by another process any more. Says whether it was
    /// taken just now.
    pub(super) async fn take_over(&self) -> io::Result<bool> {
        self.within(|file, path, entries| {
            let is_free = file.is_none();
            if is_free {
                *file = Some(Log::open(path, entries)?);
            }
            Ok(is_free)
        })
        .await
    }

    /// Whether another process held the file when it was last asked for.
    pub(super) fn is_held_elsewhere(&self) -> bool {
        // While somebody works on it, it is ours.
        self.file.try_lock().is_ok_and(|file| file.is_none())
    }

    /// The file's place.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes an entry. It is on the disk when this returns; it may be when this fails.
    pub(super) async fn append(&self, entry: Entry) -> io::Result<()> {
        self.with(move |log, entries| {
            log.write(&Frame::Kept(Box::new(entry.clone())))?;
            entries.lock().insert(entry.credential.record.id, entry);
            Ok(())
        })
        .await
    }

    /// Forgets an entry that is in the database now, or that nobody wants any more.
    pub(super) async fn settle(&self, id: Uuid) -> io::Result<()> {
        self.with(move |log, entries| {
            let is_last = !entries.lock().keys().any(|other| *other != id);
            match is_last {
                false => log.write(&Frame::Settled(id))?,
                true => log.cut(0)?,
            }
            entries.lock().remove(&id);
            Ok(())
        })
        .await
    }

    /// What is in the journal and not in the database, oldest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().values().cloned().collect()
    }

    /// Works on the file, which is taken first if it can be.
    async fn with(
        &self,
        work: impl FnOnce(&mut Log, &Entries) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        self.within(|file, path, entries| match file {
            Some(log) => work(log, entries),
            None => work(file.insert(Log::open(path, entries)?), entries),
        })
        .await
    }

    /// Works off the runtime's own threads, one after the other: when the file hangs, so
    /// does one thread. What is not done in time may still be.
    async fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Option<Log>, &Path, &Entries) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (path, entries) = (self.path.clone(), self.entries.clone());
        let done = async {
            let mut file = Arc::clone(&self.file).lock_owned().await;
            tokio::task::spawn_blocking(move || work(&mut file, &path, &entries)).await
        };
        let done = tokio::time::timeout(self.limit, done).await?;
        done.map_err(io::Error::other).flatten()
    }
}

// === impl Entries ===

impl Entries {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Log ===

impl Log {
    fn open(path: &Path, entries: &Entries) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(path)?;
        file.try_lock()?;
        warn_if_shown(&file, path)?;
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
        let mut found = BTreeMap::new();
        for frame in content.frames {
            match frame {
                Frame::Kept(entry) => found.insert(entry.credential.record.id, *entry),
                Frame::Settled(id) => found.remove(&id),
            };
        }
        let mut log = Self(file);
        // A frame that was never whole was never promised to anybody.
        log.cut(if found.is_empty() { 0 } else { content.whole })?;
        *entries.lock() = found;
        Ok(log)
    }

    fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let before = self.0.metadata()?.len();
        let bytes = frame.to_bytes()?;
        let written = self.0.write_all(&bytes).and_then(|()| self.0.sync_all());
        if written.is_err() {
            // If this fails as well, the next frame still begins on a line of its own.
            self.0.set_len(before).ok();
        }
        written
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if length < self.0.metadata()?.len() {
            self.0.set_len(length)?;
            self.0.sync_all()?;
        }
        Ok(())
    }
}

/// Says that others may read a file that was there.
fn warn_if_shown(file: &File, path: &Path) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "others than its owner may use the journal of the store");
    }
    Ok(())
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

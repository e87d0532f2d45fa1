//! Which processes use an SQLite file: each holds a lock beside it for as long as it runs.
//!
//! Whoever is alone when it starts knows that the intents and calls it finds open are of a
//! process that is gone. Where another one still runs, as while a new version takes over, they may be of
//! calls that are under way.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Between two attempts, and for how long: another start is done in less.
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(10);

/// The place of this process among those that use a file.
#[derive(Debug)]
pub(super) struct Instance(#[expect(dead_code, reason = "its lock ends with it")] File);

/// A process that starts.
#[derive(Debug)]
pub(super) struct Starting {
    file: File,
    is_alone: bool,
}

// === impl Starting ===

impl Starting {
    /// Takes a place beside the database `path`. While one that is alone starts, no other
    /// one does.
    pub(super) fn beside(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(path.with_added_extension("lock"))?;
        let is_alone = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        Ok(Self { file, is_alone })
    }

    /// Whether no other process uses the database.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Lets others start, who find that they are not alone.
    pub(super) async fn started(self) -> io::Result<Instance> {
        let start = Instant::now();
        loop {
            match self.file.try_lock_shared() {
                Ok(()) => return Ok(Instance(self.file)),
                Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_starts_knows_whether_another_one_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let first = Starting::beside(&path).unwrap();
        assert!(first.is_alone());
        let second = Starting::beside(&path).unwrap();
        assert!(!second.is_alone());
        let (first, second) = tokio::join!(first.started(), second.started());
        drop(first.unwrap());
        // A second one that goes on counts like the first.
        assert!(!Starting::beside(&path).unwrap().is_alone());
        drop(second.unwrap());
        assert!(Starting::beside(&path).unwrap().is_alone());
    }
}

//! Secrets that are read again when their files change (S19).
//!
//! What is compared is the content, not a time or a name: that is right for files that are
//! written in place, for files that are moved there, and for the symbolic links of a
//! Kubernetes volume. Secrets that belong together change as a whole: a change is taken
//! when a second look a moment later sees the same. A file that is gone, empty or not
//! readable for a while changes nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The moment between the two looks that must see the same.
const MOMENT: Duration = Duration::from_millis(200);

/// How long a look at one file may take: one on a server that is away hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// The secrets that are in files. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SecretFiles(Arc<Mutex<Vec<Watched>>>);

/// A secret of the configuration: its text, and the file that it was read from, if any.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) text: SecretString,
    pub(crate) file: Option<PathBuf>,
}

/// Secrets that change together, and what is to be done when they have.
struct Watched {
    /// What they are, for the log.
    what: String,
    files: Vec<Option<SecretFile>>,
    /// What was last taken.
    texts: Vec<SecretString>,
    take: Take,
    /// Whether the log has been told that they cannot be read.
    is_told: bool,
}

/// A file, and the look at it that is under way. While that hangs there is no other one.
struct SecretFile {
    path: PathBuf,
    look: Option<JoinHandle<io::Result<String>>>,
}

/// Takes texts in the order of their sources. The error says why they cannot be used.
type Take = Box<dyn Fn(&[SecretString]) -> Result<(), String> + Send + Sync>;

// === impl SecretFiles ===

impl SecretFiles {
    /// Adds secrets that belong together. `take` is called with all their texts when one
    /// of them has changed. Those of which none is in a file are left out.
    pub(crate) fn add(
        &self,
        what: impl Into<String>,
        sources: impl IntoIterator<Item = Source>,
        take: impl Fn(&[SecretString]) -> Result<(), String> + Send + Sync + 'static,
    ) {
        let split =
            sources.into_iter().map(|source| (source.file.map(SecretFile::new), source.text));
        let (files, texts): (Vec<_>, Vec<_>) = split.unzip();
        if files.iter().any(Option::is_some) {
            let (what, take) = (what.into(), Box::new(take));
            self.lock().push(Watched { what, files, texts, take, is_told: false });
        }
    }

    /// Looks at the files every `interval`, until `stop` is cancelled.
    pub(crate) async fn watch(self, interval: Duration, stop: CancellationToken) {
        let mut all = std::mem::take(&mut *self.lock());
        let watching = async {
            while !all.is_empty() {
                tokio::time::sleep(interval).await;
                // Side by side: a file that hangs is no other one's concern.
                join_all(all.iter_mut().map(Watched::look)).await;
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Watched ===

impl Watched {
    async fn look(&mut self) {
        let Some(texts) = self.read().await.filter(|texts| !are_same(texts, &self.texts)) else {
            return;
        };
        tokio::time::sleep(MOMENT).await;
        // What is on its way is taken the next time.
        let Some(texts) = self.read().await.filter(|again| are_same(again, &texts)) else { return };
        match (self.take)(&texts) {
            Ok(()) => tracing::info!(secret = self.what, "a changed secret was read"),
            Err(problem) => {
                tracing::warn!(secret = self.what, problem, "a changed secret cannot be used");
            }
        }
        self.texts = texts;
    }

    /// All the texts; `None` while one of them cannot be read.
    async fn read(&mut self) -> Option<Vec<SecretString>> {
        let mut texts = Vec::new();
        for (file, text) in self.files.iter_mut().zip(&self.texts) {
            let read = match file {
                None => Ok(text.clone()),
                Some(file) => file.read().await,
            };
            match read {
                Ok(text) => texts.push(text),
                Err(problem) => {
                    if !self.is_told {
                        let secret = &self.what;
                        tracing::warn!(secret, problem, "its file cannot be read: it is kept");
                    }
                    self.is_told = true;
                    return None;
                }
            }
        }
        self.is_told = false;
        Some(texts)
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({})", self.what)
    }
}

// === impl SecretFile ===

impl SecretFile {
    fn new(path: PathBuf) -> Self {
        Self { path, look: None }
    }

    async fn read(&mut self) -> Result<SecretString, String> {
        let path = self.path.clone();
        let look = self.look.get_or_insert_with(|| {
            tokio::task::spawn_blocking(move || std::fs::read_to_string(path))
        });
        let Ok(read) = timeout(PATIENCE, look).await else {
            return Err(format!("{}: it does not answer", self.path.display()));
        };
        self.look = None;
        let text = read.map_err(io::Error::other).flatten();
        let text = text.map_err(|error| format!("{}: {error}", self.path.display()))?;
        text_of(&text).ok_or_else(|| format!("{} is empty", self.path.display()))
    }
}

/// The secret in a file's text: all of it but the line ends at its end.
pub(crate) fn text_of(text: &str) -> Option<SecretString> {
    let text = text.trim_end_matches(['\r', '\n']);
    (!text.is_empty()).then(|| text.into())
}

/// A secret of one line.
pub(crate) fn one_line(text: &SecretString) -> Result<&SecretString, &'static str> {
    match text.expose_secret().chars().any(char::is_control) {
        true => Err("has a line end or another control character in it"),
        false => Ok(text),
    }
}

/// The public half of a key pair: it is part of a header, with a colon after it.
pub(crate) fn access_key(text: &SecretString) -> Result<String, &'static str> {
    let is_fit = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    match text.expose_secret().bytes().all(is_fit) {
        true => Ok(text.expose_secret().to_owned()),
        false => Err("must be visible ASCII without spaces and colons"),
    }
}

fn are_same(some: &[SecretString], others: &[SecretString]) -> bool {
    let exposed = ExposeSecret::expose_secret;
    some.iter().map(exposed).eq(others.iter().map(exposed))
}

#[cfg(test)]
mod tests;

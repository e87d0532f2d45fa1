//! What can go wrong with the store. No text of a database reaches an error: it may
//! repeat a value or a password.

use std::fmt;
use std::io;

use crate::seal::{CannotSeal, InvalidSeal, KekId, Unsealable};

/// The code of a write that PostgreSQL refuses because it only reads.
const READ_ONLY: &str = "25006";

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, does not answer in time or refuses to work. What
    /// was asked for may have been done; asking again is safe.
    #[error("the store is not available")]
    Unavailable(#[source] Cause),
    /// A record cannot be opened: it was altered.
    #[error("a record of the store cannot be opened")]
    Corrupt(#[source] Damage),
    /// A record is sealed with a key that this process has not been given yet. It passes
    /// when the key is read: another replica was given it before.
    #[error("a record is sealed with the key {0}, which is not in the keyring")]
    UnknownKey(KekId),
    /// Records are sealed with keys that the keyring does not hold.
    #[error("records are sealed with keys that are not in the keyring: {}", .0.join(", "))]
    MissingKeys(Vec<String>),
    /// Others kept changing the same record.
    #[error("others keep changing the same record")]
    Conflict,
    /// The name holds a NUL, which no database keeps.
    #[error("the name of a credential cannot hold a NUL")]
    InvalidName,
    /// Neither the database nor the emergency journal took a secret: it is nowhere.
    #[error("a secret could be written neither to the store nor to its journal")]
    Unkept {
        /// Why the database did not.
        #[source]
        store: Box<Error>,
        /// Why the journal did not; `None` if there is no journal.
        journal: Option<io::ErrorKind>,
    },
    /// The settings cannot work.
    #[error("{0}")]
    Settings(&'static str),
    /// The journal's file cannot be opened, or another process holds it.
    #[error("the journal of the store cannot be opened")]
    Journal(#[source] io::Error),
}

/// Why the database does not work, in words of our own and its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    what: &'static str,
    code: Option<String>,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its secret cannot be opened.
    #[error(transparent)]
    Sealed(#[from] Unsealable),
    /// Something else in it is not what this version writes.
    #[error("a column holds what this version does not write")]
    Column,
}

// === impl Error ===

impl Error {
    /// The error and its causes on one line, for the log.
    pub fn chain(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |it| it.source());
        let text = causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"));
        match self {
            Self::Unkept { journal: Some(kind), .. } => format!("{text}; the journal: {kind}"),
            Self::Unkept { journal: None, .. } => format!("{text}; there is no journal"),
            _ => text,
        }
    }

    pub(super) fn unavailable(what: &'static str) -> Self {
        Self::Unavailable(Cause { what, code: None })
    }

    pub(super) fn unavailable_with(what: &'static str, code: impl Into<String>) -> Self {
        Self::Unavailable(Cause { what, code: Some(code.into()) })
    }

    /// What a server says to a write that only reads.
    pub(super) fn read_only() -> Self {
        Self::unavailable_with(meaning(READ_ONLY), READ_ONLY)
    }

    /// Whether a server that only reads has refused.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if cause.code.as_deref() == Some(READ_ONLY))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::*;
        match &error {
            Database(error) => {
                let code = error.code().unwrap_or_default();
                Self::unavailable_with(meaning(&code), code)
            }
            Io(error) => {
                Self::unavailable_with("the database cannot be reached", error.kind().to_string())
            }
            Tls(_) => Self::unavailable("there is no TLS with the database"),
            PoolTimedOut => Self::unavailable("no connection to the database in time"),
            ColumnNotFound(_) | ColumnDecode { .. } | Decode(_) => Self::Corrupt(Damage::Column),
            Configuration(_) => Self::Settings("the URL of the store cannot be used"),
            _ => Self::unavailable("the connection to the database broke"),
        }
    }
}

impl From<CannotSeal> for Error {
    fn from(_: CannotSeal) -> Self {
        Self::unavailable("the machine gives no random bytes")
    }
}

impl From<Unsealable> for Error {
    fn from(error: Unsealable) -> Self {
        match error {
            Unsealable::UnknownKey { kek_id } => Self::UnknownKey(kek_id),
            Unsealable::Tampered => Self::Corrupt(Damage::Sealed(error)),
        }
    }
}

impl From<InvalidSeal> for Error {
    fn from(_: InvalidSeal) -> Self {
        Self::Corrupt(Damage::Column)
    }
}

/// What a code means, where it says what to do: SQLSTATE has five characters, an
/// extended result code of SQLite fewer, its kind in the low byte.
fn meaning(code: &str) -> &'static str {
    let kind = code.parse::<u32>().map(|code| code % 256);
    match (code, kind) {
        ("28000" | "28P01", _) => "the database refuses the user or the password",
        ("3D000", _) => "the database does not exist",
        ("42501", _) => "the user of the database may not do that",
        ("57014", _) => "the database gave up in time",
        ("53100", _) => "the disk of the database is full",
        (READ_ONLY, _) => "the database is read-only",
        (_, Ok(5 | 6)) if code.len() < 5 => "another process holds the database",
        (_, Ok(8)) if code.len() < 5 => "the database is read-only",
        (_, Ok(10)) if code.len() < 5 => "the file of the database cannot be read or written",
        (_, Ok(11 | 26)) if code.len() < 5 => "the file of the database is damaged",
        (_, Ok(13)) if code.len() < 5 => "the disk of the database is full",
        (_, Ok(14)) if code.len() < 5 => "the file of the database cannot be opened",
        _ => "the database refuses",
    }
}

// === impl Cause ===

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} (code {code})", self.what),
            None => f.write_str(self.what),
        }
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_tells_every_cause() {
        let full = Error::unavailable_with(meaning("13"), "13");
        assert_eq!(
            full.chain(),
            "the store is not available: the disk of the database is full (code 13)"
        );
        let unkept = Error::Unkept {
            store: Box::new(Error::unavailable_with(meaning("28P01"), "28P01")),
            journal: Some(io::ErrorKind::StorageFull),
        };
        let told = unkept.chain();
        assert!(told.contains("the user or the password (code 28P01)"), "{told}");
        assert!(told.ends_with("; the journal: no storage space"), "{told}");
    }
}

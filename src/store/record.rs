//! What is kept: credentials, and the intents that precede a key which is shown once.

use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

/// What a credential is known by. There is one of a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The partner's key.
    pub partner: String,
    /// What it is.
    pub kind: CredentialKind,
    /// Whose it is, in the partner's words: a sub-account, an end user.
    pub account: String,
}

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CredentialKind {
    /// The key pair that signs for an account.
    KeyPair,
    /// The tokens that an end user granted.
    UserGrant,
}

/// How a credential came to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The partner issued it in answer to a call.
    Issued,
    /// An operator or another system put it here.
    Imported,
}

/// A credential to keep.
#[derive(Clone, Debug)]
pub struct New {
    /// What it is known by.
    pub name: Name,
    /// The secret itself, which the store does not read.
    pub secret: SecretString,
    /// From when on it is not accepted any more.
    pub expires: Option<Timestamp>,
    /// From when on a new one is fetched.
    pub renews: Option<Timestamp>,
    /// How it came.
    pub origin: Origin,
}

/// A credential that is kept, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The same for as long as the name is kept.
    pub id: Uuid,
    /// What it is known by.
    pub name: Name,
    /// Counts the secrets that were kept under the name, from 1.
    pub version: i64,
    /// When the name was first kept.
    pub created: Timestamp,
    /// When its secret was last replaced.
    pub updated: Timestamp,
    /// When it was last used for a call, as far as is known.
    pub last_used: Option<Timestamp>,
    /// From when on it is not accepted any more.
    pub expires: Option<Timestamp>,
    /// From when on a new one is fetched.
    pub renews: Option<Timestamp>,
    /// How it came.
    pub origin: Origin,
    /// The id of the key-encryption key that it is sealed with.
    pub kek_id: String,
}

/// Where a credential was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the database, durably.
    Committed(Record),
    /// In the emergency journal, durably; it goes to the database when that is back.
    Journalled(Record),
}

/// A call that is about to make a key which the partner shows once.
#[derive(Clone, Debug)]
pub struct NewIntent {
    /// The partner's key.
    pub partner: String,
    /// The rpc, `package.Service/Method`.
    pub rpc: String,
    /// The call's id, as logs have it.
    pub call_id: Uuid,
    /// When the call is over at the latest.
    pub settles_by: Timestamp,
}

/// An intent that is neither fulfilled nor dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its own id.
    pub id: Uuid,
    /// The partner's key.
    pub partner: String,
    /// The rpc, `package.Service/Method`.
    pub rpc: String,
    /// The call's id, as logs have it.
    pub call_id: Uuid,
    /// When it was made.
    pub created: Timestamp,
    /// When the call is over at the latest.
    pub settles_by: Timestamp,
    /// Set when nobody knows whether a key was issued.
    pub flag: Option<Flag>,
}

/// Why and since when nobody knows whether a key was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Since when.
    pub since: Timestamp,
    /// Why: one of a few fixed texts.
    pub reason: String,
}

/// The credentials that a list is of; what is not set is not asked.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The partner's key.
    pub partner: Option<String>,
    /// What they are.
    pub kind: Option<CredentialKind>,
    /// What their account begins with.
    pub account_prefix: Option<String>,
}

/// The intents that a list is of; what is not set is not asked.
#[derive(Clone, Debug, Default)]
pub struct IntentFilter {
    /// The partner's key.
    pub partner: Option<String>,
    /// Whether they are flagged.
    pub flagged: Option<bool>,
}

/// One page of a list, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// A place in a list. It stays valid whatever is added or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub(super) Uuid);

/// A text that is no [`Cursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a list")]
pub struct InvalidCursor;

/// What a round of [`rotate`](super::Store::rotate) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How many records are now under the first key.
    pub rewrapped: u64,
    /// How many are not, among them those that no key opens. Of each key and sort of record
    /// no more than a hundred thousand are counted.
    pub left: u64,
}

// === impl CredentialKind ===

impl CredentialKind {
    /// The name in the database; it never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialKind::KeyPair => "key_pair",
            CredentialKind::UserGrant => "user_grant",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::KeyPair, Self::UserGrant].into_iter().find(|kind| kind.as_str() == text)
    }
}

// === impl Origin ===

impl Origin {
    /// The name in the database; it never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Issued => "issued",
            Origin::Imported => "imported",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Issued, Self::Imported].into_iter().find(|origin| origin.as_str() == text)
    }
}

// === impl Kept ===

impl Kept {
    /// The credential as it is kept.
    pub fn record(&self) -> &Record {
        match self {
            Kept::Committed(record) | Kept::Journalled(record) => record,
        }
    }
}

// === impl Page ===

impl<T> Page<T> {
    /// A page of `size`, from one item more than that if there are as many.
    pub(super) fn of(mut items: Vec<T>, size: u32, id: impl Fn(&T) -> Uuid) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let has_more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| has_more).map(|last| Cursor(id(last)));
        Self { items, next }
    }
}

// === impl Cursor ===

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

impl std::str::FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidCursor)
    }
}

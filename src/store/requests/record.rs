//! What a record of a call is, and what its row holds.
//!
//! Caller, account and request id go into a digest and stand nowhere: the row tells an
//! operator which rpc it was and when, and nobody who reads the database for whom. Since
//! the request id cannot be guessed, neither can what the digests are of.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretSlice;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::super::{Damage, Error, row};
use crate::seal::{Identity, Sealed};

/// What keeps a key apart from any other digest of the same parts.
const DOMAIN: &[u8] = b"partner-gateway request key 1\0";

/// What a call that is done once is known by.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// In base64, as the database has it.
    digest: String,
    partner: String,
    rpc: String,
}

/// A call whose record is to be made.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// The record's own id, by which it is ended.
    pub id: Uuid,
    /// What the call is known by.
    pub key: RequestKey,
    /// Tells its payload from another one.
    pub fingerprint: [u8; 32],
    /// The call's id, as logs have it.
    pub call_id: Uuid,
    /// When the call is over at the latest, by any replica's clock.
    pub settles_by: Timestamp,
}

/// What is known of a key when a call comes in with it.
#[derive(Debug)]
pub enum Found {
    /// Nothing: the call is the first, and its record is made.
    New,
    /// The first call is under way.
    InFlight,
    /// The first call was answered with this.
    Done(SecretSlice<u8>),
    /// The first call may or may not have had its effect.
    Unknown,
    /// The first call asked for something else.
    Other,
    /// Nothing, and a store in memory has no room for a record.
    Full,
}

/// Why nothing is known of a key, nor its record made.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unopened {
    /// What failed.
    #[source]
    pub error: Error,
    /// Whether the record may be there nevertheless, or come to be: its insertion was asked
    /// for, and not answered.
    pub may_exist: bool,
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq)]
pub enum End {
    /// With this answer, which the store does not read.
    Done(Bytes),
    /// Nobody knows how.
    Unknown,
    /// Without any effect: as if it had not been made.
    Forgotten,
}

/// How long records are kept after their call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Answers.
    pub done: Duration,
    /// That an outcome is not known.
    pub unknown: Duration,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestState {
    /// It may be under way.
    Started,
    /// It was answered.
    Done,
    /// It may or may not have had its effect.
    Unknown,
}

/// A record as the database has it.
pub(in crate::store) struct Request {
    pub(super) id: Uuid,
    pub(super) key: RequestKey,
    pub(super) fingerprint: [u8; 32],
    pub(super) state: RequestState,
    settles_by: Timestamp,
    ended: Option<Timestamp>,
    pub(super) answer: Option<Vec<u8>>,
}

// === impl RequestKey ===

impl RequestKey {
    /// The key of the request `request_id` that `caller` makes of a partner's `rpc`, for
    /// an account or for none.
    pub fn new(
        caller: &str,
        partner: &str,
        account: Option<&str>,
        rpc: &str,
        request_id: Uuid,
    ) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(DOMAIN);
        for part in [Some(caller), Some(partner), account, Some(rpc)] {
            // Lengths, so that no part runs into the next; an absent part is not an empty one.
            context.update(&[part.is_some().into()]);
            context.update(&part.map_or(0, str::len).to_be_bytes());
            context.update(part.unwrap_or_default().as_bytes());
        }
        context.update(request_id.as_bytes());
        let digest = URL_SAFE_NO_PAD.encode(context.finish());
        Self { digest, partner: partner.to_owned(), rpc: rpc.to_owned() }
    }

    /// The partner's key.
    pub fn partner(&self) -> &str {
        &self.partner
    }

    /// The rpc, `package.Service/Method`.
    pub fn rpc(&self) -> &str {
        &self.rpc
    }

    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// What the seal of the answer binds.
    pub(super) fn identity(&self, id: Uuid) -> Identity<'_> {
        let (partner, kind, account) = (&self.partner, &self.rpc, &self.digest);
        Identity { purpose: "requests.answer", partner, kind, account, id, version: 1 }
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestKey").field("rpc", &self.rpc).finish_non_exhaustive()
    }
}

// === impl End ===

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(answer) => write!(f, "Done({} bytes)", answer.len()),
            Self::Unknown => f.write_str("Unknown"),
            Self::Forgotten => f.write_str("Forgotten"),
        }
    }
}

// === impl Retention ===

impl Retention {
    /// When a call in this state must have ended to be kept still.
    pub(super) fn since(&self, state: RequestState, now: Timestamp) -> Timestamp {
        let kept = match state {
            RequestState::Started => return Timestamp::MIN,
            RequestState::Done => self.done,
            RequestState::Unknown => self.unknown,
        };
        let kept = SignedDuration::try_from(kept).unwrap_or(SignedDuration::MAX);
        now.checked_sub(kept).unwrap_or(Timestamp::MIN)
    }
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self { done: DAY, unknown: DAY * 30 }
    }
}

// === impl RequestState ===

impl RequestState {
    /// The name in the database; it never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Done => "DONE",
            Self::Unknown => "UNKNOWN",
        }
    }

    pub(in crate::store) fn parse(text: &str) -> Option<Self> {
        let states = [Self::Started, Self::Done, Self::Unknown];
        states.into_iter().find(|state| state.as_str() == text)
    }
}

// === impl Request ===

impl Request {
    pub(super) fn read(row: &AnyRow) -> Result<Self, Error> {
        let key = RequestKey {
            digest: row.try_get("key")?,
            partner: row.try_get("partner")?,
            rpc: row.try_get("rpc")?,
        };
        Ok(Self {
            id: Uuid::try_parse(row.try_get("id")?).map_err(|_| COLUMN)?,
            key,
            fingerprint: row
                .try_get::<Vec<u8>, _>("fingerprint")?
                .try_into()
                .map_err(|_| COLUMN)?,
            state: RequestState::parse(row.try_get("state")?).ok_or(COLUMN)?,
            settles_by: row::time(row.try_get("settles_by")?),
            ended: row.try_get::<Option<i64>, _>("ended")?.map(row::time),
            answer: row.try_get("answer")?,
        })
    }

    /// Whether nobody may ask for it any more.
    pub(super) fn is_over(&self, now: Timestamp, keeps: &Retention) -> bool {
        self.ended.is_some_and(|ended| ended < keeps.since(self.state, now))
    }

    /// Whether its call must be over, and nobody has told how it ended.
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        self.state == RequestState::Started && self.settles_by < now
    }

    pub(super) fn sealed(&self) -> Result<Sealed, Error> {
        Ok(Sealed::from_bytes(self.answer.as_deref().ok_or(COLUMN)?)?)
    }
}

const COLUMN: Error = Error::Corrupt(Damage::Column);

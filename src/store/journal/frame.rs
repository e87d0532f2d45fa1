//! One frame of the journal: a line with its length, its digest and its content in JSON.
//!
//! It begins with a line feed as well as ending with one, so that what follows a torn
//! frame can be read.

use std::fmt::Write as _;
use std::io;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::row::{Credential, micros, time};
use super::super::{CredentialKind, Name, Origin, Predecessor, Record};
use crate::seal::Sealed;

/// A key that is not in the database yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Entry {
    /// The intent that it fulfils.
    pub(in crate::store) intent: Uuid,
    /// What it takes the place of, if it is not new.
    pub(in crate::store) before: Option<Predecessor>,
    /// The key, sealed.
    pub(in crate::store) credential: Credential,
}

/// What the journal says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A key was issued.
    Kept(Box<Entry>),
    /// The record of this id needs the journal no more.
    Settled(Uuid),
}

/// What a journal's bytes hold.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) frames: Vec<Frame>,
    /// Lines that are no frames.
    pub(super) broken: Vec<Vec<u8>>,
    /// How many bytes there are without the frame that was being written at the end.
    pub(super) whole: u64,
}

/// A frame's content as it is written. Texts and numbers only: a file may be read by a
/// later version.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Kept(Key),
    /// A sort of its own: a version that does not know it must not take it for a new key.
    Rotated {
        key: Key,
        /// The id of the record that it replaces.
        before: String,
        version: i64,
        over: Vec<String>,
    },
    Settled {
        id: String,
    },
}

#[derive(Deserialize, Serialize)]
struct Key {
    intent: String,
    id: String,
    partner: String,
    kind: String,
    account: String,
    origin: String,
    created: i64,
    expires: Option<i64>,
    renews: Option<i64>,
    secret: String,
}

/// Reads a journal. Whatever the bytes are, each one is in a frame, in a broken line or
/// in the torn end.
pub(super) fn read(bytes: &[u8]) -> Content {
    let mut content = Content::default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (lines, rest) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match Frame::from_line(line) {
            Some(frame) => content.frames.push(frame),
            None => content.broken.push(line.to_vec()),
        }
    }
    // Only its line feed is missing: it is whole all the same.
    let last = Frame::from_line(rest);
    let length = if last.is_some() { bytes.len() } else { whole };
    content.whole = u64::try_from(length).unwrap_or(u64::MAX);
    content.frames.extend(last);
    content
}

// === impl Frame ===

impl Frame {
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_string(&self.line())?;
        Ok(format!("\n{} {} {json}\n", json.len(), checksum(json.as_bytes())).into_bytes())
    }

    fn from_line(line: &[u8]) -> Option<Self> {
        let (length, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        let (sum, json) = rest.split_once(' ')?;
        let is_sound =
            json.len() == length.parse::<usize>().ok()? && sum == checksum(json.as_bytes());
        if !is_sound {
            return None;
        }
        match serde_json::from_str(json).ok()? {
            Line::Settled { id } => Some(Self::Settled(Uuid::try_parse(&id).ok()?)),
            Line::Kept(key) => Some(Self::Kept(Box::new(entry(key, None)?))),
            Line::Rotated { key, before, version, over } => {
                let before = Predecessor { id: Uuid::try_parse(&before).ok()?, version, over };
                Some(Self::Kept(Box::new(entry(key, Some(before))?)))
            }
        }
    }

    fn line(&self) -> Line {
        let entry = match self {
            Self::Settled(id) => return Line::Settled { id: id.to_string() },
            Self::Kept(entry) => entry,
        };
        let record = &entry.credential.record;
        let key = Key {
            intent: entry.intent.to_string(),
            id: record.id.to_string(),
            partner: record.name.partner.clone(),
            kind: record.name.kind.as_str().to_owned(),
            account: record.name.account.clone(),
            origin: record.origin.as_str().to_owned(),
            created: record.created.as_microsecond(),
            expires: micros(record.expires),
            renews: micros(record.renews),
            secret: STANDARD.encode(&entry.credential.secret),
        };
        match &entry.before {
            None => Line::Kept(key),
            Some(Predecessor { id, version, over }) => {
                let (before, version, over) = (id.to_string(), *version, over.clone());
                Line::Rotated { key, before, version, over }
            }
        }
    }
}

fn entry(key: Key, before: Option<Predecessor>) -> Option<Entry> {
    let Key { intent, id, partner, kind, account, origin, created, expires, renews, secret } = key;
    let secret = STANDARD.decode(secret).ok()?;
    let created = time(created);
    let record = Record {
        id: Uuid::try_parse(&id).ok()?,
        name: Name { partner, kind: CredentialKind::parse(&kind)?, account },
        version: 1,
        created,
        updated: created,
        last_used: None,
        expires: expires.map(time),
        renews: renews.map(time),
        origin: Origin::parse(&origin)?,
        kek_id: Sealed::from_bytes(&secret).ok()?.kek_id().to_string(),
    };
    Some(Entry {
        intent: Uuid::try_parse(&intent).ok()?,
        before,
        credential: Credential { record, secret },
    })
}

/// The digest of a frame's content, in hex.
fn checksum(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests;

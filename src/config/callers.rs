//! The callers' sections: who may call, and with how much of a partner.

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use std::collections::HashSet;
use std::fmt;

use super::Faults;
use crate::callers::{self, TokenDigest};

/// Longer names make no log line clearer.
const MAX_NAME: usize = 64;
/// A weight, and no number of calls.
const MAX_SHARE: u32 = 1_000;

/// `[[callers]]`: a service that calls the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caller {
    /// What it is called in the log.
    pub name: String,
    /// The digests of its bearer tokens.
    #[serde(deserialize_with = "digests", serialize_with = "redacted")]
    pub token_sha256: Vec<TokenDigest>,
    /// Its weight where callers have to wait for each other.
    pub share: u32,
    /// Whether identical reads of it that are in flight at once may be one.
    pub coalesce_reads: bool,
}

// === impl Caller ===

impl Caller {
    /// What the edge knows it by.
    pub(crate) fn known(&self) -> callers::Known {
        let caller = callers::Caller::new(&*self.name, self.share, self.coalesce_reads);
        callers::Known { caller, tokens: self.token_sha256.clone() }
    }
}

impl Default for Caller {
    fn default() -> Self {
        Self { name: String::new(), token_sha256: Vec::new(), share: 1, coalesce_reads: false }
    }
}

/// Judges all of them.
pub(super) fn validate(callers: &[Caller], faults: &mut Faults) {
    let (mut names, mut tokens) = (HashSet::new(), HashSet::new());
    for (index, caller) in callers.iter().enumerate() {
        let section = format!("callers[{index}]");
        if let Some(problem) = name_problem(&caller.name) {
            faults.push(format!("{section}.name"), problem);
        } else if !names.insert(&caller.name) {
            faults.push(format!("{section}.name"), "is the name of another caller, too");
        }
        if caller.token_sha256.is_empty() {
            faults.push(format!("{section}.token_sha256"), "missing: it is required");
        }
        if !caller.token_sha256.iter().all(|token| tokens.insert(token)) {
            faults.push(format!("{section}.token_sha256"), "has a token that is given twice");
        }
        if !(1..=MAX_SHARE).contains(&caller.share) {
            let problem = format!("must be from 1 to {MAX_SHARE}");
            faults.push(format!("{section}.share"), problem);
        }
    }
}

/// A name stands in logs and in metrics as it is.
fn name_problem(name: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    match name {
        "" => Some("missing: it is required"),
        callers::Caller::ANONYMOUS => Some("is the name of callers that are not told apart"),
        name if name.len() > MAX_NAME || !name.chars().all(is_plain) => {
            Some("must be at most 64 letters, digits and characters of -_./:@")
        }
        _ => None,
    }
}

/// How many there are: a token that somebody made up can be found from its digest.
fn redacted<S: Serializer>(tokens: &[TokenDigest], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(tokens.iter().map(|_| "[redacted]"))
}

fn digests<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TokenDigest>, D::Error> {
    deserializer.deserialize_any(Digests)
}

/// Reads one digest, or several.
struct Digests;

impl<'de> Visitor<'de> for Digests {
    type Value = Vec<TokenDigest>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the SHA-256 of a token, or an array of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map(|token| vec![token]).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Self::Value, A::Error> {
        let mut tokens = Vec::new();
        while let Some(text) = texts.next_element::<String>()? {
            tokens.push(text.parse().map_err(A::Error::custom)?);
        }
        Ok(tokens)
    }
}

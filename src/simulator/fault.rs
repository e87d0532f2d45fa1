//! Faults on order: what should go wrong, for which requests, how many times. A retry, a breaker or
//! an idempotency record is only proven against a partner that fails at a chosen point, above all
//! between acting and answering.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) mod body;
mod rule;

pub(crate) use self::rule::{Faults, Rule};

/// Response headers by name.
pub(crate) type Headers = BTreeMap<String, String>;

/// What goes wrong. Unless told otherwise the operation is carried out first and its answer
/// spoiled, since that is the harder case for a caller.
// Variants without fields have braces so that serde refuses unknown fields in them too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// Answers with this status; without a body, with the partner's own error for it.
    Status {
        status: u16,
        #[serde(default, skip_serializing_if = "Headers::is_empty")]
        headers: Headers,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default)]
        act: bool,
    },
    /// Answers late.
    Delay {
        millis: u64,
        #[serde(default = "yes")]
        act_first: bool,
    },
    /// Closes the connection instead of acting.
    DropBefore {},
    /// Acts, then closes the connection without a byte of answer.
    DropAfter {},
    /// Declares the whole answer, sends a part and closes.
    Truncate { after_bytes: usize },
    /// Sends the answer slowly.
    Drip { chunk_bytes: NonZeroUsize, interval_millis: u64 },
    /// Sends the head and a part of the answer, then nothing more.
    Stall { after_bytes: usize },
    /// Sends an answer that is not JSON although it says so.
    MalformedJson {},
    /// Answers 429 without acting.
    RateLimited {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<RetryAfter>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reset_after: Option<i64>,
        #[serde(default, skip_serializing_if = "Headers::is_empty")]
        headers: Headers,
    },
    /// Invalidates all issued tokens, then handles the request as usual.
    ExpireTokens {},
    /// Answers with this much JSON in few gzip bytes.
    GzipBomb { megabytes: u64 },
    /// Answers with a valid JSON string of this length, quotes included.
    Oversize { bytes: u64 },
}

/// Seconds, or any text such as a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum RetryAfter {
    Seconds(u64),
    Text(String),
}

// === impl Fault ===

impl Fault {
    /// Its name on the control interface.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Delay { .. } => "delay",
            Self::DropBefore {} => "drop_before",
            Self::DropAfter {} => "drop_after",
            Self::Truncate { .. } => "truncate",
            Self::Drip { .. } => "drip",
            Self::Stall { .. } => "stall",
            Self::MalformedJson {} => "malformed_json",
            Self::RateLimited { .. } => "rate_limited",
            Self::ExpireTokens {} => "expire_tokens",
            Self::GzipBomb { .. } => "gzip_bomb",
            Self::Oversize { .. } => "oversize",
        }
    }

    /// Refuses what could never be sent.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Status { status, headers, body, text, .. } => {
                if !StatusCode::from_u16(*status).is_ok_and(|status| !status.is_informational()) {
                    return Err(format!("status {status} is not a final HTTP status"));
                }
                if body.is_some() && text.is_some() {
                    return Err("give body or text, not both".to_owned());
                }
                check_headers(headers)
            }
            Self::RateLimited { headers, .. } => check_headers(headers),
            Self::Oversize { bytes: 0 | 1 } => Err("a JSON string has at least 2 bytes".to_owned()),
            _ => Ok(()),
        }
    }
}

fn check_headers(headers: &Headers) -> Result<(), String> {
    let bad = headers.iter().find(|(name, value)| {
        HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err()
    });
    bad.map_or(Ok(()), |(name, _)| Err(format!("{name:?} is not a header that can be sent")))
}

fn yes() -> bool {
    true
}

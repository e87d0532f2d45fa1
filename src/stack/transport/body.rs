//! Reads an answer's body within limits.
//!
//! The limit counts what comes out of the decompressor: a limit on what goes in lets a
//! kilobyte become a gigabyte.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::time::timeout;

use super::evidence;
use crate::error::Error;

/// The whole body, at most `limit` bytes, with no part later than `idle` after the one
/// before.
pub(super) async fn read(
    mut answer: reqwest::Response,
    status: StatusCode,
    idle: Duration,
    limit: usize,
) -> Result<Bytes, Error> {
    let too_long = || evidence::unreadable(status, "its body is too long");
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        let part = timeout(idle, answer.chunk()).await.map_err(|_| evidence::timed_out())?;
        let Some(part) = part.map_err(|error| evidence::broken_off(error, status))? else { break };
        if part.len() + whole.len() + joined.len() > limit {
            return Err(too_long());
        }
        // Most bodies come in one part, which is passed on as it is.
        if whole.is_empty() && joined.is_empty() {
            whole = part;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut whole));
            joined.extend_from_slice(&part);
        }
    }
    Ok(if joined.is_empty() { whole } else { joined.freeze() })
}

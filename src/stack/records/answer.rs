//! What is kept of an answer, as bytes: a line of JSON, and the body as it came.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::call::Reply;

/// What is kept beside the body. Names in it never change.
#[derive(Deserialize, Serialize)]
struct Head {
    status: u16,
    #[serde(default)]
    partner_request_id: Option<String>,
    #[serde(default)]
    is_key_kept: bool,
}

/// The bytes of an answer.
pub(super) fn write(reply: &Reply) -> Bytes {
    let head = Head {
        status: reply.status.as_u16(),
        partner_request_id: reply.partner_request_id.clone(),
        is_key_kept: reply.is_key_kept,
    };
    // Such a struct has always a text.
    let head = serde_json::to_vec(&head).unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(head.len() + 1 + reply.body.len());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(b"\n");
    bytes.extend_from_slice(&reply.body);
    bytes.freeze()
}

/// The answer that [`write`] wrote, marked as replayed.
pub(super) fn read(bytes: &[u8]) -> Option<Reply> {
    // No line of JSON has the byte in it.
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (head, body) = bytes.split_at_checked(end)?;
    let Head { status, partner_request_id, is_key_kept } = serde_json::from_slice(head).ok()?;
    let body = Bytes::copy_from_slice(body.get(1..)?);
    let reply = Reply::new(StatusCode::from_u16(status).ok()?, HeaderMap::new(), body);
    Some(Reply { replayed: true, partner_request_id, is_key_kept, ..reply })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_answer_reads_back_as_it_was(
            status in 200_u16..300,
            body in proptest::collection::vec(any::<u8>(), 0..64),
            partner_request_id in proptest::option::of(".*"),
            is_key_kept: bool,
        ) {
            let status = StatusCode::from_u16(status).unwrap();
            let reply = Reply::new(status, HeaderMap::new(), body.into());
            let reply = Reply { attempts: 2, partner_request_id, is_key_kept, ..reply };
            let read = read(&write(&reply)).unwrap();
            prop_assert_eq!((read.status, &read.body), (reply.status, &reply.body));
            prop_assert_eq!(read.partner_request_id, reply.partner_request_id);
            prop_assert_eq!((read.is_key_kept, read.replayed), (is_key_kept, true));
            prop_assert_eq!(read.attempts, 0);
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for bytes in ["", "\n", "{}\n", "{\"status\":200}", "{\"status\":1}\nbody", "x\nbody"] {
            assert!(read(bytes.as_bytes()).is_none(), "{bytes:?}");
        }
    }
}

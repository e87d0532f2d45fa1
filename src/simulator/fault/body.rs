//! Response bodies that misbehave on the wire.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::super::gzip::Bomb;

/// Long enough for the bytes before a break to leave, so that the peer sees them and then the
/// break, not the break alone.
const BEFORE_BREAK: Duration = Duration::from_millis(20);

const BLOCK: usize = 64 * 1024;

/// `bytes`, then the connection breaks off.
pub(crate) fn broken_after(bytes: Bytes) -> Body {
    let broken = stream::once(async {
        tokio::time::sleep(BEFORE_BREAK).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    Body::from_stream(stream::iter([Ok(bytes)]).chain(broken))
}

/// `bytes`, then silence on an open connection.
pub(crate) fn stalled_after(bytes: Bytes) -> Body {
    let sent = stream::iter([Ok::<_, io::Error>(bytes)]);
    Body::from_stream(sent.chain(stream::pending()))
}

/// `bytes` in small pieces with pauses between.
pub(crate) fn dripped(bytes: Bytes, piece: usize, interval: Duration) -> Body {
    Body::from_stream(stream::unfold((bytes, true), move |(mut rest, first)| async move {
        if rest.is_empty() {
            return None;
        }
        if !first {
            tokio::time::sleep(interval).await;
        }
        let sent = rest.split_to(piece.min(rest.len()));
        Some((Ok::<_, io::Error>(sent), (rest, false)))
    }))
}

/// A JSON string of `length` bytes, made while it is sent.
pub(crate) fn oversize(length: u64) -> Body {
    let quote = || stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"\""))]);
    let block = Bytes::from(vec![b'a'; BLOCK]);
    let letters = stream::unfold(length.saturating_sub(2), move |left| {
        let size = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let piece = block.slice(..size);
        let rest = left.saturating_sub(u64::try_from(size).unwrap_or(left));
        async move { (left > 0).then_some((Ok(piece), rest)) }
    });
    Body::from_stream(quote().chain(letters).chain(quote()))
}

/// A JSON object of about this size as a small gzip stream.
pub(crate) fn gzip_bomb(megabytes: u64) -> Body {
    let bomb = Bomb::new(megabytes.saturating_mul(1024 * 1024));
    Body::from_stream(stream::iter(bomb.map(Ok::<_, io::Error>)))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn dripped_bodies_arrive_whole() {
        let body = dripped(Bytes::from_static(b"abcde"), 2, Duration::from_secs(1));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcde");
    }

    #[tokio::test]
    async fn oversize_bodies_are_json_of_the_length_asked_for() {
        for length in [2, 3, 200_000] {
            let body = oversize(length).collect().await.unwrap().to_bytes();
            assert_eq!(u64::try_from(body.len()).unwrap(), length);
            serde_json::from_slice::<String>(&body).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn broken_bodies_end_in_an_error() {
        let mut body = broken_after(Bytes::from_static(b"ab"));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(body.frame().await.unwrap().is_err());
    }
}

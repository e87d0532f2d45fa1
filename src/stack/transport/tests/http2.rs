//! What the frames of an HTTP/2 peer prove: a server that is a script of bytes.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;

const NO_ERROR: u8 = 0;
const INTERNAL_ERROR: u8 = 2;
const REFUSED_STREAM: u8 = 7;
const CANCEL: u8 = 8;
const ENHANCE_YOUR_CALM: u8 = 11;

const UNSENT: (&str, Outcome) = ("unreachable", Outcome::NotSent);
const UNKNOWN: (&str, Outcome) = ("unreachable", Outcome::Unknown);

/// What comes after the script.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Close,
    Stall,
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
    [&head, payload].concat()
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

fn reset(stream: u8, code: u8) -> Vec<u8> {
    frame(3, 0, stream, &[0, 0, 0, code])
}

fn go_away(last: u32, code: u8) -> Vec<u8> {
    frame(7, 0, 0, &[&last.to_be_bytes()[..], &[0, 0, 0, code]].concat())
}

/// An answer with status 200 and no body.
fn ok(stream: u8) -> Vec<u8> {
    // END_STREAM and END_HEADERS; `:status: 200` is entry 8 of HPACK's table.
    frame(1, 5, stream, &[0x88])
}

/// A promise of a push, which the client has forbidden.
fn push_promise(stream: u8) -> Vec<u8> {
    frame(5, 4, stream, &[0, 0, 0, 2, 0x82, 0x84, 0x86])
}

/// A peer that answers the requests of its connections with scripts.
struct Peer {
    listener: TcpListener,
    /// Is told of each request that is there whole.
    arrived: Notify,
}

impl Peer {
    async fn new() -> (Self, Transport) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let transport = transport(url, |s| s.http2_prior_knowledge = true);
        (Self { listener, arrived: Notify::new() }, transport)
    }

    /// Sends `script` on a new connection when that many `requests` have come.
    async fn serve(&self, requests: usize, script: &[u8], end: End) -> TcpStream {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        stream.write_all(&settings()).await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        let mut seen = 0;
        while seen < requests {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            let ends_stream = matches!(head[3], 0 | 1) && head[4] & 1 == 1;
            if ends_stream {
                seen += 1;
                self.arrived.notify_one();
            }
        }
        stream.write_all(script).await.unwrap();
        if end == End::Close {
            stream.shutdown().await.unwrap();
        }
        stream
    }
}

/// What becomes of one request, on stream 1, that is answered with `script`.
async fn one(script: &[u8], end: End) -> Result<Reply, Error> {
    let (peer, transport) = Peer::new().await;
    let served = async {
        let _stream = peer.serve(1, script, end).await;
        std::future::pending::<()>().await;
    };
    tokio::select! { result = post(&transport) => result, () = served => unreachable!() }
}

/// What becomes of two requests, on streams 1 and 3, that are answered with `script`.
async fn two(script: &[u8], end: End) -> [Result<Reply, Error>; 2] {
    let (peer, transport) = Peer::new().await;
    let second = async {
        peer.arrived.notified().await;
        post(&transport).await
    };
    let served = async {
        let _stream = peer.serve(2, script, end).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        (first, second) = async { tokio::join!(post(&transport), second) } => [first, second],
        () = served => unreachable!(),
    }
}

#[tokio::test]
async fn r6_a_refused_http2_stream_was_not_processed() {
    for end in [End::Stall, End::Close] {
        for (code, expected) in
            [(REFUSED_STREAM, UNSENT), (INTERNAL_ERROR, UNKNOWN), (CANCEL, UNKNOWN)]
        {
            assert_eq!(judged(one(&reset(1, code), end).await), expected, "code {code}");
        }
        let [first, second] = two(&[reset(3, REFUSED_STREAM), ok(1)].concat(), end).await;
        assert_eq!((first.unwrap().status, judged(second)), (StatusCode::OK, UNSENT));
    }
}

/// RFC 9113 section 6.8: whatever its code, and whether the connection is closed after it.
#[tokio::test]
async fn r6_a_stream_above_the_last_of_a_goaway_was_not_processed() {
    for end in [End::Stall, End::Close] {
        for code in [NO_ERROR, INTERNAL_ERROR, ENHANCE_YOUR_CALM] {
            let result = one(&go_away(0, code), end).await;
            assert_eq!(judged(result), UNSENT, "code {code}");
            // A graceful end: everything at first, and then what there was.
            let graceful = [go_away((1 << 31) - 1, NO_ERROR), go_away(0, code)].concat();
            assert_eq!(judged(one(&graceful, end).await), UNSENT, "code {code}, graceful");
        }
    }
}

#[tokio::test]
async fn r6_a_stream_up_to_the_last_of_a_goaway_may_have_been_processed() {
    for code in [NO_ERROR, INTERNAL_ERROR, ENHANCE_YOUR_CALM] {
        for last in [1, 3, (1 << 31) - 1] {
            let result = one(&go_away(last, code), End::Close).await;
            assert_eq!(judged(result), UNKNOWN, "code {code}, last {last}");
            let answered = [go_away(last, code), ok(1)].concat();
            let reply = one(&answered, End::Stall).await.unwrap();
            assert_eq!(reply.status, StatusCode::OK, "it goes on: code {code}, last {last}");
        }
    }
}

#[tokio::test]
async fn r6_a_goaway_between_two_streams_parts_them() {
    for code in [NO_ERROR, INTERNAL_ERROR] {
        let [first, second] = two(&go_away(1, code), End::Close).await;
        assert_eq!((judged(first), judged(second)), (UNKNOWN, UNSENT), "code {code}");
        let [first, second] = two(&[go_away(1, code), ok(1)].concat(), End::Close).await;
        assert_eq!((first.unwrap().status, judged(second)), (StatusCode::OK, UNSENT));
        let falling = [go_away(3, code), go_away(1, code)].concat();
        let [first, second] = two(&falling, End::Close).await;
        assert_eq!((judged(first), judged(second)), (UNKNOWN, UNSENT), "code {code}, falling");
        let [first, second] = two(&go_away(3, code), End::Close).await;
        assert_eq!((judged(first), judged(second)), (UNKNOWN, UNKNOWN), "code {code}");
    }
}

/// What h2 itself finds wrong says nothing about what the peer has done.
#[tokio::test]
async fn r6_a_peer_that_breaks_the_protocol_leaves_it_unknown() {
    let unexpected_data = frame(0, 0, 1, b"x");
    let settings_on_a_stream = frame(4, 0, 1, &[]);
    let rising = [go_away(1, NO_ERROR), go_away(3, NO_ERROR)].concat();
    for script in [unexpected_data, settings_on_a_stream, rising, push_promise(1)] {
        for end in [End::Stall, End::Close] {
            assert_eq!(judged(one(&script, end).await), UNKNOWN, "{script:?}");
            let script = [go_away(1, NO_ERROR), script.clone()].concat();
            assert_eq!(judged(one(&script, end).await), UNKNOWN, "after a GOAWAY: {script:?}");
        }
    }
}

/// A promise of a push on a stream that the GOAWAY has ended must not lend that stream's
/// error to the other one.
#[tokio::test]
async fn r6_what_is_said_of_one_stream_is_not_said_of_another() {
    let script = [go_away(1, NO_ERROR), push_promise(3)].concat();
    let [first, second] = two(&script, End::Close).await;
    assert_eq!((judged(first), judged(second)), (UNKNOWN, UNSENT));
}

#[tokio::test]
async fn r6_a_connection_that_ends_without_a_goaway_leaves_it_unknown() {
    assert_eq!(judged(one(&[], End::Close).await), UNKNOWN);
    let informational = frame(1, 4, 1, &[0x08, 3, b'1', b'0', b'3']);
    assert_eq!(judged(one(&informational, End::Close).await), UNKNOWN);
    let head = frame(1, 4, 1, &[0x88]);
    assert_eq!(judged(one(&head, End::Close).await), UNKNOWN, "within the body");
    let refused_late = [head, reset(1, REFUSED_STREAM)].concat();
    assert_eq!(judged(one(&refused_late, End::Stall).await), UNKNOWN, "an answer had begun");
}

/// A connection that is going away takes no more requests: the next one has its own.
#[tokio::test]
async fn a_request_after_a_goaway_goes_to_another_connection() {
    let (peer, transport) = Peer::new().await;
    let served = async {
        let _going = peer.serve(1, &[go_away(1, NO_ERROR), ok(1)].concat(), End::Stall).await;
        let _next = peer.serve(1, &ok(1), End::Stall).await;
        std::future::pending::<()>().await;
    };
    let calls = async {
        post(&transport).await.unwrap();
        post(&transport).await.unwrap();
    };
    tokio::select! { () = calls => (), () = served => unreachable!() }
}

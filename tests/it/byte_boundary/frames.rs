//! HTTP/2's own ways to say what was done: REFUSED_STREAM, and GOAWAY below and at a
//! request (RFC 9113 sections 6.8 and 8.7).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::Status;

use super::{EFFECTS, Effect, STALLED, attempts, outcome, settings};
use crate::support::client::Answer;
use crate::support::gateway::Gateway;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PREFACE: usize = 24;

const NO_ERROR: u32 = 0x0;
const INTERNAL_ERROR: u32 = 0x2;
const REFUSED_STREAM: u32 = 0x7;
const CANCEL: u32 = 0x8;
const ENHANCE_YOUR_CALM: u32 = 0xb;
/// The last stream of a server that will name it later.
const GRACEFUL: u32 = 0x7fff_ffff;

/// One thing that a partner does when it has a request.
#[derive(Clone, Copy, Debug)]
enum Step {
    Act,
    Reset(u32),
    /// GOAWAY, with this much added to the request's stream as the last one.
    GoAway(i64, u32),
    GoAwayLater,
    Answer,
    Close,
}
use Step::{Act, Answer as Reply, Close, GoAway, GoAwayLater, Reset};

/// What the first request meets, and how many attempts it takes: a read's, and a write's
/// that is told UNKNOWN if it is none.
const STORIES: [(&[Step], usize, Option<usize>); 14] = [
    (&[Act, Reply], 1, Some(1)),
    (&[Reset(REFUSED_STREAM)], 2, Some(2)),
    (&[Reset(REFUSED_STREAM), Close], 2, Some(2)),
    (&[Act, Reset(CANCEL)], 2, None),
    (&[Act, Reset(INTERNAL_ERROR)], 2, None),
    (&[Act, Reset(ENHANCE_YOUR_CALM)], 2, None),
    (&[GoAway(-2, NO_ERROR), Close], 2, Some(2)),
    (&[GoAway(-2, ENHANCE_YOUR_CALM), Close], 2, Some(2)),
    (&[GoAwayLater, GoAway(-2, NO_ERROR), Close], 2, Some(2)),
    (&[GoAwayLater, Act, Reply, Close], 1, Some(1)),
    (&[GoAway(0, NO_ERROR), Act, Reply, Close], 1, Some(1)),
    (&[GoAway(0, NO_ERROR), Act, Close], 2, None),
    (&[GoAway(0, INTERNAL_ERROR), Act, Close], 2, None),
    (&[Act, GoAwayLater, Close], 2, None),
];

/// A partner that speaks HTTP/2 in frames, and serves all but its first request.
#[derive(Clone, Debug)]
struct Partner {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    first: Option<&'static [Step]>,
    acted: usize,
}

// === impl Partner ===

impl Partner {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let partner = Self { address, script: Arc::default() };
        let accepting = partner.clone();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let partner = accepting.clone();
                // A gateway may go away at any moment.
                tokio::spawn(async move { partner.serve(stream).await.ok() });
            }
        });
        partner
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.read_exact(&mut [0; PREFACE]).await?;
        send(&mut stream, SETTINGS, 0, 0, &[]).await?;
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await?;
            let id = u32::from_be_bytes(head[5..9].try_into().unwrap());
            match (head[3], head[4]) {
                (SETTINGS, 0) => send(&mut stream, SETTINGS, ACK, 0, &[]).await?,
                (HEADERS | DATA, flags) if flags & END_STREAM != 0 => {
                    let first = self.script.lock().unwrap().first.take();
                    for step in first.unwrap_or(&[Act, Reply]) {
                        self.take(*step, &mut stream, id).await?;
                    }
                }
                _ => {}
            }
        }
    }

    async fn take(&self, step: Step, stream: &mut TcpStream, id: u32) -> std::io::Result<()> {
        match step {
            Act => self.script.lock().unwrap().acted += 1,
            Reset(code) => send(stream, RST_STREAM, 0, id, &code.to_be_bytes()).await?,
            GoAway(more, code) => {
                let last = u32::try_from((i64::from(id) + more).max(0)).unwrap();
                go_away(stream, last, code).await?;
            }
            GoAwayLater => go_away(stream, GRACEFUL, NO_ERROR).await?,
            Reply => {
                // `:status 200` and `content-type: application/json`, of the static table.
                let head = [&[0x88, 0x0f, 0x10, 16], &b"application/json"[..]].concat();
                send(stream, HEADERS, END_HEADERS, id, &head).await?;
                send(stream, DATA, END_STREAM, id, b"{\"id\":1309}").await?;
            }
            Close => {
                stream.shutdown().await?;
                while stream.read(&mut [0; 1024]).await? > 0 {}
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    }
}

async fn go_away(stream: &mut TcpStream, last: u32, code: u32) -> std::io::Result<()> {
    send(stream, GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()).await
}

async fn send(
    stream: &mut TcpStream,
    kind: u8,
    flags: u8,
    id: u32,
    payload: &[u8],
) -> std::io::Result<()> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &id.to_be_bytes()[..]].concat();
    stream.write_all(&[&head, payload].concat()).await
}

async fn call(gateway: &Gateway, effect: Effect) -> Result<Answer, Status> {
    let (rpc, request) = effect.call();
    gateway.client.call(rpc, request).await
}

#[tokio::test]
async fn r6_what_http2_says_of_a_request_is_believed_and_no_more() {
    let partner = Partner::start().await;
    let url = format!("http://{}", partner.address);
    let gateway =
        Gateway::configured(&settings(&url, "http2_prior_knowledge = true", STALLED)).await;
    for (steps, of_a_read, of_a_write) in STORIES {
        for effect in EFFECTS {
            // The story is for a request on a connection that others have used.
            while call(&gateway, Effect::Read).await.is_err() {}
            *partner.script.lock().unwrap() = Script { first: Some(steps), acted: 0 };

            let told = call(&gateway, effect).await;

            let acted = partner.script.lock().unwrap().acted;
            let what = format!("{effect:?} {steps:?}: acted {acted}: {told:?}");
            match (effect, of_a_write) {
                (Effect::WriteOnce, None) => {
                    let status = told.as_ref().expect_err(&what);
                    assert_eq!(outcome(status).as_deref(), Some("UNKNOWN"), "{what}");
                    assert_eq!((acted, attempts(&told)), (1, 1), "{what}");
                }
                (Effect::WriteOnce, Some(expected)) => {
                    assert!(told.is_ok(), "{what}");
                    assert_eq!((acted, attempts(&told)), (1, expected), "{what}");
                }
                (Effect::Read | Effect::Idempotent, _) => {
                    assert!(told.is_ok(), "{what}");
                    assert_eq!(attempts(&told), of_a_read, "{what}");
                }
            }
        }
    }
}

/// Two writes in flight, and a GOAWAY between them: the one that may have been done is
/// not sent again, the other is.
#[tokio::test]
async fn r6_a_goaway_between_two_writes_is_told_to_each_as_it_is() {
    let partner = Partner::start().await;
    let url = format!("http://{}", partner.address);
    let gateway =
        Gateway::configured(&settings(&url, "http2_prior_knowledge = true", STALLED)).await;
    while call(&gateway, Effect::Read).await.is_err() {}
    // The first is left without an answer; the second says that the first was the last.
    let silent: &[Step] = &[Act];
    *partner.script.lock().unwrap() = Script { first: Some(silent), acted: 0 };
    let second = async {
        while partner.script.lock().unwrap().acted == 0 {
            tokio::task::yield_now().await;
        }
        partner.script.lock().unwrap().first = Some(&[GoAway(-2, NO_ERROR), Close]);
        call(&gateway, Effect::WriteOnce).await
    };

    let (first, second) = tokio::join!(call(&gateway, Effect::WriteOnce), second);

    let status = first.as_ref().expect_err("nobody answered it");
    assert_eq!(outcome(status).as_deref(), Some("UNKNOWN"), "{first:?}");
    assert_eq!(attempts(&first), 1, "{first:?}");
    assert!(second.is_ok(), "{second:?}");
    assert_eq!(attempts(&second), 2, "{second:?}");
    assert_eq!(partner.script.lock().unwrap().acted, 2);
}

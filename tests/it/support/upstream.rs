//! A partner whose every answer the test decides, request by request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// A request that came whole.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) body: Bytes,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    pub(crate) after: Duration,
    /// Status and JSON; without them the connection ends.
    pub(crate) answer: Option<(StatusCode, String)>,
}

type React = dyn Fn(Asked) -> Reaction + Send + Sync;

/// The connection is ended on purpose.
#[derive(Debug)]
struct Dropped;

// === impl Reaction ===

impl Reaction {
    pub(crate) fn answer(status: StatusCode, json: impl Into<String>) -> Self {
        Self { after: Duration::ZERO, answer: Some((status, json.into())) }
    }

    pub(crate) fn drop() -> Self {
        Self { after: Duration::ZERO, answer: None }
    }

    pub(crate) fn late(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// Starts a partner that reacts so.
pub(crate) async fn start(react: impl Fn(Asked) -> Reaction + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let react: Arc<React> = Arc::new(react);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, Arc::clone(&react)));
        }
    });
    address
}

async fn serve(stream: TcpStream, react: Arc<React>) {
    stream.set_nodelay(true).unwrap();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let react = Arc::clone(&react);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
            let reaction = react(Asked { method: head.method, uri: head.uri, body });
            sleep(reaction.after).await;
            let (status, json) = reaction.answer.ok_or(Dropped)?;
            let answer = http::Response::builder().status(status);
            let answer = answer.header("content-type", "application/json");
            Ok::<_, Dropped>(answer.body(Full::new(Bytes::from(json))).unwrap())
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    builder.serve_connection(TokioIo::new(stream), service).await.ok();
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dropped")
    }
}

impl std::error::Error for Dropped {}

//! A healthy partner that counts what it has done.
//!
//! It has acted on a request that came whole, even if the connection that brought it is
//! gone before it can answer: that is the case in which a gateway that sends again does
//! harm. hyper's server for HTTP/2 forgets such a request when it reads it together with
//! the end of its connection, so here that end comes a little later ([`EndLater`]).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Version;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Effect;

/// What is in every answer, whoever reads it.
pub(crate) const MARK: &str = "feb33a87";
const USER: &str = r#"{"id":"1-feb33a87","email":"a@example.com"}"#;
const TRANSACTION: &str = r#"{"id":1309,"description":"feb33a87"}"#;
/// An answer's date does not change while its bytes are counted.
const DATE: &str = "Sat, 21 Nov 2026 12:00:00 GMT";
/// For a request that has come whole to be acted on.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running partner; it acts on every request that comes whole.
#[derive(Clone, Debug)]
pub(crate) struct Partner {
    pub(crate) address: SocketAddr,
    work: Arc<Work>,
}

#[derive(Debug)]
struct Work {
    acted: AtomicUsize,
    under_way: watch::Sender<usize>,
    /// The version of HTTP in which it was asked last.
    spoken: Mutex<Option<Version>>,
}

/// A request under way.
struct UnderWay(Arc<Work>);

/// A stream whose end is read alone, after a pause in which what came before is seen to.
struct EndLater<S> {
    stream: S,
    has_ended: bool,
}

/// A certificate for loopback, and who has to trust it.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) root_ca_file: PathBuf,
    _folder: tempfile::TempDir,
}

// === impl Partner ===

impl Partner {
    pub(crate) async fn start(tls: Option<&Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let partner = Self { address, work: Arc::new(Work::new()) };
        let (work, acceptor) = (Arc::clone(&partner.work), tls.map(|tls| tls.acceptor.clone()));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Small frames are not to wait for one another.
                stream.set_nodelay(true).unwrap();
                let (work, acceptor) = (Arc::clone(&work), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, work).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, work).await;
                            }
                        }
                    }
                });
            }
        });
        partner
    }

    /// How often it has acted since this was asked last. It waits for what is under way.
    pub(crate) async fn take_acted(&self) -> usize {
        let mut under_way = self.work.under_way.subscribe();
        let idle = timeout(PATIENCE, under_way.wait_for(|requests| *requests == 0)).await;
        idle.expect("a request is never done").unwrap();
        self.work.acted.swap(0, Ordering::SeqCst)
    }

    /// The version of HTTP in which it was asked last.
    pub(crate) fn spoken(&self) -> Option<Version> {
        *self.work.spoken.lock().unwrap()
    }

    /// How long the body of an answer is.
    pub(crate) fn body_length(effect: Effect) -> usize {
        match effect {
            Effect::Read | Effect::Idempotent => TRANSACTION.len(),
            Effect::WriteOnce => USER.len(),
        }
    }
}

// === impl Work ===

impl Work {
    fn new() -> Self {
        let (acted, spoken) = (AtomicUsize::new(0), Mutex::new(None));
        Self { acted, under_way: watch::Sender::new(0), spoken }
    }
}

// === impl UnderWay ===

impl UnderWay {
    fn begin(work: Arc<Work>) -> Self {
        work.under_way.send_modify(|requests| *requests += 1);
        Self(work)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|requests| *requests -= 1);
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, work: Arc<Work>) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        // It is under way before its connection can be gone.
        let under_way = UnderWay::begin(Arc::clone(&work));
        *work.spoken.lock().unwrap() = Some(request.version());
        async move {
            let path = request.uri().path();
            let text = if path.ends_with("guest_users") { USER } else { TRANSACTION };
            // A part of a request is none.
            if is_whole(request.into_body()).await {
                under_way.0.acted.fetch_add(1, Ordering::SeqCst);
            }
            let answer = http::Response::builder().header("content-type", "application/json");
            let answer = answer.header("date", DATE);
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(text))).unwrap())
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // What it was sent whole is done, although nobody is there any more.
    builder.http1().half_close(true);
    let stream = EndLater { stream, has_ended: false };
    builder.serve_connection(TokioIo::new(stream), service).await.ok();
}

/// Whether all bytes of a body come, even if its connection is gone by then.
async fn is_whole(mut body: Incoming) -> bool {
    let mut left = body.size_hint().exact();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return left == Some(0) };
        let length = frame.data_ref().map_or(0, Bytes::len);
        left = left.map(|left| left - u64::try_from(length).unwrap());
    }
    true
}

// === impl EndLater ===

impl<S: AsyncRead + Unpin> AsyncRead for EndLater<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let is_end = match &read {
            Poll::Ready(Ok(())) => buffer.filled().len() == before,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if is_end && !std::mem::replace(&mut self.has_ended, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for EndLater<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

// === impl Tls ===

impl Tls {
    /// Of a partner that speaks HTTP/1.1 only.
    pub(crate) fn new() -> Self {
        Self::offering(&[b"http/1.1"])
    }

    /// Of one that speaks HTTP/2 with everybody who can, as most do.
    pub(crate) fn with_http2() -> Self {
        Self::offering(&[b"h2", b"http/1.1"])
    }

    fn offering(protocols: &[&[u8]]) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // Each handshake is a whole one.
        config.send_tls13_tickets = 0;
        let folder = tempfile::tempdir().unwrap();
        let root_ca_file = folder.path().join("root.pem");
        std::fs::write(&root_ca_file, cert.pem()).unwrap();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), root_ca_file, _folder: folder }
    }
}

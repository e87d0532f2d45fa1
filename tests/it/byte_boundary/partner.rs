//! A healthy partner that counts what it has done.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is in every answer, whoever reads it.
pub(crate) const MARK: &str = "feb33a87";
const USER: &str = r#"{"id":"1-feb33a87","email":"a@example.com"}"#;
const TRANSACTION: &str = r#"{"id":1309,"description":"feb33a87"}"#;

/// A running partner; it acts on every request that comes whole.
#[derive(Clone, Debug)]
pub(crate) struct Partner {
    pub(crate) address: SocketAddr,
    acted: Arc<AtomicUsize>,
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
        let partner = Self { address, acted: Arc::default() };
        let (acted, acceptor) = (partner.acted.clone(), tls.map(|tls| tls.acceptor.clone()));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acted, acceptor) = (acted.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, acted).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, acted).await;
                            }
                        }
                    }
                });
            }
        });
        partner
    }

    /// How often it has acted since this was asked last.
    pub(crate) fn take_acted(&self) -> usize {
        self.acted.swap(0, Ordering::SeqCst)
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    acted: Arc<AtomicUsize>,
) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let acted = acted.clone();
        async move {
            let path = request.uri().path();
            let text = if path.ends_with("guest_users") { USER } else { TRANSACTION };
            // A part of a request is none.
            if request.into_body().collect().await.is_ok() {
                acted.fetch_add(1, Ordering::SeqCst);
            }
            let answer = http::Response::builder().header("content-type", "application/json");
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(text))).unwrap())
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // What it was sent whole is done, although nobody is there any more.
    builder.http1().half_close(true);
    builder.serve_connection(TokioIo::new(stream), service).await.ok();
}

// === impl Tls ===

impl Tls {
    pub(crate) fn new() -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let mut config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Each handshake is a whole one.
        config.send_tls13_tickets = 0;
        let folder = tempfile::tempdir().unwrap();
        let root_ca_file = folder.path().join("root.pem");
        std::fs::write(&root_ca_file, cert.pem()).unwrap();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), root_ca_file, _folder: folder }
    }
}

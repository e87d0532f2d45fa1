//! TLS and the protocol it negotiates.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::*;

/// A server that answers with the protocol's version, and its certificate in PEM.
async fn server() -> (String, String) {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    TaskTracker::new().spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                let version = format!("{:?}", request.version());
                Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(version))))
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
    });
    (url, cert.pem())
}

#[tokio::test]
async fn an_own_certificate_authority_is_trusted_and_http2_is_negotiated() {
    let (url, pem) = server().await;
    let transport = transport(url, |settings| settings.root_ca = Some(pem.into_bytes()));
    let reply = post(&transport).await.unwrap();
    assert_eq!(&*reply.body, b"HTTP/2.0");
}

#[tokio::test]
async fn r6_a_server_that_is_not_trusted_is_sent_nothing() {
    let (url, _) = server().await;
    let transport = transport(url, |_| ());
    let error = post(&transport).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::Unreachable, Outcome::NotSent));
}

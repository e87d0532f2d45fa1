//! The failures before the first byte of a request: nothing was sent, whatever it is, so
//! each is tried as often as any call may be, and a write's caller is told NOT_SENT.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tonic::Code;

use super::partner::{Partner, Tls};
use super::{EFFECTS, Effect, FAULTS, attempts, outcome, settings};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Cut, Proxy, Way};

/// Less than the others have: here something has to run out.
const STALLED: Duration = Duration::from_millis(150);
/// As many as the settings allow.
const ATTEMPTS: usize = 5;

async fn assert_not_sent(what: &str, url: &str, more: &str) {
    let gateway = Gateway::configured(&settings(url, more, STALLED)).await;
    for effect in EFFECTS {
        let (rpc, request) = effect.call();

        let told = gateway.client.call(rpc, request).await;

        let what = format!("{what}, {effect:?}: {told:?}");
        let status = told.as_ref().expect_err(&what);
        assert_eq!(status.code(), Code::Unavailable, "{what}");
        let expected = (effect != Effect::Read).then_some("NOT_SENT");
        assert_eq!(outcome(status).as_deref(), expected, "{what}");
        assert_eq!(attempts(&told), ATTEMPTS, "{what}");
        assert_eq!(status.metadata().get("grpc-retry-pushback-ms"), None, "{what}");
    }
}

#[tokio::test]
async fn r6_nothing_is_sent_to_a_name_that_does_not_exist() {
    assert_not_sent("DNS", "https://partner.invalid", "").await;
}

#[tokio::test]
async fn r6_nothing_is_sent_to_a_port_where_nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_not_sent("refused", &format!("http://{address}"), "").await;
}

#[tokio::test]
async fn r6_nothing_is_sent_where_no_connection_comes_about() {
    let (address, _full) = black_hole().await;
    assert_not_sent("black hole", &format!("http://{address}"), "").await;
}

#[tokio::test]
async fn r6_nothing_is_sent_to_a_server_that_is_not_trusted() {
    let (own, other) = (Tls::new(), Tls::new());
    let partner = Partner::start(Some(&own)).await;
    let url = format!("https://{}", partner.address);
    let trusted = format!("root_ca_file = '{}'", other.root_ca_file.display());
    assert_not_sent("wrong authority", &url, &trusted).await;
    assert_eq!(partner.take_acted().await, 0);
}

#[tokio::test]
async fn r6_nothing_is_sent_before_tls_is_there() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    assert_not_sent("no handshake", &url, "").await;
}

/// One handshake that fails is no reason to fail a call, whatever its effect, and whatever
/// would have been spoken after it.
#[tokio::test]
async fn r6_a_handshake_that_fails_once_is_made_again_for_every_class() {
    for tls in [Tls::new(), Tls::with_http2()] {
        let partner = Partner::start(Some(&tls)).await;
        let proxy = Proxy::start(partner.address).await;
        let url = format!("https://{}", proxy.address);
        let trusted = format!("root_ca_file = '{}'", tls.root_ca_file.display());
        let gateway = Gateway::configured(&settings(&url, &trusted, STALLED)).await;
        for effect in EFFECTS {
            for fault in FAULTS {
                for (way, after) in [(Way::Request, 0), (Way::Request, 20), (Way::Answer, 500)] {
                    proxy.quiesce().await;
                    partner.take_acted().await;
                    proxy.arm(Some(Cut { way, after, fault }));
                    let (rpc, request) = effect.call();

                    let told = gateway.client.call(rpc, request).await;

                    let spoken = partner.spoken();
                    let what = format!("{effect:?} {fault:?} {way:?} {after} {spoken:?}: {told:?}");
                    assert!(told.is_ok(), "{what}");
                    let acted = partner.take_acted().await;
                    assert_eq!((attempts(&told), acted), (2, 1), "{what}");
                }
            }
        }
    }
}

/// A listener whose queue is full: the kernel leaves what comes now without an answer.
async fn black_hole() -> (SocketAddr, (TcpListener, Vec<TcpStream>)) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(STALLED, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 100, "its queue is never full");
    }
    (address, (listener, waiting))
}

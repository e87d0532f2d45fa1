use bytes::Bytes;
use http::{HeaderName, StatusCode};

use super::*;
use crate::error::Outcome;
use crate::stack::testing::{Act, Server, answer, json};

mod http2;
mod limits;
mod tls;

const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    head: Duration::from_secs(5),
    body_idle: Duration::from_secs(5),
    total: Duration::from_secs(5),
};
const SHORT: Duration = Duration::from_millis(60);

fn transport(url: String, change: impl FnOnce(&mut Settings)) -> Transport {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let mut settings = Settings { timeouts: PATIENT, ..Settings::new(url) };
    change(&mut settings);
    Transport::try_new(&settings).unwrap()
}

async fn post(transport: &Transport) -> Result<Reply, Error> {
    transport.send(&Method::POST, "/things", HeaderMap::new(), Some(json("{}"))).await
}

/// What becomes of a POST whose answer is `act`, and that it was sent only once.
async fn after(act: impl Fn() -> Act + Send + Sync + 'static) -> Result<Reply, Error> {
    within(PATIENT, act).await
}

async fn within(
    timeouts: Timeouts,
    act: impl Fn() -> Act + Send + Sync + 'static,
) -> Result<Reply, Error> {
    let server = Server::start(move |_, _| act()).await;
    let transport = transport(server.url(), |s| (s.timeouts, s.max_body) = (timeouts, 10_000));
    let result = post(&transport).await;
    assert_eq!(server.requests().len(), 1);
    result
}

fn judged(result: Result<Reply, Error>) -> (&'static str, Outcome) {
    let error = result.unwrap_err();
    let kind = match error.kind() {
        Kind::Unreachable => "unreachable",
        Kind::Timeout => "timeout",
        Kind::BadResponse { .. } => "bad response",
        other => panic!("{other:?}"),
    };
    assert_eq!(error.host(), Some("127.0.0.1"));
    (kind, error.outcome())
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_and_says_who_sends_it() {
    let server = Server::start(|_, _| Act::Send(answer(201, "x-a: b\r\n", "[1]"))).await;
    let transport = transport(format!("{}/prefix/", server.url()), |_| ());
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-more"), HeaderValue::from_static("yes"));
    let body = Some(json("{\"a\":1}"));
    let reply = transport.send(&Method::DELETE, "/a%2Fb/?c=d%20e", headers, body).await.unwrap();
    assert_eq!((reply.status, &*reply.body), (StatusCode::CREATED, &b"[1]"[..]));
    assert_eq!(reply.headers["x-a"], "b");
    let request = server.requests().remove(0);
    assert!(request.head.starts_with("DELETE /prefix/a%2Fb/?c=d%20e HTTP/1.1\r\n"));
    assert_eq!(request.body, "{\"a\":1}");
    for (name, value) in [
        ("x-more", Some("yes")),
        ("accept", Some("application/json")),
        ("accept-encoding", Some("gzip")),
        ("content-type", Some("application/json")),
        ("content-length", Some("7")),
        ("user-agent", Some(USER_AGENT)),
        ("referer", None),
        ("authorization", None),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
}

/// Some partners read the body of a GET; HTTP gives it no meaning, and a client may
/// leave it out (RFC 9110 section 9.3.1).
#[tokio::test]
async fn a_get_is_sent_with_its_body() {
    let server = Server::start(|_, _| Act::Send(answer(200, "", "{}"))).await;
    let transport = transport(server.url(), |_| ());
    let body = Some(json("{\"a\":1}"));
    transport.send(&Method::GET, "/rates?b=2", HeaderMap::new(), body).await.unwrap();
    let request = server.requests().remove(0);
    assert!(request.head.starts_with("GET /rates?b=2 HTTP/1.1\r\n"));
    assert_eq!(request.body, "{\"a\":1}");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("content-length"), Some("7"));
}

#[tokio::test]
async fn a_request_without_a_body_says_so() {
    let server = Server::start(|_, _| Act::Send(answer(200, "", ""))).await;
    let transport = transport(server.url(), |_| ());
    transport.send(&Method::POST, "/a", HeaderMap::new(), None).await.unwrap();
    let request = server.requests().remove(0);
    assert_eq!(request.header("content-length"), Some("0"));
    assert_eq!(request.header("content-type"), None);
}

#[tokio::test]
async fn s11_only_a_configured_proxy_is_used() {
    let proxy = Server::start(|_, _| Act::Send(answer(200, "", "by proxy"))).await;
    let url = proxy.url().replace("http://", "http://user:canary@");
    let settings = Settings { proxy_url: Some(url), ..Settings::new("http://localhost:1/x") };
    assert!(!format!("{settings:?}").contains("canary"));
    let transport = transport("http://localhost:1/x".to_owned(), |s| *s = settings);
    assert_eq!(&*post(&transport).await.unwrap().body, b"by proxy");
    assert_eq!(proxy.requests()[0].target(), "http://localhost:1/x/things");
    assert!(!format!("{transport:?}").contains("canary"));
}

#[tokio::test]
async fn a_request_that_would_not_be_sent_as_it_is_is_not_sent() {
    let server = Server::start(|_, _| Act::Send(answer(200, "", ""))).await;
    let transport = transport(server.url(), |_| ());
    let error = transport.send(&Method::GET, "/a/../b", HeaderMap::new(), None).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::Internal, Outcome::NotSent));
    assert_eq!((server.requests().len(), error.host()), (0, None));
}

#[tokio::test]
async fn r6_without_a_connection_nothing_is_sent() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    // It is accepted by the kernel and never answered: TLS does not come about.
    let silent = transport(format!("https://{address}"), |s| s.timeouts.connect = SHORT);
    assert_eq!(judged(post(&silent).await), ("unreachable", Outcome::NotSent));
    drop(unused);
    let refused = transport(format!("http://{address}"), |_| ());
    assert_eq!(judged(post(&refused).await), ("unreachable", Outcome::NotSent));
}

#[tokio::test]
async fn r6_an_unknown_or_private_name_is_not_connected_to() {
    for name in ["https://nowhere.invalid", "https://localhost."] {
        let transport = transport(name.to_owned(), |s| s.timeouts.connect = SHORT * 10);
        let error = post(&transport).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (&Kind::Unreachable, Outcome::NotSent));
    }
}

#[tokio::test]
async fn r6_a_connection_that_ends_before_the_answer_leaves_it_unknown() {
    let close = after(|| Act::SendAndClose(Vec::new())).await;
    assert_eq!(judged(close), ("unreachable", Outcome::Unknown));
    let partial = after(|| Act::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())).await;
    assert_eq!(judged(partial), ("unreachable", Outcome::Unknown));
    let garbage = after(|| Act::Send(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec())).await;
    assert_eq!(judged(garbage), ("unreachable", Outcome::Unknown));
}

#[tokio::test]
async fn r6_a_reused_connection_that_ends_is_not_used_to_send_again() {
    let server = Server::start(|_, number| match number {
        0 => Act::Send(answer(200, "", "{}")),
        _ => Act::SendAndClose(Vec::new()),
    })
    .await;
    let transport = transport(server.url(), |_| ());
    post(&transport).await.unwrap();
    assert_eq!(judged(post(&transport).await), ("unreachable", Outcome::Unknown));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let server = Server::start(|_, _| Act::SendAndClose(answer(200, "", "{}"))).await;
    let transport = transport(server.url(), |_| ());
    for _ in 0..5 {
        post(&transport).await.unwrap();
        tokio::time::sleep(SHORT / 4).await;
    }
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn r6_a_connection_that_ends_within_the_body_leaves_it_unknown() {
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n".to_vec();
    for part in [short, chunked] {
        let result = after(move || Act::SendAndClose(part.clone())).await;
        assert_eq!(judged(result), ("unreachable", Outcome::Unknown));
    }
}

#[tokio::test]
async fn r6_an_answer_that_ends_at_any_byte_leaves_it_unknown() {
    let whole = answer(200, "content-type: application/json\r\n", "{\"a\":1}");
    for end in 0..whole.len() {
        let part = whole[..end].to_vec();
        let result = after(move || Act::SendAndClose(part.clone())).await;
        assert_eq!(judged(result), ("unreachable", Outcome::Unknown), "{end} bytes");
    }
    after(move || Act::SendAndClose(whole.clone())).await.unwrap();
}

#[tokio::test]
async fn g19_every_wait_for_an_answer_ends() {
    let short = Timeouts { head: SHORT * 2, body_idle: SHORT * 2, ..PATIENT };
    let head = within(short, || Act::SendAndStall(Vec::new())).await;
    assert_eq!(judged(head), ("timeout", Outcome::Unknown));
    let part = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345".to_vec();
    let body = within(short, move || Act::SendAndStall(part.clone())).await;
    assert_eq!(judged(body), ("timeout", Outcome::Unknown));
}

#[tokio::test]
async fn g19_a_dripping_body_ends_with_the_total_time() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n".to_vec();
    let server =
        Server::start(move |_, _| Act::Repeat(head.clone(), b"x".to_vec(), SHORT / 6)).await;
    let transport = transport(server.url(), |s| s.timeouts.total = SHORT * 3);
    assert_eq!(judged(post(&transport).await), ("timeout", Outcome::Unknown));
}

#[tokio::test]
async fn s11_a_redirect_is_an_answer_and_is_not_followed() {
    let other = Server::start(|_, _| Act::Send(answer(200, "", ""))).await;
    let location = format!("location: {}/x\r\n", other.url());
    let reply = after(move || Act::Send(answer(302, &location, ""))).await.unwrap();
    assert_eq!(reply.status, StatusCode::FOUND);
    assert!(other.requests().is_empty());
}

#[test]
fn problems_are_found_together_and_name_their_keys() {
    let mut settings = Settings::new("http://api.example.com");
    settings.root_ca = Some(b"no certificate".to_vec());
    settings.timeouts.head = Duration::ZERO;
    let problems = Transport::try_new(&settings).err().unwrap();
    let keys: Vec<_> = problems.iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["timeouts.head", "base_url", "root_ca"]);
    let mut settings = Settings::new("https://api.example.com");
    settings.proxy_url = Some("no URL".to_owned());
    let problems = Transport::try_new(&settings).err().unwrap();
    assert_eq!(problems[0].to_string(), "proxy_url: it is not a URL");
}

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::*;

mod control_interface;

/// Simulators on a port of their own, stopped when dropped.
struct Running {
    address: std::net::SocketAddr,
    _stop: tokio_util::sync::DropGuard,
}

async fn running() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let serving = Simulator::new(Settings::default()).serve(listener, stopped);
    tokio_util::task::TaskTracker::new().spawn(serving);
    Running { address, _stop: stop.drop_guard() }
}

impl Running {
    /// Everything that arrives within half a second of one request, up to the connection's end,
    /// and whether it ended.
    async fn raw(&self, method: &str, path: &str, body: &str) -> (String, bool) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let kind = "content-type: application/x-www-form-urlencoded";
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\n{kind}\r\ncontent-length: {length}\r\n"
        );
        let close = "connection: close\r\n\r\n";
        stream.write_all(format!("{head}{close}{body}").as_bytes()).await.unwrap();
        let mut received = Vec::new();
        let read = stream.read_to_end(&mut received);
        let ended = tokio::time::timeout(Duration::from_millis(500), read).await.is_ok();
        (String::from_utf8_lossy(&received).into_owned(), ended)
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (text, _) = self.raw(method, &format!("/_simulator{path}"), &body).await;
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    async fn fault(&self, fault: Value) {
        let rule = json!({"partner": "trustist", "path": "/token", "fault": fault});
        assert_eq!(self.control("POST", "/faults", rule).await.0, 200);
    }

    async fn token(&self) -> (String, bool) {
        self.raw("POST", "/trustist/token", GRANT).await
    }

    async fn last_entry(&self) -> (Value, Value, Value) {
        let (_, mut journal) = self.control("GET", "/requests?partner=trustist", Value::Null).await;
        let mut entry = journal.as_array_mut().unwrap().pop().unwrap();
        (entry["status"].take(), entry["acted"].take(), entry["fault"].take())
    }
}

const GRANT: &str = "client_id=simulator-client&client_secret=simulator-client-secret&grant_type=client_credentials";

fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn without_a_fault_a_request_is_answered_and_noted() {
    let running = running().await;
    let (text, ended) = running.token().await;
    assert!(text.starts_with("HTTP/1.1 200 ") && ended, "{text}");
    assert!(body(&text).contains("12.10"), "{text}");
    assert_eq!(running.last_entry().await, (json!(200), json!(true), json!(null)));
}

#[tokio::test]
async fn dropped_connections_carry_no_byte_and_differ_in_effect() {
    let running = running().await;
    for (kind, acted) in [("drop_before", false), ("drop_after", true)] {
        running.fault(json!({"kind": kind})).await;
        assert_eq!(running.token().await, (String::new(), true));
        assert_eq!(running.last_entry().await, (json!(null), json!(acted), json!(kind)));
    }
}

#[tokio::test]
async fn truncated_and_stalled_answers_declare_more_than_they_send() {
    let running = running().await;
    for (kind, ends) in [("truncate", true), ("stall", false)] {
        for sent in [0, 5, 100_000] {
            running.fault(json!({"kind": kind, "after_bytes": sent})).await;
            let (text, ended) = running.token().await;
            let length = text.to_lowercase().split_once("content-length: ").unwrap().1.to_owned();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            let received = body(&text).len();
            assert!(received < length, "{text}");
            assert_eq!((received.min(sent), ended), (received, ends), "{text}");
        }
    }
}

#[tokio::test]
async fn dripped_answers_arrive_whole() {
    let running = running().await;
    running.fault(json!({"kind": "drip", "chunk_bytes": 100, "interval_millis": 1})).await;
    let (text, ended) = running.token().await;
    serde_json::from_str::<Value>(body(&text)).unwrap();
    assert!(ended);
}

#[tokio::test]
async fn malformed_and_oversize_answers_say_that_they_are_json() {
    let running = running().await;
    running.fault(json!({"kind": "malformed_json"})).await;
    let (text, _) = running.token().await;
    assert!(
        text.contains("application/json") && serde_json::from_str::<Value>(body(&text)).is_err()
    );
    running.fault(json!({"kind": "oversize", "bytes": 100_000})).await;
    let (text, _) = running.token().await;
    assert_eq!(serde_json::from_str::<String>(body(&text)).unwrap().len(), 99_998);
    running.fault(json!({"kind": "gzip_bomb", "megabytes": 1})).await;
    let (text, _) = running.token().await;
    assert!(text.contains("content-encoding: gzip"));
}

#[tokio::test]
async fn a_status_acts_only_when_told_to() {
    let running = running().await;
    running.fault(json!({"kind": "status", "status": 503, "headers": {"retry-after": "7"}})).await;
    let (text, _) = running.token().await;
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("retry-after: 7"), "{text}");
    assert_eq!(running.last_entry().await, (json!(503), json!(false), json!("status")));

    running.fault(json!({"kind": "status", "status": 500, "text": "", "act": true})).await;
    assert_eq!(body(&running.token().await.0), "");
    assert_eq!(running.last_entry().await, (json!(500), json!(true), json!("status")));
    running.fault(json!({"kind": "status", "status": 200, "body": {"ok": false}})).await;
    assert_eq!(body(&running.token().await.0), r#"{"ok":false}"#);

    running.fault(json!({"kind": "rate_limited", "retry_after": 3})).await;
    let (text, _) = running.token().await;
    assert!(text.starts_with("HTTP/1.1 429 ") && text.contains("retry-after: 3"), "{text}");
}

#[tokio::test]
async fn a_delay_acts_at_once_and_answers_late() {
    let running = running().await;
    running.fault(json!({"kind": "delay", "millis": 60_000})).await;
    assert_eq!(running.token().await, (String::new(), false));
    assert_eq!(running.last_entry().await, (json!(null), json!(true), json!("delay")));
    running.fault(json!({"kind": "delay", "millis": 60_000, "act_first": false})).await;
    running.token().await;
    assert_eq!(running.last_entry().await, (json!(null), json!(false), json!("delay")));
}

#[tokio::test]
async fn expired_tokens_are_refused_then_renewed() {
    let simulator = Simulator::new(Settings::default());
    let send = async |request: http::Request<String>| {
        let response = simulator.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    };
    let token = http::Request::post("/trustist/token")
        .header("content-type", "application/x-www-form-urlencoded");
    let (_, issued) = send(token.body(GRANT.to_owned()).unwrap()).await;
    let issued: Value = serde_json::from_slice(&issued).unwrap();
    let bearer = format!("Bearer {}", issued["access_token"].as_str().unwrap());
    let list = || http::Request::get("/trustist/invitations").header("authorization", &bearer);
    assert_eq!(send(list().body(String::new()).unwrap()).await.0, 200);

    let rule = json!({"partner": "trustist", "method": "GET", "path": "/invitations*",
        "fault": {"kind": "expire_tokens"}});
    let faults = http::Request::post("/_simulator/faults").body(rule.to_string()).unwrap();
    assert_eq!(send(faults).await, (200, Bytes::from_static(br#"{"id":1}"#)));
    assert_eq!(send(list().body(String::new()).unwrap()).await.0, 401);
}

#[tokio::test]
async fn faults_work_over_cleartext_http2() {
    let running = running().await;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::ClientBuilder::new().no_proxy().http2_prior_knowledge().build().unwrap();
    let send = async || {
        let request = client.post(format!("http://{}/trustist/token", running.address));
        request.header("content-type", "application/x-www-form-urlencoded").body(GRANT).send().await
    };
    let answer = send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (http::Version::HTTP_2, 200));
    running.fault(json!({"kind": "drop_after"})).await;
    assert!(send().await.is_err());
    running.fault(json!({"kind": "truncate", "after_bytes": 5})).await;
    assert!(send().await.unwrap().bytes().await.is_err());
    assert_eq!(send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn serving_ends_with_its_shutdown_even_while_an_answer_stalls() {
    let running = running().await;
    running.fault(json!({"kind": "stall", "after_bytes": 1})).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request = b"POST /trustist/token HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    drop(running);
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
    assert!(end.await.is_ok());
}

#[tokio::test]
async fn signatures_cover_the_target_below_the_mount() {
    let mut settings = Settings { clock: Clock::from_source(|| NOW), ..Settings::default() };
    settings.trolley.access_key = "AKEXAMPLE".to_owned();
    settings.trolley.secret_key = "test-secret".to_owned();
    let simulator = Simulator::new(settings);
    let vector =
        "prsign AKEXAMPLE:3635209c8f59cd775b2d5dacfcf5f20037eacf192757063befff1fb665f252a3";
    for (query, status) in [("page=1&pageSize=10", 200), ("pageSize=10&page=1", 401)] {
        let request = http::Request::get(format!("/trolley/v1/subscriptions?{query}"))
            .header("authorization", vector)
            .header("x-pr-timestamp", "1709586704");
        let request = request.body(String::new()).unwrap();
        assert_eq!(simulator.router().oneshot(request).await.unwrap().status(), status);
    }
}

const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_709_586_704, 0);

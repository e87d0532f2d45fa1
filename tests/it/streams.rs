//! Streaming twins and the token that a caller brings, as the server's edge leaves them:
//! deadlines, callers that go away, and what is said of a token that is none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use http::Uri;
use serde_json::json;
use tokio::net::TcpListener;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::support::gateway::Gateway;
use crate::support::wire::Wire;

const STREAM: &str = "trustap.v1.OnlineTransactionService/StreamTransactions";
const BEARER: &str = "trustap.v1.OnlineTransactionService/ListTransactions";
const OTHER: &str = "trolley.v1.WebhookService/ListWebhooks";
const TOKEN: &str = "canary-of-a-user";

/// What a partner does with a request for the page with this number.
type Script = fn(usize) -> Act;

enum Act {
    /// Answers with the next transaction, with a description of this length.
    One(usize),
    /// Never answers.
    Stall,
}

/// A partner with one transaction on a page, and what it was asked.
#[derive(Clone)]
struct Partner {
    asked: Arc<Mutex<Vec<Uri>>>,
    script: Script,
}

impl Partner {
    async fn start(script: Script) -> (Self, Gateway) {
        let partner = Self { asked: Arc::default(), script };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(partner.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        let settings = format!("[partners.trustap]\nbase_url = \"{url}\"\napi_key = \"key\"\n");
        (partner, Gateway::configured(&settings).await)
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// How many pages were asked for when no more are.
    async fn settled(&self) -> usize {
        let mut before = usize::MAX;
        while before != self.asked() {
            before = self.asked();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        before
    }
}

async fn answer(State(partner): State<Partner>, uri: Uri) -> String {
    let number = partner.asked();
    partner.asked.lock().unwrap().push(uri);
    match (partner.script)(number) {
        Act::Stall => std::future::pending().await,
        Act::One(length) => {
            json!([{"id": 1_000 - number, "description": "d".repeat(length)}]).to_string()
        }
    }
}

fn request(timeout: Option<Duration>) -> Request<serde_json::Value> {
    let mut request = Request::new(json!({}));
    request.metadata_mut().insert("x-partner-token", TOKEN.parse().unwrap());
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    request
}

/// G5: only the server ends the stream here, and its status says where to go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_stream_between_its_pages() {
    let script = |number| if number < 2 { Act::One(1) } else { Act::Stall };
    let (partner, gateway) = Partner::start(script).await;
    let headers = [("x-partner-token", TOKEN), ("grpc-timeout", "600m")];

    let told = Wire::to(gateway.grpc()).call(STREAM, json!({}), &headers).await;

    assert_eq!(told.code(), Code::DeadlineExceeded);
    assert!(!told.body.is_empty(), "what was told stays told");
    let info = told.error_info();
    assert_eq!(info.metadata["resume_after"], "999");
    assert_eq!((&*info.metadata["attempts"], partner.asked()), ("3", 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_stops_reading_or_goes_away_stops_the_asking() {
    let (partner, gateway) = Partner::start(|_| Act::One(900_000)).await;

    let mut stream = gateway.client.open(STREAM, request(None)).await.unwrap();
    stream.message().await.unwrap().unwrap();
    let unread = partner.settled().await;
    assert!(unread <= 6, "{unread} pages for a caller that took one");
    for _ in 0..unread {
        stream.message().await.unwrap().unwrap();
    }
    assert!(partner.settled().await > unread);
    drop(stream);
    let gone = partner.settled().await;
    assert!(gone <= 2 * unread + 6, "{gone} pages for a caller that took {unread}");
    assert_eq!(partner.settled().await, gone);
}

/// S9: a token that is none is refused before anything is sent, and not told again.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_none_is_refused_and_not_told() {
    let gateway = Gateway::simulated("").await;
    for rpc in [BEARER, STREAM] {
        let mut twice = request(None);
        twice.metadata_mut().append("x-partner-token", TOKEN.parse().unwrap());
        let mut spaced = Request::new(json!({}));
        spaced.metadata_mut().insert("x-partner-token", format!("{TOKEN} x").parse().unwrap());
        for request in [twice, spaced] {
            let status = gateway.client.stream(rpc, request).await.1.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{rpc}");
            assert!(!format!("{status:?}").contains(TOKEN));
            let bad = status.get_details_bad_request().unwrap();
            assert_eq!(bad.field_violations[0].field, "x-partner-token");
        }
    }
    assert!(gateway.control().arrived("trustap").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rpc_that_takes_no_users_token_does_not_look_at_one() {
    let gateway = Gateway::simulated("").await;
    let mut request = request(None);
    request.metadata_mut().append("x-partner-token", "another one".parse().unwrap());
    gateway.client.call_with(OTHER, request).await.unwrap();
    let arrived = format!("{:?}", gateway.control().arrived("trolley").await);
    assert!(!arrived.contains(TOKEN) && arrived.contains("subscriptions"), "{arrived}");
}

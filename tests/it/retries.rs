//! What is sent again, when, and how often, as the partner sees it.

use std::net::SocketAddr;
use std::time::Duration;

use partner_gateway::simulator::trolley::{PARENT_ACCESS_KEY, PARENT_SECRET_KEY};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::partners::info;
use crate::support::client::Answer;
use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::page;

const READ: &str = "trolley.v1.WebhookService/ListWebhooks";
const IDEMPOTENT: &str = "trolley.v1.WidgetService/UpdateWidgetConfig";
const WRITE_ONCE: &str = "trolley.v1.WebhookService/CreateWebhook";
const ALL: [&str; 3] = [READ, IDEMPOTENT, WRITE_ONCE];
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A gateway, and the simulators that it calls.
struct Pair {
    gateway: Gateway,
    control: Control,
}

// === impl Pair ===

impl Pair {
    async fn new(more: &str) -> Self {
        let control = Control::start().await;
        let gateway = Gateway::configured(&settings(control.address, more)).await;
        Self { gateway, control }
    }

    async fn fault(&self, times: Option<u32>, fault: Value) {
        self.control.fault(json!({"partner": "trolley", "times": times, "fault": fault})).await;
    }

    async fn call(&self, rpc: &str) -> Result<Answer, Status> {
        self.call_with(rpc, Request::new(request(rpc))).await
    }

    async fn call_with(&self, rpc: &str, request: Request<Value>) -> Result<Answer, Status> {
        self.gateway.client.call_with(rpc, request).await
    }

    async fn arrived(&self) -> Vec<Value> {
        self.control.arrived("trolley").await
    }
}

/// A partner that is left alone by nothing but the retries.
fn settings(address: SocketAddr, more: &str) -> String {
    format!(
        "[partners.trolley]\nbase_url = 'http://{address}/trolley'\n\
        access_key = '{PARENT_ACCESS_KEY}'\nsecret_key = '{PARENT_SECRET_KEY}'\n\
        [partners.trolley.rate_limit]\nrequests = 0\n\
        [partners.trolley.breaker]\nenabled = false\n\
        [partners.trolley.retry]\n{more}\n"
    )
}

fn request(rpc: &str) -> Value {
    match rpc {
        WRITE_ONCE => json!({
            "action": "NOTIFICATION_ACTION_ALL",
            "model": "NOTIFICATION_TYPE_PAYMENT",
            "target": "https://example.com/hook",
        }),
        IDEMPOTENT => json!({"colors": {"primary": "#112233"}}),
        _ => json!({}),
    }
}

fn unavailable() -> Value {
    json!({"kind": "status", "status": 503, "text": ""})
}

/// R11, R19: the hint is waited for, and what is sent then is signed anew.
#[tokio::test(flavor = "multi_thread")]
async fn r11_r19_a_short_hint_is_waited_for_and_the_request_is_signed_anew() {
    for fault in [
        json!({"kind": "rate_limited", "retry_after": 1, "reset_after": 1}),
        json!({"kind": "status", "status": 503, "text": "", "headers": {"retry-after": "1"}}),
    ] {
        for rpc in ALL {
            let pair = Pair::new("").await;
            pair.fault(Some(1), fault.clone()).await;
            let start = Instant::now();

            let told = pair.call(rpc).await;

            let what = format!("{rpc} {fault}: {told:?}");
            assert!(start.elapsed() >= Duration::from_secs(1), "{what}: {:?}", start.elapsed());
            let answer = told.as_ref().expect(&what);
            assert_eq!(answer.metadata.get("x-gateway-attempts").unwrap(), "2", "{what}");
            let arrived = pair.arrived().await;
            let acted = arrived.iter().filter(|entry| entry["acted"] == true).count();
            assert_eq!((arrived.len(), acted), (2, 1), "{what}: {arrived:?}");
            let header = |index: usize, name: &str| arrived[index]["headers"][name].clone();
            for name in ["authorization", "x-pr-timestamp"] {
                assert_ne!(header(0, name), Value::Null, "{name}: {arrived:?}");
                assert_ne!(header(0, name), header(1, name), "{name}: the same as before");
            }
        }
    }
}

#[tokio::test]
async fn r11_a_long_hint_is_not_waited_for_and_told_to_the_caller() {
    for rpc in ALL {
        let pair = Pair::new("").await;
        pair.fault(None, json!({"kind": "rate_limited", "retry_after": 60, "reset_after": 60}))
            .await;
        let start = Instant::now();

        let status = pair.call(rpc).await.unwrap_err();

        assert!(start.elapsed() < Duration::from_secs(5), "{rpc}: {:?}", start.elapsed());
        assert_eq!(status.code(), Code::ResourceExhausted, "{rpc}: {status:?}");
        let told = status.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert_eq!(told, Duration::from_secs(60), "{rpc}");
        assert_eq!(status.metadata().get(PUSHBACK).unwrap(), "60000", "{rpc}");
        assert_eq!(pair.arrived().await.len(), 1, "{rpc}");
    }
}

#[tokio::test]
async fn r3_a_read_that_fails_once_is_answered() {
    let pair = Pair::new("").await;
    for fault in [
        unavailable(),
        json!({"kind": "status", "status": 500, "text": ""}),
        json!({"kind": "drop_before"}),
        json!({"kind": "drop_after"}),
        json!({"kind": "truncate", "after_bytes": 5}),
    ] {
        pair.control.post("/_simulator/reset", "").await;
        pair.fault(Some(1), fault.clone()).await;

        let answer = pair.call(READ).await.unwrap();

        assert_eq!(answer.metadata.get("x-gateway-attempts").unwrap(), "2", "{fault}");
        assert_eq!(pair.arrived().await.len(), 2, "{fault}");
    }
}

/// A partner that comes back while a call is under way.
#[tokio::test]
async fn r6_a_refused_connection_is_tried_again_for_every_class() {
    for rpc in ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let more = "base_delay = '300ms'\nmax_attempts = 8";
        let gateway = Gateway::configured(&settings(address, more)).await;
        let later = async {
            sleep(Duration::from_millis(100)).await;
            let listener = TcpListener::bind(address).await.unwrap();
            Control::on(listener)
        };

        let (told, control) = tokio::join!(gateway.client.call(rpc, request(rpc)), later);

        let answer = told.unwrap_or_else(|status| panic!("{rpc}: {status:?}"));
        let attempts = answer.metadata.get("x-gateway-attempts").unwrap().to_str().unwrap();
        assert!(attempts.parse::<u32>().unwrap() >= 2, "{rpc}: {attempts}");
        assert_eq!(control.arrived("trolley").await.len(), 1, "{rpc}");
    }
}

/// G34: a caller that has asked before is the one that repeats.
#[tokio::test]
async fn g34_a_call_that_is_a_repeat_is_sent_once() {
    let pair = Pair::new("").await;
    pair.fault(None, unavailable()).await;
    for (previous, expected) in [("0", 3), ("1", 1), ("4", 1)] {
        let before = pair.arrived().await.len();
        let mut request = Request::new(json!({}));
        request.metadata_mut().insert("grpc-previous-rpc-attempts", previous.parse().unwrap());

        let status = pair.call_with(READ, request).await.unwrap_err();

        assert_eq!(info(&status).metadata["attempts"], expected.to_string(), "{previous}");
        assert_eq!(pair.arrived().await.len() - before, expected, "{previous}");
    }
}

/// R2, R4: the budget limits repeats, and never a first attempt.
#[tokio::test(flavor = "multi_thread")]
async fn r2_r4_a_partner_that_fails_is_not_asked_much_more_often_than_there_are_calls() {
    const CALLS: usize = 300;
    let pair = Pair::new("base_delay = '1ms'\n").await;
    pair.fault(None, unavailable()).await;
    for _ in 0..CALLS {
        let status = pair.call(READ).await.unwrap_err();

        assert_eq!(info(&status).reason, "PARTNER_UNAVAILABLE", "the original error: {status:?}");
    }
    let arrived = pair.arrived().await.len();
    assert!(arrived >= CALLS, "{arrived}");
    // A fifth of the calls, and one in each of the ten seconds of the window; the window
    // moves on if a machine takes longer than that.
    assert!(arrived <= CALLS * 12 / 10 + 10 + 10, "{arrived}");
    pair.control.delete("/_simulator/faults").await;
    assert!(pair.call(READ).await.is_ok(), "the first attempt asks no budget");
}

/// What operators see of the budget, in PartnerService and in metrics.
async fn is_told(pair: &Pair, left: u32, repeated: u32, refused: u32) {
    let rpc = "gateway.v1.PartnerService/GetPartner";
    let told = pair.gateway.client.call(rpc, json!({"name": "trolley"})).await.unwrap();
    let budget = &told.reply["retryBudget"];
    for (field, count) in [("left", left), ("repeated", repeated), ("refused", refused)] {
        let told = budget[field].as_str().unwrap_or("0");
        assert_eq!(told, count.to_string(), "{field} of {budget}");
    }
    let mut samples = vec![format!(r#"partner_gateway_retry_budget{{partner="trolley"}} {left}"#)];
    if repeated > 0 {
        let labels = r#"partner="trolley",reason="503""#;
        samples.push(format!("partner_gateway_retries_total{{{labels}}} {repeated}"));
    }
    page::until_has(pair.gateway.operations(), &samples).await;
}

#[tokio::test]
async fn r2_r20_operators_see_what_is_left_of_the_budget() {
    // Half of the calls, and none besides; the window outlasts the test.
    let budget = "budget_percent = 50\nbudget_window = '1h'\nbudget_reserve = 0\n";
    let pair = Pair::new(&format!("{budget}base_delay = '1ms'\n")).await;
    for _ in 0..8 {
        pair.call(READ).await.unwrap();
    }
    is_told(&pair, 4, 0, 0).await;
    pair.fault(None, unavailable()).await;
    for (attempts, left, repeated, refused) in [("3", 2, 2, 0), ("3", 1, 4, 0), ("2", 0, 5, 1)] {
        let status = pair.call(READ).await.unwrap_err();
        assert_eq!(info(&status).metadata["attempts"], attempts);
        is_told(&pair, left, repeated, refused).await;
    }
}

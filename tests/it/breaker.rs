//! R17: a partner that fails is left alone for a while, and what opens the way again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::partners::{arrived, info};
use crate::support::gateway::Gateway;
use crate::support::page;

const LIST: &str = "trolley.v1.WebhookService/ListWebhooks";
const CREATE: &str = "trolley.v1.WebhookService/CreateWebhook";
const PATH: &str = "/v1/subscriptions";

/// Four failures open a circuit, and nothing is made again.
const SETTINGS: &str = r#"
    [partners.trolley]
    access_key = "a"
    secret_key = "b"
    [partners.trolley.breaker]
    min_attempts = 4
    open = "1s"
    max_open = "2s"
    [partners.trolley.retry]
    max_attempts = 1
"#;

async fn fail(gateway: &Gateway, method: &str) {
    let fault = json!({"kind": "status", "status": 500});
    let rule = json!({"partner": "trolley", "method": method, "path": PATH, "times": null, "fault": fault});
    gateway.control().fault(rule).await;
}

async fn mend(gateway: &Gateway) {
    assert!(gateway.control().delete("/_simulator/faults").await.0.is_success());
}

fn webhook() -> Value {
    json!({"action": "NOTIFICATION_ACTION_ALL", "model": "NOTIFICATION_TYPE_ALL", "target": "https://example.com/a"})
}

/// How each class does, as operators see it.
async fn breakers(gateway: &Gateway) -> Vec<Value> {
    let rpc = "gateway.v1.PartnerService/GetPartner";
    let partner = gateway.client.call(rpc, json!({"name": "trolley"})).await.unwrap().reply;
    partner["breakers"].as_array().unwrap().clone()
}

async fn states(gateway: &Gateway) -> Vec<Value> {
    breakers(gateway).await.into_iter().map(|breaker| breaker["state"].clone()).collect()
}

/// The samples of a class whose breaker is in this state.
fn samples(effect: &str, state: &str) -> Vec<String> {
    let sample = |of: &str| {
        let labels = format!(r#"partner="trolley",effect="{effect}",state="{of}""#);
        format!("partner_gateway_breaker_state{{{labels}}} {}", u8::from(of == state))
    };
    ["closed", "open", "half_open"].map(sample).to_vec()
}

/// R17, R20: until when, in PartnerService, and in metrics that it is so.
#[tokio::test]
async fn r17_r20_operators_see_until_when_a_partner_is_left_alone() {
    // Long enough for whoever looks.
    let settings = SETTINGS.replace("\"1s\"", "\"60s\"").replace("\"2s\"", "\"60s\"");
    let gateway = Gateway::simulated(&settings).await;
    fail(&gateway, "GET").await;
    for _ in 0..3 {
        gateway.client.call(LIST, json!({})).await.unwrap_err();
    }
    let read = breakers(&gateway).await[0].clone();
    let closed =
        json!({"class": "CLASS_READ", "state": "STATE_CLOSED", "attempts": "3", "failures": "3"});
    assert_eq!(read, closed);
    let before = Timestamp::now();
    gateway.client.call(LIST, json!({})).await.unwrap_err();
    let after = Timestamp::now();

    let [read, idempotent, write_once] = &breakers(&gateway).await[..] else { unreachable!() };
    assert_eq!((&read["state"], &read["opened"]), (&json!("STATE_OPEN"), &json!("1")));
    let until: Timestamp = read["openEndTime"].as_str().unwrap().parse().unwrap();
    let minute = SignedDuration::from_mins(1);
    // A tenth later at most, and the two clocks may differ a little.
    let late = SignedDuration::from_secs(7);
    assert!(before + minute <= until && until <= after + minute + late, "{before} {until} {after}");
    for (other, class) in [(idempotent, "CLASS_IDEMPOTENT"), (write_once, "CLASS_WRITE_ONCE")] {
        assert_eq!(*other, json!({"class": class, "state": "STATE_CLOSED"}));
    }
    let told =
        [samples("READ", "open"), samples("IDEMPOTENT", "closed"), samples("WRITE_ONCE", "closed")];
    page::until_has(gateway.operations(), &told.concat()).await;
}

#[tokio::test]
async fn r17_reads_that_fail_are_stopped_and_tried_again_one_by_one() {
    let gateway = Gateway::simulated(SETTINGS).await;
    let client = &gateway.client;
    fail(&gateway, "GET").await;
    for _ in 0..4 {
        let error = client.call(LIST, json!({})).await.unwrap_err();
        assert_eq!(info(&error).reason, "PARTNER_INTERNAL");
    }
    let error = client.call(LIST, json!({})).await.unwrap_err();
    assert_eq!((error.code(), info(&error).reason.as_str()), (Code::Unavailable, "CIRCUIT_OPEN"));
    assert_eq!(info(&error).metadata["attempts"], "0");
    let told = error.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(told > Duration::ZERO && told <= Duration::from_millis(1_100), "{told:?}");
    let pushback = error.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap();
    assert_eq!(pushback.parse::<u128>().unwrap(), told.as_millis());
    assert_eq!(arrived(&gateway, "trolley", PATH).await.len(), 4, "nothing was sent");
    assert_eq!(states(&gateway).await, ["STATE_OPEN", "STATE_CLOSED", "STATE_CLOSED"]);
    client.call(CREATE, webhook()).await.expect("writes are another class");

    sleep(told + Duration::from_millis(50)).await;
    assert_eq!(states(&gateway).await[0], "STATE_HALF_OPEN");
    page::until_has(gateway.operations(), &samples("READ", "half_open")).await;
    let error = client.call(LIST, json!({})).await.unwrap_err();
    assert_eq!(info(&error).reason, "PARTNER_INTERNAL", "one is let through");
    let error = client.call(LIST, json!({})).await.unwrap_err();
    assert_eq!(info(&error).reason, "CIRCUIT_OPEN");
    let longer = error.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(longer > Duration::from_millis(1_500), "the time has doubled: {longer:?}");

    mend(&gateway).await;
    sleep(longer + Duration::from_millis(50)).await;
    client.call(LIST, json!({})).await.unwrap();
    let read = breakers(&gateway).await[0].clone();
    assert_eq!((&read["state"], &read["opened"]), (&json!("STATE_CLOSED"), &json!("2")));
    page::until_has(gateway.operations(), &samples("READ", "closed")).await;
}

/// At a partner that nobody reads from.
#[tokio::test]
async fn r17_writes_that_fail_wait_for_a_read_which_the_gateway_makes_itself() {
    let gateway = Gateway::simulated(SETTINGS).await;
    let client = &gateway.client;
    fail(&gateway, "POST").await;
    for _ in 0..4 {
        client.call(CREATE, webhook()).await.unwrap_err();
    }
    let error = client.call(CREATE, webhook()).await.unwrap_err();
    assert_eq!((error.code(), info(&error).reason.as_str()), (Code::Unavailable, "CIRCUIT_OPEN"));
    assert_eq!(info(&error).metadata["outcome"], "NOT_SENT");
    assert_eq!(states(&gateway).await, ["STATE_CLOSED", "STATE_CLOSED", "STATE_OPEN"]);
    mend(&gateway).await;

    let begun = Instant::now();
    while let Err(error) = client.call(CREATE, webhook()).await {
        assert_eq!(info(&error).reason, "CIRCUIT_OPEN");
        assert!(begun.elapsed() < Duration::from_secs(10), "it is never let through");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    let requests = arrived(&gateway, "trolley", "*").await;
    let methods: Vec<_> =
        requests.iter().map(|request| request["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["POST", "POST", "POST", "POST", "GET", "POST"], "no write was the probe");
}

#[tokio::test]
async fn r17_a_callers_read_opens_the_way_for_writes() {
    let gateway = Gateway::simulated(SETTINGS).await;
    let client = &gateway.client;
    fail(&gateway, "POST").await;
    for _ in 0..4 {
        client.call(CREATE, webhook()).await.unwrap_err();
    }
    client.call(LIST, json!({})).await.unwrap();
    let error = client.call(CREATE, webhook()).await.unwrap_err();
    assert_eq!(info(&error).reason, "CIRCUIT_OPEN", "a read does not cut the time short");
    mend(&gateway).await;
    sleep(Duration::from_millis(1_150)).await;
    client.call(LIST, json!({})).await.unwrap();
    client.call(CREATE, webhook()).await.unwrap();
}

/// What callers do wrong says nothing about the partner.
#[tokio::test]
async fn r17_refusals_stop_nobody() {
    let gateway = Gateway::simulated(SETTINGS).await;
    let client = &gateway.client;
    for _ in 0..20 {
        let rpc = "trolley.v1.WebhookService/GetWebhook";
        let error = client.call(rpc, json!({"id": "no-such"})).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
    }
    client.call(LIST, json!({})).await.unwrap();
}

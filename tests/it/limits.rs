//! How hard a partner is used (R11 to R15): at the gateway's own doors, and counted at the
//! partner's.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use partner_gateway::simulator::{Settings, Simulator, trolley};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::partners::{arrived, info};
use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::page;

const LIST: &str = "trolley.v1.WebhookService/ListWebhooks";
const SUBMERCHANTS: &str = "trolley.v1.BalanceService/GetFundingInfo";
const INVITATIONS: &str = "trustist.v1.InvitationService/ListInvitations";

/// The wait that a status tells of, to the millisecond and in both ways.
fn told_wait(status: &Status) -> Duration {
    let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap();
    let pushback = Duration::from_millis(pushback.parse().unwrap());
    assert!(pushback.abs_diff(wait) <= Duration::from_millis(1), "{pushback:?} {wait:?}");
    wait
}

fn is_rate_limited(status: &Status) -> bool {
    (status.code(), &*info(status).reason) == (Code::ResourceExhausted, "RATE_LIMITED")
}

/// How calls of a partner's get their turns, as operators see it.
async fn admission(gateway: &Gateway, partner: &str) -> Value {
    let rpc = "gateway.v1.PartnerService/GetPartner";
    let told = gateway.client.call(rpc, json!({"name": partner})).await.unwrap();
    told.reply["admission"].clone()
}

/// One partner of the simulators' with this limit, and a gateway that has no limit itself.
async fn limited(rate_limit: u32) -> (Gateway, Control) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = Control::of(listener.local_addr().unwrap());
    let settings = trolley::Settings { rate_limit, ..trolley::Settings::default() };
    let simulator = Simulator::new(Settings { trolley: settings, ..Settings::default() });
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(simulator.serve(listener, std::future::pending()));
    let gateway = Gateway::configured(&format!(
        r#"
        [partners.trolley]
        base_url = "http://{}/trolley"
        access_key = "{}"
        secret_key = "{}"
        [partners.trolley.rate_limit]
        requests = 0
        "#,
        control.address,
        trolley::PARENT_ACCESS_KEY,
        trolley::PARENT_SECRET_KEY,
    ))
    .await;
    (gateway, control)
}

#[tokio::test]
async fn r11_after_a_429_nothing_is_sent_to_the_partner_until_its_hint_is_over() {
    let gateway = Gateway::simulated("").await;
    let fault = json!({"kind": "rate_limited", "retry_after": 60});
    let rule = json!({"partner": "trolley", "path": "/v1/subscriptions", "fault": fault});
    gateway.control().fault(rule).await;

    let before = Timestamp::now();
    let first = gateway.client.call(LIST, json!({})).await.unwrap_err();
    let after = Timestamp::now();
    assert_eq!(info(&first).reason, "PARTNER_RATE_LIMITED");
    assert_eq!(told_wait(&first), Duration::from_secs(60));
    let mut waits = Vec::new();
    for rpc in [LIST, SUBMERCHANTS, LIST] {
        let begun = Instant::now();
        let status = gateway.client.call(rpc, json!({})).await.unwrap_err();
        assert!(is_rate_limited(&status), "{status:?}");
        assert!(begun.elapsed() < Duration::from_secs(1), "at once");
        waits.push(told_wait(&status));
        sleep(Duration::from_millis(50)).await;
    }
    assert!(waits.is_sorted_by(|before, after| before > after), "{waits:?}");
    assert!(waits[0] <= Duration::from_secs(66), "{waits:?}");
    assert!(waits[2] >= Duration::from_secs(58), "{waits:?}");
    assert_eq!(gateway.control().arrived("trolley").await.len(), 1);
    // Another partner has its own gate, and a sub-account with a key of its own its own.
    gateway.client.call(INVITATIONS, json!({})).await.unwrap();
    let own = json!({"submerchant_id": trolley::SUBMERCHANT_ID});
    gateway.client.call(SUBMERCHANTS, own).await.unwrap();
    is_closed_for_operators(&gateway, (before, after)).await;
}

/// R20: in PartnerService and in metrics, since a 429 that came between these two moments.
async fn is_closed_for_operators(gateway: &Gateway, (before, after): (Timestamp, Timestamp)) {
    let told = admission(gateway, "trolley").await;
    assert_eq!((&told["admitted"], &told["rateLimited"]), (&json!("2"), &json!("3")), "{told}");
    let [parent, submerchant] = &told["lanes"].as_array().unwrap()[..] else { panic!("{told}") };
    let until: Timestamp = parent["closedEndTime"].as_str().unwrap().parse().unwrap();
    let (minute, late) = (SignedDuration::from_mins(1), SignedDuration::from_secs(7));
    assert!(before + minute <= until && until <= after + minute + late, "{before} {until} {after}");
    assert_eq!(submerchant["account"], trolley::SUBMERCHANT_ID);
    assert!(submerchant.get("closedEndTime").is_none(), "{submerchant}");
    let samples = [
        r#"partner_gateway_gate_closed{partner="trolley"} 1"#,
        r#"partner_gateway_gate_closed{partner="trustist"} 0"#,
        r#"partner_gateway_refusals_total{partner="trolley",reason="rate_limited"} 3"#,
        r#"partner_gateway_refusals_total{partner="trolley",reason="overloaded"} 0"#,
        r#"partner_gateway_refusals_total{partner="trustist",reason="rate_limited"} 0"#,
    ];
    page::until_has(gateway.operations(), &samples).await;
}

#[tokio::test]
async fn r12_the_partners_own_count_stops_requests_before_the_partner_has_to() {
    let (gateway, control) = limited(5).await;
    let mut refused = Vec::new();
    for _ in 0..20 {
        if let Err(status) = gateway.client.call(LIST, json!({})).await {
            refused.push(status);
        }
    }
    let arrived = control.arrived("trolley").await;
    assert!((1..=5).contains(&arrived.len()), "{}", arrived.len());
    assert!(arrived.iter().all(|entry| entry["status"] == 200), "the wall is never hit");
    assert_eq!(refused.len(), 20 - arrived.len());
    for status in refused {
        assert!(is_rate_limited(&status), "{status:?}");
        assert!(told_wait(&status) <= Duration::from_secs(66));
    }
    // The window is over at the partner, and the gate knows only that a minute has passed.
    let told = admission(&gateway, "trolley").await;
    assert!(told["lanes"][0]["quota"]["limit"] == "5", "operators see it: {told}");
}

#[tokio::test]
async fn r13_calls_wait_for_their_turn_as_long_as_they_can_and_are_told_the_exact_time() {
    let settings = r#"
        [partners.trustist]
        client_id = "a"
        client_secret = "b"
        [partners.trustist.rate_limit]
        requests = 5
        per = "1s"
        burst = 1
    "#;
    let gateway = Gateway::simulated(settings).await;
    gateway.client.call(INVITATIONS, json!({})).await.unwrap();
    let begun = Instant::now();
    let calls = (0..8).map(|_| {
        let mut request = Request::new(json!({}));
        request.set_timeout(Duration::from_millis(1_100));
        gateway.client.call_with(INVITATIONS, request)
    });
    let results = futures_util::future::join_all(calls).await;
    let (done, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    // Five fit into the time, less the least that an attempt is begun with.
    assert!((4..=5).contains(&done.len()), "{} were done", done.len());
    assert!(
        begun.elapsed()
            >= Duration::from_millis(200) * u32::try_from(done.len()).unwrap()
                - Duration::from_millis(200)
    );
    for status in refused.into_iter().map(Result::unwrap_err) {
        assert!(is_rate_limited(&status), "{status:?}");
        let wait = told_wait(&status);
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(1_600), "{wait:?}");
    }
    let sent = arrived(&gateway, "trustist", "/invitations").await.len();
    assert_eq!(sent, 1 + done.len());
}

#[tokio::test]
async fn r14_a_caller_that_floods_leaves_the_other_its_share() {
    // The digests of "flood" and "other".
    let settings = r#"
        [[callers]]
        name = "flood"
        token_sha256 = "FLOOD"
        [[callers]]
        name = "other"
        token_sha256 = "OTHER"
        [partners.trustist]
        client_id = "a"
        client_secret = "b"
        [partners.trustist.rate_limit]
        requests = 20
        per = "1s"
        burst = 1
        max_waiting = 20
    "#;
    let settings = settings.replace("FLOOD", &sha256("flood")).replace("OTHER", &sha256("other"));
    let gateway = Gateway::simulated(&settings).await;
    let call = |caller: &'static str| {
        let mut request = Request::new(json!({}));
        request.metadata_mut().insert("authorization", format!("Bearer {caller}").parse().unwrap());
        gateway.client.call_with(INVITATIONS, request)
    };
    call("flood").await.unwrap();
    let begun = Instant::now();
    let flood = futures_util::future::join_all((0..60).map(|_| call("flood")));
    let other = async {
        // The flood has all places by now.
        sleep(Duration::from_millis(100)).await;
        let results = futures_util::future::join_all((0..8).map(|_| call("other"))).await;
        (results, begun.elapsed())
    };
    let (flood, (other, time)) = tokio::join!(flood, other);
    assert!(other.iter().all(Result::is_ok), "{other:?}");
    // Eight of its own and eight of the flood at twenty in a second.
    assert!(time <= Duration::from_millis(1_300), "{time:?}");
    let refused: Vec<_> = flood.into_iter().filter_map(Result::err).collect();
    assert!(refused.len() >= 40, "{}", refused.len());
    assert!(refused.iter().all(|status| status.code() == Code::ResourceExhausted));
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// R15, R20: in PartnerService as in metrics.
#[tokio::test]
async fn r15_r20_operators_see_who_waits_and_who_is_at_the_partner() {
    let settings = r#"
        [partners.trustist]
        client_id = "a"
        client_secret = "b"
        [partners.trustist.rate_limit]
        max_waiting = 3
        [partners.trustist.concurrency]
        initial = 2
        min = 2
        max = 2
    "#;
    let gateway = Gateway::simulated(settings).await;
    let fault = json!({"kind": "delay", "millis": 30_000});
    let rule =
        json!({"partner": "trustist", "path": "/invitations", "times": null, "fault": fault});
    gateway.control().fault(rule).await;
    let busy =
        futures_util::future::join_all((0..5).map(|_| gateway.client.call(INVITATIONS, json!({}))));
    let looks = async {
        let busy = |told: &Value| told["waiting"] == "3" && told["inFlight"] == "2";
        let told = until_admission(&gateway, busy).await;
        assert_eq!(told["concurrency"], "2", "{told}");
        let lane = &told["lanes"][0];
        assert_eq!((&lane["waiting"], &lane["inFlight"]), (&json!("3"), &json!("2")), "{told}");
        let refused = gateway.client.call(INVITATIONS, json!({})).await.unwrap_err();
        assert_eq!(info(&refused).reason, "OVERLOADED", "{refused:?}");
        page::until_has(gateway.operations(), &crowd(3, 2)).await;
        assert_eq!(admission(&gateway, "trustist").await["overloaded"], "1");
    };
    tokio::select! {
        done = busy => panic!("nothing is answered: {done:?}"),
        () = looks => {}
    }
    // Their callers have gone.
    until_admission(&gateway, |told| told.get("waiting").or(told.get("inFlight")).is_none()).await;
    page::until_has(gateway.operations(), &crowd(0, 0)).await;
}

/// The samples of so many that wait and are there, where one was refused for want of room.
fn crowd(waiting: u32, in_flight: u32) -> [String; 4] {
    let sample = |name: &str, value: u32| format!("partner_gateway_{name} {value}");
    [
        sample(r#"queue_waiting{partner="trustist"}"#, waiting),
        sample(r#"in_flight{partner="trustist"}"#, in_flight),
        sample(r#"concurrency_limit{partner="trustist"}"#, 2),
        sample(r#"refusals_total{partner="trustist",reason="overloaded"}"#, 1),
    ]
}

/// How calls get their turns, once it is so.
async fn until_admission(gateway: &Gateway, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let told = admission(gateway, "trustist").await;
        if is_so(&told) {
            return told;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{told}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// R16: nothing that operators look at waits for a partner.
#[tokio::test]
async fn r16_health_and_the_operators_view_are_never_queued() {
    let settings = r#"
        [partners.trustist]
        client_id = "a"
        client_secret = "b"
        [partners.trustist.concurrency]
        initial = 1
        min = 1
        max = 1
    "#;
    let gateway = Gateway::simulated(settings).await;
    let fault = json!({"kind": "delay", "millis": 2_000});
    let rule =
        json!({"partner": "trustist", "path": "/invitations", "times": null, "fault": fault});
    gateway.control().fault(rule).await;
    let busy = futures_util::future::join_all((0..5).map(|_| {
        let mut request = Request::new(json!({}));
        request.set_timeout(Duration::from_secs(1));
        gateway.client.call_with(INVITATIONS, request)
    }));
    let looks = async {
        sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        let listed = gateway.client.call("gateway.v1.PartnerService/ListPartners", json!({})).await;
        let mut health = grpc_health(&gateway).await;
        health.push(listed.unwrap().reply);
        (health, begun.elapsed())
    };
    let (busy, (looks, time)) = tokio::join!(busy, looks);
    assert!(busy.iter().all(Result::is_err));
    assert_eq!(looks.len(), 2);
    assert!(time < Duration::from_millis(500), "{time:?}");
}

async fn grpc_health(gateway: &Gateway) -> Vec<Value> {
    let address = format!("http://{}/readyz", gateway.operations());
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(address).send().await;
    vec![json!(answer.unwrap().status().as_u16())]
}

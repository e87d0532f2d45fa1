//! Deadlines, told by the server: the client of these tests has no timer of its own.
//! Numbers are the requirements' (B, G).

use std::time::Duration;

use partner_gateway::pb::grpc::health::v1::HealthCheckRequest;
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::Code;

use crate::support::gateway::Gateway;
use crate::support::wire::{Told, Wire};

const READ: &str = "trolley.v1.WebhookService/ListWebhooks";
const IDEMPOTENT: &str = "trolley.v1.WidgetService/UpdateWidgetConfig";
const WRITE_ONCE: &str = "trolley.v1.WebhookService/CreateWebhook";
const WITH_TOKEN: &str = "trustist.v1.InvitationService/ListInvitations";
const WRITE_WITH_TOKEN: &str = "trustist.v1.InvitationService/CreateInvitation";
const HEALTH_WATCH: &str = "grpc.health.v1.Health/Watch";

/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_millis(200);
const PUSHBACK: &str = "grpc-retry-pushback-ms";

fn request(rpc: &str) -> serde_json::Value {
    match rpc {
        WRITE_ONCE => json!({
            "action": "NOTIFICATION_ACTION_ALL",
            "model": "NOTIFICATION_TYPE_PAYMENT",
            "target": "https://example.com/hook",
        }),
        IDEMPOTENT => json!({"colors": {"primary": "#112233"}}),
        WRITE_WITH_TOKEN => json!({"email": "ann@example.com", "name": "Ann"}),
        _ => json!({}),
    }
}

/// Calls, and measures how long the answer took.
async fn timed(gateway: &Gateway, rpc: &str, headers: &[(&str, &str)]) -> (Told, Duration) {
    let wire = Wire::to(gateway.grpc());
    let start = Instant::now();
    let told = wire.call(rpc, request(rpc), headers).await;
    (told, start.elapsed())
}

/// A partner that accepts connections and never says a word.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Both partners at this URL, and these settings of the server.
fn at(url: &str, grpc: &str) -> String {
    format!(
        "[grpc]\n{grpc}\n\
        [partners.trolley]\nbase_url = '{url}'\naccess_key = 'a'\nsecret_key = 's'\n\
        [partners.trustist]\nbase_url = '{url}'\nclient_id = 'c'\nclient_secret = 's'\n"
    )
}

fn assert_on_time(what: &str, elapsed: Duration, deadline: Duration) {
    // The gateway answers a little early, for its answer to be there in time.
    assert!(elapsed + Duration::from_millis(10) >= deadline, "{what}: early, {elapsed:?}");
    assert!(elapsed < deadline + SLACK, "{what}: late, {elapsed:?}");
}

#[tokio::test]
async fn b1_g5_a_partner_that_does_not_answer_in_time_is_deadline_exceeded_in_time() {
    let gateway = Gateway::simulated("").await;
    for fault in [
        json!({"kind": "stall", "after_bytes": 5}),
        json!({"kind": "stall", "after_bytes": 0}),
        json!({"kind": "delay", "millis": 5000}),
        json!({"kind": "drip", "chunk_bytes": 1, "interval_millis": 100}),
    ] {
        for (rpc, outcome, pushback) in [
            (READ, None, None),
            (IDEMPOTENT, Some("UNKNOWN"), None),
            (WRITE_ONCE, Some("UNKNOWN"), Some("-1")),
        ] {
            let what = format!("{rpc} with {fault}");
            gateway.control().fault(json!({"partner": "trolley", "fault": fault})).await;

            let (told, elapsed) = timed(&gateway, rpc, &[("grpc-timeout", "300m")]).await;

            assert_eq!(told.code(), Code::DeadlineExceeded, "{what}: {told:?}");
            assert_on_time(&what, elapsed, Duration::from_millis(300));
            let info = told.error_info();
            assert_eq!(info.reason, "PARTNER_TIMEOUT", "{what}");
            assert_eq!(info.metadata.get("outcome").map(String::as_str), outcome, "{what}");
            assert_eq!(info.metadata["attempts"], "1", "{what}");
            assert_eq!(told.metadata(PUSHBACK), pushback, "{what}");
            assert_eq!(told.metadata("x-gateway-attempts"), Some("1"), "{what}");
        }
    }
}

#[tokio::test]
async fn b1_a_partner_that_accepts_and_never_says_a_word_is_deadline_exceeded() {
    let (_partner, url) = silent().await;
    let gateway = Gateway::configured(&at(&url, "")).await;
    for (rpc, outcome) in [(READ, None), (WRITE_ONCE, Some("UNKNOWN"))] {
        let (told, elapsed) = timed(&gateway, rpc, &[("grpc-timeout", "300m")]).await;

        assert_eq!(told.code(), Code::DeadlineExceeded, "{rpc}: {told:?}");
        assert_on_time(rpc, elapsed, Duration::from_millis(300));
        let info = told.error_info();
        assert_eq!(info.metadata.get("outcome").map(String::as_str), outcome, "{rpc}");
    }
}

/// G3, G4: also in a gateway with so much to do that its timers are late.
#[tokio::test(flavor = "multi_thread")]
async fn g3_g4_every_write_that_times_out_tells_its_outcome_under_load() {
    let (_partner, url) = silent().await;
    // Room for all of them, so that none has to wait for its turn.
    let room = "[partners.trolley.concurrency]\ninitial = 200\nmin = 200\nmax = 200\n\
                [partners.trolley.rate_limit]\nburst = 200\n";
    let gateway = Gateway::configured(&(at(&url, "") + room)).await;
    let wire = Wire::to(gateway.grpc());
    let calls = (0..100).map(|_| {
        let wire = wire.clone();
        async move { wire.call(WRITE_ONCE, request(WRITE_ONCE), &[("grpc-timeout", "10m")]).await }
    });

    let told = futures_util::future::join_all(calls).await;

    let is_whole = |told: &&Told| {
        let info = told.error_info();
        match info.metadata.get("outcome").map(String::as_str) {
            Some("UNKNOWN") => told.metadata(PUSHBACK) == Some("-1"),
            Some("NOT_SENT") => told.metadata(PUSHBACK).is_none(),
            _ => false,
        }
    };
    assert!(told.iter().all(|told| told.code() == Code::DeadlineExceeded), "{told:?}");
    let bare: Vec<_> = told.iter().filter(|told| !is_whole(told)).collect();
    assert!(bare.is_empty(), "{} of {}: {:?}", bare.len(), told.len(), bare[0].error_info());
}

/// G16: one budget for all attempts and the pauses between them.
#[tokio::test]
async fn g16_a_partner_that_always_fails_is_repeated_within_the_deadline_only() {
    let second = Duration::from_secs(1);
    let attempts = |told: &Told| told.error_info().metadata["attempts"].parse::<u32>().unwrap();
    let gateway = Gateway::simulated("").await;
    let fault = json!({"kind": "status", "status": 503, "text": ""});
    let rule = json!({"partner": "trolley", "times": null, "fault": fault});
    gateway.control().fault(rule).await;
    let (told, elapsed) = timed(&gateway, READ, &[("grpc-timeout", "1S")]).await;
    assert_eq!((told.code(), attempts(&told)), (Code::Unavailable, 3), "{told:?}");
    assert!(elapsed < second, "{elapsed:?}");

    let (_partner, url) = silent().await;
    for (head, expected) in [("400ms", 2..=3), ("700ms", 2..=2)] {
        let settings = at(&url, "") + &format!("[partners.trolley.timeouts]\nhead = '{head}'\n");
        let gateway = Gateway::configured(&settings).await;
        let (told, elapsed) = timed(&gateway, READ, &[("grpc-timeout", "1S")]).await;
        assert_eq!(told.code(), Code::DeadlineExceeded, "{head}: {told:?}");
        assert!(elapsed < second + SLACK, "{head}: {elapsed:?}");
        assert!(expected.contains(&attempts(&told)), "{head}: {told:?}");
    }
}

/// G2, G16: the time that a token takes is the caller's, too; no request was sent.
#[tokio::test]
async fn g16_a_token_that_does_not_come_in_time_is_deadline_exceeded_and_nothing_was_sent() {
    let (_partner, url) = silent().await;
    let gateway = Gateway::configured(&at(&url, "")).await;
    for (rpc, outcome) in [(WITH_TOKEN, None), (WRITE_WITH_TOKEN, Some("NOT_SENT"))] {
        let (told, elapsed) = timed(&gateway, rpc, &[("grpc-timeout", "300m")]).await;

        assert_eq!(told.code(), Code::DeadlineExceeded, "{rpc}: {told:?}");
        assert_on_time(rpc, elapsed, Duration::from_millis(300));
        let info = told.error_info();
        assert_eq!(info.reason, "DEADLINE_EXCEEDED", "{rpc}");
        assert_eq!(info.metadata.get("outcome").map(String::as_str), outcome, "{rpc}");
        assert_eq!(info.metadata["attempts"], "0", "{rpc}");
        assert_eq!(told.metadata(PUSHBACK), None, "{rpc}");
    }
}

#[tokio::test]
async fn g15_a_call_without_a_deadline_gets_the_default_one() {
    let (_partner, url) = silent().await;
    let gateway = Gateway::configured(&at(&url, "default_deadline = '300ms'")).await;
    for (rpc, outcome) in [(READ, None), (WRITE_ONCE, Some("UNKNOWN"))] {
        let (told, elapsed) = timed(&gateway, rpc, &[]).await;

        assert_eq!(told.code(), Code::DeadlineExceeded, "{rpc}: {told:?}");
        assert_on_time(rpc, elapsed, Duration::from_millis(300));
        let info = told.error_info();
        assert_eq!(info.metadata.get("outcome").map(String::as_str), outcome, "{rpc}");
    }
}

#[tokio::test]
async fn g15_no_call_gets_more_than_the_longest_deadline() {
    let (_partner, url) = silent().await;
    let limits = "default_deadline = '100ms'\nmax_deadline = '300ms'";
    let gateway = Gateway::configured(&at(&url, limits)).await;
    for timeout in ["10S", "99999999H"] {
        let (told, elapsed) = timed(&gateway, READ, &[("grpc-timeout", timeout)]).await;

        assert_eq!(told.code(), Code::DeadlineExceeded, "{timeout}: {told:?}");
        assert_on_time(timeout, elapsed, Duration::from_millis(300));
    }
}

#[tokio::test]
async fn b5_g15_a_malformed_timeout_is_an_invalid_argument_and_nothing_is_sent() {
    let gateway = Gateway::simulated("").await;
    for timeout in
        ["abc", "", "1", "S", "-1S", "+1S", "1.5S", "1 S", "1s", "100000000S", "1SS", "S1", "1é"]
    {
        for rpc in [READ, WRITE_ONCE, HEALTH_WATCH] {
            let told = match rpc {
                HEALTH_WATCH => {
                    let headers = [("grpc-timeout", timeout)];
                    Wire::to(gateway.grpc()).send(rpc, b"", &headers).await
                }
                _ => timed(&gateway, rpc, &[("grpc-timeout", timeout)]).await.0,
            };

            assert_eq!(told.code(), Code::InvalidArgument, "{rpc} {timeout:?}: {told:?}");
            let info = told.error_info();
            assert_eq!(info.reason, "INVALID_TIMEOUT", "{rpc} {timeout:?}");
            assert_eq!(info.domain, "partner-gateway", "{rpc} {timeout:?}");
        }
    }
    let twice = [("grpc-timeout", "1S"), ("grpc-timeout", "2S")];
    let told = timed(&gateway, READ, &twice).await.0;
    assert_eq!(told.error_info().reason, "INVALID_TIMEOUT", "{told:?}");
    let arrived = gateway.control().arrived("trolley").await;
    assert!(arrived.is_empty(), "{arrived:?}");
}

#[tokio::test]
async fn g15_every_unit_of_a_timeout_is_understood() {
    let gateway = Gateway::simulated("").await;
    for timeout in ["1H", "1M", "10S", "10000m", "10000000u", "99999999H"] {
        let (told, _) = timed(&gateway, READ, &[("grpc-timeout", timeout)]).await;

        assert_eq!(told.code(), Code::Ok, "{timeout}: {told:?}");
    }
    // A tenth of a second: usually enough for the simulator.
    let (told, _) = timed(&gateway, READ, &[("grpc-timeout", "99999999n")]).await;
    assert!([Code::Ok, Code::DeadlineExceeded].contains(&told.code()), "{told:?}");
}

#[tokio::test]
async fn g17_a_call_whose_time_is_over_on_arrival_is_not_sent() {
    let gateway = Gateway::simulated("").await;
    for timeout in ["0S", "1n", "1u"] {
        let (told, _) = timed(&gateway, WRITE_ONCE, &[("grpc-timeout", timeout)]).await;

        assert_eq!(told.code(), Code::DeadlineExceeded, "{timeout}: {told:?}");
        assert_eq!(told.error_info().reason, "DEADLINE_EXCEEDED", "{timeout}");
        assert_eq!(told.metadata(PUSHBACK), None, "{timeout}");
    }
    let arrived = gateway.control().arrived("trolley").await;
    assert!(arrived.is_empty(), "{arrived:?}");
}

/// G4: every error of a write tells its outcome, one that never began as well.
#[tokio::test]
async fn g4_a_write_whose_time_is_over_on_arrival_says_not_sent() {
    let gateway = Gateway::simulated("").await;
    for timeout in ["0S", "1n"] {
        let (told, _) = timed(&gateway, WRITE_ONCE, &[("grpc-timeout", timeout)]).await;

        let info = told.error_info();
        let outcome = info.metadata.get("outcome").map(String::as_str);
        assert_eq!(outcome, Some("NOT_SENT"), "{timeout}: {info:?}");
    }
}

#[tokio::test]
async fn b2_g18_a_stream_ends_with_deadline_exceeded_at_the_callers_deadline() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    let message = HealthCheckRequest { service: String::new() }.encode_to_vec();
    let start = Instant::now();

    let told = wire.send(HEALTH_WATCH, &message, &[("grpc-timeout", "500m")]).await;

    let elapsed = start.elapsed();
    assert_eq!(told.code(), Code::DeadlineExceeded, "{told:?}");
    assert_eq!(told.error_info().reason, "DEADLINE_EXCEEDED");
    assert_on_time("Watch", elapsed, Duration::from_millis(500));
    // The status that is told at once came before.
    assert!(!told.message().1.is_empty(), "{told:?}");
}

/// Callers watch health for as long as they live.
#[tokio::test]
async fn g15_a_stream_without_a_deadline_gets_no_default_one() {
    let gateway = Gateway::simulated("[grpc]\ndefault_deadline = '100ms'").await;
    let wire = Wire::to(gateway.grpc());
    let message = HealthCheckRequest { service: String::new() }.encode_to_vec();

    let watch = wire.send(HEALTH_WATCH, &message, &[]);
    let ended = tokio::time::timeout(Duration::from_millis(400), watch).await;

    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test]
async fn r6_a_partner_that_refuses_connections_is_unavailable_and_nothing_was_sent() {
    let (listener, url) = silent().await;
    drop(listener);
    let gateway = Gateway::configured(&at(&url, "")).await;
    for (rpc, outcome) in [
        (READ, None),
        (IDEMPOTENT, Some("NOT_SENT")),
        (WRITE_ONCE, Some("NOT_SENT")),
        (WITH_TOKEN, None),
        (WRITE_WITH_TOKEN, Some("NOT_SENT")),
    ] {
        let (told, elapsed) = timed(&gateway, rpc, &[]).await;

        assert_eq!(told.code(), Code::Unavailable, "{rpc}: {told:?}");
        let info = told.error_info();
        assert_eq!(info.metadata.get("outcome").map(String::as_str), outcome, "{rpc}: {info:?}");
        // Nothing forbids the caller to try again.
        assert_eq!(told.metadata(PUSHBACK), None, "{rpc}");
        assert!(elapsed < Duration::from_secs(2), "{rpc}: {elapsed:?}");
    }
}

/// G19: a partner that is slow beyond its own time-outs ends the call before the
/// caller's deadline does.
#[tokio::test]
async fn g19_a_partners_own_time_outs_end_an_attempt_earlier() {
    let (_partner, url) = silent().await;
    let settings = at(&url, "") + "[partners.trolley.timeouts]\nhead = '200ms'\n";
    // One attempt: the caller's library says that it makes more by itself.
    let headers = [("grpc-timeout", "10S"), ("grpc-previous-rpc-attempts", "1")];
    let gateway = Gateway::configured(&settings).await;
    for (rpc, outcome) in [(READ, None), (WRITE_ONCE, Some("UNKNOWN"))] {
        let (told, elapsed) = timed(&gateway, rpc, &headers).await;

        assert_eq!(told.code(), Code::DeadlineExceeded, "{rpc}: {told:?}");
        assert_on_time(rpc, elapsed, Duration::from_millis(200));
        let info = told.error_info();
        assert_eq!(info.reason, "PARTNER_TIMEOUT", "{rpc}");
        assert_eq!(info.metadata.get("outcome").map(String::as_str), outcome, "{rpc}");
    }
}

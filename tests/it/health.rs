//! Health as gRPC's own health client sees it. Numbers are the requirements' (B, G).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::client::pool;
use crate::support::gateway::Gateway;
use crate::support::process::Process;
use crate::support::tool::Tool;

/// All that the client is told, or nothing if it is not installed.
async fn told(address: std::net::SocketAddr, args: &[&str]) -> Option<Vec<Value>> {
    let address = address.to_string();
    let args = [&[address.as_str()], args].concat();
    Some(Tool::start("health_client.py", &args)?.finish().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_a_list_tells_every_service_on_both_listeners() {
    let gateway = Gateway::simulated("").await;
    let mut expected: BTreeSet<_> =
        pool().services().map(|service| service.full_name().to_owned()).collect();
    let partners = ["trolley", "trustap", "trustist"].map(|name| format!("gateway.partner.{name}"));
    let reflection = ["v1", "v1alpha"].map(|it| format!("grpc.reflection.{it}.ServerReflection"));
    expected.extend(["", "liveness", "readiness"].map(str::to_owned));
    expected.extend(partners.into_iter().chain(reflection));

    for address in [gateway.grpc(), gateway.operations()] {
        let Some(told) = told(address, &["list"]).await else { return };

        let statuses = told[0]["statuses"].as_object().unwrap();
        assert_eq!(statuses.keys().cloned().collect::<BTreeSet<_>>(), expected);
        assert!(statuses.values().all(|status| status == "SERVING"), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g31_reflection_that_is_off_has_no_health() {
    let gateway = Gateway::simulated("[grpc]\nreflection = false").await;

    let Some(told) = told(gateway.grpc(), &["list"]).await else { return };

    let statuses = told[0]["statuses"].as_object().unwrap();
    assert!(statuses.contains_key("grpc.health.v1.Health"), "{told:?}");
    assert!(!statuses.keys().any(|name| name.contains("reflection")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g28_a_check_tells_one_service_and_unknown_ones_are_not_found() {
    let gateway = Gateway::simulated("").await;
    let services = ["check", "-", "liveness", "readiness", "trolley.v1.WebhookService", "no.Such"];

    let Some(told) = told(gateway.operations(), &services).await else { return };

    let (last, known) = told.split_last().unwrap();
    assert!(known.len() == 4 && known.iter().all(|it| it["status"] == "SERVING"), "{told:?}");
    assert_eq!(last["code"], "NOT_FOUND");
}

/// Who watches on the callers' port is told, and then sent elsewhere, not all at once.
#[tokio::test(flavor = "multi_thread")]
async fn g27_a_watch_is_told_the_change_and_ends_with_a_time_to_come_back() {
    let delay = [("PARTNER_GATEWAY__GRPC__DRAIN_DELAY", "300ms")];
    let mut process = Process::serve(&["--simulate"], &delay).await;
    let address = process.grpc.to_string();
    let args = [address.as_str(), "watch", "readiness"];
    let Some(mut watch) = Tool::start("health_client.py", &args) else { return };
    let first = watch.next().await.unwrap();

    process.signal("TERM").await;
    let rest = watch.finish().await;
    let status = process.ended().await;

    assert_eq!(first, json!({"service": "readiness", "status": "SERVING"}));
    assert_eq!(rest[0]["status"], "NOT_SERVING", "{rest:?}");
    assert_eq!((rest.len(), &rest[1]["code"]), (2, &json!("UNAVAILABLE")), "{rest:?}");
    let pushback = rest[1]["trailers"]["grpc-retry-pushback-ms"].as_str().unwrap();
    assert!((100..=2100).contains(&pushback.parse().unwrap()), "{pushback}");
    assert_eq!(status.code(), Some(0));
}

/// All replicas would be taken out at once.
#[tokio::test(flavor = "multi_thread")]
async fn g29_a_partner_whose_credentials_are_refused_is_away_and_the_gateway_is_ready() {
    let gateway = Gateway::simulated("").await;
    let refused =
        json!({"kind": "status", "status": 401, "body": "{\"error\":\"invalid_client\"}"});
    let rule = json!({"partner": "trustist", "path": "/token", "times": null, "fault": refused});
    gateway.control().fault(rule).await;
    let address = gateway.operations().to_string();
    let args = [address.as_str(), "watch", "gateway.partner.trustist"];
    let Some(mut watch) = Tool::start("health_client.py", &args) else { return };
    let before = watch.next().await.unwrap();

    let call = gateway.client.call("trustist.v1.InvitationService/ListInvitations", json!({}));
    let failed = call.await.unwrap_err();
    let after = watch.next().await.unwrap();
    let services = ["check", "-", "liveness", "readiness", "gateway.partner.trolley"];
    let others = told(gateway.operations(), &services).await.unwrap();

    assert_eq!(before["status"], "SERVING");
    assert_eq!(after["status"], "NOT_SERVING", "{failed:?}");
    assert!(others.iter().all(|it| it["status"] == "SERVING"), "{others:?}");
}

/// A partner whose reads fail, and that is left alone soon.
const BREAKER: &str = r#"
    [partners.trolley]
    access_key = "a"
    secret_key = "b"
    [partners.trolley.breaker]
    min_attempts = 2
    open = "500ms"
    max_open = "500ms"
    [partners.trolley.retry]
    max_attempts = 1
"#;

/// G29, R17: the other half, a partner that answers with failures.
#[tokio::test(flavor = "multi_thread")]
async fn g29_r17_a_partner_that_is_left_alone_is_away_until_it_is_back_and_the_gateway_is_ready() {
    const LIST: &str = "trolley.v1.WebhookService/ListWebhooks";
    let gateway = Gateway::simulated(BREAKER).await;
    let rule =
        json!({"partner": "trolley", "times": null, "fault": {"kind": "status", "status": 500}});
    gateway.control().fault(rule).await;
    let address = gateway.operations().to_string();
    let args = [address.as_str(), "watch", "gateway.partner.trolley"];
    let Some(mut watch) = Tool::start("health_client.py", &args) else { return };
    let before = watch.next().await.unwrap();

    for _ in 0..2 {
        gateway.client.call(LIST, json!({})).await.unwrap_err();
    }
    let open = watch.next().await.unwrap();
    let services = ["check", "-", "liveness", "readiness", "gateway.partner.trustist"];
    let others = told(gateway.operations(), &services).await.unwrap();
    let partner = told(gateway.grpc(), &["check", "gateway.partner.trolley"]).await.unwrap();
    gateway.control().delete("/_simulator/faults").await;
    // The gateway sees for itself: those who look at its health before they call do not call.
    let closed = watch.next().await.unwrap();

    assert_eq!(before["status"], "SERVING");
    assert_eq!(
        (&open["status"], &partner[0]["status"]),
        (&json!("NOT_SERVING"), &json!("NOT_SERVING"))
    );
    assert_eq!(others.len(), 4);
    assert!(others.iter().all(|it| it["status"] == "SERVING"), "{others:?}");
    assert_eq!(closed["status"], "SERVING");
}

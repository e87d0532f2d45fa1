//! Identical reads in flight are one, for callers that have asked for it.

use futures_util::future::join_all;
use serde_json::json;
use tonic::Code;

use crate::callers::{as_caller, section};
use crate::partners::arrived;
use crate::support::gateway::Gateway;
use crate::support::page;
use crate::support::wire::Wire;

const LIST: &str = "trolley.v1.WebhookService/ListWebhooks";
const PATH: &str = "/v1/subscriptions";

async fn gateway() -> Gateway {
    let callers = [
        section("one", "one", "coalesce_reads = true"),
        section("two", "two", "coalesce_reads = true"),
        section("alone", "alone", ""),
    ];
    let gateway = Gateway::simulated(&callers.concat()).await;
    let fault = json!({"kind": "delay", "millis": 4000});
    let rule = json!({"partner": "trolley", "path": PATH, "times": null, "fault": fault});
    gateway.control().fault(rule).await;
    gateway
}

#[tokio::test]
async fn identical_reads_of_a_caller_that_has_asked_for_it_are_one_request() {
    let gateway = gateway().await;
    let calls = (0..40).map(|n| {
        let token = if n % 2 == 0 { "one" } else { "two" };
        gateway.client.call_with(LIST, as_caller(token, json!({})))
    });
    let answers = join_all(calls).await;
    let mut ids = std::collections::HashSet::new();
    for answer in answers {
        let metadata = answer.unwrap().metadata;
        assert_eq!(metadata.get("x-gateway-attempts").unwrap(), "1");
        assert!(ids.insert(metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned()));
    }
    assert_eq!(arrived(&gateway, "trolley", PATH).await.len(), 2, "one for each caller");

    let calls = (0..3).map(|_| gateway.client.call_with(LIST, as_caller("alone", json!({}))));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(arrived(&gateway, "trolley", PATH).await.len(), 5);
}

/// Waits until so many reads have come in.
async fn have_come(gateway: &Gateway, reads: u64) {
    let series = format!(r#"grpc_server_call_started_total{{grpc_method="{LIST}"}}"#);
    page::until(gateway.operations(), |page| page::value(page, &series) == Some(reads)).await;
}

/// G16: whoever is in time for the others' request has their own time.
#[tokio::test]
async fn g16_each_waits_as_long_as_they_said_and_the_first_may_go_away() {
    let gateway = gateway().await;
    let call = || gateway.client.call_with(LIST, as_caller("one", json!({})));
    let first = async {
        tokio::select! {
            answer = call() => panic!("the partner takes longer: {answer:?}"),
            () = have_come(&gateway, 3) => {}
        }
    };
    let (wire, headers) =
        (Wire::to(gateway.grpc()), [("authorization", "Bearer one"), ("grpc-timeout", "700m")]);
    let others = async {
        have_come(&gateway, 1).await;
        tokio::join!(wire.call(LIST, json!({}), &headers), call())
    };
    let ((), (short, last)) = tokio::join!(first, others);
    assert_eq!(short.code(), Code::DeadlineExceeded);
    // It was sent: the time was the partner's.
    assert_eq!(short.error_info().reason, "PARTNER_TIMEOUT");
    assert_eq!(short.metadata("x-gateway-attempts"), Some("1"));
    last.unwrap();
    assert_eq!(arrived(&gateway, "trolley", PATH).await.len(), 1);
}

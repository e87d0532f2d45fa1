//! The service config that callers are given, `docs/service-config.json`: it is made of the
//! catalogue, it obeys gRPC's own rules, and gRPC's own library takes it (G33).

use std::collections::BTreeSet;

use partner_gateway::operation::{Catalogue, Effect, Operation};
use serde_json::{Value, json};

use crate::support::gateway::Gateway;
use crate::support::tool::Tool;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/service-config.json");

/// The reads are tried again by the caller's library, also those of the gateway itself;
/// nothing else is.
fn made() -> Value {
    let operations = Catalogue::embedded().unwrap().operations().iter();
    let reads: Vec<&Operation> =
        operations.copied().filter(|operation| operation.effect == Effect::Read).collect();
    let names = reads.iter().map(|it| json!({"service": it.service, "method": it.name}));
    json!({
        "methodConfig": [{
            "name": names.collect::<Vec<_>>(),
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    })
}

fn committed() -> Value {
    serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap()
}

/// `UPDATE_SERVICE_CONFIG=1` writes it anew.
#[test]
fn g33_the_file_has_every_read_and_no_write() {
    let made = made();
    if std::env::var_os("UPDATE_SERVICE_CONFIG").is_some() {
        std::fs::write(FILE, format!("{made:#}\n")).unwrap();
    }
    assert_eq!(committed(), made, "run this test with UPDATE_SERVICE_CONFIG=1");
}

fn seconds(duration: &Value) -> f64 {
    duration.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap()
}

/// gRFC A6, "Validation of retryPolicy" and of retryThrottling.
#[test]
fn g33_it_obeys_the_rules_of_a6() {
    let config = committed();
    let mut names = BTreeSet::new();
    for method in config["methodConfig"].as_array().unwrap() {
        for name in method["name"].as_array().unwrap() {
            assert!(names.insert(name.to_string()), "{name} twice");
        }
        let policy = &method["retryPolicy"];
        assert!((2..=5).contains(&policy["maxAttempts"].as_u64().unwrap()), "{policy}");
        assert!(seconds(&policy["initialBackoff"]) > 0.0 && seconds(&policy["maxBackoff"]) > 0.0);
        assert!(policy["backoffMultiplier"].as_f64().unwrap() > 0.0, "{policy}");
        assert_eq!(policy["retryableStatusCodes"], json!(["UNAVAILABLE"]));
    }
    let throttling = &config["retryThrottling"];
    let tokens = throttling["maxTokens"].as_f64().unwrap();
    assert!(tokens > 0.0 && tokens <= 1000.0, "{throttling}");
    assert!(throttling["tokenRatio"].as_f64().unwrap() > 0.0, "{throttling}");
}

/// What a caller with this file sends for one call that fails as unavailable.
async fn attempts(gateway: &Gateway, rpc: &str, request: &[u8]) -> Option<usize> {
    let address = gateway.grpc().to_string();
    let request = request.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let told = Tool::start("one_call.py", &[&address, rpc, &request, "--config", FILE])?;
    let told = told.finish().await;
    assert_eq!(told[0]["code"], "UNAVAILABLE", "{told:?}");
    Some(gateway.control().arrived("trolley").await.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn g33_grpcs_own_library_tries_reads_again_and_writes_not() {
    let gateway = Gateway::simulated("").await;
    let fault = json!({"kind": "drop_before"});
    let rule = json!({"partner": "trolley", "times": null, "fault": fault});
    gateway.control().fault(rule).await;
    // The gateway's own: what is counted here is the library's.
    let gateways_own = 3;

    let read = "trolley.v1.WebhookService/ListWebhooks";
    let Some(of_read) = attempts(&gateway, read, b"").await else { return };
    // An IDEMPOTENT call: not even that is for a library to decide.
    let write = "trolley.v1.WidgetService/UpdateWidgetConfig";
    let request = crate::support::wire::encoded(write, json!({"colors": {"primary": "#112233"}}));
    let of_write = attempts(&gateway, write, &request).await.unwrap() - of_read;

    // The gateway makes no repeats of its own for a call that the library repeats (G34).
    assert!(of_read > gateways_own, "{of_read}");
    assert_eq!(of_write, gateways_own);
}

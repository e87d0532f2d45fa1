//! What a client of another make does with the gateway's word on retries (G3, G13, G34):
//! grpcio, which retries by its service config, in the core that many languages share.

use std::path::Path;
use std::time::Duration;

use partner_gateway::simulator::trolley::{PARENT_ACCESS_KEY, PARENT_SECRET_KEY};
use serde_json::{Value, json};

use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::python;
use crate::support::wire::encoded;

const READ: &str = "trolley.v1.WebhookService/ListWebhooks";
const WRITE_ONCE: &str = "trolley.v1.WebhookService/CreateWebhook";
/// How often the client tries at most, by its service config.
const CLIENTS_OWN: usize = 4;
/// How often the gateway does.
const GATEWAYS_OWN: usize = 3;

/// A gateway, and the simulators that it calls.
struct Pair {
    gateway: Gateway,
    control: Control,
}

/// What the client tells of its call.
#[derive(Debug)]
struct Told {
    code: String,
    elapsed: Duration,
    metadata: Value,
    /// How many requests the partner got, and when, in milliseconds.
    arrived: Vec<i64>,
}

// === impl Pair ===

impl Pair {
    async fn new(fault: Value, times: Option<u32>) -> Self {
        let control = Control::start().await;
        let settings = format!(
            "[partners.trolley]\nbase_url = 'http://{}/trolley'\n\
            access_key = '{PARENT_ACCESS_KEY}'\nsecret_key = '{PARENT_SECRET_KEY}'\n\
            [partners.trolley.retry]\nbase_delay = '1ms'\nmax_delay = '500ms'\n\
            [partners.trolley.breaker]\nenabled = false\n",
            control.address
        );
        let gateway = Gateway::configured(&settings).await;
        control.fault(json!({"partner": "trolley", "times": times, "fault": fault})).await;
        Self { gateway, control }
    }

    async fn call(&self, python: &Path, rpc: &str, metadata: &[&str]) -> Told {
        let request = match rpc {
            WRITE_ONCE => json!({
                "action": "NOTIFICATION_ACTION_ALL",
                "model": "NOTIFICATION_TYPE_PAYMENT",
                "target": "https://example.com/hook",
            }),
            _ => json!({}),
        };
        let message = encoded(rpc, request);
        let message: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
        let address = self.gateway.grpc().to_string();
        let mut args = vec![address.as_str(), rpc, &message];
        args.extend(metadata.iter().flat_map(|pair| ["--metadata", pair]));
        let printed = python::run(python, "pushback.py", &args).await;
        let told: Value = serde_json::from_str(&printed).unwrap();
        let arrived = self.control.arrived("trolley").await;
        let arrived = arrived.iter().map(|entry| {
            let time: jiff::Timestamp = entry["time"].as_str().unwrap().parse().unwrap();
            time.as_millisecond()
        });
        Told {
            code: told["code"].as_str().unwrap().to_owned(),
            elapsed: Duration::from_secs_f64(told["seconds"].as_f64().unwrap()),
            metadata: told["metadata"].clone(),
            arrived: arrived.collect(),
        }
    }
}

/// The partner's hint is longer than the gateway waits for by itself, so it is the client
/// that waits: as long as it is told to, not as long as its own policy says.
#[tokio::test(flavor = "multi_thread")]
async fn g13_a_client_waits_as_long_as_it_is_told() {
    let Some(python) = python::python() else { return };
    let pair =
        Pair::new(json!({"kind": "rate_limited", "retry_after": 1, "reset_after": 1}), Some(1))
            .await;

    let told = pair.call(&python, READ, &[]).await;

    assert_eq!(told.code, "OK", "{told:?}");
    assert_eq!(told.arrived.len(), 2, "{told:?}");
    let waited = told.arrived[1] - told.arrived[0];
    // The gateway's gate opens up to a tenth later than the partner said.
    assert!((1_000..=1_400).contains(&waited), "{waited} ms: {told:?}");
    // By its own policy it would have been back after 50 ms, and in vain each time.
    assert!(told.elapsed >= Duration::from_secs(1), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_g13_a_client_never_repeats_a_write_whose_outcome_is_unknown() {
    let Some(python) = python::python() else { return };
    for fault in [
        json!({"kind": "drop_before"}),
        json!({"kind": "drop_after"}),
        json!({"kind": "status", "status": 503, "text": ""}),
        json!({"kind": "truncate", "after_bytes": 5}),
    ] {
        let pair = Pair::new(fault.clone(), None).await;

        let told = pair.call(&python, WRITE_ONCE, &[]).await;

        assert_eq!(told.code, "UNAVAILABLE", "{fault}: {told:?}");
        assert_eq!(told.metadata["grpc-retry-pushback-ms"], "-1", "{fault}: {told:?}");
        assert_eq!(told.arrived.len(), 1, "{fault}: {told:?}");
    }
}

/// The client's attempts after the first say so, and the gateway leaves the retrying to
/// it: one request for each, instead of three.
#[tokio::test(flavor = "multi_thread")]
async fn g34_retries_of_a_client_and_of_the_gateway_do_not_multiply() {
    let Some(python) = python::python() else { return };
    let pair = Pair::new(json!({"kind": "status", "status": 503, "text": ""}), None).await;

    let told = pair.call(&python, READ, &[]).await;

    assert_eq!(told.code, "UNAVAILABLE", "{told:?}");
    assert_eq!(told.metadata["x-gateway-attempts"], "1", "of the last one: {told:?}");
    assert_eq!(told.arrived.len(), GATEWAYS_OWN + CLIENTS_OWN - 1, "{told:?}");
}

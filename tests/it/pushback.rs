//! What a client of another make does with the gateway's word on retries (G3, G13, G34):
//! grpcio, which retries by its service config, in the core that many languages share.
//!
//! Its attempts are counted and timed where they come in, by the gateway's own log. What
//! arrives at the partner says less: a client that comes back too early would wait there
//! for a gate to open, and nobody could tell it from one that has obeyed.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use partner_gateway::simulator::trolley::{PARENT_ACCESS_KEY, PARENT_SECRET_KEY};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::process::Process;
use crate::support::python;
use crate::support::wire::{Wire, encoded};

const READ: &str = "trolley.v1.WebhookService/ListWebhooks";
const WRITE_ONCE: &str = "trolley.v1.WebhookService/CreateWebhook";
/// What the place is held with that the client wants, and where that arrives.
const HELD: (&str, &str) = ("trolley.v1.BalanceService/GetFundingInfo", "/v1/balances/info");
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// How often the client tries at most, by its service config.
const CLIENTS_OWN: usize = 4;
/// How often the gateway does.
const GATEWAYS_OWN: usize = 3;
/// What a busy machine may add to a wait.
const LATE: SignedDuration = SignedDuration::from_millis(400);
/// For a program to start, or for a line to be written.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway whose log can be read, and the simulators that it calls.
struct Pair {
    process: Process,
    control: Control,
    _folder: TempDir,
}

/// What the client tells of its call.
#[derive(Debug)]
struct Told {
    code: String,
    metadata: Value,
    /// How many requests the partner got.
    arrived: usize,
}

/// One attempt of the client's, as the gateway saw it.
#[derive(Debug)]
struct Attempt {
    came: Timestamp,
    reason: Option<String>,
    /// How many the client says that it has made before.
    previous: u64,
}

// === impl Pair ===

impl Pair {
    async fn new(more: &str) -> Self {
        let control = Control::start().await;
        let settings = format!(
            "[partners.trolley]\nbase_url = 'http://{}/trolley'\n\
            access_key = '{PARENT_ACCESS_KEY}'\nsecret_key = '{PARENT_SECRET_KEY}'\n\
            [partners.trolley.retry]\nbase_delay = '1ms'\nmax_delay = '500ms'\n\
            [partners.trolley.breaker]\nenabled = false\n{more}",
            control.address
        );
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gateway.toml");
        std::fs::write(&config, settings).unwrap();
        let process = Process::serve(&["--config", config.to_str().unwrap()], &[]).await;
        Self { process, control, _folder: folder }
    }

    async fn fault(&self, times: Option<u32>, fault: Value) {
        self.control.fault(json!({"partner": "trolley", "times": times, "fault": fault})).await;
    }

    async fn call(&self, python: &Path, rpc: &str) -> Told {
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
        let address = self.process.grpc.to_string();
        let printed = python::run(python, "pushback.py", &[&address, rpc, &message]).await;
        let told: Value = serde_json::from_str(&printed).unwrap();
        Told {
            code: told["code"].as_str().unwrap().to_owned(),
            metadata: told["metadata"].clone(),
            arrived: self.control.arrived("trolley").await.len(),
        }
    }

    /// The attempts that the gateway saw, once there are so many.
    async fn attempts(&self, rpc: &str, count: usize) -> Vec<Attempt> {
        let seen = || {
            let log = self.process.log().into_iter();
            log.filter(|line| line["rpc"] == rpc).map(|line| Attempt::of(&line)).collect::<Vec<_>>()
        };
        let polled = async {
            while seen().len() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let polled = timeout(PATIENCE, polled).await;
        polled.unwrap_or_else(|_| panic!("not {count} attempts: {:?}", self.process.log()));
        seen()
    }
}

// === impl Attempt ===

impl Attempt {
    /// Of its line, which is written when it has ended.
    fn of(line: &Value) -> Self {
        let ended: Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        let duration = SignedDuration::from_secs_f64(line["duration"].as_f64().unwrap());
        Self {
            came: ended - duration,
            reason: line["reason"].as_str().map(str::to_owned),
            previous: line["previous_attempts"].as_u64().unwrap_or_default(),
        }
    }
}

/// Whether the client made one more attempt, not before `told` and soon after it.
fn assert_obeyed(attempts: &[Attempt], told: SignedDuration) {
    let [first, second] = attempts else { panic!("two attempts: {attempts:?}") };
    assert_eq!((first.previous, second.previous), (0, 1), "{attempts:?}");
    let waited = second.came.duration_since(first.came);
    assert!(waited >= told && waited <= told + LATE, "{waited:?}: {attempts:?}");
}

/// There is no room for the call, and as soon as it is told so there is: a client that went
/// by its own policy, or was told nothing, would be back after 50 ms, and be answered.
#[tokio::test(flavor = "multi_thread")]
async fn g13_a_client_waits_as_long_as_it_is_told() {
    let Some(python) = python::python() else { return };
    let pair = Pair::new("[grpc]\nmax_calls = 1\n").await;
    let delay = json!({"kind": "delay", "millis": 60_000});
    let rule = json!({"partner": "trolley", "path": HELD.1, "times": null, "fault": delay});
    pair.control.fault(rule).await;
    let address = pair.process.grpc;
    #[expect(clippy::disallowed_methods, reason = "it is ended below")]
    let held = tokio::spawn(async move {
        let client = Client::connect(address).await;
        client.call(HELD.0, json!({})).await
    });
    pair.control.until_arrived("trolley", HELD.1).await;
    let pushback = Wire::to(address).call(HELD.0, json!({}), &[]).await;
    assert_eq!(pushback.error_info().reason, "OVERLOADED", "{pushback:?}");
    let pushback = pushback.metadata(PUSHBACK).unwrap().parse().unwrap();

    let freed = async {
        let attempts = pair.attempts(READ, 1).await;
        held.abort();
        attempts[0].reason.clone()
    };
    let (told, reason) = tokio::join!(pair.call(&python, READ), freed);

    assert_eq!((told.code.as_str(), reason.as_deref()), ("OK", Some("OVERLOADED")), "{told:?}");
    // Long after the 50 ms, or nothing is shown.
    assert!(pushback >= 1_000, "{pushback} ms");
    let pushback = SignedDuration::from_millis(pushback);
    assert_obeyed(&pair.attempts(READ, 2).await, pushback);
}

/// The partner's hint is longer than the gateway waits for by itself, so it is the client
/// that waits, as long as the partner said.
#[tokio::test(flavor = "multi_thread")]
async fn g13_a_client_waits_as_long_as_the_partner_says() {
    let Some(python) = python::python() else { return };
    let pair = Pair::new("").await;
    pair.fault(Some(1), json!({"kind": "rate_limited", "retry_after": 1, "reset_after": 1})).await;

    let told = pair.call(&python, READ).await;

    assert_eq!((told.code.as_str(), told.arrived), ("OK", 2), "{told:?}");
    let attempts = pair.attempts(READ, 2).await;
    assert_eq!(attempts[0].reason.as_deref(), Some("PARTNER_RATE_LIMITED"), "{attempts:?}");
    assert_obeyed(&attempts, SignedDuration::from_secs(1));
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
        let pair = Pair::new("").await;
        pair.fault(None, fault.clone()).await;

        let told = pair.call(&python, WRITE_ONCE).await;

        assert_eq!(told.code, "UNAVAILABLE", "{fault}: {told:?}");
        assert_eq!(told.metadata[PUSHBACK], "-1", "{fault}: {told:?}");
        assert_eq!(told.arrived, 1, "{fault}: {told:?}");
        assert_eq!(pair.attempts(WRITE_ONCE, 1).await.len(), 1, "{fault}");
    }
}

/// The client's attempts after the first say so, and the gateway leaves the retrying to
/// it: one request for each, instead of three. And it comes back by its own policy where
/// it is told nothing (G13): it is the pushback that it waits for elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn g34_retries_of_a_client_and_of_the_gateway_do_not_multiply() {
    let Some(python) = python::python() else { return };
    let pair = Pair::new("").await;
    pair.fault(None, json!({"kind": "status", "status": 503, "text": ""})).await;

    let told = pair.call(&python, READ).await;

    assert_eq!(told.code, "UNAVAILABLE", "{told:?}");
    assert_eq!(told.metadata[PUSHBACK], Value::Null, "{told:?}");
    assert_eq!(told.metadata["x-gateway-attempts"], "1", "of the last one: {told:?}");
    assert_eq!(told.arrived, GATEWAYS_OWN + CLIENTS_OWN - 1, "{told:?}");
    let attempts = pair.attempts(READ, CLIENTS_OWN).await;
    let previous: Vec<_> = attempts.iter().map(|it| it.previous).collect();
    assert_eq!(previous, [0, 1, 2, 3], "{attempts:?}");
    let quick = SignedDuration::from_millis(900);
    let waits = attempts.windows(2).map(|two| two[1].came.duration_since(two[0].came));
    assert!(waits.into_iter().all(|wait| wait < quick), "{attempts:?}");
}

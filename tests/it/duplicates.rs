//! One `request_id` in a thousand calls at once, and in calls before and after a crash:
//! the partner is sent the write once (R8, G37).

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::partners::info;
use crate::support::client::{Answer, Client};
use crate::support::control::Control;
use crate::support::kept;
use crate::support::process::Process;

const CALLERS: usize = 1_000;
/// Each connection takes a hundred calls at once.
const CONNECTIONS: usize = 20;
const WRITE_ONCE: &str = "trolley.v1.WebhookService/CreateWebhook";
const PATH: &str = "/v1/subscriptions";
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway that keeps its records in a file, as a process of its own.
async fn gateway(control: &Control, folder: &Path) -> Process {
    let url = kept::sqlite(folder);
    let config = folder.join("gateway.toml");
    std::fs::write(&config, kept::settings(control, &url)).unwrap();
    Process::serve(&["--config", config.to_str().unwrap()], &[]).await
}

async fn clients(process: &Process) -> Vec<Client> {
    join_all((0..CONNECTIONS).map(|_| Client::connect(process.grpc))).await
}

async fn call(client: &Client, id: &str) -> Result<Answer, Status> {
    let request = json!({
        "action": "NOTIFICATION_ACTION_ALL",
        "model": "NOTIFICATION_TYPE_PAYMENT",
        "target": "https://example.com/hook",
        "requestId": id,
    });
    client.call(WRITE_ONCE, request).await
}

/// Asks again as long as another call with the id is under way, when it is told to.
async fn ask_until_settled(client: &Client, id: &str) -> Result<Answer, Status> {
    loop {
        match call(client, id).await {
            Err(status) if status.code() == Code::Aborted => {
                assert_eq!(info(&status).reason, "REQUEST_IN_FLIGHT", "{status:?}");
                let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
                let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
                assert_eq!(pushback.to_str().unwrap(), wait.as_millis().to_string());
                sleep(wait).await;
            }
            settled => return settled,
        }
    }
}

async fn arrived(control: &Control) -> usize {
    let arrived = control.arrived("trolley").await;
    arrived.iter().filter(|entry| entry["path"] == PATH).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn g37_a_thousand_duplicates_at_once_are_one_request_and_get_one_answer() {
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let process = gateway(&control, folder.path()).await;
    let clients = clients(&process).await;
    // Long enough for many to come while the first one is under way.
    let fault = json!({"kind": "delay", "millis": 500});
    control.fault(json!({"partner": "trolley", "path": PATH, "fault": fault})).await;
    let id = uuid::Uuid::new_v4().to_string();

    let asked = (0..CALLERS).map(|caller| ask_until_settled(&clients[caller % CONNECTIONS], &id));
    let answers = timeout(PATIENCE, join_all(asked)).await.expect("somebody waits for ever");

    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(arrived(&control).await, 1, "sent more than once");
    let first = &answers[0].reply;
    assert!(first["id"].as_str().is_some_and(|id| !id.is_empty()), "{first}");
    assert!(answers.iter().all(|answer| answer.reply == *first), "not the same answer");
    let is_replay = |answer: &&Answer| answer.metadata.get("x-gateway-replayed").is_some();
    assert_eq!(answers.iter().filter(is_replay).count(), CALLERS - 1);
    let sent: u32 = answers.iter().map(|answer| attempts(&answer.metadata)).sum();
    assert_eq!(sent, 1, "requests that callers are told of");
}

fn attempts(metadata: &tonic::metadata::MetadataMap) -> u32 {
    let attempts = metadata.get("x-gateway-attempts").unwrap();
    attempts.to_str().unwrap().parse().unwrap()
}

/// The gateway is killed when the partner has acted and has not answered yet.
#[tokio::test(flavor = "multi_thread")]
async fn r7_r8_a_kill_between_sending_and_the_answer_never_leads_to_a_second_send() {
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let mut process = gateway(&control, folder.path()).await;
    let clients_before = clients(&process).await;
    let fault = json!({"kind": "delay", "millis": 3_000});
    control.fault(json!({"partner": "trolley", "path": PATH, "fault": fault})).await;
    let id = uuid::Uuid::new_v4().to_string();
    let killing = async {
        control.until_arrived("trolley", PATH).await;
        process.signal("KILL").await;
        process.ended().await;
    };
    let asked = clients_before.iter().map(|client| call(client, &id));
    let (lost, ()) = tokio::join!(join_all(asked), killing);
    assert!(lost.iter().all(Result::is_err), "{lost:?}");

    let process = gateway(&control, folder.path()).await;
    let clients = clients(&process).await;
    let asked = clients.iter().map(|client| ask_until_settled(client, &id));
    let told = timeout(PATIENCE, join_all(asked)).await.expect("somebody waits for ever");

    for told in &told {
        let status = told.as_ref().expect_err("nobody has the answer");
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
        let info = info(status);
        assert_eq!(info.reason, "OUTCOME_UNKNOWN", "{info:?}");
        assert_eq!(info.metadata["outcome"], "UNKNOWN", "{info:?}");
        assert!(!info.metadata["read_rpc"].is_empty(), "what to read: {info:?}");
    }
    let arrived = control.arrived("trolley").await;
    let acted = |entry: &&Value| entry["path"] == PATH && entry["acted"] == true;
    assert_eq!(arrived.iter().filter(acted).count(), 1, "{arrived:?}");
}

//! `request_id`: a write that is asked for again is not done again, whatever became of the
//! process that did it, and whichever replica is asked.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::time::{sleep, timeout};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::callers::{as_caller, section};
use crate::partners::info;
use crate::support::client::{Answer, Client};
use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::kept::{settings, sqlite};
use crate::support::postgres::Postgres;
use crate::support::process::Process;

const MAKE: &str = "trolley.v1.WebhookService/CreateWebhook";
const MADE_AT: &str = "/v1/subscriptions";
/// What tells whether it was made.
pub(crate) const READ: &str = "trolley.v1.WebhookService/ListWebhooks";
/// For anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store that outlives the gateway's processes, and the partner.
pub(crate) struct Setting {
    pub(crate) control: Control,
    url: String,
    config: PathBuf,
    /// For SQLite's file, and the configuration.
    _folder: tempfile::TempDir,
}

// === impl Setting ===

impl Setting {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::new(sqlite(folder.path()), folder).await
    }

    pub(crate) async fn postgres() -> Option<Self> {
        Some(Self::on(Postgres::shared()?).await)
    }

    /// In a cluster that the test may stop.
    async fn on(cluster: &Postgres) -> Self {
        Self::new(cluster.database().await, tempfile::tempdir().unwrap()).await
    }

    async fn new(url: String, folder: tempfile::TempDir) -> Self {
        sqlx::any::install_default_drivers();
        let (control, config) = (Control::start().await, folder.path().join("gateway.toml"));
        std::fs::write(&config, settings(&control, &url)).unwrap();
        Self { control, url, config, _folder: folder }
    }

    pub(crate) async fn start(&self, more: &[String]) -> Process {
        let mut args = vec!["--config", self.config.to_str().unwrap()];
        args.extend(more.iter().map(String::as_str));
        Process::serve(&args, &[]).await
    }

    /// How many the partner has made.
    pub(crate) async fn made(&self) -> usize {
        let arrived = self.control.arrived("trolley").await;
        let acted = |entry: &&Value| {
            entry["path"] == MADE_AT && entry["method"] == "POST" && entry["acted"] == true
        };
        arrived.iter().filter(acted).count()
    }

    /// The next answer comes late, after the partner has acted.
    async fn answer_late(&self, millis: u64) {
        self.fault(json!({"kind": "delay", "millis": millis})).await;
    }

    async fn fault(&self, fault: Value) {
        let rule = json!({"partner": "trolley", "method": "POST", "path": MADE_AT, "fault": fault});
        self.control.fault(rule).await;
    }

    /// The time of every call that nobody ended is over. Another replica has to wait for
    /// that; on SQLite the next process knows it.
    pub(crate) async fn overdue(&self) {
        let mut connection = AnyConnection::connect(&self.url).await.unwrap();
        connection.execute("UPDATE requests SET settles_by = 0").await.unwrap();
        connection.close().await.unwrap();
    }
}

/// Makes one with this id and target.
pub(crate) async fn make(client: &Client, id: Uuid, target: &str) -> Result<Answer, Status> {
    let mut request = Request::new(json!({
        "action": "NOTIFICATION_ACTION_ALL",
        "model": "NOTIFICATION_TYPE_PAYMENT",
        "target": format!("https://example.com/{target}"),
        "requestId": id.to_string(),
    }));
    request.set_timeout(PATIENCE);
    client.call_with(MAKE, request).await
}

pub(crate) fn is_replayed(answer: &Answer) -> bool {
    answer.metadata.get("x-gateway-replayed").is_some_and(|value| value == "true")
}

fn told(status: &Status) -> (Code, String) {
    (status.code(), info(status).reason)
}

/// Asserts what a caller is told of a call whose outcome nobody knows.
pub(crate) fn assert_unknown(status: &Status) {
    let told = told(status);
    assert_eq!(told, (Code::FailedPrecondition, "OUTCOME_UNKNOWN".to_owned()), "{status:?}");
    assert_eq!(info(status).metadata["read_rpc"], READ);
    assert_eq!(info(status).metadata["outcome"], "UNKNOWN");
    assert!(status.message().contains(READ), "{}", status.message());
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
}

async fn replays_after_a_restart(setting: Setting) {
    let id = Uuid::new_v4();
    let mut process = setting.start(&[]).await;
    let first = make(&Client::connect(process.grpc).await, id, "one").await.unwrap();
    process.signal("KILL").await;
    process.ended().await;

    let process = setting.start(&[]).await;
    let client = Client::connect(process.grpc).await;
    for _ in 0..2 {
        let again = make(&client, id, "one").await.unwrap();
        assert_eq!((&again.reply, is_replayed(&again)), (&first.reply, true));
        assert_eq!(again.metadata.get("x-gateway-attempts").unwrap(), "0");
        let ids = [&again, &first].map(|it| it.metadata.get("x-partner-request-id").cloned());
        assert_eq!(ids[0], ids[1]);
    }
    let other = make(&client, id, "another").await.unwrap_err();
    assert_eq!(told(&other), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
    assert_eq!(setting.made().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_a_success_is_replayed_after_a_restart_on_sqlite() {
    replays_after_a_restart(Setting::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_a_success_is_replayed_after_a_restart_on_postgres() {
    let Some(setting) = Setting::postgres().await else { return };
    replays_after_a_restart(setting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g37_replicas_are_one_to_a_request_id() {
    let Some(setting) = Setting::postgres().await else { return };
    let (one, two) = tokio::join!(setting.start(&[]), setting.start(&[]));
    let (one, two) =
        tokio::join!(Client::connect(one.grpc), async { Client::connect(two.grpc).await });
    let id = Uuid::new_v4();
    setting.answer_late(1_500).await;
    let others = async {
        setting.control.until_arrived("trolley", MADE_AT).await;
        for client in [&two, &one] {
            let status = make(client, id, "one").await.unwrap_err();
            assert_eq!(told(&status), (Code::Aborted, "REQUEST_IN_FLIGHT".to_owned()));
            assert_eq!(info(&status).metadata.get("read_rpc"), None);
            let delay = status.get_details_retry_info().unwrap().retry_delay.unwrap();
            let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
            assert_eq!(delay.as_millis().to_string(), pushback.to_str().unwrap());
            assert!(delay <= Duration::from_millis(250));
            let other = make(client, id, "another").await.unwrap_err();
            assert_eq!(told(&other), (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
        }
    };
    let (first, ()) = tokio::join!(make(&one, id, "one"), others);
    let first = first.unwrap();
    assert!(!is_replayed(&first));
    for client in [&two, &one] {
        let again = make(client, id, "one").await.unwrap();
        assert_eq!((&again.reply, is_replayed(&again)), (&first.reply, true));
    }
    assert_eq!(setting.made().await, 1);
}

/// R7, R8: the partner has acted and nobody heard of it. That is told, for good, with what
/// to read.
async fn kill_between_send_and_answer(setting: Setting, is_known_at_once: bool) {
    let id = Uuid::new_v4();
    let mut process = setting.start(&[]).await;
    let client = Client::connect(process.grpc).await;
    setting.answer_late(10_000).await;
    let kill = async {
        setting.control.until_arrived("trolley", MADE_AT).await;
        process.signal("KILL").await;
    };
    let (lost, ()) = tokio::join!(make(&client, id, "one"), kill);
    lost.unwrap_err();
    process.ended().await;
    for _ in 0..2 {
        let mut process = setting.start(&[]).await;
        let client = Client::connect(process.grpc).await;
        if !is_known_at_once {
            let status = make(&client, id, "one").await.unwrap_err();
            assert!(["REQUEST_IN_FLIGHT", "OUTCOME_UNKNOWN"].contains(&told(&status).1.as_str()));
            setting.overdue().await;
        }
        for _ in 0..2 {
            assert_unknown(&make(&client, id, "one").await.unwrap_err());
        }
        process.signal("KILL").await;
        process.ended().await;
    }
    assert_eq!(setting.made().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_kill_between_send_and_answer_never_sends_again_on_sqlite() {
    kill_between_send_and_answer(Setting::sqlite().await, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_a_kill_between_send_and_answer_never_sends_again_on_postgres() {
    let Some(setting) = Setting::postgres().await else { return };
    kill_between_send_and_answer(setting, false).await;
}

/// R8: the first caller is told what to read as well as those after it.
#[tokio::test(flavor = "multi_thread")]
async fn r8_a_lost_answer_stays_lost_after_a_restart() {
    let setting = Setting::sqlite().await;
    let id = Uuid::new_v4();
    setting.fault(json!({"kind": "drop_after"})).await;
    let mut process = setting.start(&[]).await;
    let client = Client::connect(process.grpc).await;
    let first = make(&client, id, "one").await.unwrap_err();
    assert_eq!(told(&first), (Code::Unavailable, "PARTNER_UNAVAILABLE".to_owned()));
    assert_eq!(info(&first).metadata["read_rpc"], READ);
    assert_eq!(first.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    assert_unknown(&make(&client, id, "one").await.unwrap_err());
    process.signal("TERM").await;
    process.ended().await;
    let process = setting.start(&[]).await;
    let client = Client::connect(process.grpc).await;
    assert_unknown(&make(&client, id, "one").await.unwrap_err());
    assert_eq!(setting.made().await, 1);
    // What it names is there and tells.
    let list = client.call(READ, json!({})).await.unwrap().reply.to_string();
    assert!(list.contains("https://example.com/one"), "{list}");
}

/// R8: a success that cannot be read is no answer to anybody, at once or after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn r8_a_success_that_cannot_be_read_is_an_unknown_outcome() {
    let setting = Setting::sqlite().await;
    let id = Uuid::new_v4();
    setting.fault(json!({"kind": "malformed_json"})).await;
    let mut process = setting.start(&[]).await;
    let client = Client::connect(process.grpc).await;
    let first = make(&client, id, "one").await.unwrap_err();
    assert_eq!(told(&first), (Code::Internal, "PARTNER_BAD_RESPONSE".to_owned()));
    assert_eq!(info(&first).metadata["outcome"], "UNKNOWN");
    assert_unknown(&make(&client, id, "one").await.unwrap_err());
    process.signal("KILL").await;
    process.ended().await;
    let process = setting.start(&[]).await;
    assert_unknown(&make(&Client::connect(process.grpc).await, id, "one").await.unwrap_err());
    let arrived = setting.control.arrived("trolley").await;
    assert_eq!(arrived.iter().filter(|entry| entry["path"] == MADE_AT).count(), 1);
}

/// A call that had no effect frees its id, also for other processes.
#[tokio::test(flavor = "multi_thread")]
async fn r8_a_refused_call_may_be_made_again_after_a_restart() {
    let setting = Setting::sqlite().await;
    let id = Uuid::new_v4();
    setting.fault(json!({"kind": "status", "status": 422})).await;
    let mut process = setting.start(&[]).await;
    make(&Client::connect(process.grpc).await, id, "one").await.unwrap_err();
    process.signal("KILL").await;
    process.ended().await;
    let process = setting.start(&[]).await;
    let answer = make(&Client::connect(process.grpc).await, id, "another").await.unwrap();
    assert_eq!((is_replayed(&answer), setting.made().await), (false, 1));
}

/// Asks again while the store comes back, and what it is to take is written.
async fn until_made(client: &Client, id: Uuid, target: &str) -> Answer {
    let made = async {
        loop {
            match make(client, id, target).await {
                Ok(answer) => break answer,
                Err(status) => assert!(
                    ["STORE_UNAVAILABLE", "REQUEST_IN_FLIGHT"].contains(&told(&status).1.as_str())
                ),
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, made).await.expect("the store does not come back")
}

/// The store is away when a call begins: nothing is sent. It is away when one ends: its
/// caller has the answer, this process replays it, and the others learn of it later.
#[tokio::test(flavor = "multi_thread")]
async fn r8_an_outage_of_the_store_costs_no_answer_and_sends_nothing_twice() {
    let Some(cluster) = Postgres::start() else { return };
    let setting = Setting::on(&cluster).await;
    let process = setting.start(&[]).await;
    let client = Client::connect(process.grpc).await;
    let (before, during) = (Uuid::new_v4(), Uuid::new_v4());

    cluster.stop();
    let status = make(&client, before, "before").await.unwrap_err();
    assert_eq!(told(&status), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    assert_eq!(info(&status).metadata["outcome"], "NOT_SENT");
    assert_eq!(setting.control.arrived("trolley").await.len(), 0);
    cluster.start_again();
    until_made(&client, before, "before").await;

    setting.answer_late(1_000).await;
    let stop = async {
        let two = async {
            while setting.made().await < 2 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, two).await.unwrap();
        cluster.stop();
    };
    let (first, ()) = tokio::join!(make(&client, during, "during"), stop);
    let first = first.unwrap();
    let again = make(&client, during, "during").await.unwrap();
    assert_eq!((&again.reply, is_replayed(&again)), (&first.reply, true));
    cluster.start_again();
    let other = setting.start(&[]).await;
    let other = Client::connect(other.grpc).await;
    let replayed = until_made(&other, during, "during").await;
    assert_eq!((&replayed.reply, is_replayed(&replayed)), (&first.reply, true));
    assert_eq!(setting.made().await, 2);
}

/// R8: what was answered to one service is answered to no other.
#[tokio::test]
async fn r8_the_same_id_of_another_caller_is_another_request() {
    let callers = section("shop", "a token", "") + &section("till", "another token", "");
    let gateway = Gateway::simulated(&callers).await;
    let request = json!({
        "action": "NOTIFICATION_ACTION_ALL",
        "model": "NOTIFICATION_TYPE_PAYMENT",
        "target": "https://example.com/hook",
        "requestId": Uuid::new_v4().to_string(),
    });
    let mut ids = Vec::new();
    for replayed in [false, true] {
        for token in ["a token", "another token"] {
            let request = as_caller(token, request.clone());
            let answer = gateway.client.call_with(MAKE, request).await.unwrap();
            assert_eq!(is_replayed(&answer), replayed, "{token}");
            ids.push(answer.reply["id"].clone());
        }
    }
    assert_eq!((&ids[0], &ids[1]), (&ids[2], &ids[3]));
    assert_ne!(ids[0], ids[1]);
}

/// S14, G37: a key that was shown once is shown again to whoever asks with the same id.
#[tokio::test(flavor = "multi_thread")]
async fn g37_a_key_is_replayed_after_a_restart_as_it_was_shown() {
    let setting = Setting::sqlite().await;
    let request = json!({
        "merchant": {"name": "Acme", "currency": "USD"},
        "requestId": Uuid::new_v4().to_string(),
    });
    let mut replies = Vec::new();
    for _ in 0..2 {
        let mut process = setting.start(&[]).await;
        let client = Client::connect(process.grpc).await;
        let made = client.call(crate::support::kept::CREATE, request.clone()).await.unwrap();
        replies.push(made.reply);
        process.signal("KILL").await;
        process.ended().await;
    }
    assert!(replies[0]["secretKey"].is_string(), "{:?}", replies[0].as_object().unwrap().keys());
    assert_eq!(replies[0], replies[1]);
}

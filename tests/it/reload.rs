//! A changed configuration counts without a restart, as far as it can: the program itself,
//! and its file.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::callers::{as_caller, section};
use crate::partners::info;
use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::process::Process;

const LIST: &str = "trolley.v1.WebhookService/ListWebhooks";
const PARTNERS: &str = "gateway.v1.PartnerService/ListPartners";

/// A running program and its file.
struct Setting {
    process: Process,
    client: Client,
    file: PathBuf,
    _folder: TempDir,
}

impl Setting {
    async fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, settings).unwrap();
        let process =
            Process::serve(&["--simulate", "--config", file.to_str().unwrap()], &[]).await;
        let client = Client::connect(process.grpc).await;
        Self { process, client, file, _folder: folder }
    }

    fn write(&self, settings: &str) {
        // As editors and configuration maps do: a new file in the place of the old.
        let new = self.file.with_extension("new");
        std::fs::write(&new, settings).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    async fn partners(&self) -> Value {
        self.client.call_with(PARTNERS, as_caller("token", json!({}))).await.unwrap().reply
    }

    /// Waits until `is_so` of what PartnerService tells.
    async fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        while !is_so(&self.partners().await) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {}", self.partners().await);
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Changes the file, and waits until that is in force.
    async fn change(&self, settings: &str) {
        let before = self.partners().await["configuration"]["loadTime"].clone();
        self.write(settings);
        self.until("it is in force", |told| told["configuration"]["loadTime"] != before).await;
    }

    /// Makes a call that is answered: its id.
    async fn answered(&self) -> String {
        let answer = self.client.call(LIST, json!({})).await.unwrap();
        answer.metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned()
    }

    /// Whether the log has a line of the call with this id.
    fn is_logged(&self, id: &str) -> bool {
        self.process.log().iter().any(|line| line["request_id"] == id)
    }

    /// Waits until the log has that line, with this message.
    async fn until_logged(&self, message: &str, id: &str) {
        let begun = Instant::now();
        while !self.logged(message).iter().any(|line| line["request_id"] == id) {
            let log = || self.process.log();
            assert!(begun.elapsed() < Duration::from_secs(20), "no {message} {id}: {:?}", log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The lines of the log with this message.
    fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.process.log();
        lines.into_iter().filter(|line| line["message"] == message).collect()
    }

    async fn attempts_of_a_failing_read(&self) -> String {
        let control = Control::of(self.process.simulators.unwrap());
        let fault = json!({"kind": "status", "status": 500});
        let rule = json!({"partner": "trolley", "path": "/v1/subscriptions", "times": null, "fault": fault});
        control.fault(rule).await;
        let failed = self.client.call(LIST, json!({})).await.unwrap_err();
        assert!(control.delete("/_simulator/faults").await.0.is_success());
        failed.metadata().get("x-gateway-attempts").unwrap().to_str().unwrap().to_owned()
    }
}

/// The file, with these retries of one partner and what else there is.
fn settings(max_attempts: u32, more: &str) -> String {
    format!(
        r#"
        [configuration]
        reload_interval = "100ms"
        [partners.trolley]
        access_key = "a"
        secret_key = "b"
        [partners.trolley.retry]
        max_attempts = {max_attempts}
        base_delay = "1ms"
        {more}
        "#
    )
}

/// The limits in force of a partner.
fn limits<'a>(partners: &'a Value, name: &str) -> &'a Value {
    let partners = partners["partners"].as_array().unwrap();
    &partners.iter().find(|partner| partner["name"] == name).unwrap()["limits"]
}

#[tokio::test]
async fn limits_are_changed_without_a_restart() {
    let setting = Setting::new(&settings(3, "")).await;
    let partners = setting.partners().await;
    assert_eq!(limits(&partners, "trolley")["retry"]["maxAttempts"], "3");
    assert_eq!(limits(&partners, "trolley")["rateLimit"]["requests"], "540");
    assert!(limits(&partners, "trustist").get("rateLimit").is_none());
    assert_eq!(setting.attempts_of_a_failing_read().await, "3");

    let more = "[partners.trolley.rate_limit]\nrequests = 100\n[shared_limits]\nreplicas = 2\n[grpc]\nmax_calls = 7";
    setting.write(&settings(1, more));
    setting
        .until("other limits", |told| limits(told, "trolley")["retry"]["maxAttempts"] == "1")
        .await;
    let partners = setting.partners().await;
    assert_eq!(limits(&partners, "trolley")["rateLimit"]["requests"], "100");
    assert_eq!(limits(&partners, "trolley")["replicas"], "2");
    assert_eq!(limits(&partners, "trustist")["replicas"], "2");
    assert_eq!(setting.attempts_of_a_failing_read().await, "1");

    let taken = setting.logged("a changed configuration is in force");
    let keys = "partners.trolley.rate_limit.requests, partners.trolley.retry.max_attempts, shared_limits.replicas";
    assert_eq!(taken[0]["keys"], keys);
    let left = setting.logged("what has changed here needs a restart");
    assert_eq!((&left[0]["keys"], left.len()), (&json!("grpc.max_calls"), 1));
}

#[tokio::test]
async fn a_file_with_a_fault_changes_nothing_and_is_told_once() {
    let setting = Setting::new(&settings(2, "")).await;
    assert_eq!(setting.partners().await["configuration"]["fileRefused"], json!(null));
    for (broken, fault) in [
        (settings(0, ""), "partners.trolley.retry.max_attempts"),
        (
            settings(4, "[partners.trolley.breaker]\nopen = 'never'"),
            "partners.trolley.breaker.open",
        ),
        ("[grpc".to_owned(), "gateway.toml:1:"),
    ] {
        setting.write(&broken);
        setting
            .until("the fault is told", |told| told["configuration"]["fileRefused"] == true)
            .await;
        // Several more looks at it.
        sleep(Duration::from_millis(700)).await;
        let told = setting.logged("the configuration's file cannot be used: nothing changes");
        let of_this = told.iter().filter(|line| line["problem"].as_str().unwrap().contains(fault));
        assert_eq!(of_this.count(), 1, "{told:?}");
        let partners = setting.partners().await;
        assert_eq!(limits(&partners, "trolley")["retry"]["maxAttempts"], "2");
        setting.write(&settings(2, ""));
        setting
            .until("it is good again", |told| told["configuration"].get("fileRefused").is_none())
            .await;
    }
}

/// S5: a file that has lost a part does not open the door.
#[tokio::test]
async fn s5_callers_come_without_a_restart_and_do_not_all_go_with_one_change() {
    let setting = Setting::new(&settings(1, "")).await;
    setting.client.call(LIST, json!({})).await.unwrap();
    setting.write(&settings(1, &section("billing", "token", "")));
    let begun = Instant::now();
    while setting.client.call(LIST, json!({})).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays open");
        sleep(Duration::from_millis(50)).await;
    }
    setting.client.call_with(LIST, as_caller("token", json!({}))).await.unwrap();

    setting.write(&settings(3, ""));
    setting
        .until("the rest is taken", |told| limits(told, "trolley")["retry"]["maxAttempts"] == "3")
        .await;
    let refused = setting.client.call(LIST, json!({})).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let left = setting.logged("what has changed here needs a restart");
    assert_eq!(left[0]["keys"], "callers");
}

/// The line of a call is told while the level has it, and not otherwise.
#[tokio::test]
async fn the_logs_level_changes_without_a_restart() {
    let level = |level: &str| settings(1, &format!("[telemetry]\nlog_level = \"{level}\""));
    let setting = Setting::new(&level("info")).await;
    let before = setting.answered().await;
    setting.until_logged("call answered", &before).await;

    setting.change(&level("warn")).await;
    let quiet = setting.answered().await;
    // What is told of a call that comes later: the line would be there by now.
    let control = Control::of(setting.process.simulators.unwrap());
    let lost = json!({"partner": "trolley", "times": null, "fault": {"kind": "drop_before"}});
    control.fault(lost).await;
    let failed = setting.client.call(LIST, json!({})).await.unwrap_err();
    control.delete("/_simulator/faults").await;
    setting.until_logged("call failed", &info(&failed).metadata["request_id"]).await;
    assert!(!setting.is_logged(&quiet), "{:?}", setting.process.log());

    setting.change(&level("info")).await;
    let after = setting.answered().await;
    setting.until_logged("call answered", &after).await;
    assert!(!setting.is_logged(&quiet), "{:?}", setting.process.log());
}

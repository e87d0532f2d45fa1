//! Two gateway processes and one quota, over a real Redis (R14): while it works, when it is
//! gone, and when it is back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::process::Process;
use crate::support::proxy::{Cut, Fault, Proxy, Way};
use crate::support::redis::Redis;

const RPC: &str = "trustap.v1.OnlineTransactionService/GetCharge";
/// Requests in a second, for both replicas together, and at once.
const RATE: u32 = 40;
const BURST: u32 = 10;
/// Callers of each replica: their calls are more than the quota at any time.
const CALLERS: usize = 10;

struct Setting {
    redis: Redis,
    control: Control,
    clients: [Client; 2],
    _processes: [Process; 2],
    _folder: TempDir,
}

/// The configuration of a replica, in a file of this folder.
fn configuration(redis_url: &str, control: &Control, folder: &TempDir) -> String {
    let file = folder.path().join("gateway.toml");
    let settings = format!(
        r#"
        [shared_limits]
        redis_url = "{redis_url}"
        replicas = 2
        [partners.trustap]
        base_url = "http://{}/trustap/api/v1"
        api_key = "simulator-trustap-api-key"
        [partners.trustap.rate_limit]
        requests = {RATE}
        per = "1s"
        burst = {BURST}
        "#,
        control.address,
    );
    std::fs::write(&file, settings).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Two replicas before one partner; `None` if Redis is not installed.
async fn given() -> Option<Setting> {
    let redis = Redis::start()?;
    let folder = tempfile::tempdir().unwrap();
    let control = Control::start().await;
    let file = configuration(&redis.url(), &control, &folder);
    let args = ["--config", file.as_str()];
    let processes = [Process::serve(&args, &[]).await, Process::serve(&args, &[]).await];
    let clients =
        [Client::connect(processes[0].grpc).await, Client::connect(processes[1].grpc).await];
    Some(Setting { redis, control, clients, _processes: processes, _folder: folder })
}

impl Setting {
    /// Calls both replicas without a pause until `during` is over. No call may fail.
    async fn load<T>(&self, during: impl Future<Output = T>) -> T {
        let is_over = Arc::new(AtomicBool::new(false));
        let callers = self.clients.iter().flat_map(|client| (0..CALLERS).map(move |_| client));
        let calling = callers.map(|client| {
            let (client, is_over) = (client.clone(), Arc::clone(&is_over));
            async move {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client.call(RPC, json!({"currency": "eur", "price": 10000})).await;
                    assert!(answer.is_ok(), "a call failed: {answer:?}");
                }
            }
        });
        let calling = futures_util::future::join_all(calling);
        let over = async {
            let value = during.await;
            is_over.store(true, Ordering::Relaxed);
            value
        };
        tokio::join!(calling, over).1
    }

    /// How many requests the partner was sent in a second, in each of these windows.
    async fn rates<const N: usize>(&self, windows: [Window; N]) -> [f64; N] {
        let arrived = self.control.arrived("trustap").await;
        let times: Vec<Timestamp> =
            arrived.iter().map(|entry| entry["time"].as_str().unwrap().parse().unwrap()).collect();
        windows.map(|Window { begin, end }| {
            let within = times.iter().filter(|time| (begin..end).contains(*time)).count();
            f64::from(u32::try_from(within).unwrap()) / end.duration_since(begin).as_secs_f64()
        })
    }
}

/// A stretch of time, by the wall clock, as the journal has it.
struct Window {
    begin: Timestamp,
    end: Timestamp,
}

impl Window {
    async fn of(seconds: u64) -> Self {
        let begin = Timestamp::now();
        sleep(Duration::from_secs(seconds)).await;
        Self { begin, end: Timestamp::now() }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn r14_replicas_share_one_quota_and_no_call_fails_when_redis_does() {
    let Some(setting) = given().await else { return };
    let phases = async {
        // The burst is over.
        sleep(Duration::from_secs(1)).await;
        let together = Window::of(4).await;
        setting.redis.stop();
        sleep(Duration::from_secs(1)).await;
        let alone = Window::of(4).await;
        setting.redis.start_again();
        sleep(Duration::from_secs(4)).await;
        let again = Window::of(4).await;
        setting.redis.freeze();
        sleep(Duration::from_secs(1)).await;
        let frozen = Window::of(4).await;
        setting.redis.thaw();
        [together, alone, again, frozen]
    };
    let windows = setting.load(phases).await;
    let rates = setting.rates(windows).await;
    println!("requests in a second, of {RATE}: shared, alone, shared again, frozen: {rates:.1?}");
    let quota = f64::from(RATE);
    for (phase, rate) in ["shared", "alone", "shared again"].into_iter().zip(rates) {
        assert!((rate - quota).abs() <= 0.05 * quota, "{phase}: {rates:?}");
    }
    // Each look for a Redis that hangs takes its time.
    assert!(rates[3] <= 1.05 * quota && rates[3] >= 0.7 * quota, "{rates:?}");
}

/// A server that is gone without a word never says so to its connections.
#[tokio::test(flavor = "multi_thread")]
async fn r14_a_redis_that_has_vanished_is_left_for_the_one_in_its_place() {
    let Some(redis) = Redis::start() else { return };
    let (folder, control) = (tempfile::tempdir().unwrap(), Control::start().await);
    let port = redis.url().rsplit_once(':').unwrap().1.trim_end_matches('/').parse().unwrap();
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let file = configuration(&format!("redis://{}", proxy.address), &control, &folder);
    let process = Process::serve(&["--config", &file], &[]).await;
    let client = Client::connect(process.grpc).await;
    let call = || client.call(RPC, json!({"currency": "eur", "price": 10000}));
    call().await.unwrap();
    proxy.arm(Some(Cut { way: Way::Answer, after: 0, fault: Fault::Stall }));
    let told = |text: &str| process.log().iter().any(|line| line["message"] == text);

    let back = async {
        while !told("Redis is back") {
            call().await.unwrap();
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.expect("it is not found");
    assert!(proxy.seen().has_failed && proxy.connections() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_the_quota_in_redis_names_no_account_ends_by_itself_and_bears_rubbish() {
    let Some(setting) = given().await else { return };
    let client = redis::Client::open(setting.redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let keys = |connection: &mut redis::Connection| -> Vec<String> {
        redis::cmd("KEYS").arg("*").query(connection).unwrap()
    };
    let request = || async {
        let charge = json!({"currency": "eur", "price": 10000});
        setting.clients[0].call(RPC, charge).await.unwrap();
    };
    // It lives for an interval only: some are gone before they are seen.
    let mut found = Vec::new();
    while found.is_empty() {
        request().await;
        found = keys(&mut connection);
    }
    assert_eq!(found.len(), 1);
    let key = &found[0];
    assert!(key.starts_with("partner-gateway:{quota:trustap:"), "{key}");
    // Rubbish is as good as nothing, and is gone with the next request.
    for rubbish in ["", "rubbish", "nan", "inf", "-inf", "-1", "1e300"] {
        redis::cmd("SET").arg(key).arg(rubbish).exec(&mut connection).unwrap();
        request().await;
    }
    redis::cmd("DEL").arg(key).exec(&mut connection).unwrap();
    redis::cmd("LPUSH").arg(key).arg("of another type").exec(&mut connection).unwrap();
    request().await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(keys(&mut connection), Vec::<String>::new());
}

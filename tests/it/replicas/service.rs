//! Two replicas, each a process of its own, and all that they share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use partner_gateway::simulator::trustist;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::INVITATIONS;
use crate::request_ids::{READ, is_replayed, make};
use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::kept::{metrics, settings, use_key};
use crate::support::postgres::Postgres;
use crate::support::process::{Process, spawn};
use crate::support::redis::Redis;

const MAKE: &str = "trolley.v1.WebhookService/CreateWebhook";

/// Two replicas and all that they share.
pub(super) struct Service {
    pub(super) one: Replica,
    pub(super) two: Replica,
    pub(super) control: Control,
    pub(super) redis: Redis,
    database: String,
    pub(super) config: PathBuf,
    _simulators: Child,
    _folder: TempDir,
}

pub(super) struct Replica {
    pub(super) process: Process,
    pub(super) client: Client,
}

// === impl Service ===

impl Service {
    /// Starts all of it; `None` if Redis is not installed. `rate` is the quota of the partner
    /// that has no state.
    pub(super) async fn start(cluster: &Postgres, rate: &str) -> Option<Self> {
        let redis = Redis::start()?;
        let (simulators, lines) = spawn(&["simulate", "--listen", "127.0.0.1:0"], 4).await;
        let address = lines[0].split("http://").nth(1).unwrap().split('/').next().unwrap();
        let control = Control::of(address.parse().unwrap());
        let (database, folder) = (cluster.database().await, tempfile::tempdir().unwrap());
        let config = folder.path().join("gateway.toml");
        let settings = format!(
            r#"
            {}
            [shared_limits]
            redis_url = "{}"
            replicas = 2
            [partners.trustist]
            base_url = "http://{address}/trustist"
            client_id = "{}"
            client_secret = "{}"
            shared_token = true
            [partners.trustap]
            base_url = "http://{address}/trustap/api/v1"
            api_key = "simulator-trustap-api-key"
            [partners.trustap.rate_limit]
            {rate}
            "#,
            settings(&control, &database),
            redis.url(),
            trustist::CLIENT_ID,
            trustist::CLIENT_SECRET,
        );
        std::fs::write(&config, settings).unwrap();
        let (one, two) = tokio::join!(Replica::start(&config), Replica::start(&config));
        let (_simulators, _folder) = (simulators, folder);
        Some(Self { one, two, control, redis, database, config, _simulators, _folder })
    }

    pub(super) fn clients(&self) -> [&Client; 2] {
        [&self.one.client, &self.two.client]
    }

    /// How many requests that write something the partner has carried out at this path.
    pub(super) async fn acted(&self, path: &str) -> usize {
        let arrived = self.control.arrived("trolley").await;
        let acted = |entry: &&Value| {
            entry["path"] == path && entry["method"] == "POST" && entry["acted"] == true
        };
        arrived.iter().filter(acted).count()
    }

    /// The next write at this path is carried out, and answered late.
    pub(super) async fn answer_late(&self, path: &str, millis: u64) {
        let fault = json!({"kind": "delay", "millis": millis});
        let rule = json!({"partner": "trolley", "method": "POST", "path": path, "fault": fault});
        self.control.fault(rule).await;
    }

    /// What the database says to a query for one number.
    pub(super) async fn number(&self, query: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    }

    /// The time of every call that nobody ended is over: a test cannot wait for that.
    pub(super) async fn overdue(&self) {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        for change in ["UPDATE requests SET settles_by = 0", "UPDATE intents SET settles_by = 0"] {
            connection.execute(change).await.unwrap();
        }
    }

    /// How many requests the first replica sends in a second, measured for three.
    pub(super) async fn rate(&self) -> f64 {
        let count = async || self.control.arrived("trustap").await.len();
        let (before, begun) = (count().await, Instant::now());
        sleep(Duration::from_secs(3)).await;
        let sent = u32::try_from(count().await - before).unwrap();
        f64::from(sent) / begun.elapsed().as_secs_f64()
    }

    /// Calls the second replica with all that uses Redis and PostgreSQL, and no call fails.
    pub(super) async fn prove(&self, account: &str) {
        let client = &self.two.client;
        client.call(INVITATIONS, json!({})).await.unwrap();
        use_key(client, account).await.unwrap();
        let id = Uuid::new_v4();
        let first = make(client, id, "proof").await.unwrap();
        let again = make(client, id, "proof").await.unwrap();
        assert_eq!((&again.reply, is_replayed(&again)), (&first.reply, true));
    }

    /// Both replicas serve, say that they are ready, and do what needs no store.
    pub(super) async fn goes_on_without_store(&mut self, account: &str) {
        for replica in [&mut self.one, &mut self.two] {
            assert!(replica.process.is_running() && replica.is_ready().await);
            let client = &replica.client;
            client.call(READ, json!({})).await.unwrap();
            client.call(INVITATIONS, json!({})).await.unwrap();
            client.call(MAKE, webhook()).await.unwrap();
            use_key(client, account).await.unwrap();
            client.call("gateway.v1.PartnerService/ListPartners", json!({})).await.unwrap();
            assert!(metrics(replica.process.operations).await.contains("store_up 0"));
        }
    }
}

// === impl Replica ===

impl Replica {
    pub(super) async fn start(config: &Path) -> Self {
        let process = Process::serve(&["--config", config.to_str().unwrap()], &[]).await;
        let client = Client::connect(process.grpc).await;
        Self { process, client }
    }

    /// Whether it takes calls, as the kubelet is told.
    pub(super) async fn is_ready(&self) -> bool {
        let client = Client::connect(self.process.operations).await;
        let request = json!({"service": "readiness"});
        let answer = client.call("grpc.health.v1.Health/Check", request).await.unwrap();
        answer.reply["status"] == "SERVING"
    }
}

fn webhook() -> Value {
    json!({
        "action": "NOTIFICATION_ACTION_ALL",
        "model": "NOTIFICATION_TYPE_PAYMENT",
        "target": "https://example.com/without-an-id",
    })
}

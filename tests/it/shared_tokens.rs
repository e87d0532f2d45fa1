//! Two replicas and one access token, over a real Redis (O11): while it works, when it is
//! gone, when it hangs and when it comes back with nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::redis::Redis;

const RPC: &str = "trustist.v1.InvitationService/ListInvitations";
const SECRET: &str = "simulator-client-secret";
/// Callers of each replica.
const CALLERS: usize = 2;

struct Setting {
    redis: Redis,
    control: Control,
    replicas: [Gateway; 2],
    _folder: TempDir,
}

/// Two replicas before one partner; `None` if Redis is not installed.
async fn given(token_lifetime: u64, last_token_wins: bool) -> Option<Setting> {
    let redis = Redis::start()?;
    let folder = tempfile::tempdir().unwrap();
    let control = Control::start().await;
    let tokens = json!({"lifetime_seconds": token_lifetime});
    let switches = json!({"trustist": {"last_token_wins": last_token_wins}});
    for (path, setting) in
        [("/_simulator/trustist/tokens", tokens), ("/_simulator/switches", switches)]
    {
        let (status, answer) = control.put(path, &setting.to_string()).await;
        assert!(status.is_success(), "{path}: {answer}");
    }
    let start = |number: u32| {
        let file = folder.path().join(format!("{number}.db"));
        let settings = format!(
            r#"
            [store]
            url = "sqlite://{}"
            encryption_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
            [shared_limits]
            redis_url = "{}"
            [partners.trustist]
            base_url = "http://{}/trustist"
            client_id = "simulator-client"
            client_secret = "{SECRET}"
            shared_token = true
            "#,
            file.display(),
            redis.url(),
            control.address,
        );
        async move { Gateway::configured(&settings).await }
    };
    let replicas = [start(1).await, start(2).await];
    Some(Setting { redis, control, replicas, _folder: folder })
}

impl Setting {
    /// Calls both replicas until `during` is over. No call may fail.
    async fn load(&self, during: impl Future<Output = ()>) {
        let is_over = Arc::new(AtomicBool::new(false));
        let callers = self.replicas.iter().flat_map(|replica| (0..CALLERS).map(move |_| replica));
        let calling = callers.map(|replica| {
            let (client, is_over) = (replica.client.clone(), Arc::clone(&is_over));
            async move {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client.call(RPC, json!({})).await;
                    assert!(answer.is_ok(), "a call failed: {answer:?}");
                    sleep(Duration::from_millis(4)).await;
                }
            }
        });
        let calling = futures_util::future::join_all(calling);
        let over = async {
            during.await;
            is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(calling, over);
    }

    async fn arrived(&self) -> Arrived {
        let all = self.control.arrived("trustist").await;
        let (tokens, calls): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|entry| entry["path"] == "/token");
        Arrived { tokens, calls }
    }

    /// Every key of Redis with what it holds.
    fn dump(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let client = redis::Client::open(self.redis.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
        let value = |key: Vec<u8>| {
            let value = redis::cmd("GET").arg(&key).query(&mut connection).unwrap();
            (key, value)
        };
        keys.into_iter().map(value).collect()
    }
}

/// What the partner saw.
struct Arrived {
    tokens: Vec<Value>,
    calls: Vec<Value>,
}

impl Arrived {
    fn refused(&self) -> usize {
        self.calls.iter().filter(|call| call["status"] == 401).count()
    }

    /// The tokens that calls were made with, in the order of their first use.
    fn bearers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for call in &self.calls {
            let bearer = call["headers"]["authorization"].as_str().unwrap().to_owned();
            if !found.contains(&bearer) {
                found.push(bearer);
            }
        }
        found
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o11_replicas_share_one_token_where_the_last_token_wins() {
    let Some(setting) = given(5, true).await else { return };
    // One renewal is in it.
    setting.load(sleep(Duration::from_secs(6))).await;
    let arrived = setting.arrived().await;
    assert!(arrived.calls.len() > 500, "{} calls", arrived.calls.len());
    assert_eq!(arrived.tokens.len(), 2, "the first and its renewal: no ping-pong");
    assert_eq!(arrived.bearers().len(), 2);
    let refused = arrived.refused();
    assert!(100 * refused <= arrived.calls.len(), "{refused} of {}", arrived.calls.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn o11_a_shared_token_that_is_refused_is_replaced_by_one_replica() {
    let Some(setting) = given(3600, true).await else { return };
    let revoked = async {
        sleep(Duration::from_millis(500)).await;
        let fault = json!({"kind": "expire_tokens"});
        let fault = json!({"partner": "trustist", "path": "/invitations", "fault": fault});
        setting.control.fault(fault).await;
        sleep(Duration::from_millis(1500)).await;
    };
    setting.load(revoked).await;
    let arrived = setting.arrived().await;
    assert!(arrived.refused() >= 1);
    assert_eq!(arrived.tokens.len(), 2, "the first and its replacement");
    assert_eq!(arrived.bearers().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn o11_redis_never_holds_a_secret() {
    let Some(setting) = given(3600, false).await else { return };
    setting.load(sleep(Duration::from_millis(300))).await;
    let token = setting.arrived().await.bearers()[0].replace("Bearer ", "");
    let dump = setting.dump();
    assert_eq!(dump.len(), 1, "the token, and no lease: {dump:?}");
    let (key, value) = &dump[0];
    let all = [&key[..], value].concat();
    for canary in [&*token, SECRET, "simulator-client"] {
        let found = all.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{canary} is in Redis");
    }
}

/// So much for the rule that no call fails because of Redis.
#[tokio::test(flavor = "multi_thread")]
async fn o11_redis_may_stop_hang_and_come_back_empty_at_any_moment() {
    let Some(setting) = given(2, false).await else { return };
    let begun = Instant::now();
    setting
        .load(async {
            sleep(Duration::from_secs(1)).await;
            setting.redis.stop();
            sleep(Duration::from_secs(2)).await;
            setting.redis.start_again();
            sleep(Duration::from_secs(1)).await;
            setting.redis.freeze();
            sleep(Duration::from_secs(2)).await;
            setting.redis.thaw();
            sleep(Duration::from_secs(2)).await;
        })
        .await;
    let arrived = setting.arrived().await;
    assert_eq!(arrived.refused(), 0);
    assert_eq!(setting.dump().len(), 1, "shared again");
    // Every 1.44 s at most for each of two replicas, even without Redis.
    let most = 2.0 * (begun.elapsed().as_secs_f64() / 1.44).ceil();
    let tokens = u32::try_from(arrived.tokens.len()).unwrap();
    assert!(f64::from(tokens) <= most, "{tokens} token requests");
}

/// What it was asked for while it hung, it does when it goes on: a token would look as young
/// as it was then.
#[tokio::test(flavor = "multi_thread")]
async fn o11_redis_that_hung_tells_nobody_of_tokens_that_have_ended_since() {
    let Some(setting) = given(2, false).await else { return };
    setting
        .load(async {
            sleep(Duration::from_millis(500)).await;
            setting.redis.freeze();
            sleep(Duration::from_secs(3)).await;
        })
        .await;
    sleep(Duration::from_secs(2)).await;
    setting.redis.thaw();
    assert_eq!(setting.dump(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn o11_rubbish_in_redis_is_as_good_as_nothing() {
    let Some(setting) = given(1, false).await else { return };
    setting.load(sleep(Duration::from_millis(300))).await;
    let key = setting.dump()[0].0.clone();
    let client = redis::Client::open(setting.redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut write = |command: &mut redis::Cmd| command.exec(&mut connection).unwrap();
    setting
        .load(async {
            for rubbish in [&b""[..], b"rubbish", &[0; 100_000]] {
                write(redis::cmd("SET").arg(&key).arg(rubbish).arg("PX").arg(60_000));
                sleep(Duration::from_secs(1)).await;
            }
            write(redis::cmd("DEL").arg(&key));
            write(redis::cmd("LPUSH").arg(&key).arg("of another type"));
            sleep(Duration::from_secs(1)).await;
        })
        .await;
    assert_eq!(setting.arrived().await.refused(), 0);
}

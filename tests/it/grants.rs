//! Users' grants, from `CredentialService` to a token endpoint that takes each refresh
//! token once: a gateway that shows one twice, or loses one, has locked the user out.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use partner_gateway::clock::Clock;
use partner_gateway::seal::Keyring;
use partner_gateway::store::{self, CredentialKind, Name, New, Origin, Store};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::postgres::Postgres;
use crate::support::process::Process;

const SERVICE: &str = "gateway.v1.CredentialService";
/// In every secret of these tests.
const CANARY: &str = "canary";

/// A token endpoint as strict as Keycloak can be set. Clones share it.
#[derive(Clone, Debug)]
struct Sso {
    url: String,
    state: Arc<Mutex<Sessions>>,
}

#[derive(Debug, Default)]
struct Sessions {
    issued: u64,
    /// Codes and refresh tokens that are good for one use, with their user.
    good: Vec<(String, String)>,
    requests: u64,
    /// Requests with what was used before, or was never issued.
    refused: u64,
    is_away: bool,
}

// === impl Sso ===

impl Sso {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/realms/test/token", listener.local_addr().unwrap());
        let state = Arc::<Mutex<Sessions>>::default();
        let router = Router::new()
            .route("/realms/test/token", axum::routing::post(answer))
            .with_state(Arc::clone(&state));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// What a login gives: a code, or elsewhere a refresh token.
    fn log_in(&self, user: &str) -> String {
        self.change(|state| state.new_secret(user))
    }

    fn revoke_all(&self) {
        self.change(|state| state.good.clear());
    }

    fn set_away(&self, is_away: bool) {
        self.change(|state| state.is_away = is_away);
    }

    fn requests(&self) -> u64 {
        self.change(|state| state.requests)
    }

    fn refused(&self) -> u64 {
        self.change(|state| state.refused)
    }

    async fn until_requests(&self, least: u64) {
        let reached = async {
            while self.requests() < least {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, reached).await.expect("nothing is renewed");
        // What was answered is written.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    fn change<R>(&self, change: impl FnOnce(&mut Sessions) -> R) -> R {
        change(&mut self.state.lock().unwrap())
    }

    /// A gateway's settings, with grants that are renewed after 1.6 s without use.
    fn settings(&self) -> String {
        format!(
            r#"
            [partners.trustap]
            base_url = "http://127.0.0.1:1"
            api_key = "{CANARY}-api-key"
            token_url = "{}"
            client_id = "the-client"
            client_secret = "{CANARY}-client-secret"
            "#,
            self.url
        )
    }
}

impl Sessions {
    fn new_secret(&mut self, user: &str) -> String {
        self.issued += 1;
        let secret = format!("{CANARY}-{}", self.issued);
        self.good.push((secret.clone(), user.to_owned()));
        secret
    }
}

async fn answer(State(state): State<Arc<Mutex<Sessions>>>, form: String) -> Response {
    let mut state = state.lock().unwrap();
    state.requests += 1;
    if state.is_away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let member = |name: &str| {
        let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    };
    assert_eq!(member("client_id").as_deref(), Some("the-client"));
    assert_eq!(member("client_secret"), Some(format!("{CANARY}-client-secret")));
    let shown = member("code").or_else(|| member("refresh_token")).unwrap();
    let Some(at) = state.good.iter().position(|(good, _)| *good == shown) else {
        state.refused += 1;
        let refusal = json!({"error": "invalid_grant", "error_description": shown});
        return (StatusCode::BAD_REQUEST, refusal.to_string()).into_response();
    };
    let (_, user) = state.good.remove(at);
    let claims = URL_SAFE_NO_PAD.encode(json!({"sub": user}).to_string());
    let answer = json!({
        "access_token": format!("{CANARY}-access-token"),
        "expires_in": 180,
        "refresh_token": state.new_secret(&user),
        "refresh_expires_in": 2,
        "token_type": "bearer",
        "id_token": format!("e30.{claims}.c2ln"),
        "scope": "openid",
    });
    answer.to_string().into_response()
}

async fn put(client: &Client, account: &str, grant: Value) -> Result<Value, tonic::Status> {
    let request = json!({"partner": "trustap", "account": account, "userGrant": grant});
    let answer = client.call(&format!("{SERVICE}/PutCredential"), request).await?;
    Ok(answer.reply)
}

fn code(code: impl Into<String>) -> Value {
    let verifier = format!("{CANARY}-verifier");
    json!({"authorizationCode": {
        "code": code.into(), "redirectUri": "https://our.example/back", "codeVerifier": verifier,
    }})
}

fn refresh_token(token: impl Into<String>) -> Value {
    json!({"refreshToken": token.into()})
}

async fn list(client: &Client) -> Vec<Value> {
    let answer = client.call(&format!("{SERVICE}/ListCredentials"), json!({})).await.unwrap();
    answer.reply["credentials"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_grant_is_put_by_code_or_by_refresh_token_and_listed_without_it() {
    let sso = Sso::start().await;
    let gateway = Gateway::configured(&sso.settings()).await;
    let by_code = put(&gateway.client, "", code(sso.log_in("u-1"))).await.unwrap();
    let by_token = put(&gateway.client, "u-2", refresh_token(sso.log_in("u-2"))).await.unwrap();
    assert_eq!(sso.requests(), 2, "each was used once");
    let listed = list(&gateway.client).await;
    for (put, user) in [(&by_code, "u-1"), (&by_token, "u-2")] {
        assert_eq!(put["account"], user);
        assert_eq!(put["kind"], "KIND_USER_GRANT");
        assert_eq!(put["state"], "STATE_ACTIVE");
        assert_eq!(put["origin"], "ORIGIN_IMPORTED");
        assert!(put["expireTime"].is_string(), "{put}");
        assert!(listed.iter().any(|one| one["id"] == put["id"]), "{listed:?}");
    }
    assert!(!json!([by_code, by_token, listed]).to_string().contains(CANARY));
}

#[tokio::test]
async fn a_grant_that_the_partner_does_not_take_is_the_callers_mistake() {
    let sso = Sso::start().await;
    let gateway = Gateway::configured(&sso.settings()).await;
    let used = sso.log_in("u-1");
    put(&gateway.client, "", code(&*used)).await.unwrap();
    for (account, grant, field) in [
        ("", code(&*used), "user_grant.authorization_code.code"),
        ("u-1", refresh_token(&*used), "user_grant.refresh_token"),
        ("u-2", code(sso.log_in("u-3")), "account"),
    ] {
        let status = put(&gateway.client, account, grant).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, field);
        assert!(!format!("{status:?}").contains(CANARY), "{status:?}");
    }
    assert_eq!(list(&gateway.client).await.len(), 1);
}

#[tokio::test]
async fn a_token_endpoint_that_is_away_is_unavailable() {
    let sso = Sso::start().await;
    let gateway = Gateway::configured(&sso.settings()).await;
    sso.set_away(true);
    let grant = code(sso.log_in("u-1"));
    let status = put(&gateway.client, "", grant.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "PARTNER_TOKEN_UNAVAILABLE");
    assert!(list(&gateway.client).await.is_empty());
    sso.set_away(false);
    put(&gateway.client, "", grant).await.unwrap();
}

#[tokio::test]
async fn without_a_client_no_grant_can_be_put() {
    let settings = "[partners.trustap]\nbase_url = \"http://127.0.0.1:1\"\napi_key = \"key\"";
    let gateway = Gateway::configured(settings).await;
    let status = put(&gateway.client, "", code("code")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "PARTNER_CREDENTIAL_MISSING");
}

#[tokio::test]
async fn an_unused_grant_is_kept_alive_until_it_is_deleted() {
    let sso = Sso::start().await;
    let gateway = Gateway::configured(&sso.settings()).await;
    let kept = put(&gateway.client, "", code(sso.log_in("u-1"))).await.unwrap();
    sso.until_requests(3).await;
    assert_eq!(sso.refused(), 0);
    let listed = list(&gateway.client).await;
    assert_eq!(listed[0]["id"], kept["id"]);
    assert!(listed[0]["lastUseTime"].is_null(), "nobody has used it: {listed:?}");

    let request = json!({"id": kept["id"]});
    gateway.client.call(&format!("{SERVICE}/DeleteCredential"), request).await.unwrap();
    let before = sso.requests();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(sso.requests(), before);
}

#[tokio::test]
async fn a_grant_that_the_user_took_back_is_listed_as_expired_and_left_alone() {
    let sso = Sso::start().await;
    let gateway = Gateway::configured(&sso.settings()).await;
    put(&gateway.client, "", code(sso.log_in("u-1"))).await.unwrap();
    sso.revoke_all();
    sso.until_requests(2).await;
    assert_eq!(list(&gateway.client).await[0]["state"], "STATE_EXPIRED");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((sso.requests(), sso.refused()), (2, 1), "it is not asked again");

    put(&gateway.client, "", code(sso.log_in("u-1"))).await.unwrap();
    assert_eq!(list(&gateway.client).await[0]["state"], "STATE_ACTIVE");
}

/// Runs a gateway on this store, kills it after a renewal, and runs the next one.
async fn a_rotation_survives_kill_9_on(store_url: &str, folder: &std::path::Path) {
    let sso = Sso::start().await;
    let file = folder.join("settings.toml");
    let store = format!(
        "[store]\nurl = \"{store_url}\"\n\
         encryption_key = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n\
         [telemetry]\nlog_level = \"debug\"\n"
    );
    std::fs::write(&file, store + &sso.settings()).unwrap();
    let args = ["--config", file.to_str().unwrap()];
    let mut logs = Vec::new();
    for round in 0..2 {
        let mut gateway = Process::serve(&args, &[]).await;
        let client = Client::connect(gateway.grpc).await;
        if round == 0 {
            put(&client, "", code(sso.log_in("u-1"))).await.unwrap();
        }
        sso.until_requests(sso.requests() + 1).await;
        assert_eq!(list(&client).await[0]["state"], "STATE_ACTIVE");
        gateway.signal("KILL").await;
        gateway.ended().await;
        logs.extend(gateway.log());
    }
    assert_eq!(sso.refused(), 0, "no refresh token was shown twice");
    assert!(!Value::from(logs).to_string().contains(CANARY), "a secret in the log");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path != file {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            assert!(!found, "a secret in {}", path.display());
        }
    }
}

#[tokio::test]
async fn a_rotation_survives_kill_9_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("store.db").display());
    a_rotation_survives_kill_9_on(&url, folder.path()).await;
}

#[tokio::test]
async fn a_rotation_survives_kill_9_on_postgres() {
    let Some(postgres) = Postgres::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    a_rotation_survives_kill_9_on(&postgres.database().await, folder.path()).await;
}

/// Has a database of PostgreSQL take nothing from now on, as a standby does, or again.
async fn set_read_only(url: &str, is_read_only: bool) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let set = format!(
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || \
         ' SET default_transaction_read_only = {is_read_only}'; END $$"
    );
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for sql in ["SET default_transaction_read_only = off", &set, end] {
        connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_code_is_not_used_while_the_database_takes_nothing() {
    let Some(postgres) = Postgres::shared() else { return };
    let sso = Sso::start().await;
    let url = postgres.database().await;
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let settings =
        format!("[store]\nurl = \"{url}\"\nencryption_key = \"{key}\"\n{}", sso.settings());
    let gateway = Gateway::configured(&settings).await;
    let grant = code(sso.log_in("u-1"));
    set_read_only(&url, true).await;
    let status = put(&gateway.client, "", grant.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "STORE_UNAVAILABLE");
    assert_eq!(sso.requests(), 0);
    set_read_only(&url, false).await;
    put(&gateway.client, "", grant).await.unwrap();
}

/// The statement is the same for both databases, and so is what it does.
#[tokio::test]
async fn what_is_due_and_postponed_comes_last_on_postgres() {
    let Some(postgres) = Postgres::shared() else { return };
    let settings = store::Settings {
        url: postgres.database().await.into(),
        keyring: Keyring::generate().unwrap(),
        journal: None,
        timeout: Duration::from_secs(5),
        max_connections: 2,
    };
    let store = Store::open(settings, Clock::system()).await.unwrap();
    let now = Clock::system().now();
    let (partner, kind) = ("acme".to_owned(), CredentialKind::UserGrant);
    let name = |account: &str| Name { partner: partner.clone(), kind, account: account.to_owned() };
    for (account, second) in [("a", 100), ("b", 200), ("c", 300)] {
        let renews = Some(jiff::Timestamp::from_second(second).unwrap());
        let (name, secret, origin) = (name(account), "s".into(), Origin::Imported);
        store.put(New { name, secret, expires: None, renews, origin }).await.unwrap();
    }
    let (zero, minute) = (Duration::ZERO, Duration::from_secs(60));
    store.postpone(&name("a"), zero, zero).await.unwrap();
    store.postpone(&name("b"), minute, minute).await.unwrap();
    let later = now.checked_add(jiff::SignedDuration::from_secs(30)).unwrap();
    let due = store.due(&partner, kind, later, 9).await.unwrap();
    assert_eq!(due, [name("c"), name("a")]);
}

#[tokio::test]
async fn replicas_with_one_store_take_turns() {
    let Some(postgres) = Postgres::shared() else { return };
    let sso = Sso::start().await;
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let url = postgres.database().await;
    let settings =
        format!("[store]\nurl = \"{url}\"\nencryption_key = \"{key}\"\n{}", sso.settings());
    let replicas = [Gateway::configured(&settings).await, Gateway::configured(&settings).await];
    for number in 0..20 {
        let replica = &replicas[number % 2];
        put(&replica.client, "", code(sso.log_in(&format!("u-{number}")))).await.unwrap();
    }
    sso.until_requests(20 + 3 * 20).await;
    assert_eq!(sso.refused(), 0);
    let listed = list(&replicas[0].client).await;
    let users: HashSet<_> = listed.iter().map(|one| one["account"].to_string()).collect();
    assert_eq!(users.len(), 20);
    assert!(listed.iter().all(|one| one["state"] == "STATE_ACTIVE"), "{listed:?}");
}

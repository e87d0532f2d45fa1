//! What the stories with Trustap have in common: a gateway with the simulator behind it, guests,
//! users who have logged in, and time that passes at the partner.

use partner_gateway::simulator::trustap::{CLIENT_ID, CLIENT_SECRET};
use serde_json::{Value, json};
use tonic::{Request, Status};

use super::control::Control;
use super::gateway::Gateway;

/// Where users' tokens come from.
const TOKENS: &str = "/trustap/auth/realms/trustap-stage/protocol/openid-connect/token";

/// The editions of the partner's description, as the simulator's switch for credentials knows
/// them.
pub(crate) const EDITIONS: [&str; 3] = ["newest", "earliest", "any_edition"];
/// Those that let a client's key act for guests; the earliest asks for a bearer token, which no
/// guest has.
pub(crate) const EDITIONS_WITH_GUESTS: [&str; 2] = ["newest", "any_edition"];

/// A gateway with the simulator behind it.
pub(crate) struct Trustap(pub(crate) Gateway);

// === impl Trustap ===

impl Trustap {
    pub(crate) async fn start() -> Self {
        Self(Gateway::simulated("").await)
    }

    /// The same with the credentials that an edition takes for each operation.
    pub(crate) async fn under(edition: &str) -> Self {
        let trustap = Self::start().await;
        trustap.switch(json!({"credentials": edition})).await;
        trustap
    }

    /// Calls an rpc ("Service/Method" of `trustap.v1`) that succeeds.
    pub(crate) async fn call(&self, rpc: &str, request: Value) -> Value {
        let answer = self.try_call(None, rpc, request.clone()).await;
        answer.unwrap_or_else(|status| panic!("{rpc} {request}: {status:?}"))
    }

    /// The same with a user's own token.
    pub(crate) async fn call_as(&self, token: &str, rpc: &str, request: Value) -> Value {
        let answer = self.try_call(Some(token), rpc, request.clone()).await;
        answer.unwrap_or_else(|status| panic!("{rpc} {request}: {status:?}"))
    }

    /// Calls an rpc that fails.
    pub(crate) async fn refused(&self, rpc: &str, request: Value) -> Status {
        self.try_call(None, rpc, request).await.unwrap_err()
    }

    /// The same with a user's own token.
    pub(crate) async fn refused_as(&self, token: &str, rpc: &str, request: Value) -> Status {
        self.try_call(Some(token), rpc, request).await.unwrap_err()
    }

    async fn try_call(
        &self,
        token: Option<&str>,
        rpc: &str,
        request: Value,
    ) -> Result<Value, Status> {
        let mut request = Request::new(request);
        if let Some(token) = token {
            request.metadata_mut().insert("x-partner-token", token.parse().unwrap());
        }
        let answer = self.0.client.call_with(&format!("trustap.v1.{rpc}"), request).await;
        Ok(answer?.reply)
    }

    /// A new guest user who may buy and sell.
    pub(crate) async fn guest(&self, email: &str) -> String {
        guest(&self.0, email).await
    }

    /// A full user's access token.
    pub(crate) async fn token(&self, user: &str) -> String {
        token(&self.0.control(), user).await
    }

    /// Tells the simulator something of its own, such as `transactions/1309/pay`.
    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let path = format!("/_simulator/trustap/{path}");
        let (status, answer) = self.0.control().post(&path, &body.to_string()).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    /// Changes the simulator's switches.
    pub(crate) async fn switch(&self, switches: Value) {
        let body = json!({"trustap": switches}).to_string();
        let (status, answer) = self.0.control().put("/_simulator/switches", &body).await;
        assert!(status.is_success(), "{answer}");
    }

    /// Lets time pass at the partner.
    pub(crate) async fn wait(&self, seconds: i64) {
        wait(&self.0.control(), seconds).await;
    }
}

/// A new guest user who may buy and sell, made through the gateway.
pub(crate) async fn guest(gateway: &Gateway, email: &str) -> String {
    let request = json!({
        "email": email, "firstName": "Ada", "lastName": "Byron", "countryCode": "ie",
        "tosAcceptance": {"ip": "192.0.2.1", "unixTimestamp": 1_700_000_000},
    });
    let made = gateway.client.call("trustap.v1.UserService/CreateGuestUser", request).await;
    made.unwrap().reply["id"].as_str().unwrap().to_owned()
}

/// A full user's access token, as their own application would have it after a log-in.
pub(crate) async fn token(control: &Control, user: &str) -> String {
    let order = json!({"user": user}).to_string();
    let (_, login) = control.post("/_simulator/trustap/login", &order).await;
    let code = login["code"].as_str().unwrap();
    let form = format!(
        "grant_type=authorization_code&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&code={code}"
    );
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("http://{}{TOKENS}", control.address));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = request.send().await.unwrap().bytes().await.unwrap();
    let tokens: Value = serde_json::from_slice(&answer).unwrap();
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// Lets time pass at the partner.
pub(crate) async fn wait(control: &Control, seconds: i64) {
    let order = json!({"advance_seconds": seconds}).to_string();
    let (status, answer) = control.post("/_simulator/clock", &order).await;
    assert!(status.is_success(), "{answer}");
}

//! A gateway that keeps keys in a database, and calls that make and use them.

use std::path::Path;
use std::time::Duration;

use partner_gateway::simulator::trolley::{PARENT_ACCESS_KEY, PARENT_SECRET_KEY};
use serde_json::{Value, json};
use tonic::{Request, Status};

use super::client::{Answer, Client};
use super::control::Control;

pub(crate) const CREATE: &str = "trolley.v1.SubmerchantService/CreateSubmerchant";
/// Where that arrives at the partner.
pub(crate) const CREATED_AT: &str = "/v1/profile/submerchant";
pub(crate) const USE: &str = "trolley.v1.BalanceService/GetFundingInfo";
const LIST: &str = "gateway.v1.CredentialService/ListCredentials";
const INTENTS: &str = "gateway.v1.CredentialService/ListKeyIntents";
/// 32 bytes in base64.
pub(crate) const KEY: &str = "a2V5LWVuY3J5cHRpb24ta2V5LW9mLXRoZS10ZXN0cyE=";

/// The settings of a gateway with this store to these simulators.
pub(crate) fn settings(control: &Control, store_url: &str) -> String {
    format!(
        r#"
        [store]
        url = "{store_url}"
        encryption_key = "{KEY}"
        [partners.trolley]
        base_url = "http://{}/trolley"
        access_key = "{PARENT_ACCESS_KEY}"
        secret_key = "{PARENT_SECRET_KEY}"
        "#,
        control.address
    )
}

/// The URL of a database file in a folder.
pub(crate) fn sqlite(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("gateway.db").display())
}

/// Makes a sub-merchant of this name.
pub(crate) async fn create(client: &Client, name: &str) -> Result<Answer, Status> {
    let mut request = Request::new(json!({"merchant": {"name": name, "currency": "USD"}}));
    request.set_timeout(Duration::from_secs(20));
    client.call_with(CREATE, request).await
}

/// Makes a call with the key of a sub-merchant.
pub(crate) async fn use_key(client: &Client, account: &str) -> Result<Answer, Status> {
    client.call(USE, json!({"submerchantId": account})).await
}

/// Every credential that is kept, without the secrets, page by page.
pub(crate) async fn credentials(client: &Client) -> Vec<Value> {
    all(client, LIST, "credentials").await
}

/// Every intent, page by page.
pub(crate) async fn intents(client: &Client) -> Vec<Value> {
    all(client, INTENTS, "keyIntents").await
}

async fn all(client: &Client, rpc: &str, member: &str) -> Vec<Value> {
    let (mut found, mut token) = (Vec::new(), Value::from(""));
    loop {
        let request = json!({"pageSize": 1000, "pageToken": token});
        let page = client.call(rpc, request).await.unwrap().reply;
        found.extend(page[member].as_array().cloned().unwrap_or_default());
        match &page["nextPageToken"] {
            Value::String(next) if !next.is_empty() => token = next.clone().into(),
            _ => return found,
        }
    }
}

/// The page of metrics of a gateway.
pub(crate) async fn metrics(operations: std::net::SocketAddr) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(format!("http://{operations}/metrics")).send().await.unwrap();
    assert!(answer.status().is_success());
    answer.text().await.unwrap()
}

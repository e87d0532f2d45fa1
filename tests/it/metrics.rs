//! `/metrics` as Prometheus asks for it.

use serde_json::json;

use crate::support::gateway::Gateway;
use crate::support::kept::{create, metrics};

#[tokio::test]
async fn what_the_gateway_counts_is_told_on_the_operations_port() {
    let gateway = Gateway::simulated("").await;
    let before = metrics(gateway.operations()).await;
    for expected in [
        "partner_gateway_store_up 1",
        "partner_gateway_journalled_keys 0",
        r#"partner_gateway_key_intents{state="open"} 0"#,
        r#"partner_gateway_key_intents{state="flagged"} 0"#,
        r#"partner_gateway_token_requests_total{partner="trustist",outcome="issued"} 0"#,
    ] {
        assert!(before.contains(expected), "{expected} is not in\n{before}");
    }
    let list = "trustist.v1.InvitationService/ListInvitations";
    gateway.client.call(list, json!({})).await.unwrap();
    create(&gateway.client, "Acme").await.unwrap();
    // The store is asked once a second at most.
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    let after = metrics(gateway.operations()).await;
    for expected in [
        r#"partner_gateway_credentials{partner="trolley",kind="key_pair"} 1"#,
        r#"partner_gateway_token_requests_total{partner="trustist",outcome="issued"} 1"#,
        "# EOF",
    ] {
        assert!(after.contains(expected), "{expected} is not in\n{after}");
    }
    assert!(!after.contains("M-"), "no account is a label");
}

#[tokio::test]
async fn the_page_says_what_it_is() {
    let gateway = Gateway::simulated("").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = http.get(format!("http://{}/metrics", gateway.operations())).send().await.unwrap();
    let content_type = page.headers()["content-type"].to_str().unwrap();
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"));
}

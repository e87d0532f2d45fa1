//! Who may call: callers that the configuration names, by their bearer tokens.

use partner_gateway::callers::TokenDigest;
use serde_json::{Value, json};
use tonic::{Code, Request};

use crate::support::client::{Client, pool};
use crate::support::gateway::Gateway;
use crate::support::process::Process;
use crate::support::scripted::{Partner, Scripted};
use crate::support::wire::Wire;

const WEBHOOKS: &str = "trolley.v1.WebhookService/ListWebhooks";
const TOKEN: &str = "canary-token-of-billing";

/// The section of a caller with this token.
pub(crate) fn section(name: &str, token: &str, more: &str) -> String {
    let digest = TokenDigest::of(token.as_bytes());
    format!("[[callers]]\nname = \"{name}\"\ntoken_sha256 = \"{digest}\"\n{more}\n")
}

/// A request with a caller's token.
pub(crate) fn as_caller(token: &str, request: Value) -> Request<Value> {
    let mut request = Request::new(request);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// Every rpc that the listener serves, health left out.
fn every_rpc() -> Vec<String> {
    let services = pool().services().filter(|it| !it.full_name().starts_with("grpc.health."));
    let services = services.flat_map(|service| service.methods().collect::<Vec<_>>());
    let rpc = |method: prost_reflect::MethodDescriptor| {
        format!("{}/{}", method.parent_service().full_name(), method.name())
    };
    let reflection = ["v1", "v1alpha"]
        .map(|version| format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"));
    services.map(rpc).chain(reflection).collect()
}

/// S5, S6: a new rpc is closed as well, without anybody thinking of it.
#[tokio::test]
async fn s5_every_rpc_wants_a_known_caller_and_health_does_not() {
    let gateway = Gateway::simulated(&section("billing", TOKEN, "")).await;
    let wire = Wire::to(gateway.grpc());
    let rpcs = every_rpc();
    assert!(rpcs.len() > 200, "{}", rpcs.len());
    for authorization in [None, Some("Bearer other"), Some("Basic YTpi"), Some(TOKEN)] {
        let headers: Vec<_> =
            authorization.map(|value| ("authorization", value)).into_iter().collect();
        for rpc in rpcs.iter().map(String::as_str).chain(["no.such.Service/Method"]) {
            let told = wire.send(rpc, &[], &headers).await;
            assert_eq!(told.code(), Code::Unauthenticated, "{rpc} {authorization:?}");
            let info = told.error_info();
            assert_eq!(
                (info.reason.as_str(), info.domain.as_str()),
                ("UNKNOWN_CALLER", "partner-gateway")
            );
        }
    }
    let health = wire.send("grpc.health.v1.Health/Check", &[], &[]).await;
    assert_eq!(health.code(), Code::Ok);
    let authorization = format!("Bearer {TOKEN}");
    let known = wire.call(WEBHOOKS, json!({}), &[("authorization", &authorization)]).await;
    assert_eq!(known.code(), Code::Ok);
}

#[tokio::test]
async fn without_callers_in_the_configuration_whoever_reaches_the_port_may_call() {
    let gateway = Gateway::simulated("").await;
    gateway.client.call(WEBHOOKS, json!({})).await.unwrap();
    gateway.client.call_with(WEBHOOKS, as_caller("whatever", json!({}))).await.unwrap();
}

/// S12: what a caller proves itself with is nobody else's.
#[tokio::test]
async fn a_callers_token_reaches_neither_the_partner_nor_the_log() {
    let partner = Partner::start().await;
    partner.script(
        Scripted { body: "{\"ok\":true,\"subscriptions\":[]}".into(), ..Scripted::default() },
        true,
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let settings = format!(
        "[partners.trolley]\nbase_url = \"{}\"\naccess_key = \"a\"\nsecret_key = \"b\"\n{}",
        partner.url,
        section("billing", TOKEN, "")
    );
    std::fs::write(&file, settings).unwrap();
    let level = [("PARTNER_GATEWAY__TELEMETRY__LOG_LEVEL", "trace")];
    let process = Process::serve(&["--config", file.to_str().unwrap()], &level).await;
    let client = Client::connect(process.grpc).await;
    client.call_with(WEBHOOKS, as_caller(TOKEN, json!({}))).await.unwrap();
    let wrong = as_caller("canary-token-of-nobody", json!({}));
    let refused = client.call_with(WEBHOOKS, wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);

    let arrived = partner.arrived();
    assert_eq!(arrived.len(), 1);
    let mut told: Vec<_> = arrived.iter().map(|request| format!("{request:?}")).collect();
    told.push(format!("{refused:?}"));
    told.extend(process.log().iter().map(ToString::to_string));
    assert!(told.iter().any(|line| line.contains("UNKNOWN_CALLER")), "nothing was logged");
    // The lines of HTTP/2 itself are there because everything was asked for, and show
    // headers: they stay off unless somebody names them.
    for line in told
        .iter()
        .filter(|line| !line.contains("\"target\":\"h2") && !line.contains("\"target\":\"hyper"))
    {
        assert!(!line.contains("canary"), "{line}");
    }
}

#[tokio::test]
async fn a_token_is_replaced_by_giving_both_for_a_while() {
    let digests =
        ["old", "new"].map(|token| format!("{:?}", TokenDigest::of(token.as_bytes()).to_string()));
    let callers = format!("[[callers]]\nname = \"a\"\ntoken_sha256 = [{}]\n", digests.join(", "));
    let gateway = Gateway::simulated(&callers).await;
    for token in ["old", "new"] {
        gateway.client.call_with(WEBHOOKS, as_caller(token, json!({}))).await.unwrap();
    }
}

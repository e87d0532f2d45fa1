//! What a call's trace is, as a collector of another project's making has it: the program
//! itself, its simulators, and OTLP in between.

mod exports;
mod tree;

use serde_json::{Value, json};
use tonic::Request;

use crate::support::client::Client;
use crate::support::collector::Collector;
use crate::support::control::Control;
use crate::support::process::Process;

const LIST: &str = "trustist.v1.InvitationService/ListInvitations";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const CLIENT: u64 = 3;

struct Setting {
    process: Process,
    client: Client,
    control: Control,
}

/// The program before its simulators, which sends to `endpoint`.
async fn given(endpoint: &str, environment: &[(&str, &str)]) -> Setting {
    let endpoint = [("PARTNER_GATEWAY__TELEMETRY__OTLP_ENDPOINT", endpoint)];
    let process = Process::serve(&["--simulate"], &[&endpoint, environment].concat()).await;
    let client = Client::connect(process.grpc).await;
    let control = Control::of(process.simulators.unwrap());
    Setting { process, client, control }
}

fn endpoint(collector: &Collector) -> String {
    format!("http://127.0.0.1:{}", collector.port)
}

/// A request of a caller that is part of a trace.
fn traced(flags: &str, message: Value) -> Request<Value> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request.metadata_mut().insert("tracestate", "vendor=opaque".parse().unwrap());
    request
}

/// The headers of what arrived at the partner, without requests for tokens.
async fn sent(setting: &Setting) -> Vec<Value> {
    let arrived = setting.control.arrived("trustist").await;
    let calls = arrived.into_iter().filter(|it| !it["path"].as_str().unwrap().ends_with("token"));
    calls.map(|it| it["headers"].clone()).collect()
}

/// Whoever looks at a slow bucket finds a call in it.
#[tokio::test(flavor = "multi_thread")]
async fn the_exemplar_of_a_latency_bucket_is_the_trace_of_its_call() {
    let Some(collector) = Collector::start(&[]).await else { return };
    let setting = given(&endpoint(&collector), &[]).await;
    setting.client.call(LIST, json!({})).await.unwrap();
    collector.until("the call", |told| told.iter().any(|it| it["span"] == LIST)).await;
    let trace = collector.spans(LIST)[0]["trace"].as_str().unwrap().to_owned();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.get(format!("http://{}/metrics", setting.process.operations));
    let request = request.header("accept", "application/openmetrics-text;version=1.0.0");
    let page = request.send().await.unwrap().text().await.unwrap();
    for family in ["grpc_server_call_duration_seconds", "http_client_request_duration_seconds"] {
        let exemplar = format!("# {{trace_id=\"{trace}\"}}");
        let is_told = page.lines().any(|it| it.starts_with(family) && it.contains(&exemplar));
        assert!(is_told, "{family} has no {exemplar} in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_its_caller_does_not_keep_is_not_kept_here_and_passed_on_as_such() {
    let Some(collector) = Collector::start(&[]).await else { return };
    let setting = given(&endpoint(&collector), &[]).await;
    setting.client.call_with(LIST, traced("00", json!({}))).await.unwrap();
    // One that is kept, so that there is something to wait for.
    setting.client.call(LIST, json!({})).await.unwrap();
    collector.until("a call", |told| told.iter().any(|it| it["span"] == LIST)).await;
    assert!(collector.told().iter().all(|it| it["trace"] != TRACE), "{:#?}", collector.told());
    let parent = sent(&setting).await[0]["traceparent"].as_str().unwrap().to_owned();
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"), "{parent}");
    let page = crate::support::kept::metrics(setting.process.operations).await;
    assert!(!page.contains(TRACE));
}

/// Of those that begin here none is kept; a caller that brings one has decided for it.
#[tokio::test(flavor = "multi_thread")]
async fn g42_with_a_ratio_of_nothing_no_trace_that_begins_here_is_sent() {
    let Some(collector) = Collector::start(&[]).await else { return };
    let ratio = [("PARTNER_GATEWAY__TELEMETRY__TRACE_RATIO", "0")];
    let mut setting = given(&endpoint(&collector), &ratio).await;
    for _ in 0..20 {
        setting.client.call(LIST, json!({})).await.unwrap();
    }
    setting.client.call_with(LIST, traced("01", json!({}))).await.unwrap();
    setting.process.signal("TERM").await;
    assert!(setting.process.ended().await.success());
    // The last metrics come after the last spans.
    let is_last = |it: &Value| it["metric"] == "grpc.server.call.started" && it["value"] == 21;
    collector.until("the last metrics", |told| told.iter().any(is_last)).await;
    let told = collector.told();
    let traces: Vec<_> =
        told.iter().filter(|it| it["span"].is_string()).map(|it| &it["trace"]).collect();
    assert!(!traces.is_empty() && traces.iter().all(|trace| *trace == TRACE), "{traces:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_a_callers_trace_is_passed_on_all_the_same() {
    let setting = given("", &[]).await;
    setting.client.call_with(LIST, traced("01", json!({}))).await.unwrap();
    let mut broken = Request::new(json!({}));
    broken.metadata_mut().insert("traceparent", "00-broken".parse().unwrap());
    broken
        .metadata_mut()
        .insert_bin("grpc-trace-bin", tonic::metadata::BinaryMetadataValue::from_bytes(b"\0"));
    setting.client.call_with(LIST, broken).await.unwrap();
    let sent = sent(&setting).await;
    let parents: Vec<_> = sent.iter().map(|it| it["traceparent"].as_str().unwrap()).collect();
    assert!(parents[0].starts_with(&format!("00-{TRACE}-")) && parents[0].ends_with("-01"));
    assert!(!parents[0].contains(CALLER), "the attempt is its own span");
    // A trace of its own, which nobody keeps.
    assert!(parents[1].len() == 55 && !parents[1].contains(TRACE), "{parents:?}");
    assert!(parents[1].ends_with("-00"), "{parents:?}");
}

/// What an operator turns down in the log is still in the trace.
#[tokio::test(flavor = "multi_thread")]
async fn the_logs_level_says_nothing_of_what_is_traced() {
    let Some(collector) = Collector::start(&[]).await else { return };
    // The address is logged at info: the port must be known.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let environment = [
        ("PARTNER_GATEWAY__TELEMETRY__LOG_LEVEL", "warn,partner_gateway::server=info"),
        ("PARTNER_GATEWAY__GRPC__LISTEN", address.as_str()),
    ];
    let setting = given(&endpoint(&collector), &environment).await;
    setting.client.call(LIST, json!({})).await.unwrap();
    collector.until("the call", |told| told.iter().any(|it| it["span"] == LIST)).await;
    collector.until("its attempt", |told| told.iter().any(|it| it["kind"] == CLIENT)).await;
    let log = setting.process.log();
    assert!(log.iter().all(|line| line["message"] != "call answered"), "{log:?}");
}

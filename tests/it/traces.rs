//! What a call's trace is, as a collector of another project's making has it: the program
//! itself, its simulators, and OTLP in between.

use std::time::Duration;

use partner_gateway::config::Config;
use serde_json::{Value, json};
use tonic::Request;

use crate::support::client::Client;
use crate::support::collector::Collector;
use crate::support::control::Control;
use crate::support::process::Process;

const LIST: &str = "trustist.v1.InvitationService/ListInvitations";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;

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
fn traced(flags: &str) -> Request<Value> {
    let mut request = Request::new(json!({}));
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

fn children<'a>(spans: &'a [Value], parent: &Value) -> Vec<&'a Value> {
    let mut children: Vec<_> =
        spans.iter().filter(|it| it["parent"] == parent["id"] && it["span"].is_string()).collect();
    children.sort_by_key(|it| it["start"].as_u64());
    children
}

/// By gRPC's conventions.
fn is_described(call: &Value) {
    let attributes = &call["attributes"];
    for (name, value) in [
        ("rpc.system", json!("grpc")),
        ("rpc.service", json!("trustist.v1.InvitationService")),
        ("rpc.method", json!("ListInvitations")),
        ("rpc.grpc.status_code", json!(0)),
        ("server.address", json!("127.0.0.1")),
        ("gateway.caller", json!("anonymous")),
        ("gateway.partner", json!("trustist")),
        ("gateway.attempts", json!(2)),
        ("gateway.outcome", json!("SUCCEEDED")),
    ] {
        assert_eq!(attributes[name], value, "{name} of {call:#}");
    }
}

/// By the conventions for HTTP: a refusal and a success.
fn are_described(attempts: &[&Value], port: u16) {
    let of = |index: usize, name: &str| attempts[index]["attributes"][name].clone();
    for (index, status) in [(0, 401), (1, 200)] {
        assert_eq!(of(index, "gateway.attempt"), json!(index + 1));
        assert_eq!(of(index, "http.response.status_code"), json!(status));
        assert_eq!(of(index, "http.request.method"), json!("GET"));
        assert_eq!(of(index, "url.template"), json!("/invitations"));
        assert_eq!(of(index, "server.address"), json!("127.0.0.1"));
        assert_eq!(of(index, "server.port"), json!(port));
    }
    assert_eq!((of(0, "error.type"), of(1, "error.type")), (json!("401"), Value::Null));
    assert_eq!(
        (of(0, "gateway.outcome"), of(1, "gateway.outcome")),
        (json!("REJECTED"), json!("SUCCEEDED"))
    );
    let resent = "http.request.resend_count";
    assert_eq!((of(0, resent), of(1, resent)), (Value::Null, json!(1)));
    assert_eq!((&attempts[0]["status"], &attempts[1]["status"]), (&json!(ERROR), &json!(0)));
}

/// A call whose first attempt is refused for its token, so that there is a second one.
#[tokio::test(flavor = "multi_thread")]
async fn g42_a_call_is_a_tree_of_spans_in_its_callers_trace() {
    let Some(collector) = Collector::start(&[]) else { return };
    let setting = given(&endpoint(&collector), &[]).await;
    let rule = json!({
        "partner": "trustist", "path": "/invitations", "times": 1,
        "fault": {"kind": "status", "status": 401},
    });
    setting.control.fault(rule).await;
    let answer = setting.client.call_with(LIST, traced("01")).await.unwrap();
    assert_eq!(answer.metadata.get("x-gateway-attempts").unwrap(), "2");
    let is_server = |it: &Value| it["kind"] == SERVER && it["trace"] == TRACE;
    collector.until("the call", |told| told.iter().any(is_server)).await;

    let told = collector.told();
    let call = told.iter().find(|it| is_server(it)).unwrap();
    assert_eq!((&call["span"], &call["parent"]), (&json!(LIST), &json!(CALLER)));
    assert_eq!((&call["state"], &call["status"]), (&json!("vendor=opaque"), &json!(0)));
    let attributes = &call["attributes"];
    is_described(call);
    let id = answer.metadata.get("x-request-id").unwrap().to_str().unwrap();
    assert_eq!(attributes["gateway.request_id"], id);
    assert_eq!(call["resource"]["service.name"], "partner-gateway");

    let children = children(&told, call);
    let names: Vec<_> = children.iter().map(|it| it["span"].as_str().unwrap()).collect();
    let attempt =
        children.iter().find(|it| it["kind"] == CLIENT).unwrap()["span"].as_str().unwrap();
    assert_eq!(names, ["token", attempt, "token", attempt, "decode"]);
    assert_eq!(attempt, "GET /invitations");
    let attempts: Vec<_> = children.iter().filter(|it| it["kind"] == CLIENT).copied().collect();
    are_described(&attempts, setting.control.address.port());

    // Each attempt told the partner of itself.
    let sent = sent(&setting).await;
    let parents: Vec<_> =
        sent.iter().map(|headers| headers["traceparent"].as_str().unwrap()).collect();
    let ids = attempts.iter().map(|it| format!("00-{TRACE}-{}-01", it["id"].as_str().unwrap()));
    assert_eq!(parents, ids.collect::<Vec<_>>());
    assert!(sent.iter().all(|headers| headers["tracestate"] == "vendor=opaque"), "{sent:?}");
    assert!(sent.iter().all(|headers| headers["baggage"].is_null()));
}

/// Whoever looks at a slow bucket finds a call in it.
#[tokio::test(flavor = "multi_thread")]
async fn the_exemplar_of_a_latency_bucket_is_the_trace_of_its_call() {
    let Some(collector) = Collector::start(&[]) else { return };
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
    let Some(collector) = Collector::start(&[]) else { return };
    let setting = given(&endpoint(&collector), &[]).await;
    setting.client.call_with(LIST, traced("00")).await.unwrap();
    // One that is kept, so that there is something to wait for.
    setting.client.call(LIST, json!({})).await.unwrap();
    collector.until("a call", |told| told.iter().any(|it| it["span"] == LIST)).await;
    assert!(collector.told().iter().all(|it| it["trace"] != TRACE), "{:#?}", collector.told());
    let parent = sent(&setting).await[0]["traceparent"].as_str().unwrap().to_owned();
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"), "{parent}");
    let page = crate::support::kept::metrics(setting.process.operations).await;
    assert!(!page.contains(TRACE));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_a_callers_trace_is_passed_on_all_the_same() {
    let setting = given("", &[]).await;
    setting.client.call_with(LIST, traced("01")).await.unwrap();
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
    let Some(collector) = Collector::start(&[]) else { return };
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

/// What is waiting when the program is told to stop is sent before it does.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_sent_before_the_end() {
    let Some(collector) = Collector::start(&[]) else { return };
    let mut setting = given(&endpoint(&collector), &[]).await;
    for _ in 0..20 {
        setting.client.call(LIST, json!({})).await.unwrap();
    }
    setting.process.signal("TERM").await;
    assert!(setting.process.ended().await.success());
    collector.until("all calls", |_| collector.spans(LIST).len() == 20).await;
    let started = collector
        .told()
        .iter()
        .any(|it| it["metric"] == "grpc.server.call.started" && it["value"] == 20);
    assert!(started, "the metrics were not sent: {:#?}", collector.told());
}

/// One that does not answer, one that is not there, one that is no collector, and one
/// that refuses: calls are answered, spans are lost and counted, and the program ends.
#[tokio::test(flavor = "multi_thread")]
async fn g42_a_collector_that_fails_holds_up_no_call() {
    // It takes connections and never reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let garbage = garbage().await;
    let mut endpoints =
        vec![silent.local_addr().unwrap().to_string(), nowhere.to_string(), garbage.to_string()];
    let refusing = Collector::start(&["--fail"]);
    endpoints.extend(refusing.iter().map(|it| format!("127.0.0.1:{}", it.port)));
    for endpoint in endpoints {
        let mut setting = given(&format!("http://{endpoint}"), &[]).await;
        let calls = (0..200).map(|_| setting.client.call(LIST, json!({})));
        for answer in futures_util::future::join_all(calls).await {
            answer.unwrap();
        }
        let page = lost(&setting).await;
        assert!(
            page.contains(r#"partner_gateway_spans_total{fate="sent"} 0"#),
            "{endpoint}: {page}"
        );
        setting.process.signal("TERM").await;
        assert!(setting.process.ended().await.success(), "{endpoint}");
    }
}

/// The metrics, once they tell of spans that were lost.
async fn lost(setting: &Setting) -> String {
    let looked = async {
        loop {
            let page = crate::support::kept::metrics(setting.process.operations).await;
            let is_none = |fate| page.contains(&format!("spans_total{{fate=\"{fate}\"}} 0\n"));
            if !is_none("queue_full") || !is_none("failed") {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looked).await.expect("no span was lost")
}

/// A server that answers whatever it is sent with words of its own.
async fn garbage() -> std::net::SocketAddr {
    use tokio::io::AsyncWriteExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"what is this? who are you?\r\n\r\n").await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_spoken_to_over_tls_with_its_headers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key, token) = (path("cert.pem"), path("key.pem"), path("headers"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&token, "x-tenant=canary-tenant, x-more=2\n").unwrap();
    let Some(collector) = Collector::start(&["--tls", &cert, &key]) else { return };
    let endpoint = format!("https://localhost:{}", collector.port);
    let environment = [
        ("PARTNER_GATEWAY__TELEMETRY__OTLP_ROOT_CA_FILE", cert.as_str()),
        ("PARTNER_GATEWAY__TELEMETRY__OTLP_HEADERS_FILE", token.as_str()),
    ];
    let setting = given(&endpoint, &environment).await;
    setting.client.call(LIST, json!({})).await.unwrap();
    collector.until("the call", |told| told.iter().any(|it| it["span"] == LIST)).await;
    let headers = &collector.spans(LIST)[0]["headers"];
    assert_eq!((&headers["x-tenant"], &headers["x-more"]), (&json!("canary-tenant"), &json!("2")));
    let log = format!("{:?}", setting.process.log());
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn a_secret_for_the_collector_is_not_sent_in_the_clear_and_not_told() {
    let refused = |text: &str| {
        let text = format!("[telemetry]\n{text}");
        text.parse::<Config>().map(|it| it.to_string()).unwrap_err().to_string()
    };
    let headers = "otlp_headers = 'authorization=Bearer canary'\n";
    let fault = refused(&format!("{headers}otlp_endpoint = 'http://collector:4317'"));
    assert!(fault.contains("telemetry.otlp_endpoint: must be https"), "{fault}");
    let fault = refused("otlp_endpoint = 'https://us:canary@collector'");
    assert!(fault.contains("may hold no password") && !fault.contains("canary"), "{fault}");
    let fault = refused("otlp_headers = 'canary'");
    assert!(fault.contains("telemetry.otlp_headers: is not of the form"), "{fault}");
    assert!(!fault.contains("canary"), "{fault}");
    for (setting, problem) in [
        ("otlp_endpoint = 'collector'", "is not a URL"),
        ("otlp_endpoint = 'ftp://collector'", "must begin with"),
        ("trace_ratio = 1.5", "must be from 0 to 1"),
        ("trace_ratio = nan", "must be from 0 to 1"),
        ("otlp_metrics_interval = '0s'", "must be longer than 0s"),
        ("otlp_root_ca_file = '/nowhere'", "cannot be read"),
    ] {
        let fault = refused(setting);
        assert!(fault.contains(problem), "{setting}: {fault}");
    }
    let told = format!("[telemetry]\n{headers}otlp_endpoint = 'https://collector'");
    assert!(!told.parse::<Config>().unwrap().to_string().contains("canary"));
}

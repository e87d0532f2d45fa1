//! `/metrics` as Prometheus asks for it, and what stands on its names: alerts, dashboard,
//! documentation.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use partner_gateway::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::support::client::Answer;
use crate::support::collector::checked;
use crate::support::daemon;
use crate::support::gateway::Gateway;
use crate::support::kept::{create, metrics};
use crate::support::page;

const LIST: &str = "trustist.v1.InvitationService/ListInvitations";
const OPENMETRICS: &str =
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

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
        r#"partner_gateway_drift_total{partner="trustist"} 0"#,
        "partner_gateway_build_info{version=\"",
        "process_start_time_seconds ",
        "process_open_fds ",
        "process_resident_memory_bytes ",
    ] {
        assert!(before.contains(expected), "{expected} is not in\n{before}");
    }
    gateway.client.call(LIST, json!({})).await.unwrap();
    create(&gateway.client, "Acme").await.unwrap();
    // The store is asked once a second at most.
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let after = metrics(gateway.operations()).await;
    for expected in [
        r#"partner_gateway_credentials{partner="trolley",kind="key_pair"} 1"#,
        r#"partner_gateway_token_requests_total{partner="trustist",outcome="issued"} 1"#,
    ] {
        assert!(after.contains(expected), "{expected} is not in\n{after}");
    }
    assert!(!after.contains("M-"), "no account is a label");
}

/// G42, gRFC A66; and R20: attempts and outcomes by partner and rpc.
#[tokio::test]
async fn g42_r20_calls_and_attempts_are_counted_by_rpc_and_end() {
    let gateway = Gateway::simulated("").await;
    let refused = json!({"partner": "trustist", "path": "/invitations", "times": 1,
        "fault": {"kind": "status", "status": 401}});
    gateway.control().fault(refused).await;
    gateway.client.call(LIST, json!({})).await.unwrap();
    let unreadable = json!({"partner": "trustist", "path": "/invitations", "times": 3,
        "fault": {"kind": "drop_before"}});
    gateway.control().fault(unreadable).await;
    gateway.client.call(LIST, json!({})).await.unwrap_err();
    let page =
        page::until(gateway.operations(), |page| page.contains("grpc_status=\"UNAVAILABLE\""))
            .await;
    let address = gateway.control().address.ip();
    let request = format!(
        r#"http_client_request_duration_seconds_count{{http_request_method="GET",server_address="{address}",url_template="/invitations""#
    );
    for expected in [
        format!(r#"grpc_server_call_started_total{{grpc_method="{LIST}"}} 2"#),
        format!(
            r#"grpc_server_call_duration_seconds_count{{grpc_method="{LIST}",grpc_status="OK"}} 1"#
        ),
        format!(
            r#"grpc_server_call_duration_seconds_count{{grpc_method="{LIST}",grpc_status="UNAVAILABLE"}} 1"#
        ),
        format!(
            r#"partner_gateway_attempts_total{{partner="trustist",rpc="{LIST}",outcome="REJECTED"}} 1"#
        ),
        format!(
            r#"partner_gateway_attempts_total{{partner="trustist",rpc="{LIST}",outcome="SUCCEEDED"}} 1"#
        ),
        format!(
            r#"partner_gateway_calls_total{{partner="trustist",rpc="{LIST}",outcome="SUCCEEDED"}} 1"#
        ),
        format!(r#"{request},http_response_status_code="401",error_type="401"}} 1"#),
        format!(r#"{request},http_response_status_code="200"}} 1"#),
        format!(r#"{request},error_type="UNREACHABLE"}} 3"#),
        r#"partner_gateway_retries_total{partner="trustist",reason="UNREACHABLE"} 2"#.to_owned(),
    ] {
        assert!(page.contains(&expected), "{expected} is not in\n{page}");
    }
    // The reply is as long as its message is: the request has no field that is set.
    let sum = |family: &str| {
        let start = format!(
            r#"grpc_server_call_{family}_total_compressed_message_size_bytes_sum{{grpc_method="{LIST}",grpc_status="OK"}} "#
        );
        page.lines().find_map(|line| line.strip_prefix(&start)?.parse::<f64>().ok()).unwrap()
    };
    assert_eq!(sum("rcvd"), 0.0);
    assert!(sum("sent") > 100.0, "{page}");
}

/// R8, R20: the records of calls that are done once, by what is known of them.
#[tokio::test(flavor = "multi_thread")]
async fn r8_r20_records_of_request_ids_are_counted_by_state() {
    let gateway = Gateway::simulated("").await;
    for fault in [json!({"kind": "delay", "millis": 3_000}), json!({"kind": "drop_after"})] {
        let path = "/v1/subscriptions";
        gateway.control().fault(json!({"partner": "trolley", "path": path, "fault": fault})).await;
    }
    let record = |state, count| {
        format!(r#"partner_gateway_request_ids{{partner="trolley",state="{state}"}} {count}"#)
    };
    let others = async {
        gateway.control().until_arrived("trolley", "/v1/subscriptions").await;
        let page = page::until_has(gateway.operations(), &[record("STARTED", 1)]).await;
        assert!(!page.contains(r#"state="DONE""#) && !page.contains(r#"state="UNKNOWN""#));
        make(&gateway).await.expect_err("the answer is lost");
        make(&gateway).await.unwrap();
    };
    let (late, ()) = tokio::join!(make(&gateway), others);
    late.unwrap();
    let ended = [record("DONE", 2), record("UNKNOWN", 1)];
    let page = page::until_has(gateway.operations(), &ended).await;
    assert!(!page.contains(r#"state="STARTED""#), "{page}");
}

/// Makes a thing once, with an id of its own.
async fn make(gateway: &Gateway) -> Result<Answer, Status> {
    let request = json!({
        "action": "NOTIFICATION_ACTION_ALL",
        "model": "NOTIFICATION_TYPE_ALL",
        "target": "https://example.com/a",
        "requestId": Uuid::new_v4().to_string(),
    });
    gateway.client.call("trolley.v1.WebhookService/CreateWebhook", request).await
}

/// G42: streams are told when they end, also when their caller ends them.
#[tokio::test]
async fn g42_a_stream_is_counted_when_it_has_ended() {
    let gateway = Gateway::simulated("").await;
    let watch = "grpc.health.v1.Health/Watch";
    let mut stream = gateway.client.open(watch, Request::new(json!({}))).await.unwrap();
    stream.message().await.unwrap().unwrap();
    let page = metrics(gateway.operations()).await;
    let started = format!(r#"grpc_server_call_started_total{{grpc_method="{watch}"}} 1"#);
    let ended = format!(
        r#"grpc_server_call_duration_seconds_count{{grpc_method="{watch}",grpc_status="CANCELLED"}} 1"#
    );
    assert!(page.contains(&started) && !page.contains(&ended), "{page}");
    drop(stream);
    page::until(gateway.operations(), |page| page.contains(&ended)).await;
}

/// G42: callers cannot make series.
#[tokio::test]
async fn g42_a_flood_of_unknown_methods_makes_no_new_series() {
    let gateway = Gateway::simulated("").await;
    let channel =
        tonic::transport::Endpoint::try_from(format!("http://{}", gateway.grpc())).unwrap();
    let channel = channel.connect().await.unwrap();
    let flood = |from: usize, to: usize| {
        let channel = channel.clone();
        async move {
            for number in from..to {
                let mut grpc = tonic::client::Grpc::new(channel.clone());
                grpc.ready().await.unwrap();
                let path = format!("/flood.v1.Service{number}/Method{number}").parse().unwrap();
                let codec = tonic_prost::ProstCodec::<(), ()>::default();
                grpc.unary(Request::new(()), path, codec).await.unwrap_err();
            }
        }
    };
    let count = |n: usize| {
        format!(
            "grpc_server_call_duration_seconds_count{{grpc_method=\"other\",grpc_status=\"UNIMPLEMENTED\"}} {n}\n"
        )
    };
    flood(0, 1).await;
    let before = page::until(gateway.operations(), |page| page.contains(&count(1))).await;
    flood(1, 500).await;
    let after = page::until(gateway.operations(), |page| page.contains(&count(500))).await;
    assert_eq!(before.lines().count(), after.lines().count());
    assert!(!after.contains("flood"));
}

#[tokio::test]
async fn the_page_says_what_it_is() {
    let gateway = Gateway::simulated("").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (accept, expected, has_end) in [
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0", true),
        ("*/*", "text/plain; version=0.0.4", false),
    ] {
        let request = http.get(format!("http://{}/metrics", gateway.operations()));
        let page = request.header("accept", accept).send().await.unwrap();
        let content_type = page.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(content_type.starts_with(expected), "{content_type}");
        assert_eq!(page.text().await.unwrap().ends_with("# EOF\n"), has_end);
    }
}

/// Prometheus' own parser and lint.
#[tokio::test]
async fn promtool_accepts_the_page() {
    let gateway = Gateway::simulated("").await;
    gateway.client.call(LIST, json!({})).await.unwrap();
    let page = page::until(gateway.operations(), |page| {
        page.contains("grpc_server_call_duration_seconds_count")
    })
    .await;
    let Some((is_good, output)) = checked("promtool", &["check", "metrics"], &page) else { return };
    // gRFC A66 has given the one name that its lint does not like.
    assert!(is_good, "{output}");
}

/// Prometheus itself scrapes the gateway, exemplars and all.
#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_the_page() {
    let Some(program) = program("prometheus") else { return };
    let gateway = Gateway::simulated("").await;
    gateway.client.call(LIST, json!({})).await.unwrap();
    let folder = daemon::folder("prometheus");
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: gateway, static_configs: [{{targets: ['{}']}}]}}]\n",
        gateway.operations()
    );
    std::fs::write(folder.join("prometheus.yml"), config).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let listen = format!("--web.listen-address={address}");
    let args = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", &listen];
    let _prometheus = daemon::Daemon::start(None, "KILL", &folder, &program, &args);
    let query = format!("http://{address}/api/v1/query?query=grpc_server_call_started_total");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let scraped = async {
        loop {
            if let Ok(answer) = http.get(&query).send().await
                && let Ok(body) = answer.bytes().await
                && let Ok(answer) = serde_json::from_slice::<Value>(&body)
                && !answer["data"]["result"].as_array().is_none_or(Vec::is_empty)
            {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(30), scraped).await.expect("no scrape");
    assert_eq!(answer["data"]["result"][0]["metric"]["grpc_method"], LIST, "{answer:#}");
}

#[test]
fn promtool_accepts_the_alerts_and_their_tests() {
    let Some(program) = program("promtool") else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    for args in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]] {
        let output = Command::new(&program).args(args).current_dir(&folder).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{args:?}: {text}");
    }
}

/// Its queries are checked as rules are.
#[test]
fn promtool_accepts_the_queries_of_the_dashboard() {
    let Some(program) = program("promtool") else { return };
    let mut rules = String::from("groups: [{name: dashboard, rules: [\n");
    for (number, query) in queries().iter().enumerate() {
        let query = query.replace("$__rate_interval", "5m").replace("$instance", ".*");
        let query = Value::from(query.replace("$partner", ".*"));
        rules.push_str(&format!("{{record: \"query:{number}\", expr: {query}}},\n"));
    }
    assert!(!rules.contains('$'), "{rules}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, rules + "]}]\n").unwrap();
    let output = Command::new(program).args(["check", "rules"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A metric that is renamed must not leave an alert that never fires, or an empty panel.
#[test]
fn alerts_and_dashboard_name_metrics_that_there_are() {
    let there_are = series();
    let alerts = read("deploy/prometheus/alerts.yaml");
    let queries = queries();
    assert!(queries.len() > 10, "{queries:?}");
    for text in queries.iter().map(String::as_str).chain([alerts.as_str()]) {
        for name in named(text) {
            assert!(there_are.contains(&*name), "{name} is no metric: {text}");
        }
    }
    assert!(named(&alerts).len() > 5, "the names were not found");
}

/// The alerts that are tested are all that there are.
#[test]
fn every_alert_has_a_test_and_a_page_in_the_runbook() {
    let (alerts, tests) =
        (read("deploy/prometheus/alerts.yaml"), read("deploy/prometheus/alerts.test.yaml"));
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} has no test");
        let page = format!("docs/runbook.md#{}", name.to_lowercase());
        assert!(alerts.contains(&page), "{name} does not name {page}");
    }
}

#[test]
fn the_documentation_has_every_metric_and_no_other() {
    let text = read("docs/telemetry.md");
    let table = text.split_once("\n| metric |").expect("no table of metrics").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let told: BTreeSet<_> = cells.map(|row| row[..3].join(" | ").replace('`', "")).collect();
    let declared: BTreeSet<_> = Metrics::default()
        .declared()
        .iter()
        .map(|it| {
            let labels = it.labels.join(", ").replace('.', "_");
            format!("{} | {} | {labels}", it.prometheus(), it.kind)
        })
        .collect();
    assert_eq!(told, declared);
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|it| it.join(name)).find(|it| it.is_file());
    if found.is_none() {
        daemon::missing(name);
    }
    found
}

/// Every series that the gateway can have.
fn series() -> BTreeSet<String> {
    let metrics = Metrics::default();
    let mut names = BTreeSet::new();
    for declared in metrics.declared() {
        let name = declared.prometheus();
        match declared.kind {
            "histogram" => {
                names.extend(["bucket", "sum", "count"].map(|it| format!("{name}_{it}")))
            }
            _ => drop(names.insert(name)),
        }
    }
    names
}

/// The names in a text that are the gateway's by their beginning.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = ["partner_gateway_", "grpc_server_", "http_client_", "process_"];
    words.filter(|word| ours.iter().any(|it| word.starts_with(it))).map(str::to_owned).collect()
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    let dashboard = read("deploy/grafana/partner-gateway.json");
    collect(&serde_json::from_str(&dashboard).unwrap(), &mut queries);
    queries
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, into));
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, into)),
        _ => {}
    }
}

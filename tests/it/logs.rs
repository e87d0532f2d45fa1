//! The log as operators read it.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tonic::Request;

use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::kept::metrics;
use crate::support::process::Process;
use crate::support::wire::Wire;

const LIST: &str = "trustist.v1.InvitationService/ListInvitations";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The lines of calls, once there are `count` of them, and a moment later.
async fn calls(process: &Process, count: usize) -> Vec<Value> {
    let is_call = |line: &Value| line["message"].as_str().is_some_and(|it| it.starts_with("call "));
    let lines = || process.log().into_iter().filter(is_call).collect::<Vec<_>>();
    let looked = async {
        while lines().len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = timeout(Duration::from_secs(10), looked).await;
    assert!(found.is_ok(), "{:#?}", process.log());
    tokio::time::sleep(Duration::from_millis(100)).await;
    lines()
}

/// One of each kind: the id of the first.
async fn make_calls(process: &Process) -> String {
    let client = Client::connect(process.grpc).await;
    let control = Control::of(process.simulators.unwrap());
    let mut request = Request::new(json!({}));
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request.metadata_mut().insert("grpc-previous-rpc-attempts", "2".parse().unwrap());
    let answer = client.call_with(LIST, request).await.unwrap();
    let id = answer.metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned();
    let account = json!({"submerchant_id": partner_gateway::simulator::trolley::SUBMERCHANT_ID});
    client.call("trolley.v1.BalanceService/GetFundingInfo", account).await.unwrap();
    client.call("trustist.v1.InvitationService/GetMerchantKeys", json!({})).await.unwrap_err();
    let fault = json!({"partner": "trustist", "times": null, "fault": {"kind": "drop_before"}});
    control.fault(fault).await;
    client.call(LIST, json!({})).await.unwrap_err();
    client.call("gateway.v1.PartnerService/ListPartners", json!({})).await.unwrap();
    let mut stream = Request::new(json!({"trustap_user_id": "user-canary"}));
    stream.set_timeout(Duration::from_secs(5));
    let _ = client.stream("trustap.v1.OnlineTransactionService/StreamTransactions", stream).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_has_one_line_that_tells_all_of_it() {
    let process = Process::serve(&["--simulate"], &[]).await;
    let id = make_calls(&process).await;
    let lines = calls(&process, 6).await;
    assert_eq!(lines.len(), 6, "{lines:#?}");
    let [answered, of_account, refused, failed, own, stream] = &lines[..] else { unreachable!() };
    assert_eq!(
        (&answered["level"], &answered["message"], &answered["rpc"]),
        (&json!("INFO"), &json!("call answered"), &json!(LIST))
    );
    for (name, value) in [
        ("caller", json!("anonymous")),
        ("code", json!("OK")),
        ("outcome", json!("SUCCEEDED")),
        ("attempts", json!(1)),
        ("previous_attempts", json!(2)),
        ("request_id", json!(id)),
        ("trace_id", json!(TRACE)),
        ("account", Value::Null),
        ("reason", Value::Null),
    ] {
        assert_eq!(answered[name], value, "{name} of {answered:#}");
    }
    for part in
        ["duration", "spent.queue", "spent.token", "spent.store", "spent.attempts", "spent.backoff"]
    {
        assert!(answered[part].is_f64(), "{part} of {answered:#}");
    }
    assert_eq!(of_account["account"], partner_gateway::simulator::trolley::SUBMERCHANT_ID);
    assert_eq!((&refused["level"], &refused["message"]), (&json!("INFO"), &json!("call refused")));
    assert_eq!(
        (&refused["code"], &refused["reason"]),
        (&json!("INVALID_ARGUMENT"), &json!("INVALID_REQUEST"))
    );
    assert_eq!((&refused["outcome"], &refused["attempts"]), (&json!("NOT_SENT"), &json!(0)));
    assert_eq!((&failed["level"], &failed["message"]), (&json!("WARN"), &json!("call failed")));
    assert!(failed["error"].is_string() && failed["reason"].is_string(), "{failed:#}");
    assert_eq!(own["rpc"], "gateway.v1.PartnerService/ListPartners");
    assert_eq!(stream["rpc"], "trustap.v1.OnlineTransactionService/StreamTransactions");
    // A user is a person.
    let log = format!("{:?}", process.log());
    assert!(!log.contains("user-canary"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_its_caller_leaves_has_a_line_too_and_probes_have_none() {
    let process = Process::serve(&["--simulate"], &[]).await;
    let client = Client::connect(process.grpc).await;
    let control = Control::of(process.simulators.unwrap());
    let health = "grpc.health.v1.Health/Check";
    client.call(health, json!({})).await.unwrap();
    let slow = json!({"partner": "trustist", "path": "/invitations", "fault": {"kind": "delay", "millis": 5000}});
    control.fault(slow).await;
    let left = timeout(Duration::from_millis(300), client.call(LIST, json!({}))).await;
    assert!(left.is_err());
    let lines = calls(&process, 1).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let (message, code) = (&lines[0]["message"], &lines[0]["code"]);
    assert_eq!((message, code), (&json!("call abandoned"), &json!("CANCELLED")));
}

/// G42: what callers make up does not get into the log.
#[tokio::test(flavor = "multi_thread")]
async fn an_rpc_that_nobody_serves_is_told_as_other() {
    let process = Process::serve(&["--simulate"], &[]).await;
    let channel = tonic::transport::Endpoint::try_from(format!("http://{}", process.grpc)).unwrap();
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let path = "/made.up.Canary/Word".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    grpc.unary(Request::new(()), path, codec).await.unwrap_err();
    let lines = calls(&process, 1).await;
    assert_eq!((&lines[0]["rpc"], &lines[0]["code"]), (&json!("other"), &json!("UNIMPLEMENTED")));
    assert_eq!(lines[0]["reason"], "UNKNOWN_RPC");
    assert!(!format!("{:?}", process.log()).contains("Canary"));
}

/// One line, with the reason: also of what no service has seen.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_edge_refuses_has_one_line_with_its_reason() {
    // SHA-256 of "token".
    let digest = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";
    let callers = format!("[{{ name = 'one', token_sha256 = '{digest}' }}]");
    let settings = [
        ("PARTNER_GATEWAY__CALLERS", callers.as_str()),
        ("PARTNER_GATEWAY__GRPC__MAX_MESSAGE_BYTES", "1024"),
    ];
    let process = Process::serve(&["--simulate"], &settings).await;
    let wire = Wire::to(process.grpc);
    let known = ("authorization", "Bearer token");
    let mut told = vec![wire.send(LIST, b"", &[]).await];
    told.push(wire.send(LIST, b"", &[known, ("grpc-timeout", "soon")]).await);
    told.push(wire.send(LIST, &[0; 2000], &[known]).await);
    let lines = calls(&process, 3).await;
    assert_eq!(lines.len(), 3, "{lines:#?}");
    let reasons = ["UNKNOWN_CALLER", "INVALID_TIMEOUT", "MESSAGE_TOO_LARGE"];
    for ((line, told), reason) in lines.iter().zip(&told).zip(reasons) {
        let id = told.metadata("x-request-id").unwrap();
        assert_eq!((&line["message"], &line["reason"]), (&json!("call refused"), &json!(reason)));
        assert_eq!((told.error_info().reason.as_str(), &line["request_id"]), (reason, &json!(id)));
        let of_call = process.log().into_iter().filter(|it| it["request_id"] == id).count();
        assert_eq!(of_call, 1, "{:#?}", process.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_tells_the_configuration_without_its_secrets() {
    let secret = ("PARTNER_GATEWAY__TELEMETRY__OTLP_HEADERS", "authorization=canary");
    let process = Process::serve(&["--simulate"], &[secret]).await;
    let log = process.log();
    let told = log.iter().find(|line| line["message"] == "effective configuration").unwrap();
    assert_eq!(told["level"], "INFO");
    let configuration = told["configuration"].as_str().unwrap();
    assert!(configuration.contains("[grpc]") && configuration.contains("log_format = \"json\""));
    assert!(!format!("{log:?}").contains("canary"), "{configuration}");
}

/// For what is done at once when nothing is in its way.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many lines of a kind were lost.
async fn lost(process: &Process, kind: &str) -> u64 {
    let name = format!("partner_gateway_log_lines_dropped_total{{kind=\"{kind}\"}} ");
    let page = metrics(process.operations).await;
    page.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

/// A gateway whose log nobody reads, and that has found no room for more of it.
async fn stalled() -> (Process, Client) {
    let level = ("PARTNER_GATEWAY__TELEMETRY__LOG_LEVEL", "info,h2=trace");
    let process = Process::serve_unread(&["--simulate"], &[level]).await;
    let client = Client::connect(process.grpc).await;
    let start = Instant::now();
    let filled = async {
        while lost(&process, "ordinary").await == 0 {
            for answer in join_all((0..20).map(|_| client.call(LIST, json!({})))).await {
                answer.unwrap();
            }
        }
    };
    let filled = timeout(2 * PATIENCE, filled).await;
    assert!(filled.is_ok(), "it stops with its log, after {:?}", start.elapsed());
    (process, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn g29_g27_a_log_that_nobody_reads_stops_neither_calls_nor_probes_nor_the_drain() {
    let (mut process, client) = stalled().await;

    let calls = join_all((0..100).map(|_| client.call(LIST, json!({}))));
    for answer in timeout(PATIENCE, calls).await.expect("calls wait for the log") {
        answer.unwrap();
    }
    let health = client.call("grpc.health.v1.Health/Check", json!({"service": "readiness"}));
    let health = timeout(PATIENCE, health).await.expect("health waits for the log").unwrap();
    assert_eq!(health.reply["status"], "SERVING");
    for path in ["livez", "readyz"] {
        let probe = reqwest::Client::builder().no_proxy().build().unwrap();
        let probe = probe.get(format!("http://{}/{path}", process.operations)).send();
        assert_eq!(timeout(PATIENCE, probe).await.unwrap().unwrap().status(), 200, "{path}");
    }
    drop(client);

    process.signal("TERM").await;
    assert_eq!(process.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_the_audit_is_kept_while_nobody_reads_the_log_and_what_is_lost_is_told() {
    const AUDITED: usize = 50;
    let (mut process, client) = stalled().await;
    let unknown = json!({"id": "00000000-0000-4000-8000-000000000000"});
    for _ in 0..AUDITED {
        let absent = client.call("gateway.v1.CredentialService/DeleteCredential", unknown.clone());
        timeout(PATIENCE, absent).await.expect("the audit waits for the log").unwrap_err();
    }
    assert_eq!(lost(&process, "audit").await, 0);
    drop(client);

    process.read();
    let told = |process: &Process, text: &str| {
        let has = |line: &&Value| line["message"].as_str().is_some_and(|it| it.contains(text));
        process.log().iter().filter(has).count()
    };
    let read_on = async {
        while told(&process, "lines of the log are lost") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, read_on).await.is_ok(), "{:?}", process.log().last());
    process.signal("TERM").await;
    assert_eq!(process.ended().await.code(), Some(0));
    let read_up = async {
        while told(&process, "stopped") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, read_up).await.is_ok(), "{:?}", process.log().last());
    let audited = process.log().iter().filter(|line| line["target"] == "audit").count();
    assert_eq!(audited, AUDITED);
}

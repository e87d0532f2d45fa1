//! The spans of a call: its parts as its children, each attempt by the conventions for HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{CALLER, CLIENT, LIST, Setting, TRACE, endpoint, given, sent, traced};
use crate::support::collector::Collector;

const MAKE: &str = "trustist.v1.InvitationService/CreateInvitation";
const SERVER: u64 = 2;
const ERROR: u64 = 2;
/// One request in three seconds: whoever comes after another one waits for its turn.
const ONE_BY_ONE: [(&str, &str); 4] = [
    ("PARTNER_GATEWAY__PARTNERS__TRUSTIST__CLIENT_ID", "a"),
    ("PARTNER_GATEWAY__PARTNERS__TRUSTIST__CLIENT_SECRET", "b"),
    ("PARTNER_GATEWAY__PARTNERS__TRUSTIST__RATE_LIMIT__REQUESTS", "1"),
    ("PARTNER_GATEWAY__PARTNERS__TRUSTIST__RATE_LIMIT__PER", "3s"),
];
/// The parts of a call, and what its time in them is called.
const PHASES: [(&str, &str); 5] = [
    ("queue", "queue"),
    ("token", "token"),
    ("idempotency", "store"),
    ("POST /invitations", "attempts"),
    ("backoff", "backoff"),
];
/// What a busy machine may do between two looks at its clock.
const APART: f64 = 0.5;

fn children<'a>(spans: &'a [Value], parent: &Value) -> Vec<&'a Value> {
    let mut children: Vec<_> =
        spans.iter().filter(|it| it["parent"] == parent["id"] && it["span"].is_string()).collect();
    children.sort_by_key(|it| it["start"].as_u64());
    children
}

/// Asserts that a span has these attributes; one that is null it has not.
fn has(span: &Value, attributes: &Value) {
    for (name, value) in attributes.as_object().unwrap() {
        assert_eq!(span["attributes"][name], *value, "{name} of {span:#}");
    }
}

/// The call's span, with its whole tree behind it, once the collector has it.
async fn tree(collector: &Collector, rpc: &str) -> (Value, Vec<Value>) {
    let is_call = |it: &Value| it["kind"] == SERVER && it["trace"] == TRACE && it["span"] == rpc;
    collector.until("the call", |told| told.iter().any(is_call)).await;
    let told = collector.told();
    (told.iter().find(|it| is_call(it)).unwrap().clone(), told)
}

/// By gRPC's conventions: a call of the caller's trace, made with two attempts.
fn is_described(call: &Value, method: &str, id: &str) {
    has(
        call,
        &json!({
            "rpc.system": "grpc",
            "rpc.service": "trustist.v1.InvitationService",
            "rpc.method": method,
            "rpc.grpc.status_code": 0,
            "server.address": "127.0.0.1",
            "gateway.request_id": id,
            "gateway.caller": "anonymous",
            "gateway.partner": "trustist",
            "gateway.attempts": 2,
            "gateway.previous_attempts": null,
            "gateway.outcome": "SUCCEEDED",
            "gateway.reason": null,
        }),
    );
    assert_eq!((&call["parent"], &call["state"]), (&json!(CALLER), &json!("vendor=opaque")));
    assert_eq!(call["status"], 0);
}

/// By the conventions for HTTP: one that was refused with `status`, and one that was
/// answered, each with the partner's id of it.
fn are_described(attempts: &[&Value], method: &str, status: u16, ids: [&Value; 2], port: u16) {
    let [refused, answered] = attempts else { panic!("{attempts:#?}") };
    for (attempt, id) in [refused, answered].into_iter().zip(ids) {
        has(
            attempt,
            &json!({
                "http.request.method": method,
                "url.template": "/invitations",
                "server.address": "127.0.0.1",
                "server.port": port,
                "gateway.partner": "trustist",
                "gateway.partner_request_id": id,
            }),
        );
    }
    has(
        refused,
        &json!({
            "gateway.attempt": 1,
            "gateway.outcome": "REJECTED",
            "http.response.status_code": status,
            "http.request.resend_count": null,
            "error.type": status.to_string(),
        }),
    );
    has(
        answered,
        &json!({
            "gateway.attempt": 2,
            "gateway.outcome": "SUCCEEDED",
            "http.response.status_code": 200,
            "http.request.resend_count": 1,
            "error.type": null,
        }),
    );
    assert_eq!((&refused["status"], &answered["status"]), (&json!(ERROR), &json!(0)));
}

/// Each attempt tells the partner of itself.
async fn are_passed_on(attempts: &[&Value], setting: &Setting) {
    let sent: Vec<_> = sent(setting)
        .await
        .into_iter()
        .filter(|it| it["traceparent"].as_str().is_some_and(|it| it.contains(TRACE)))
        .collect();
    let parents: Vec<_> =
        sent.iter().map(|headers| headers["traceparent"].as_str().unwrap()).collect();
    let ids = attempts.iter().map(|it| format!("00-{TRACE}-{}-01", it["id"].as_str().unwrap()));
    assert_eq!(parents, ids.collect::<Vec<_>>());
    assert!(sent.iter().all(|headers| headers["tracestate"] == "vendor=opaque"), "{sent:?}");
    assert!(sent.iter().all(|headers| headers["baggage"].is_null()));
}

/// How long spans took, in seconds.
fn seconds<'a>(spans: impl IntoIterator<Item = &'a Value>) -> f64 {
    let took = |it: &Value| it["end"].as_u64().unwrap() - it["start"].as_u64().unwrap();
    spans.into_iter().map(|it| Duration::from_nanos(took(it)).as_secs_f64()).sum()
}

/// The call says of each part what its children of that name took, and all of it is in the
/// call's own time.
fn is_accounted_for(call: &Value, children: &[&Value]) {
    let mut sum = 0.0;
    for (name, phase) in PHASES {
        let spent = call["attributes"][format!("gateway.spent.{phase}")].as_f64();
        let spent = spent.unwrap_or_else(|| panic!("{phase} of {call:#}"));
        let took = seconds(children.iter().copied().filter(|it| it["span"] == name));
        assert!((spent - took).abs() < APART, "{phase}: {spent} s, its spans {took} s");
        sum += spent;
    }
    assert!(sum <= seconds([call]) + APART, "{sum} s of {call:#}");
}

/// A call whose first attempt is refused for its token, so that there is a second one.
#[tokio::test(flavor = "multi_thread")]
async fn g42_a_call_is_a_tree_of_spans_in_its_callers_trace() {
    let Some(collector) = Collector::start(&[]).await else { return };
    let setting = given(&endpoint(&collector), &[]).await;
    let rule = json!({
        "partner": "trustist", "path": "/invitations", "times": 1,
        "fault": {"kind": "status", "status": 401, "headers": {"correlationid": "of-the-first"}},
    });
    setting.control.fault(rule).await;
    let answer = setting.client.call_with(LIST, traced("01", json!({}))).await.unwrap();
    let told = |name: &str| answer.metadata.get(name).unwrap().to_str().unwrap();
    assert_eq!(told("x-gateway-attempts"), "2");

    let (call, all) = tree(&collector, LIST).await;
    is_described(&call, "ListInvitations", told("x-request-id"));
    assert_eq!(call["resource"]["service.name"], "partner-gateway");
    let children = children(&all, &call);
    let names: Vec<_> = children.iter().map(|it| it["span"].as_str().unwrap()).collect();
    let attempt = "GET /invitations";
    assert_eq!(names, ["token", attempt, "token", attempt, "decode"]);
    let attempts: Vec<_> = children.iter().filter(|it| it["kind"] == CLIENT).copied().collect();
    let ids = [&json!("of-the-first"), &json!(told("x-partner-request-id"))];
    are_described(&attempts, "GET", 401, ids, setting.control.address.port());
    are_passed_on(&attempts, &setting).await;
}

/// A call that has every part: it waits for its turn, is kept a record of, is refused and
/// made again after a pause.
#[tokio::test(flavor = "multi_thread")]
async fn g42_a_write_that_waits_and_is_made_again_tells_each_of_its_parts() {
    let Some(collector) = Collector::start(&[]).await else { return };
    let setting = given(&endpoint(&collector), &ONE_BY_ONE).await;
    setting.client.call(LIST, json!({})).await.unwrap();
    let headers = json!({"retry-after": "1", "correlationid": "of-the-first"});
    let fault = json!({"kind": "status", "status": 503, "text": "", "headers": headers});
    let rule =
        json!({"partner": "trustist", "method": "POST", "path": "/invitations", "fault": fault});
    setting.control.fault(rule).await;
    let id = Uuid::new_v4().to_string();
    let request = json!({"email": "ann@example.com", "name": "Ann", "requestId": id});
    let answer = setting.client.call_with(MAKE, traced("01", request)).await.unwrap();
    let told = |name: &str| answer.metadata.get(name).unwrap().to_str().unwrap();
    assert_eq!(told("x-gateway-attempts"), "2");

    let (call, all) = tree(&collector, MAKE).await;
    is_described(&call, "CreateInvitation", told("x-request-id"));
    let children = children(&all, &call);
    let names: Vec<_> = children.iter().map(|it| it["span"].as_str().unwrap()).collect();
    let attempt = "POST /invitations";
    let (before, again) =
        (["idempotency", "queue", "token", attempt], ["backoff", "queue", "token", attempt]);
    assert_eq!(names, [&before[..], &again, &["idempotency", "decode"]].concat());
    let attempts: Vec<_> = children.iter().filter(|it| it["kind"] == CLIENT).copied().collect();
    let ids = [&json!("of-the-first"), &json!(told("x-partner-request-id"))];
    are_described(&attempts, "POST", 503, ids, setting.control.address.port());
    are_passed_on(&attempts, &setting).await;
    is_accounted_for(&call, &children);
    let of = |name: &str| seconds(children.iter().copied().filter(|it| it["span"] == name));
    assert!(of("backoff") >= 1.0, "the partner's hint: {children:#?}");
    assert!(of("queue") > 0.5, "the turns: {children:#?}");
    // What may be known of a caller's request is not its contents.
    assert!(!all.iter().any(|it| it.to_string().contains("ann@example.com")));
    assert!(!all.iter().any(|it| it.to_string().contains(&id)), "its request id is its own");
}

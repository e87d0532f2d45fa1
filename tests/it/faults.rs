//! What every way of failing looks like for each class of effect: code, reason, outcome,
//! and how often the partner was asked (R1, R5, R6).

use partner_gateway::simulator::trolley::{PARENT_ACCESS_KEY, PARENT_SECRET_KEY};
use serde_json::{Value, json};

use crate::partners::info;
use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::proxy::Proxy;

const READ: &str = "trolley.v1.WebhookService/ListWebhooks";
const IDEMPOTENT: &str = "trolley.v1.WebhookService/UpdateWebhook";
const WRITE_ONCE: &str = "trolley.v1.WebhookService/CreateWebhook";
/// As many attempts as a call has by default.
const ALL: usize = 3;

/// The partner's fault, the code, the reason, the outcome, and how often what may be
/// repeated and a WRITE_ONCE are sent. A hint that is waited for is 0 here: how long a
/// longer one is waited for is in the tests of the retries.
const FAULTS: &str = r#"
{"kind": "drop_before"} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN | 3 | 1
{"kind": "drop_after"} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN | 3 | 1
{"kind": "truncate", "after_bytes": 5} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN | 3 | 1
{"kind": "malformed_json"} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN | 1 | 1
{"kind": "oversize", "bytes": 2000000} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN | 1 | 1
{"kind": "gzip_bomb", "megabytes": 20} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN | 1 | 1
{"kind": "rate_limited", "retry_after": 0, "reset_after": 0} | ResourceExhausted | PARTNER_RATE_LIMITED | REJECTED | 3 | 3
{"kind": "status", "status": 500, "text": "<html>oops"} | Internal | PARTNER_INTERNAL | UNKNOWN | 3 | 1
{"kind": "status", "status": 502, "text": ""} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN | 3 | 1
{"kind": "status", "status": 503, "text": ""} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN | 3 | 1
{"kind": "status", "status": 503, "text": "", "headers": {"retry-after": "0"}} | Unavailable | PARTNER_UNAVAILABLE | REJECTED | 3 | 3
{"kind": "status", "status": 503, "act": true, "body": {"ok": false, "errors": [{"code": "internal_server_error", "message": "m"}]}} | Internal | PARTNER_INTERNAL | UNKNOWN | 3 | 1
{"kind": "status", "status": 503, "text": "{\"error\": \"Service Unavailable\", \"code\": 503}"} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN | 3 | 1
{"kind": "status", "status": 504, "text": "late"} | DeadlineExceeded | PARTNER_TIMEOUT | UNKNOWN | 3 | 1
{"kind": "status", "status": 302, "text": "", "headers": {"location": "http://127.0.0.1:1/"}} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN | 1 | 1
{"kind": "status", "status": 403, "text": "no"} | PermissionDenied | PARTNER_PERMISSION_DENIED | REJECTED | 1 | 1
{"kind": "status", "status": 402, "text": "no"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION | REJECTED | 1 | 1
{"kind": "status", "status": 200, "body": {"ok": false, "errors": [{"code": "duplicate", "message": "m"}]}} | AlreadyExists | PARTNER_ALREADY_EXISTS | REJECTED | 1 | 1
{"kind": "status", "status": 200, "body": {"errors": [{"code": "invalid_field", "message": "m", "field": "target"}]}} | InvalidArgument | PARTNER_INVALID_ARGUMENT | REJECTED | 1 | 1
{"kind": "status", "status": 200, "body": {"ok": "false"}} | Internal | PARTNER_INTERNAL | UNKNOWN | 3 | 1
{"kind": "status", "status": 200, "body": {"ok": true}} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN | 1 | 1
{"kind": "status", "status": 200, "text": ""} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN | 1 | 1
{"kind": "status", "status": 200, "text": "[]"} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN | 1 | 1
{"kind": "rate_limited", "retry_after": 7, "reset_after": 7} | ResourceExhausted | PARTNER_RATE_LIMITED | REJECTED | 1 | 1
{"kind": "delay", "millis": 3000} | DeadlineExceeded | PARTNER_TIMEOUT | UNKNOWN | 3 | 1
{"kind": "delay", "millis": 3000, "act_first": false} | DeadlineExceeded | PARTNER_TIMEOUT | UNKNOWN | 3 | 1
{"kind": "stall", "after_bytes": 5} | DeadlineExceeded | PARTNER_TIMEOUT | UNKNOWN | 3 | 1
{"kind": "drip", "chunk_bytes": 1, "interval_millis": 50} | DeadlineExceeded | PARTNER_TIMEOUT | UNKNOWN | 3 | 1
{"kind": "status", "status": 408, "text": ""} | DeadlineExceeded | PARTNER_TIMEOUT | UNKNOWN | 3 | 1
{"kind": "status", "status": 501, "text": ""} | Unimplemented | PARTNER_UNIMPLEMENTED | UNKNOWN | 1 | 1
{"kind": "status", "status": 522, "text": ""} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN | 3 | 1
"#;

/// Nothing but the fault keeps a call back, and pauses are short.
fn settings(url: &str, fault: &Value) -> String {
    // Where it is the time that runs out; anything else may take its time.
    let is_slow = ["delay", "stall", "drip"].map(Value::from).contains(&fault["kind"]);
    let time = if is_slow { "300ms" } else { "10s" };
    format!(
        "[partners.trolley]\nbase_url = '{url}/trolley'\n\
        access_key = '{PARENT_ACCESS_KEY}'\nsecret_key = '{PARENT_SECRET_KEY}'\n\
        [partners.trolley.timeouts]\nhead = '{time}'\nbody_idle = '{time}'\ntotal = '{time}'\n\
        [partners.trolley.retry]\nbase_delay = '5ms'\nmax_delay = '1s'\n\
        [partners.trolley.breaker]\nenabled = false\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_r5_r6_every_fault_of_a_partner_has_its_status_its_outcome_and_its_requests() {
    for row in FAULTS.trim().lines() {
        let [fault, code, reason, outcome, repeated, once] =
            row.split(" | ").collect::<Vec<_>>()[..]
        else {
            panic!("not a row: {row}")
        };
        let fault: Value = serde_json::from_str(fault).unwrap();
        for (rpc, expected) in [(READ, repeated), (IDEMPOTENT, repeated), (WRITE_ONCE, once)] {
            // What a partner has said of itself holds for a while, so each is another one.
            let control = Control::start().await;
            let proxy = Proxy::start(control.address).await;
            let url = format!("http://{}", proxy.address);
            let gateway = Gateway::configured(&settings(&url, &fault)).await;
            let made = gateway.client.call(WRITE_ONCE, request(WRITE_ONCE, "")).await.unwrap();
            let request = request(rpc, made.reply["id"].as_str().unwrap());
            let rule = json!({"partner": "trolley", "times": null, "fault": fault});
            control.fault(rule).await;
            proxy.quiesce().await;
            let (before, connections) =
                (control.arrived("trolley").await.len(), proxy.connections());

            let told = gateway.client.call(rpc, request).await;

            // An update has no more to say than that it is done.
            if rpc == IDEMPOTENT && fault["status"] == 200 && told.is_ok() {
                assert_eq!(reason, "PARTNER_BAD_RESPONSE", "{row}: {told:?}");
                continue;
            }
            let status = told.expect_err(row);

            let what = format!("{rpc} {row}: {status:?}");
            let info = info(&status);
            let told = (format!("{:?}", status.code()), info.reason.clone());
            assert_eq!(told, (code.to_owned(), reason.to_owned()), "{what}");
            let told = info.metadata.get("outcome").map(String::as_str);
            assert_eq!(told, (rpc != READ).then_some(outcome), "{what}");
            let forbids_retries =
                status.metadata().get("grpc-retry-pushback-ms").is_some_and(|value| value == "-1");
            assert_eq!(forbids_retries, rpc == WRITE_ONCE && outcome == "UNKNOWN", "{what}");
            let expected: usize = expected.parse().unwrap();
            assert!(expected <= ALL, "{row}");
            assert_eq!(control.arrived("trolley").await.len() - before, expected, "{what}");
            assert_eq!(info.metadata["attempts"], expected.to_string(), "{what}");
            let attempts = status.metadata().get("x-gateway-attempts").unwrap();
            assert_eq!(attempts.to_str().unwrap(), expected.to_string(), "{what}");
            // No attempt is made twice below the gateway's own retries.
            let connections = proxy.connections() - connections;
            assert!(
                usize::try_from(connections).unwrap() <= expected,
                "{connections} connections: {what}"
            );
        }
    }
}

fn request(rpc: &str, id: &str) -> Value {
    match rpc {
        WRITE_ONCE => json!({
            "action": "NOTIFICATION_ACTION_ALL",
            "model": "NOTIFICATION_TYPE_ALL",
            "target": "https://example.com",
        }),
        IDEMPOTENT => json!({"id": id, "target": "https://example.com"}),
        _ => json!({}),
    }
}

//! What every way of failing looks like, for a read and for a write that must not be
//! done twice: code, reason, outcome, and how often the partner was asked.

use serde_json::{Value, json};
use tonic::Status;

use crate::partners::{arrived, info, order};
use crate::support::gateway::Gateway;

const SERVICE: &str = "trolley.v1.WebhookService";
const PATH: &str = "/v1/subscriptions";

/// The partner's fault, the code, the reason and the outcome (R6).
const FAULTS: &str = r#"
{"kind": "drop_before"} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN
{"kind": "drop_after"} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN
{"kind": "truncate", "after_bytes": 5} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN
{"kind": "malformed_json"} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN
{"kind": "oversize", "bytes": 2000000} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN
{"kind": "gzip_bomb", "megabytes": 20} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN
{"kind": "rate_limited", "retry_after": 7} | ResourceExhausted | PARTNER_RATE_LIMITED | REJECTED
{"kind": "status", "status": 500, "text": "<html>oops"} | Internal | PARTNER_INTERNAL | UNKNOWN
{"kind": "status", "status": 502, "text": ""} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN
{"kind": "status", "status": 503, "text": ""} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN
{"kind": "status", "status": 503, "text": "", "headers": {"retry-after": "3"}} | Unavailable | PARTNER_UNAVAILABLE | REJECTED
{"kind": "status", "status": 503, "act": true, "body": {"ok": false, "errors": [{"code": "internal_server_error", "message": "m"}]}} | Internal | PARTNER_INTERNAL | UNKNOWN
{"kind": "status", "status": 503, "text": "{\"error\": \"Service Unavailable\", \"code\": 503}"} | Unavailable | PARTNER_UNAVAILABLE | UNKNOWN
{"kind": "status", "status": 504, "text": "late"} | DeadlineExceeded | PARTNER_TIMEOUT | UNKNOWN
{"kind": "status", "status": 302, "text": "", "headers": {"location": "http://127.0.0.1:1/"}} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN
{"kind": "status", "status": 403, "text": "no"} | PermissionDenied | PARTNER_PERMISSION_DENIED | REJECTED
{"kind": "status", "status": 402, "text": "no"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION | REJECTED
{"kind": "status", "status": 200, "body": {"ok": false, "errors": [{"code": "duplicate", "message": "m"}]}} | AlreadyExists | PARTNER_ALREADY_EXISTS | REJECTED
{"kind": "status", "status": 200, "body": {"errors": [{"code": "invalid_field", "message": "m", "field": "target"}]}} | InvalidArgument | PARTNER_INVALID_ARGUMENT | REJECTED
{"kind": "status", "status": 200, "body": {"ok": "false"}} | Internal | PARTNER_INTERNAL | UNKNOWN
{"kind": "status", "status": 200, "body": {"ok": true}} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN
{"kind": "status", "status": 200, "text": ""} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN
{"kind": "status", "status": 200, "text": "[]"} | Internal | PARTNER_BAD_RESPONSE | UNKNOWN
"#;

#[tokio::test]
async fn every_fault_of_a_partner_has_its_status_and_its_outcome() {
    let gateway = Gateway::simulated("").await;
    for row in FAULTS.trim().lines() {
        let [fault, code, reason, outcome] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not a row: {row}")
        };
        let fault: Value = serde_json::from_str(fault).unwrap();
        for (rpc, is_write) in [("CreateWebhook", true), ("ListWebhooks", false)] {
            order(&gateway, "/reset", json!({})).await;
            let rule = json!({"partner": "trolley", "path": PATH, "fault": fault});
            gateway.control().fault(rule).await;

            let status = call(&gateway, rpc, is_write).await;

            let info = info(&status);
            let told = (format!("{:?}", status.code()), info.reason.clone());
            assert_eq!(told, (code.to_owned(), reason.to_owned()), "{rpc} {row}: {status:?}");
            let told = info.metadata.get("outcome").map(String::as_str);
            assert_eq!(told, is_write.then_some(outcome), "{rpc} {row}");
            let forbids_retries =
                status.metadata().get("grpc-retry-pushback-ms").is_some_and(|value| value == "-1");
            assert_eq!(forbids_retries, is_write && outcome == "UNKNOWN", "{rpc} {row}");
            assert_eq!(arrived(&gateway, "trolley", PATH).await.len(), 1, "{rpc} {row}: sent once");
        }
    }
}

async fn call(gateway: &Gateway, rpc: &str, is_write: bool) -> Status {
    let request = match is_write {
        true => json!({
            "action": "NOTIFICATION_ACTION_ALL",
            "model": "NOTIFICATION_TYPE_ALL",
            "target": "https://example.com",
        }),
        false => json!({}),
    };
    gateway.client.call(&format!("{SERVICE}/{rpc}"), request).await.unwrap_err()
}

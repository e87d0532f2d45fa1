//! What Trustap refuses, as callers are told it: by its code first, then by the status.

use http::StatusCode;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::partners::info;
use crate::support::gateway::Gateway;
use crate::support::scripted::{Partner, Scripted};

const CANCEL: &str = "trustap.v1.OnlineTransactionService/CancelTransaction";
const COMPLAIN: &str = "trustap.v1.OnlineTransactionService/SubmitComplaintWithGuestBuyer";
const CREATE_GUEST: &str = "trustap.v1.UserService/CreateGuestUser";

/// The HTTP status, the body, and the code and reason that a caller gets.
const ANSWERS: &str = r#"
400 | {"code":"already_paid","error":"m"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION
400 | {"code":"already_cancelled","error":"m"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION
400 | {"code":"tracking_already_added","error":"m"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION
400 | {"code":"incorrect_calc_version","error":"m"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION
400 | {"code":"incorrect_charge","error":"m"} | InvalidArgument | PARTNER_INVALID_ARGUMENT
400 | {"code":"invalid_id","error":"m"} | InvalidArgument | PARTNER_INVALID_ARGUMENT
400 | {"code":"price_too_low","error":"m"} | InvalidArgument | PARTNER_INVALID_ARGUMENT
400 | {"code":"user_not_found","error":"m"} | NotFound | PARTNER_NOT_FOUND
400 | {"code":"email_used_for_the_client","error":"m"} | AlreadyExists | PARTNER_ALREADY_EXISTS
400 | {"code":"insufficient_funds","error":"m"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION
403 | {"code":"not_buyer","error":"m"} | PermissionDenied | PARTNER_PERMISSION_DENIED
403 | {"code":"deposit_not_paid","error":"m"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION
403 | {"code":"deposit_already_accepted","error":"m"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION
403 |  | PermissionDenied | PARTNER_PERMISSION_DENIED
404 |  | NotFound | PARTNER_NOT_FOUND
404 | {"code":"not_found","message":"m"} | NotFound | PARTNER_NOT_FOUND
409 | {"code":"user_is_company","error":"m"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION
409 | {"code":"unconfirmed_setup_intent","error":"m"} | FailedPrecondition | PARTNER_FAILED_PRECONDITION
409 | {"error":"active country not set"} | Aborted | PARTNER_CONFLICT
400 | {"code":"a_new_code","error":"m"} | InvalidArgument | PARTNER_INVALID_ARGUMENT
403 | {"code":"a_new_code","error":"m"} | PermissionDenied | PARTNER_PERMISSION_DENIED
400 | <html>no</html> | InvalidArgument | PARTNER_INVALID_ARGUMENT
500 | {"code":"already_paid","error":"m"} | Internal | PARTNER_INTERNAL
500 | {"code":"server_error","message":"m"} | Internal | PARTNER_INTERNAL
429 | {"code":"x","error":"m"} | ResourceExhausted | PARTNER_RATE_LIMITED
"#;

/// A gateway to a Trustap that says what it is told.
async fn scripted() -> (Gateway, Partner) {
    let partner = Partner::start().await;
    let settings = format!(
        "[partners.trustap]\nbase_url = '{}/api/v1'\napi_key = 'the-key'\n\
        [partners.trustap.retry]\nmax_attempts = 1",
        partner.url
    );
    (Gateway::configured(&settings).await, partner)
}

/// What a call comes to when the partner answers this.
async fn refused(
    (gateway, partner): &(Gateway, Partner),
    rpc: &str,
    request: Value,
    (status, body): (u16, &str),
) -> Status {
    let status = StatusCode::from_u16(status).unwrap();
    let body = body.to_owned().into();
    partner.script(Scripted { status, body, ..Scripted::default() }, false);
    let refused = gateway.client.call(rpc, request).await.unwrap_err();
    assert_eq!(partner.arrived().len(), 1, "{rpc}: sent once");
    refused
}

#[tokio::test]
async fn g1_an_answer_is_told_by_its_code_and_else_by_its_status() {
    let both = scripted().await;
    for row in ANSWERS.trim().lines() {
        let [status, body, code, reason] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not a row: {row}")
        };
        let answer = (status.parse().unwrap(), body);
        let told = refused(&both, CANCEL, json!({"transaction_id": 7}), answer).await;

        let info = info(&told);
        assert_eq!(
            (format!("{:?}", told.code()), &*info.reason),
            (code.to_owned(), reason),
            "{row}"
        );
        assert_eq!(info.metadata["http_status"], status, "{row}");
        let body = serde_json::from_str::<Value>(body).unwrap_or_default();
        let said = body["code"].as_str().unwrap_or_default();
        assert_eq!(info.metadata["partner_code"], said, "{row}");
        let outcome = if status == "500" { "UNKNOWN" } else { "REJECTED" };
        assert_eq!(info.metadata["outcome"], outcome, "{row}");
    }
}

/// The API description's own list, each code with each status that it is listed for.
#[tokio::test]
async fn every_listed_code_reaches_the_caller_as_a_refusal() {
    let both = scripted().await;
    let facts = include_str!("../../src/simulator/trustap/facts.json");
    let facts: Value = serde_json::from_str(facts).unwrap();
    let mut listed = std::collections::BTreeSet::new();
    for operation in facts["operations"].as_array().unwrap() {
        for (status, codes) in operation["errors"].as_object().unwrap() {
            let codes = codes.as_array().unwrap().iter();
            listed
                .extend(codes.map(|code| (status.parse::<u16>().unwrap(), code.as_str().unwrap())));
        }
    }
    assert!(listed.len() > 171, "{}", listed.len());
    for (status, code) in listed {
        let body = json!({"code": code, "error": "as listed"}).to_string();
        let told = refused(&both, CANCEL, json!({"transaction_id": 7}), (status, &body)).await;
        let info = info(&told);
        assert_eq!(info.metadata["partner_code"], code);
        assert_eq!(info.metadata["outcome"], "REJECTED", "{status} {code}");
        let refusals = [
            Code::InvalidArgument,
            Code::FailedPrecondition,
            Code::PermissionDenied,
            Code::NotFound,
            Code::AlreadyExists,
        ];
        assert!(refusals.contains(&told.code()), "{status} {code}: {told:?}");
    }
}

#[tokio::test]
async fn a_repeat_after_a_lost_reply_is_told_from_another_conflict() {
    let both = scripted().await;
    let transaction = json!({"transaction_id": 7});
    let complaint = json!({"transaction_id": 7, "trustap_user_id": "1-b", "description": "broken"});
    for (rpc, request, code, is_done) in [
        (CANCEL, &transaction, "already_cancelled", true),
        (CANCEL, &transaction, "already_paid", false),
        (CANCEL, &transaction, "tracking_already_added", false),
        (COMPLAIN, &complaint, "already_complained", true),
        (COMPLAIN, &complaint, "complaint_period_expired", false),
    ] {
        let body = json!({"code": code, "error": "no"}).to_string();
        let told = refused(&both, rpc, request.clone(), (400, &body)).await;
        let already_done = info(&told).metadata.get("already_done").cloned();
        assert_eq!(already_done.as_deref(), is_done.then_some("true"), "{rpc} {code}");
        assert_eq!(told.code(), Code::FailedPrecondition);
    }
}

#[tokio::test]
async fn a_code_about_a_field_is_a_violation_of_that_field() {
    let both = scripted().await;
    let request = json!({
        "email": "ann@example.com",
        "first_name": "Ann",
        "last_name": "Lee",
        "tos_acceptance": {"unix_timestamp": 1, "ip": "192.0.2.1"},
    });
    for (code, field) in [
        ("invalid_country_code", "country_code"),
        ("tos_acceptance_ip_missing", "tos_acceptance.ip"),
    ] {
        let body = json!({"code": code, "error": "see the field"}).to_string();
        let told = refused(&both, CREATE_GUEST, request.clone(), (400, &body)).await;
        let violations = told.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, field);
        assert_eq!(violations[0].description, "see the field");
    }

    // Named with another word there, or no field there at all.
    let sale = json!({
        "trustap_user_id": "u", "role": "ROLE_SELLER", "description": "d", "currency": "eur",
        "deposit_price": 1, "deposit_charge": 1, "deposit_charge_seller": 0,
        "charge_calculator_version": 3,
    });
    let f2f = "trustap.v1.F2fTransactionService/CreateF2fTransaction";
    let quote = json!({"transaction_id": 7, "price": 1});
    let of_transaction = "trustap.v1.OnlineTransactionService/GetTransactionCharge";
    let cancelled = json!({"transaction_id": 7});
    for (rpc, request, code, field) in [
        (f2f, sale, "price_too_low", Some("deposit_price")),
        (of_transaction, quote, "unsupported_currency", None),
        (CANCEL, cancelled, "invalid_id", Some("transaction_id")),
    ] {
        let body = json!({"code": code, "error": "no"}).to_string();
        let told = refused(&both, rpc, request, (400, &body)).await;
        let named = told.get_details_bad_request().map(|bad| bad.field_violations[0].field.clone());
        assert_eq!(named.as_deref(), field, "{rpc} {code}");
    }
}

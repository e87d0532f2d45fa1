//! Whole stories through the gateway, against the simulators: what a caller does, and
//! what has happened at the partner when it is done.

use std::time::Duration;

use serde_json::{Value, json};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorInfo, StatusExt as _};

use crate::support::gateway::Gateway;

const INVITATIONS: &str = "trustist.v1.InvitationService";
const SUBMERCHANTS: &str = "trolley.v1.SubmerchantService";
const WEBHOOKS: &str = "trolley.v1.WebhookService";

/// Tells the simulators something over their control interface.
pub(crate) async fn order(gateway: &Gateway, path: &str, body: Value) {
    let (status, answer) =
        gateway.control().post(&format!("/_simulator{path}"), &body.to_string()).await;
    assert!(status.is_success(), "{path}: {answer}");
}

async fn switch(gateway: &Gateway, switches: Value) {
    let (status, answer) =
        gateway.control().put("/_simulator/switches", &switches.to_string()).await;
    assert!(status.is_success(), "{answer}");
}

/// What has arrived at a path of a partner's; at any path with "*".
pub(crate) async fn arrived(gateway: &Gateway, partner: &str, path: &str) -> Vec<Value> {
    let all = gateway.control().arrived(partner).await;
    all.into_iter().filter(|request| path == "*" || request["path"] == path).collect()
}

pub(crate) fn info(status: &Status) -> ErrorInfo {
    status.get_details_error_info().unwrap()
}

#[tokio::test]
async fn an_invitation_goes_from_pending_to_its_merchant_keys() {
    let gateway = Gateway::simulated("").await;
    let client = &gateway.client;
    let request =
        json!({"email": "ann@example.com", "name": "Ann", "paymentTypes": ["PAYMENT_TYPE_CARDS"]});

    let created = client.call(&format!("{INVITATIONS}/CreateInvitation"), request).await.unwrap();
    assert_eq!(created.reply["status"], "pending");
    assert!(created.reply["additionalFields"].is_object(), "unknown fields are kept");
    let id = created.reply["id"].as_str().unwrap();

    let keys = format!("{INVITATIONS}/GetMerchantKeys");
    let early = client.call(&keys, json!({"invitationId": id})).await.unwrap_err();
    assert_eq!((early.code(), info(&early).reason.as_str()), (Code::NotFound, "PARTNER_NOT_FOUND"));

    for status in ["sent", "OPENED", "COMPLETE"] {
        order(&gateway, &format!("/trustist/invitations/{id}/advance"), json!({})).await;
        let got =
            client.call(&format!("{INVITATIONS}/GetInvitation"), json!({"id": id})).await.unwrap();
        assert_eq!(got.reply["status"], status);
    }
    let found = client.call(&keys, json!({"invitationId": id})).await.unwrap();
    assert_eq!(found.reply["items"][0]["apiKey"], format!("simulator-merchant-key-{id}"));
    let all = client.call(&format!("{INVITATIONS}/ListInvitations"), json!({})).await.unwrap();
    let listed = all.reply["invitations"].as_array().unwrap();
    assert!(listed.iter().any(|invitation| invitation["id"] == *id));
    let partner_id = found.metadata.get("x-partner-request-id");
    assert!(partner_id.is_some(), "the partner's own id reaches the caller");
}

#[tokio::test]
async fn a_new_sub_merchants_key_is_used_without_being_asked_for() {
    let gateway = Gateway::simulated("").await;
    let client = &gateway.client;
    let request = json!({"apikey": true, "merchant": {"name": "Acme", "currency": "USD"}});
    let created =
        client.call(&format!("{SUBMERCHANTS}/CreateSandboxSubmerchant"), request).await.unwrap();
    let id = created.reply["id"].as_str().unwrap();
    let access_key = created.reply["accessKey"].as_str().unwrap();

    let onboarding = json!({"submerchantId": id, "businessTotalMonthly": "10000", "businessPpm": "BUSINESS_PPM_BUCKET_FROM_100000"});
    client.call(&format!("{SUBMERCHANTS}/UpdateOnboarding"), onboarding).await.unwrap();

    let requests = arrived(&gateway, "trolley", "/v1/onboarding/update").await;
    assert!(requests[0]["headers"]["authorization"].as_str().unwrap().contains(access_key));
    assert_eq!(
        requests[0]["body"],
        r#"{"businessTotalMonthly":"10000","businessPpm":"100000-more"}"#
    );

    let deleted = client
        .call(&format!("{SUBMERCHANTS}/DeleteSandboxSubmerchant"), json!({"id": id}))
        .await
        .unwrap();
    assert_eq!(deleted.reply["ok"], true);
    let gone = client
        .call(&format!("{WEBHOOKS}/ListWebhooks"), json!({"submerchantId": id}))
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Code::FailedPrecondition);
    assert_eq!(info(&gone).reason, "PARTNER_CREDENTIAL_MISSING");
}

#[tokio::test]
async fn a_webhook_lives_through_all_its_rpcs() {
    let gateway = Gateway::simulated("").await;
    let client = &gateway.client;
    for nested in [false, true] {
        let switches = json!({"trolley": {"nested_subscription_update": nested}});
        switch(&gateway, switches).await;
        let request = json!({"action": "NOTIFICATION_ACTION_UPLOAD_COMPLETE", "model": "NOTIFICATION_TYPE_ALL", "target": "https://example.com/a"});
        let created =
            client.call(&format!("{WEBHOOKS}/CreateWebhook"), request).await.unwrap().reply;
        let id = created["id"].as_str().unwrap();

        let got =
            client.call(&format!("{WEBHOOKS}/GetWebhook"), json!({"id": id})).await.unwrap().reply;
        assert_eq!((&got["action"], &got["model"]), (&created["action"], &created["model"]));

        let change = json!({"id": id, "target": "https://example.com/b"});
        let updated =
            client.call(&format!("{WEBHOOKS}/UpdateWebhook"), change).await.unwrap().reply;
        assert_eq!(
            (&updated["id"], &updated["target"]),
            (&json!(id), &json!("https://example.com/b"))
        );

        let listed =
            client.call(&format!("{WEBHOOKS}/ListWebhooks"), json!({})).await.unwrap().reply;
        assert_eq!(listed["subscriptions"].as_array().unwrap().len(), 1);
        client.call(&format!("{WEBHOOKS}/DeleteWebhook"), json!({"id": id})).await.unwrap();
        let gone =
            client.call(&format!("{WEBHOOKS}/GetWebhook"), json!({"id": id})).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
    }
}

/// The interface's rule for `additional_fields`, both ways.
#[tokio::test]
async fn a_model_that_the_contract_does_not_know_goes_and_comes_as_text() {
    let gateway = Gateway::simulated("").await;
    switch(&gateway, json!({"trolley": {"open_enums": true}})).await;
    let request = json!({
        "action": "NOTIFICATION_ACTION_UPDATED",
        "target": "https://example.com/hook",
        "additionalFields": {"model": "merchant"},
    });
    let created =
        gateway.client.call(&format!("{WEBHOOKS}/CreateWebhook"), request).await.unwrap().reply;
    assert_eq!(created["additionalFields"]["model"], "merchant");
    assert!(created.get("model").is_none());

    let known = json!({"action": "NOTIFICATION_ACTION_UPDATED", "target": "x", "additionalFields": {"model": "payment"}});
    let refused =
        gateway.client.call(&format!("{WEBHOOKS}/CreateWebhook"), known).await.unwrap_err();
    assert_eq!(
        (refused.code(), info(&refused).reason.as_str()),
        (Code::InvalidArgument, "INVALID_REQUEST")
    );
}

#[tokio::test]
async fn a_request_that_breaks_the_contract_is_refused_with_every_field_and_not_sent() {
    let gateway = Gateway::simulated("").await;
    let request = json!({
        "merchant": {"currency": "dollars"},
        "onboarding": {"businessCountry": "USA"},
        "requestId": "not-a-uuid",
    });
    let refused = gateway
        .client
        .call(&format!("{SUBMERCHANTS}/CreateSubmerchant"), request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let mut fields: Vec<_> = refused
        .get_details_bad_request()
        .unwrap()
        .field_violations
        .into_iter()
        .map(|v| v.field)
        .collect();
    fields.sort();
    fields.dedup();
    assert_eq!(
        fields,
        ["merchant.currency", "merchant.name", "onboarding.business_country", "request_id"]
    );
    assert_eq!(info(&refused).metadata["outcome"], "NOT_SENT");
    assert!(arrived(&gateway, "trolley", "*").await.is_empty());
}

/// R8, G37: in this process's memory.
#[tokio::test]
async fn a_request_id_makes_a_repeat_harmless() {
    let gateway = Gateway::simulated("").await;
    let rpc = format!("{SUBMERCHANTS}/CreateSubmerchant");
    let request = |name: &str| json!({"merchant": {"name": name, "currency": "USD"}, "onboarding": {}, "requestId": "3f1c6b3e-9a51-4f0e-8a86-0d5d6a3f1c11"});
    let first = gateway.client.call(&rpc, request("Acme")).await.unwrap();
    let second = gateway.client.call(&rpc, request("Acme")).await.unwrap();
    let other = gateway.client.call(&rpc, request("Other")).await.unwrap_err();

    assert_eq!(first.reply, second.reply);
    assert!(first.metadata.get("x-gateway-replayed").is_none());
    assert_eq!(second.metadata.get("x-gateway-replayed").unwrap(), "true");
    assert_eq!(
        (other.code(), info(&other).reason.as_str()),
        (Code::InvalidArgument, "REQUEST_ID_REUSED")
    );
    assert_eq!(arrived(&gateway, "trolley", "/v1/profile/submerchant").await.len(), 1);
}

/// O1
#[tokio::test(flavor = "multi_thread")]
async fn callers_at_once_share_one_token() {
    let gateway = Gateway::simulated("").await;
    let rpc = format!("{INVITATIONS}/ListInvitations");
    let calls = (0..200).map(|_| gateway.client.call(&rpc, json!({})));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(arrived(&gateway, "trustist", "/token").await.len(), 1);
}

/// O4
#[tokio::test]
async fn a_rejected_token_is_replaced_once_and_the_call_goes_on() {
    let gateway = Gateway::simulated("").await;
    let rpc = format!("{INVITATIONS}/CreateInvitation");
    let request = json!({"email": "ann@example.com", "name": "Ann"});
    gateway.client.call(&rpc, request.clone()).await.unwrap();
    gateway.control().fault(json!({"partner": "trustist", "path": "/invitations", "fault": {"kind": "expire_tokens"}})).await;

    let answer = gateway.client.call(&rpc, request).await.unwrap();

    assert_eq!(answer.metadata.get("x-gateway-attempts").unwrap(), "2");
    assert_eq!(arrived(&gateway, "trustist", "/token").await.len(), 2);
    let invitations = arrived(&gateway, "trustist", "/invitations").await;
    assert_eq!(
        invitations.iter().filter(|r| r["acted"] == true).count(),
        2,
        "no invitation was sent twice"
    );
}

#[tokio::test]
async fn a_credential_that_stays_refused_is_the_gateways_fault_not_the_callers() {
    let gateway = Gateway::simulated("").await;
    // The simulators' clock runs ahead: every signature is stale.
    order(&gateway, "/clock", json!({"advance_seconds": 60})).await;
    let refused =
        gateway.client.call(&format!("{WEBHOOKS}/ListWebhooks"), json!({})).await.unwrap_err();
    assert_eq!(
        (refused.code(), info(&refused).reason.as_str()),
        (Code::Internal, "PARTNER_CREDENTIALS_REJECTED")
    );
    assert_eq!(info(&refused).metadata["attempts"], "2");
    assert_eq!(info(&refused).metadata["partner_code"], "invalid_api_key");
    assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    let requests = arrived(&gateway, "trolley", "/v1/subscriptions").await;
    assert_eq!(requests.len(), 2, "signed anew, once");
}

/// G2: whatever the token endpoint says, it never looks like an answer to the caller.
#[tokio::test]
async fn failures_of_the_token_endpoint_are_internal_or_unavailable() {
    for status in [302, 400, 401, 403, 404, 409, 422, 429, 500, 503] {
        let gateway = Gateway::simulated("").await;
        let fault = json!({"partner": "trustist", "path": "/token", "times": null, "fault": {"kind": "status", "status": status}});
        gateway.control().fault(fault).await;
        let rpc = format!("{INVITATIONS}/CreateInvitation");
        let failed = gateway
            .client
            .call(&rpc, json!({"email": "a@example.com", "name": "A"}))
            .await
            .unwrap_err();
        assert!(
            matches!(failed.code(), Code::Internal | Code::Unavailable),
            "{status}: {failed:?}"
        );
        assert_eq!(info(&failed).metadata["outcome"], "NOT_SENT");
        assert!(arrived(&gateway, "trustist", "/invitations").await.is_empty());
    }
}

#[tokio::test]
async fn a_partner_that_is_not_there_was_sent_nothing() {
    let gateway = Gateway::configured(
        r#"
        [partners.trolley]
        base_url = "http://127.0.0.1:1/"
        access_key = "a"
        secret_key = "b"
        "#,
    )
    .await;
    let request = json!({"action": "NOTIFICATION_ACTION_ALL", "model": "NOTIFICATION_TYPE_ALL", "target": "x"});
    let failed =
        gateway.client.call(&format!("{WEBHOOKS}/CreateWebhook"), request).await.unwrap_err();
    assert_eq!(
        (failed.code(), info(&failed).reason.as_str()),
        (Code::Unavailable, "PARTNER_UNAVAILABLE")
    );
    assert_eq!(info(&failed).metadata["outcome"], "NOT_SENT");
    assert!(failed.metadata().get("grpc-retry-pushback-ms").is_none());

    let missing = gateway
        .client
        .call(&format!("{INVITATIONS}/ListInvitations"), json!({}))
        .await
        .unwrap_err();
    assert_eq!(
        (missing.code(), info(&missing).reason.as_str()),
        (Code::FailedPrecondition, "PARTNER_NOT_CONFIGURED")
    );
}

/// S8, S9: nothing that a caller sends changes where the request goes.
#[tokio::test]
async fn an_id_stays_one_segment_of_the_path() {
    let gateway = Gateway::simulated("").await;
    let rpc = format!("{WEBHOOKS}/GetWebhook");
    for (id, path) in [
        ("a/../b?c=d#e", "/v1/subscriptions/a%2F..%2Fb%3Fc%3Dd%23e"),
        ("..;/", "/v1/subscriptions/..%3B%2F"),
        ("é %", "/v1/subscriptions/%C3%A9%20%25"),
    ] {
        order(&gateway, "/reset", json!({})).await;
        let answer = gateway.client.call(&rpc, json!({"id": id})).await.unwrap_err();
        assert_eq!(answer.code(), Code::NotFound);
        assert_eq!(arrived(&gateway, "trolley", "*").await[0]["path"], path);
    }
    order(&gateway, "/reset", json!({})).await;
    for id in ["", ".", "..", "%2e%2E", "a\r\nx: y", "a\0"] {
        let refused = gateway.client.call(&rpc, json!({"id": id})).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{id:?}");
    }
    assert!(arrived(&gateway, "trolley", "*").await.is_empty());
}

#[tokio::test]
async fn partner_states_tell_what_was_seen() {
    let gateway = Gateway::simulated("").await;
    gateway.client.call(&format!("{INVITATIONS}/ListInvitations"), json!({})).await.unwrap();
    gateway
        .client
        .call(&format!("{WEBHOOKS}/GetWebhook"), json!({"id": "none"}))
        .await
        .unwrap_err();

    let partners = gateway
        .client
        .call("gateway.v1.PartnerService/ListPartners", json!({}))
        .await
        .unwrap()
        .reply;
    let named = |name: &str| -> Value {
        partners["partners"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap().clone()
    };
    let (trustist, trolley) = (named("trustist"), named("trolley"));
    assert_eq!(trustist["token"]["state"], "STATE_VALID");
    assert_eq!((&trustist["attempts"], &trolley["attempts"]), (&json!("1"), &json!("1")));
    assert_eq!(trolley["failures"], "1");
    assert_eq!(trolley["lastFailure"]["httpStatus"], 404);
    assert!(trustist["drift"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    let one = gateway
        .client
        .call("gateway.v1.PartnerService/GetPartner", json!({"name": "trolley"}))
        .await
        .unwrap();
    assert_eq!(one.reply["host"], "127.0.0.1");
    let none = gateway
        .client
        .call("gateway.v1.PartnerService/GetPartner", json!({"name": "x"}))
        .await
        .unwrap_err();
    assert_eq!((none.code(), info(&none).reason.as_str()), (Code::NotFound, "NOT_FOUND"));
}

/// G17, S14: a caller that stops waiting loses neither the partner's answer nor the key
/// that it shows once.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_the_deadline_is_kept() {
    let gateway = Gateway::simulated("").await;
    let rpc = format!("{SUBMERCHANTS}/CreateSandboxSubmerchant");
    let id = "7d9e7c52-6f6c-4b8e-9a3e-5f0f6f2f8f10";
    let request = json!({"apikey": true, "requestId": id});
    let delay = json!({"kind": "delay", "millis": 600});
    gateway.control().fault(json!({"partner": "trolley", "fault": delay})).await;

    let mut impatient = Request::new(request.clone());
    impatient.metadata_mut().insert("grpc-timeout", "200m".parse().unwrap());
    let late = gateway.client.call_with(&rpc, impatient).await.unwrap_err();
    // The caller's own timer may be the first on a busy machine, and says it like this.
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late:?}");

    let answered = async {
        loop {
            match gateway.client.call(&rpc, request.clone()).await {
                Ok(answer) => return answer,
                Err(waiting) => assert_eq!(info(&waiting).reason, "REQUEST_IN_FLIGHT"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), answered).await.unwrap();
    assert_eq!(answer.metadata.get("x-gateway-replayed").unwrap(), "true");
    let account = answer.reply["id"].as_str().unwrap();
    let read = json!({"submerchantId": account});
    gateway.client.call(&format!("{WEBHOOKS}/ListWebhooks"), read).await.unwrap();
    let made = arrived(&gateway, "trolley", "/v1/profile/sandbox").await;
    assert_eq!(made.len(), 1, "asked for once");
}

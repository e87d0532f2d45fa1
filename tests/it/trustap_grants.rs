//! A user's grant, kept by the gateway: from the login to calls that no caller has a token
//! for, over many lives of the access token.

use partner_gateway::simulator::trustap::{BUYER_ID, SELLER_ID, UNCONNECTED_ID};
use serde_json::{Value, json};
use tonic::Code;

use crate::partners::info;
use crate::support::page;
use crate::support::trustap::Trustap;

const PUT: &str = "gateway.v1.CredentialService/PutCredential";
const LIST: &str = "OnlineTransactionService/ListTransactions";
const TOKEN_PATH: &str = "/auth/realms/trustap-stage/protocol/openid-connect/token";

/// Logs a user in and hands the gateway the code.
async fn grant(trustap: &Trustap, user: &str) -> Value {
    let code = trustap.control("login", json!({"user": user})).await["code"].clone();
    let grant = json!({"authorizationCode": {"code": code, "redirectUri": "https://us.example/"}});
    let request = json!({"partner": "trustap", "account": user, "userGrant": grant});
    trustap.0.client.call(PUT, request).await.unwrap().reply
}

/// How often the token endpoint was asked.
async fn token_requests(trustap: &Trustap) -> usize {
    let arrived = trustap.0.control().arrived("trustap").await;
    arrived.iter().filter(|request| request["path"] == TOKEN_PATH).count()
}

#[tokio::test]
async fn a_kept_grant_is_used_for_its_user_and_for_nobody_else() {
    let trustap = Trustap::start().await;
    let mine = json!({"trustapUserId": SELLER_ID});
    let refused = trustap.refused(LIST, mine.clone()).await;
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(info(&refused).reason, "PARTNER_CREDENTIAL_MISSING");
    assert!(refused.message().contains("PutCredential"), "{}", refused.message());
    assert!(refused.message().contains("x-partner-token"), "{}", refused.message());

    let kept = grant(&trustap, SELLER_ID).await;
    assert_eq!((&kept["account"], &kept["kind"]), (&json!(SELLER_ID), &json!("KIND_USER_GRANT")));
    let sale = json!({
        "trustapUserId": SELLER_ID, "role": "ROLE_SELLER", "description": "Bicycle",
        "currency": "eur", "price": 20_000, "charge": 640, "chargeSeller": 0,
        "chargeCalculatorVersion": 5,
    });
    let made = trustap.call("OnlineTransactionService/CreateTransaction", sale).await;
    let listed = trustap.call(LIST, mine).await;
    assert_eq!(listed["transactions"][0]["id"], made["id"]);
    assert_eq!(token_requests(&trustap).await, 2, "the code, and one token for all calls");

    let other = trustap.refused(LIST, json!({"trustapUserId": BUYER_ID})).await;
    assert_eq!(info(&other).reason, "PARTNER_CREDENTIAL_MISSING");
    // A token of the caller's own comes before the kept grant.
    let buyer = trustap.token(BUYER_ID).await;
    let nothing = trustap.call_as(&buyer, LIST, json!({"trustapUserId": SELLER_ID})).await;
    assert_eq!(nothing, json!({}), "the buyer has no transactions");
}

/// The partner's clock has moved on and the gateway's has not, so it is the partner's refusal
/// that tells of the token's end. The refresh token of the first life worked once.
#[tokio::test]
async fn o4_a_token_that_the_partner_ends_is_renewed_with_the_rotated_refresh_token() {
    let trustap = Trustap::start().await;
    grant(&trustap, BUYER_ID).await;
    trustap.call(LIST, json!({"trustapUserId": BUYER_ID})).await;
    let before = token_requests(&trustap).await;
    trustap.wait(181).await;

    trustap.call(LIST, json!({"trustapUserId": BUYER_ID})).await;

    assert_eq!(token_requests(&trustap).await, before + 1, "renewed once");
}

/// R20: what the alert on tokens stands on. A user's grant that is not good is not among what
/// it asks for.
#[tokio::test]
async fn r20_token_requests_by_grants_are_counted_by_how_they_end() {
    let trustap = Trustap::start().await;
    let counted = |[issued, failed, refused, ended]: [u32; 4]| {
        let ends = [("issued", issued), ("failed", failed), ("refused", refused), ("ended", ended)];
        ends.map(|(end, count)| {
            let labels = format!(r#"partner="trustap",outcome="{end}""#);
            format!("partner_gateway_token_requests_total{{{labels}}} {count}")
        })
    };
    let told = async |ends| drop(page::until_has(trustap.0.operations(), &counted(ends)).await);
    told([0, 0, 0, 0]).await;
    grant(&trustap, SELLER_ID).await;
    trustap.call(LIST, json!({"trustapUserId": SELLER_ID})).await;
    told([2, 0, 0, 0]).await;

    let refused = async |grant: Value| {
        let request = json!({"partner": "trustap", "account": BUYER_ID, "userGrant": grant});
        trustap.0.client.call(PUT, request).await.unwrap_err().code()
    };
    let unknown = json!({"refreshToken": "unknown"});
    assert_eq!(refused(unknown.clone()).await, Code::InvalidArgument);
    let body = json!({"error": "invalid_client"});
    for (fault, code) in [
        (json!({"kind": "status", "status": 502}), Code::Unavailable),
        (json!({"kind": "status", "status": 401, "body": body}), Code::Internal),
    ] {
        let rule = json!({"partner": "trustap", "path": TOKEN_PATH, "fault": fault});
        trustap.0.control().fault(rule).await;
        assert_eq!(refused(unknown.clone()).await, code);
    }
    told([2, 1, 1, 1]).await;
    // They are users' tokens: the partner has none of the client's own to show.
    let state = json!({"name": "trustap"});
    let state = trustap.0.client.call("gateway.v1.PartnerService/GetPartner", state).await;
    assert!(state.unwrap().reply.get("token").is_none());
}

/// The editions differ on who may do what, and the partner is the judge.
#[tokio::test]
async fn a_kept_grant_does_not_keep_the_key_from_what_only_the_key_may_do() {
    let trustap = Trustap::start().await;
    trustap.switch(json!({"credentials": "newest"})).await;
    grant(&trustap, SELLER_ID).await;
    let buyer = trustap.guest("ben@example.com").await;
    let sale = json!({
        "trustapUserId": SELLER_ID, "sellerId": SELLER_ID, "buyerId": buyer,
        "creatorRole": "ROLE_SELLER", "description": "Bicycle", "currency": "eur",
        "price": 20_000, "charge": 640, "chargeSeller": 0, "chargeCalculatorVersion": 5,
        "features": ["require_seller_acceptance"],
    });
    let made = trustap.call("OnlineTransactionService/CreateTransactionWithGuestUser", sale).await;
    trustap.control(&format!("transactions/{}/pay", made["id"].as_str().unwrap()), json!({})).await;
    let accept = json!({"trustapUserId": SELLER_ID, "transactionId": made["id"]});
    let accepted = trustap.call("OnlineTransactionService/AcceptPayment", accept).await;
    assert_eq!(accepted["status"], "payment_accepted");
    let listed = trustap.call(LIST, json!({"trustapUserId": SELLER_ID})).await;
    assert_eq!(listed["transactions"][0]["id"], made["id"]);
    assert_eq!(token_requests(&trustap).await, 2, "the token was not given up");
}

/// Each refusal says which credential it was and what can be done.
#[tokio::test]
async fn a_refused_credential_is_told_apart() {
    let trustap = Trustap::start().await;
    let mine = json!({"trustapUserId": SELLER_ID});
    let stale = trustap.refused_as("no-such-token", LIST, mine).await;
    assert_eq!(info(&stale).metadata["credential"], "CALLER_TOKEN");
    assert!(stale.message().contains("x-partner-token"), "{}", stale.message());
    let sale = json!({
        "trustapUserId": UNCONNECTED_ID, "role": "ROLE_SELLER", "description": "Bicycle",
        "currency": "eur", "price": 20_000, "charge": 640, "chargeSeller": 0,
        "chargeCalculatorVersion": 5,
    });
    let unconnected = trustap.refused("OnlineTransactionService/CreateTransaction", sale).await;
    assert_eq!(info(&unconnected).metadata["credential"], "API_KEY");
    assert!(unconnected.message().contains("connected"), "{}", unconnected.message());
    for refused in [stale, unconnected] {
        let told = (refused.code(), info(&refused).reason);
        assert_eq!(told, (Code::Internal, "PARTNER_CREDENTIALS_REJECTED".to_owned()));
    }
}

#[tokio::test]
async fn a_code_that_is_no_good_or_of_another_user_is_not_kept() {
    let trustap = Trustap::start().await;
    let code = trustap.control("login", json!({"user": BUYER_ID})).await["code"].clone();
    for (user, code) in [(SELLER_ID, code), (SELLER_ID, json!("no-such-code"))] {
        let grant =
            json!({"authorizationCode": {"code": code, "redirectUri": "https://us.example/"}});
        let request = json!({"partner": "trustap", "account": user, "userGrant": grant});
        let refused = trustap.0.client.call(PUT, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
    let refused = trustap.refused(LIST, json!({"trustapUserId": SELLER_ID})).await;
    assert_eq!(info(&refused).reason, "PARTNER_CREDENTIAL_MISSING");
}

//! Operations that take a user's own token, in one story: with tokens that the caller brings, and
//! with grants that the gateway keeps; under each edition's rules for credentials.

use partner_gateway::simulator::trustap::{BUYER_ID, SELLER_ID};
use serde_json::{Value, json};
use tonic::Status;

use super::rpc;
use crate::partners::info;
use crate::support::trustap::{EDITIONS, Trustap};

const PUT: &str = "gateway.v1.CredentialService/PutCredential";

/// Two full users, and where their tokens come from.
struct Users {
    trustap: Trustap,
    /// The users' own tokens where the caller brings them, else the gateway keeps grants.
    tokens: Option<[(&'static str, String); 2]>,
}

// === impl Users ===

impl Users {
    async fn with_tokens(edition: &str) -> Self {
        let trustap = Trustap::under(edition).await;
        let (seller, buyer) = (trustap.token(SELLER_ID).await, trustap.token(BUYER_ID).await);
        Self { trustap, tokens: Some([(SELLER_ID, seller), (BUYER_ID, buyer)]) }
    }

    async fn with_grants(edition: &str) -> Self {
        let trustap = Trustap::under(edition).await;
        for user in [SELLER_ID, BUYER_ID] {
            let code = trustap.control("login", json!({"user": user})).await["code"].take();
            let code = json!({"code": code, "redirectUri": "https://us.example/"});
            let grant = json!({"authorizationCode": code});
            let request = json!({"partner": "trustap", "account": user, "userGrant": grant});
            trustap.0.client.call(PUT, request).await.unwrap();
        }
        Self { trustap, tokens: None }
    }

    async fn call(&self, user: &str, rpc: &str, mut request: Value) -> Value {
        match self.token(user) {
            Some(token) => self.trustap.call_as(token, rpc, request).await,
            None => {
                request["trustapUserId"] = json!(user);
                self.trustap.call(rpc, request).await
            }
        }
    }

    async fn refused(&self, user: &str, rpc: &str, mut request: Value) -> Status {
        match self.token(user) {
            Some(token) => self.trustap.refused_as(token, rpc, request).await,
            None => {
                request["trustapUserId"] = json!(user);
                self.trustap.refused(rpc, request).await
            }
        }
    }

    fn token(&self, user: &str) -> Option<&str> {
        let tokens = self.tokens.as_ref()?;
        tokens.iter().find(|(id, _)| *id == user).map(|(_, token)| token.as_str())
    }
}

#[tokio::test]
async fn full_users_trade_with_their_own_tokens_under_each_edition() {
    for edition in EDITIONS {
        trade(&Users::with_tokens(edition).await).await;
    }
}

#[tokio::test]
async fn full_users_trade_with_kept_grants_under_each_edition() {
    for edition in EDITIONS {
        trade(&Users::with_grants(edition).await).await;
    }
}

/// An invitation, a join, and the buyer ends the time for a complaint.
async fn trade(users: &Users) {
    let request = json!({
        "role": "ROLE_SELLER", "description": "Bicycle", "currency": "eur", "price": 20_000,
        "charge": 640, "chargeSeller": 0, "chargeCalculatorVersion": 5,
    });
    let made = users.call(SELLER_ID, &rpc("CreateTransaction"), request).await;
    assert_eq!((&made["status"], &made["sellerId"]), (&json!("created"), &json!(SELLER_ID)));
    let id = &made["id"];
    let named = || json!({"transactionId": id});
    let change = json!({"transactionId": id, "description": "Red bicycle"});
    let changed = users.call(SELLER_ID, &rpc("UpdateTransaction"), change.clone()).await;
    assert_eq!(changed["description"], "Red bicycle");
    let same = users.refused(SELLER_ID, &rpc("UpdateTransaction"), change).await;
    assert_eq!(info(&same).metadata["partner_code"], "values_not_changed");

    let code = json!({"joinCode": made["joinCode"]});
    let joined = users.call(BUYER_ID, &rpc("JoinTransaction"), code.clone()).await;
    assert_eq!((&joined["status"], &joined["buyerId"]), (&json!("joined"), &json!(BUYER_ID)));
    let own = users.refused(SELLER_ID, &rpc("JoinTransaction"), code).await;
    assert_eq!(info(&own).metadata["partner_code"], "cannot_join_own_transaction");
    let quote = json!({"transactionId": id, "price": 20_000});
    let quote = users.call(BUYER_ID, &rpc("GetTransactionCharge"), quote).await;
    assert_eq!(quote["charge"], "640");

    let paid = users.call(BUYER_ID, &rpc("PayWithBalance"), named()).await;
    assert_eq!(paid["status"], "paid");
    let late = users.refused(BUYER_ID, &rpc("CancelTransaction"), named()).await;
    assert_eq!(info(&late).metadata["partner_code"], "already_paid");
    let tracking = json!({"transactionId": id, "carrier": "ups", "trackingCode": "1Z"});
    users.call(SELLER_ID, &rpc("TrackTransaction"), tracking).await;
    users.call(BUYER_ID, &rpc("ConfirmDelivery"), named()).await;
    let ended = users.call(BUYER_ID, &rpc("EndComplaintPeriod"), named()).await;
    assert_eq!(ended["status"], "complaint_period_ended");
    users.trustap.wait(60).await;
    read(users, id).await;
}

/// What both find when all is over.
async fn read(users: &Users, id: &Value) {
    let listed = users.call(SELLER_ID, &rpc("ListTransactions"), json!({"limit": 1})).await;
    assert_eq!(listed["transactions"][0]["status"], "funds_released");
    let batch = json!({"ids": [id, 1, id]});
    let batch = users.call(SELLER_ID, &rpc("BatchGetTransactions"), batch).await;
    let found = batch["transactions"].as_array().unwrap().iter();
    let found: Vec<_> = found.map(|found| &found["transaction"]["id"]).collect();
    assert_eq!(found, [id, &Value::Null, id]);
    let notified = users.call(BUYER_ID, "NotificationService/ListNotifications", json!({})).await;
    assert_eq!(notified["notifications"][0]["description"], "Red bicycle: funds released");
    let seen = json!({"notificationId": notified["notifications"][0]["id"]});
    let seen = users.call(BUYER_ID, "NotificationService/MarkNotificationAsRead", seen).await;
    assert!(seen["read"].is_string(), "{seen}");
}

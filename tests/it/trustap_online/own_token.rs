//! Operations that take a user's own token, in one story.

use partner_gateway::simulator::trustap::{BUYER_ID, SELLER_ID};
use serde_json::{Value, json};

use super::rpc;
use crate::partners::info;
use crate::support::trustap::Trustap;

/// Full users with their own tokens: an invitation, a join, and the buyer ends the time for a
/// complaint.
#[tokio::test]
async fn full_users_trade_with_their_own_tokens() {
    let trustap = Trustap::start().await;
    let (seller, buyer) = (trustap.token(SELLER_ID).await, trustap.token(BUYER_ID).await);
    let request = json!({
        "role": "ROLE_SELLER", "description": "Bicycle", "currency": "eur", "price": 20_000,
        "charge": 640, "chargeSeller": 0, "chargeCalculatorVersion": 5,
    });
    let made = trustap.call_as(&seller, &rpc("CreateTransaction"), request).await;
    assert_eq!((&made["status"], &made["sellerId"]), (&json!("created"), &json!(SELLER_ID)));
    let id = &made["id"];
    let named = || json!({"transactionId": id});
    let change = json!({"transactionId": id, "description": "Red bicycle"});
    let changed = trustap.call_as(&seller, &rpc("UpdateTransaction"), change.clone()).await;
    assert_eq!(changed["description"], "Red bicycle");
    let same = trustap.refused_as(&seller, &rpc("UpdateTransaction"), change).await;
    assert_eq!(info(&same).metadata["partner_code"], "values_not_changed");

    let code = json!({"joinCode": made["joinCode"]});
    let joined = trustap.call_as(&buyer, &rpc("JoinTransaction"), code.clone()).await;
    assert_eq!((&joined["status"], &joined["buyerId"]), (&json!("joined"), &json!(BUYER_ID)));
    let own = trustap.refused_as(&seller, &rpc("JoinTransaction"), code).await;
    assert_eq!(info(&own).metadata["partner_code"], "cannot_join_own_transaction");

    let paid = trustap.call_as(&buyer, &rpc("PayWithBalance"), named()).await;
    assert_eq!(paid["status"], "paid");
    let tracking = json!({"transactionId": id, "carrier": "ups", "trackingCode": "1Z"});
    trustap.call_as(&seller, &rpc("TrackTransaction"), tracking).await;
    trustap.call_as(&buyer, &rpc("ConfirmDelivery"), named()).await;
    let ended = trustap.call_as(&buyer, &rpc("EndComplaintPeriod"), named()).await;
    assert_eq!(ended["status"], "complaint_period_ended");
    trustap.wait(60).await;

    let listed = trustap.call_as(&seller, &rpc("ListTransactions"), json!({"limit": 1})).await;
    assert_eq!(listed["transactions"][0]["status"], "funds_released");
    let batch = json!({"ids": [id, 1, id]});
    let batch = trustap.call_as(&seller, &rpc("BatchGetTransactions"), batch).await;
    let found: Vec<_> = batch["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| &found["transaction"]["id"])
        .collect();
    assert_eq!(found, [id, &Value::Null, id]);
    let notified =
        trustap.call_as(&buyer, "NotificationService/ListNotifications", json!({})).await;
    assert_eq!(notified["notifications"][0]["description"], "Red bicycle: funds released");
    let read = json!({"notificationId": notified["notifications"][0]["id"]});
    let read = trustap.call_as(&buyer, "NotificationService/MarkNotificationAsRead", read).await;
    assert!(read["read"].is_string(), "{read}");
}

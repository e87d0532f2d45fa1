//! What only a user may do, with the access token that the caller has from them.

use super::*;

#[tokio::test]
async fn a_buyer_joins_lists_and_pays_with_their_own_token() {
    let sale = Sale::of_full_users().await;
    let offered = sale.offered().await;
    let token = sale.trustap.token(BUYER_ID).await;
    let call =
        async |method: &str, request| sale.trustap.call_as(&token, &rpc(method), request).await;
    let joined = call("JoinF2fTransaction", json!({"join_code": offered["joinCode"]})).await;
    assert_eq!((&joined["status"], &joined["buyerId"]), (&json!("joined"), &json!(BUYER_ID)));
    let listed = call("ListF2fTransactions", json!({"limit": 1})).await;
    assert_eq!(listed["transactions"][0]["id"], offered["id"]);
    let id = json!({"transaction_id": offered["id"]});
    let quote = merged(&[&id, &json!({"price": 20000})]);
    assert_eq!(call("GetF2fTransactionCharge", quote).await["charge"], "1080");
    assert_eq!(call("PayF2fDepositWithBalance", id.clone()).await["status"], "deposit_paid");
    assert_eq!(call("GetF2fSellerDetails", id).await["email"], "seller@example.com");
}

#[tokio::test]
async fn metadata_is_written_and_read_as_it_is() {
    let sale = Sale::of_full_users().await;
    let id = sale.joined(&json!({})).await;
    let token = sale.trustap.token(SELLER_ID).await;
    let call =
        async |method: &str, request| sale.trustap.call_as(&token, &rpc(method), request).await;
    let metadata = json!({"order": "A-1", "weight": 2.5, "gift": true});
    let request = json!({"transaction_id": id, "metadata": metadata});
    assert_eq!(call("SetF2fTransactionMetadata", request).await["metadata"], metadata);
    let kept = call("GetF2fTransactionMetadata", json!({"transaction_id": id})).await;
    assert_eq!(kept["metadata"], metadata);
}

#[tokio::test]
async fn an_invitation_is_declined() {
    let sale = Sale::of_full_users().await;
    let offered = sale.offered().await;
    let token = sale.trustap.token(BUYER_ID).await;
    let code = json!({"join_code": offered["joinCode"]});
    let declined = sale.trustap.call_as(&token, &rpc("RejectF2fTransaction"), code).await;
    assert_eq!(declined["status"], "rejected");
}

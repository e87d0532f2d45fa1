//! What only a user may do, with the access token that the caller has from them.

use super::*;
use crate::support::trustap::EDITIONS;

/// The whole life, from the invitation to the release of the money, under each edition's rules
/// for credentials.
#[tokio::test]
async fn two_users_go_through_a_sale_with_their_own_tokens_under_each_edition() {
    for edition in EDITIONS {
        let trustap = Trustap::under(edition).await;
        let (seller, buyer) = (trustap.token(SELLER_ID).await, trustap.token(BUYER_ID).await);
        let sale = Sale { trustap, seller: SELLER_ID.to_owned(), buyer: BUYER_ID.to_owned() };
        let call = async |token: &str, method: &str, request| {
            sale.trustap.call_as(token, &rpc(method), request).await
        };
        let offer = merged(&[&sale.terms().await, &json!({"role": "ROLE_SELLER"})]);
        let offered = call(&seller, "CreateF2fTransaction", offer).await;
        let code = json!({"join_code": offered["joinCode"]});
        assert_eq!(call(&buyer, "JoinF2fTransaction", code).await["status"], "joined");
        let named = json!({"transaction_id": offered["id"]});
        let price = json!({
            "currency": "eur", "price": 40000, "charge": 2120, "charge_calculator_version": 3,
        });
        for (token, method, more, status) in [
            (&buyer, "PayF2fDepositWithBalance", json!({}), "deposit_paid"),
            (&seller, "AcceptF2fDeposit", json!({}), "deposit_accepted"),
            (&seller, "SetF2fPrice", price, "priced"),
            (&buyer, "PayF2fRemainderWithBalance", json!({}), "remainder_paid"),
            (&buyer, "ConfirmF2fHandover", json!({}), "buyer_handover_confirmed"),
            (&seller, "ConfirmF2fHandover", json!({}), "seller_handover_confirmed"),
        ] {
            let done = call(token, method, merged(&[&named, &more])).await;
            assert_eq!(done["status"], status, "{edition}: {method}");
        }
        sale.trustap.wait(DAY + 60).await;
        // The tokens of before have ended.
        let seller = sale.trustap.token(SELLER_ID).await;
        let shown = call(&seller, "GetF2fTransaction", named).await;
        assert_eq!(shown["status"], "funds_released", "{edition}");
    }
}

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

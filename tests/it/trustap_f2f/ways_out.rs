//! Complaints, cancellations and claims, and what is said to those who come too late.

use partner_gateway::simulator::trustap::UNCONNECTED_ID;

use super::*;

#[tokio::test]
async fn a_conceded_complaint_brings_the_deposit_back() {
    let sale = Sale::of_full_users().await;
    let id = sale.accepted(&json!({})).await;
    sale.seller_does("SkipF2fRemainder", &id).await;
    sale.seller_does("ConfirmF2fHandover", &id).await;
    assert_eq!(sale.buyer_does("SubmitF2fComplaint", &id).await, "complained");
    sale.trustap.wait(2 * DAY).await;
    assert_eq!(sale.shown(&id).await["complaint"]["description"], "It is too small");
    sale.seller_does("AcceptF2fComplaint", &id).await;
    sale.trustap.wait(HOUR).await;
    let shown = sale.shown(&id).await;
    assert_eq!(shown["status"], "deposit_refunded");
    assert_eq!(shown["amountRefunded"], "20000");
}

#[tokio::test]
async fn a_cancellation_depends_on_how_far_the_sale_is() {
    let sale = Sale::of_full_users().await;
    let cancel = "CancelF2fTransaction";
    let joined = sale.joined(&json!({})).await;
    assert_eq!(sale.buyer_does(cancel, &joined).await, "cancelled");
    assert_eq!(sale.refused(&sale.buyer, cancel, &joined).await, done("already_cancelled"));
    let open = sale.offered().await["id"].as_str().unwrap().to_owned();
    assert_eq!(sale.refused(SELLER_ID, cancel, &open).await, conflict("second_party_not_joined"));

    let deposited = sale.deposited(&json!({})).await;
    let accepted = sale.accepted(&json!({})).await;
    let priced = sale.accepted(&json!({})).await;
    sale.sets_price(&priced).await;
    for id in [&deposited, &accepted, &priced] {
        assert_eq!(sale.seller_does(cancel, id).await, "cancelled_with_deposit");
    }
    sale.trustap.wait(HOUR).await;
    for id in [&deposited, &accepted, &priced] {
        let shown = sale.shown(id).await;
        assert_eq!(shown["status"], "deposit_refunded");
        assert_eq!(shown["cancellation"]["reason"], "It is too small");
    }
}

#[tokio::test]
async fn nothing_is_cancelled_once_all_is_paid_or_handed_over() {
    let sale = Sale::of_full_users().await;
    let cancel = "CancelF2fTransaction";
    let id = sale.accepted(&json!({})).await;
    sale.sets_price(&id).await;
    sale.outside(&id, "pay_remainder").await;
    let late = sale.refused(&sale.buyer, cancel, &id).await;
    assert_eq!(late, conflict("remainder_already_paid"));
    sale.buyer_does("ConfirmF2fHandover", &id).await;
    let late = sale.refused(&sale.buyer, cancel, &id).await;
    assert_eq!(late, conflict("handover_already_confirmed"));
}

#[tokio::test]
async fn a_repeated_action_is_told_to_be_done() {
    let sale = Sale::of_full_users().await;
    let id = sale.deposited(&json!({})).await;
    for (user, method, code) in [
        (&sale.seller, "AcceptF2fDeposit", "deposit_already_accepted"),
        (&sale.seller, "SkipF2fRemainder", "remainder_already_skipped"),
        (&sale.seller, "ConfirmF2fHandover", "seller_handover_already_confirmed"),
        (&sale.buyer, "ConfirmF2fHandover", "buyer_handover_already_confirmed"),
        (&sale.buyer, "SubmitF2fComplaint", "already_complained"),
        (&sale.seller, "AcceptF2fComplaint", "deposit_already_refunded"),
    ] {
        sale.does(user, method, &id).await;
        assert_eq!(sale.refused(user, method, &id).await, done(code), "{method}");
    }
    sale.trustap.wait(HOUR).await;
    assert_eq!(sale.shown(&id).await["status"], "deposit_refunded");
}

#[tokio::test]
async fn a_time_for_complaints_that_is_over_is_told_to_be_ended() {
    for (sale, end) in [
        (Sale::of_full_users().await, "EndF2fComplaintPeriod"),
        (Sale::of_guests().await, "EndF2fComplaintPeriodWithGuestBuyer"),
    ] {
        let id = sale.accepted(&json!({})).await;
        sale.seller_does("SkipF2fRemainder", &id).await;
        sale.seller_does("ConfirmF2fHandover", &id).await;
        assert_eq!(sale.buyer_does(end, &id).await, "complaint_period_ended");
        let again = sale.refused(&sale.buyer, end, &id).await;
        assert_eq!(again, done("complaint_period_expired"), "{end}");
        sale.trustap.wait(60).await;
        let released = sale.refused(&sale.buyer, end, &id).await;
        assert_eq!(released, done("funds_already_released"), "{end}");
    }
}

/// A claim by somebody else is told as done too: what was done is not what was asked for.
#[tokio::test]
async fn what_another_did_is_told_as_done_and_a_read_tells_them_apart() {
    let sale = Sale::of_guests().await;
    let id = sale.joined(&json!({})).await;
    let claim = "ClaimF2fTransactionForSeller";
    sale.does(SELLER_ID, claim, &id).await;
    let other = sale.trustap.control("login", json!({"user": UNCONNECTED_ID})).await;
    assert!(other["code"].is_string());
    assert_eq!(sale.refused(UNCONNECTED_ID, claim, &id).await, done("already_claimed"));
    assert_eq!(sale.shown(&id).await["sellerId"], SELLER_ID);
}

#[tokio::test]
async fn a_guest_seller_is_told_the_same_although_the_partner_says_403() {
    let sale = Sale::of_guests().await;
    let accept = "AcceptF2fDepositWithGuestSeller";
    let id = sale.joined(&json!({})).await;
    let early = sale.refused(&sale.seller, accept, &id).await;
    assert_eq!(early, conflict("deposit_not_paid"));
    sale.outside(&id, "pay_deposit").await;
    sale.seller_does(accept, &id).await;
    let again = sale.refused(&sale.seller, accept, &id).await;
    assert_eq!(again, done("deposit_already_accepted"));
    let denied = |code: &str| (Code::PermissionDenied, code.to_owned(), false);
    assert_eq!(sale.refused(&sale.buyer, accept, &id).await, denied("not_seller"));
    let full = sale.refused(SELLER_ID, accept, &id).await;
    assert_eq!(full, denied("subject_is_not_guest_user"));
}

#[tokio::test]
async fn a_guests_part_goes_over_to_a_full_user_once() {
    let sale = Sale::of_guests().await;
    let id = sale.joined(&json!({})).await;
    let claim = "ClaimF2fTransactionForSeller";
    assert_eq!(sale.does(SELLER_ID, claim, &id).await, "joined");
    let shown = sale.shown(&id).await;
    assert_eq!((&shown["sellerId"], &shown["sellerIsGuest"]), (&json!(SELLER_ID), &json!(false)));
    assert_eq!(sale.refused(SELLER_ID, claim, &id).await, done("already_claimed"));

    let secret = sale.outside(&id, "show").await["claim_secrets"]["buyer"].take();
    let request = json!({"trustap_user_id": BUYER_ID, "secret": secret});
    let claimed = sale.call("ClaimF2fTransactionAsBuyer", request).await;
    assert_eq!(claimed["buyerId"], BUYER_ID);
}

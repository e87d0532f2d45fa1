//! What a state or a role does not allow, with the documented code.

use super::*;

#[test]
fn a_repeated_action_says_that_it_was_done() {
    let simulator = simulator();
    let id = simulator.deposited(&json!({}));
    let twice = |who, action, code: &str| {
        simulator.step(who, &id, action);
        assert_eq!(simulator.stopped(who, &id, action), invalid(code), "{action}");
    };
    twice(SELLER, "accept_deposit", "deposit_already_accepted");
    twice(SELLER, "skip_remainder", "remainder_already_skipped");
    twice(SELLER, "confirm_handover", "seller_handover_already_confirmed");
    twice(BUYER, "confirm_handover", "buyer_handover_already_confirmed");
    twice(BUYER, "complain", "already_complained");
}

#[test]
fn roles_are_kept_apart() {
    let simulator = simulator();
    let id = simulator.deposited(&json!({}));
    let forbidden = |code: &str| (403, code.to_owned());
    assert_eq!(simulator.stopped(BUYER, &id, "accept_deposit"), forbidden("not_seller"));
    assert_eq!(simulator.stopped(BUYER, &id, "skip_remainder"), forbidden("not_seller"));
    assert_eq!(simulator.stopped(SELLER, &id, "complain"), forbidden("not_buyer"));
    assert_eq!(simulator.stopped(SELLER, &id, "end_complaint_period"), forbidden("not_buyer"));
    let stranger = simulator.guest("stranger@example.com");
    for action in ["accept_deposit", "confirm_handover", "cancel_with_description"] {
        assert_eq!(simulator.act(As::For(&stranger), &id, action).0, 403, "{action}");
    }
    assert_eq!(simulator.get(As::For(&stranger), &format!("/p2p/transactions/{id}")).0, 403);
    assert_eq!(simulator.get(SELLER, "/p2p/transactions/1").0, 404);
    let one = simulator.call(SELLER, "PATCH", "/p2p/transactions/one", &json!({}));
    assert_eq!(code(&one), invalid("invalid_id"));
}

#[test]
fn nothing_goes_before_its_turn() {
    let simulator = simulator();
    let id = simulator.met(&json!({}));
    for (who, action, code) in [
        (SELLER, "accept_deposit", "deposit_not_paid"),
        (SELLER, "skip_remainder", "deposit_not_paid"),
        (SELLER, "confirm_handover", "remainder_required"),
        (BUYER, "complain", "remainder_required"),
        (BUYER, "end_complaint_period", "handover_not_confirmed"),
        (SELLER, "accept_complaint", "deposit_not_paid"),
    ] {
        assert_eq!(simulator.stopped(who, &id, action), invalid(code), "{action}");
    }
}

#[test]
fn nothing_is_cancelled_once_nothing_more_is_owed() {
    let simulator = simulator();
    let id = simulator.ready();
    let refused = |code: &str| {
        for who in [SELLER, BUYER] {
            let late = simulator.stopped(who, &id, "cancel_with_description");
            assert_eq!(late, invalid(code));
        }
    };
    refused("remainder_already_paid");
    simulator.step(BUYER, &id, "confirm_handover");
    refused("handover_already_confirmed");
    simulator.step(SELLER, &id, "confirm_handover");
    refused("handover_already_confirmed");
    simulator.step(BUYER, &id, "complain");
    refused("handover_already_confirmed");
    simulator.step(SELLER, &id, "accept_complaint");
    refused("handover_already_confirmed");
}

#[test]
fn a_complaint_waits_for_the_sellers_word() {
    let simulator = simulator();
    let id = simulator.ready();
    assert_eq!(simulator.stopped(BUYER, &id, "complain"), invalid("remainder_required"));
    simulator.step(BUYER, &id, "confirm_handover");
    assert_eq!(simulator.stopped(BUYER, &id, "complain"), invalid("remainder_required"));
    simulator.step(SELLER, &id, "confirm_handover");
    assert_eq!(simulator.step(BUYER, &id, "complain"), "complained");
}

#[test]
fn what_was_cancelled_has_no_complaint_to_concede() {
    let simulator = simulator();
    let unpaid = simulator.met(&json!({}));
    let paid = simulator.accepted(&json!({}));
    for id in [&unpaid, &paid] {
        simulator.step(BUYER, id, "cancel_with_description");
        assert_eq!(simulator.stopped(BUYER, id, "complain"), invalid("remainder_required"));
    }
    let accept = |id: &Value| simulator.stopped(SELLER, id, "accept_complaint");
    assert_eq!(accept(&unpaid), invalid("deposit_not_paid"));
    assert_eq!(accept(&paid), invalid("deposit_already_refunded"));
    simulator.clock.advance(60 * 60);
    assert_eq!(accept(&paid), invalid("deposit_already_refunded"));
}

#[test]
fn a_guest_seller_meets_403_where_a_full_one_meets_400() {
    let simulator = simulator();
    let seller = simulator.guest("seller@example.org");
    let parties = json!({"buyer_id": BUYER_ID, "seller_id": seller, "creator_role": "seller"});
    let body = with(deposit(), &parties);
    let (status, shown) =
        simulator.post(As::Key, "/p2p/me/transactions/create_with_guest_user", &body);
    assert_eq!((status, &shown["status"]), (201, &json!("joined")), "{shown}");
    assert_eq!(
        (&shown["seller_is_guest"], &shown["buyer_is_guest"]),
        (&json!(true), &json!(false))
    );
    let (id, guest) = (shown["id"].clone(), As::For(&seller));
    let forbidden = |code: &str| (403, code.to_owned());
    let accept = "accept_deposit_with_guest_seller";
    assert_eq!(simulator.stopped(BUYER, &id, accept), forbidden("subject_is_not_guest_user"));
    assert_eq!(simulator.stopped(guest, &id, accept), forbidden("deposit_not_paid"));
    simulator.outside(&id, "pay_deposit");
    assert_eq!(simulator.step(guest, &id, accept), "deposit_accepted");
    assert_eq!(simulator.stopped(guest, &id, accept), forbidden("deposit_already_accepted"));
    simulator.step(guest, &id, "skip_remainder");
    let confirm = "confirm_handover_with_guest_user";
    assert_eq!(simulator.stopped(BUYER, &id, confirm), forbidden("subject_is_not_guest_user"));
    assert_eq!(simulator.step(guest, &id, confirm), "seller_handover_confirmed");
}

#[test]
fn what_is_shipped_is_delivered_once() {
    let simulator = simulator();
    let id = simulator.accepted(&json!({"contains_shipping": true}));
    simulator.step(SELLER, &id, "skip_remainder");
    let token = simulator.token(BUYER_ID);
    let buyer = As::Token(&token);
    let handed_over = simulator.stopped(SELLER, &id, "confirm_handover");
    assert_eq!(handed_over, invalid("handover_confirmation_not_supported"));
    assert_eq!(simulator.stopped(buyer, &id, "confirm_delivery"), invalid("tracking_not_added"));
    simulator.outside(&id, "track");
    assert_eq!(simulator.step(buyer, &id, "confirm_delivery"), "delivered");
    assert_eq!(simulator.stopped(buyer, &id, "confirm_delivery"), invalid("delivery_already_set"));
    assert_eq!(simulator.step(BUYER, &id, "end_complaint_period"), "complaint_period_ended");
}

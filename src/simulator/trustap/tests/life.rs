//! The life of an online transaction, state by state.

use super::*;

#[test]
fn from_guests_to_the_release_of_the_money() {
    let trustap = simulator();
    let (seller, buyer) = (trustap.guest("s@example.com"), trustap.guest("b@example.com"));
    let mut body = terms();
    body["seller_id"] = json!(seller);
    body["buyer_id"] = json!(buyer);
    body["creator_role"] = json!("seller");
    let (seller, buyer) = (As::For(&seller), As::For(&buyer));
    let (status, made) = trustap.post(seller, "/me/transactions/create_with_guest_user", &body);
    assert_eq!((status, &made["status"]), (201, &json!("joined")), "{made}");
    let id = &made["id"];

    let pay = format!("transactions/{id}/pay");
    let paid = trustap.control(&pay, &Value::Null);
    assert_eq!(paid["tracking_details_deadline"], "2026-01-05T00:00:00Z");
    let path = format!("/transactions/{id}/track_with_guest_seller");
    let parcel = json!({"carrier": "ups", "tracking_code": "1Z"});
    let (_, tracked) = trustap.post(seller, &path, &parcel);
    assert_eq!(
        (&tracked["status"], &tracked["tracking"]["carrier"]),
        (&json!("tracked"), &json!("ups"))
    );
    assert_eq!(trustap.done(buyer, id, "confirm_delivery_with_guest_buyer"), "delivered");

    let shown = || trustap.get(As::Key, &format!("/transactions/{id}")).1;
    assert_eq!(shown()["complaint_period_deadline"], "2026-01-02T00:00:00Z");
    trustap.clock.advance(24 * 60 * 60 - 1);
    assert_eq!(shown()["status"], "delivered");
    trustap.clock.advance(1);
    assert_eq!(shown()["status"], "complaint_period_ended");
    trustap.clock.advance(60);
    let released = shown();
    assert_eq!(released["status"], "funds_released");
    assert_eq!(released["funds_released"], "2026-01-02T00:01:00Z");
    assert_eq!(
        (&released["amount_released"], &released["released_to_seller"]),
        (&json!(1234), &json!(true))
    );
}

#[test]
fn guests_are_checked_before_a_transaction_is_made() {
    let trustap = simulator();
    let guest = trustap.guest("g@example.com");
    let body = json!({
        "email": "n@example.com", "first_name": "No", "last_name": "Country",
        "tos_acceptance": {"unix_timestamp": NOW, "ip": "192.0.2.1"},
    });
    let nowhere = trustap.post(As::Key, "/guest_users", &body).1["id"].take();
    let nowhere = nowhere.as_str().unwrap();
    let create = |who, seller: &str, buyer: &str| {
        let mut body = terms();
        let more = json!({"creator_role": "seller", "seller_id": seller, "buyer_id": buyer});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        trustap.post(who, "/me/transactions/create_with_guest_user", &body)
    };
    let refused = |seller: &str, buyer: &str| code(&create(As::Key, seller, buyer));
    assert_eq!(refused(SELLER_ID, BUYER_ID), invalid("no_guest_user"));
    assert_eq!(refused(&guest, "1-unknown"), invalid("guest_user_not_found"));
    assert_eq!(refused(&guest, UNCONNECTED_ID), invalid("user_not_owned_by_client"));
    assert_eq!(refused(&guest, &guest), invalid("duplicate_user_id"));
    assert_eq!(refused(nowhere, BUYER_ID), invalid("seller_country_code_not_set"));
    assert_eq!(code(&create(BUYER, &guest, BUYER_ID)), invalid("invalid_role"));
    // One integrator sends no header here; the switch has it either way.
    assert_eq!(create(As::Key, SELLER_ID, nowhere).0, 201);
    trustap.switch(&json!({"require_user_on_guest_creation": true}));
    assert_eq!(create(As::Key, SELLER_ID, nowhere).0, 403);
    assert_eq!(create(As::For(SELLER_ID), SELLER_ID, nowhere).0, 201);
}

#[test]
fn two_full_users_are_joined_at_once() {
    let trustap = simulator();
    let refused = |other: &str| {
        let mut body = terms();
        body["creator_role"] = json!("buyer");
        body["join_user_id"] = json!(other);
        code(&trustap.post(BUYER, "/me/transactions/create_and_join", &body))
    };
    assert_eq!(refused("unknown"), invalid("invalid_join_user_id"));
    assert_eq!(refused(&trustap.guest("g@example.com")), invalid("invalid_join_user_id"));
    assert_eq!(refused(UNCONNECTED_ID), invalid("user_not_owned_by_client"));
    assert_eq!(refused(BUYER_ID), invalid("duplicate_user_id"));
}

#[test]
fn an_invitation_is_changed_then_joined_or_declined() {
    let trustap = simulator();
    let token = trustap.token(SELLER_ID);
    let seller = As::Token(&token);
    let created = || {
        let mut body = terms();
        body["role"] = json!("seller");
        trustap.post(seller, "/me/transactions", &body).1
    };
    let made = created();
    assert_eq!((&made["status"], &made["seller_id"]), (&json!("created"), &json!(SELLER_ID)));
    assert_eq!(made.get("buyer_id"), None);
    let (id, target) =
        (&made["id"], format!("/transactions?join_code={}", made["join_code"].as_str().unwrap()));
    assert_eq!(code(&trustap.get(BUYER, "/transactions")), invalid("join_code_missing"));
    assert_eq!(trustap.get(BUYER, "/transactions?join_code=x").0, 404);
    assert_eq!(trustap.get(BUYER, &target).1["id"], *id);

    let path = format!("/transactions/{id}");
    let patch = |body| trustap.call(seller, "PATCH", &path, &body);
    let (_, changed) = patch(json!({"description": "Match ticket"}));
    assert_eq!(changed["description"], "Match ticket");
    assert_eq!(code(&patch(json!({"description": "Match ticket"}))), invalid("values_not_changed"));
    assert_eq!(code(&patch(json!({}))), invalid("values_not_changed"));

    let put = |who| trustap.call(who, "PUT", &target, &Value::Null);
    assert_eq!(code(&put(SELLER)), invalid("cannot_join_own_transaction"));
    let (_, joined) = put(BUYER);
    assert_eq!((&joined["status"], &joined["buyer_id"]), (&json!("joined"), &json!(BUYER_ID)));
    let stranger = trustap.guest("g@example.com");
    assert_eq!(code(&put(As::For(&stranger))), invalid("second_party_already_joined"));
    assert_eq!(code(&patch(json!({"price": 2000}))), invalid("second_party_already_joined"));

    let made = created();
    let path = format!("/transactions-by-join-code/{}/reject", made["join_code"].as_str().unwrap());
    let buyer = trustap.token(BUYER_ID);
    let (_, rejected) = trustap.post(As::Token(&buyer), &path, &Value::Null);
    assert_eq!(rejected["status"], "rejected");
    assert_eq!(trustap.refused(SELLER, &made["id"], "cancel"), invalid("already_cancelled"));
}

#[test]
fn a_cancellation_depends_on_the_state() {
    let trustap = simulator();
    let id = trustap.joined(&[]);
    assert_eq!(trustap.done(BUYER, &id, "cancel"), "cancelled");
    assert_eq!(trustap.refused(SELLER, &id, "cancel"), invalid("already_cancelled"));
    let guests = trustap.refused(SELLER, &id, "cancel_with_guest_user");
    assert_eq!(guests, invalid("already_cancelled"));
    assert_eq!(trustap.refused(SELLER, &trustap.paid(&[]), "cancel"), invalid("already_paid"));
    assert_eq!(
        trustap.refused(SELLER, &trustap.tracked(), "cancel"),
        invalid("tracking_already_added")
    );

    // Where the seller must accept, the money comes back.
    let id = trustap.paid(&["require_seller_acceptance"]);
    assert_eq!(trustap.done(BUYER, &id, "cancel"), "cancelled_with_payment");
    assert_eq!(trustap.refused(BUYER, &id, "cancel"), invalid("already_cancelled"));
    trustap.clock.advance(3600);
    let (_, refunded) = trustap.get(BUYER, &format!("/transactions/{id}"));
    assert_eq!(
        (&refunded["status"], &refunded["amount_refunded"]),
        (&json!("payment_refunded"), &json!(1312))
    );
    assert_eq!(trustap.refused(BUYER, &id, "cancel"), invalid("already_cancelled"));
    let track = trustap.post(
        SELLER,
        &format!("/transactions/{id}/track"),
        &json!({"carrier": "ups", "tracking_code": "1Z"}),
    );
    assert_eq!(code(&track), invalid("already_cancelled"));
}

#[test]
fn a_payment_is_accepted_where_that_was_asked_for() {
    let trustap = simulator();
    let plain = trustap.paid(&[]);
    assert_eq!(
        trustap.refused(SELLER, &plain, "accept_payment"),
        invalid("missing_required_feature")
    );
    let id = trustap.joined(&["require_seller_acceptance"]);
    assert_eq!(trustap.refused(SELLER, &id, "accept_payment"), invalid("transaction_not_paid_yet"));
    let paid = trustap.control(&format!("transactions/{id}/pay"), &Value::Null);
    assert_eq!(paid.get("tracking_details_deadline"), None);
    let extend =
        trustap.refused(As::Token(&trustap.token(BUYER_ID)), &id, "extend_tracking_deadline");
    assert_eq!(extend, invalid("tracking_submission_window_not_started"));
    trustap.clock.advance(60);
    assert_eq!(trustap.done(SELLER, &id, "accept_payment"), "payment_accepted");
    assert_eq!(trustap.refused(SELLER, &id, "accept_payment"), invalid("payment_already_accepted"));
    let (_, shown) = trustap.get(SELLER, &format!("/transactions/{id}"));
    assert_eq!(shown["tracking_details_deadline"], "2026-01-05T00:01:00Z");
    assert_eq!(trustap.done(SELLER, &id, "cancel"), "cancelled_with_payment");
}

#[test]
fn a_parcel_is_tracked_once_and_in_time() {
    let trustap = simulator();
    let id = trustap.joined(&[]);
    let path = format!("/transactions/{id}/track");
    let track = |carrier: &str, tracking_code: &str| {
        trustap.post(SELLER, &path, &json!({"carrier": carrier, "tracking_code": tracking_code}))
    };
    assert_eq!(code(&track("", "1Z")), invalid("empty_carrier"));
    assert_eq!(code(&track("ups", "")), invalid("empty_tracking_code"));
    assert_eq!(code(&track("ups", "1Z")), invalid("payment_details_not_added"));
    trustap.control(&format!("transactions/{id}/pay"), &Value::Null);
    let buyer = || trustap.token(BUYER_ID);
    assert_eq!(
        trustap.refused(As::Token(&buyer()), &id, "confirm_delivery"),
        invalid("tracking_not_added")
    );
    trustap.clock.advance(4 * 24 * 60 * 60);
    assert_eq!(code(&track("ups", "1Z")), invalid("tracking_details_deadline_expired"));
    assert_eq!(trustap.done(As::Token(&buyer()), &id, "extend_tracking_deadline"), "paid");
    assert_eq!(track("ups", "1Z").0, 200);
    assert_eq!(code(&track("ups", "1Z")), invalid("tracking_already_added"));

    let issue = format!("/transactions/{id}/submit_order_issue");
    let body = json!({"description": "Not here"});
    let (_, raised) = trustap.post(As::Token(&buyer()), &issue, &body);
    assert_eq!(raised["order_issue"]["description"], "Not here");
    assert_eq!(trustap.done(As::Token(&buyer()), &id, "confirm_delivery"), "delivered");
    let again = trustap.refused(As::Token(&buyer()), &id, "confirm_delivery");
    assert_eq!(again, invalid("delivery_already_set"));
    assert_eq!(
        code(&trustap.post(As::Token(&buyer()), &issue, &body)),
        invalid("delivery_already_set")
    );
}

/// A delivered transaction, the buyer's token, and a complaint about it.
fn delivered(trustap: &Trustap) -> Value {
    let id = trustap.tracked();
    let shown = trustap.control(&format!("transactions/{id}/deliver"), &Value::Null);
    assert_eq!(shown["status"], "delivered");
    id
}

fn complain(trustap: &Trustap, id: &Value, description: &str) -> (u16, Value) {
    let path = format!("/transactions/{id}/complain_with_guest_buyer");
    trustap.post(BUYER, &path, &json!({"description": description}))
}

#[test]
fn a_complaint_is_made_once_and_in_its_time() {
    let trustap = simulator();
    let early = trustap.tracked();
    assert_eq!(code(&complain(&trustap, &early, "x")), invalid("unconfirmed_delivery"));
    let id = delivered(&trustap);
    assert_eq!(code(&complain(&trustap, &id, "")), invalid("empty_complaint_description"));
    let (_, complained) = complain(&trustap, &id, "Fake");
    assert_eq!(
        (&complained["status"], &complained["complaint"]["description"]),
        (&json!("complained"), &json!("Fake"))
    );
    assert_eq!(code(&complain(&trustap, &id, "Fake")), invalid("already_complained"));
    let end = trustap.refused(As::Token(&trustap.token(BUYER_ID)), &id, "end_complaint_period");
    assert_eq!(end, invalid("already_complained"));
    // The clock ends no period that a complaint has stopped.
    trustap.clock.advance(7 * 24 * 60 * 60);
    assert_eq!(trustap.get(BUYER, &format!("/transactions/{id}")).1["status"], "complained");

    let late = delivered(&trustap);
    trustap.clock.advance(24 * 60 * 60);
    assert_eq!(code(&complain(&trustap, &late, "x")), invalid("complaint_period_expired"));
    trustap.clock.advance(60);
    assert_eq!(code(&complain(&trustap, &late, "x")), invalid("funds_already_released"));
}

#[test]
fn the_buyer_may_end_the_time_for_a_complaint() {
    let trustap = simulator();
    let id = delivered(&trustap);
    let token = trustap.token(BUYER_ID);
    let buyer = As::Token(&token);
    assert_eq!(trustap.done(buyer, &id, "end_complaint_period"), "complaint_period_ended");
    let again = trustap.refused(buyer, &id, "end_complaint_period");
    assert_eq!(again, invalid("complaint_period_ended_prematurely"));
    assert_eq!(code(&complain(&trustap, &id, "x")), invalid("complaint_period_ended_prematurely"));
    trustap.clock.advance(60);
    let again = trustap.refused(buyer, &id, "end_complaint_period");
    assert_eq!(again, invalid("complaint_period_ended_prematurely"));
    assert_eq!(trustap.get(buyer, &format!("/transactions/{id}")).1["status"], "funds_released");
}

#[test]
fn a_complaint_is_conceded_or_decided() {
    let trustap = simulator();
    let unpaid = trustap.joined(&[]);
    assert_eq!(trustap.refused(SELLER, &unpaid, "accept_complaint"), invalid("not_paid"));
    let id = delivered(&trustap);
    assert_eq!(trustap.refused(SELLER, &id, "accept_complaint"), invalid("not_complained"));
    complain(&trustap, &id, "Fake");
    assert_eq!(trustap.refused(BUYER, &id, "accept_complaint"), (403, "not_seller".to_owned()));
    assert_eq!(trustap.done(SELLER, &id, "accept_complaint"), "complained");
    trustap.clock.advance(3600);
    assert_eq!(trustap.get(BUYER, &format!("/transactions/{id}")).1["status"], "payment_refunded");

    for (decision, status) in [("release", "funds_released"), ("refund", "payment_refunded")] {
        let id = delivered(&trustap);
        complain(&trustap, &id, "Fake");
        let shown = trustap.control(&format!("transactions/{id}/{decision}"), &Value::Null);
        assert_eq!(shown["status"], status);
    }
}

#[test]
fn a_full_user_claims_what_a_guest_traded() {
    let trustap = simulator();
    let (seller, buyer) = (trustap.guest("s@example.com"), trustap.guest("b@example.com"));
    let mut body = terms();
    let more = json!({"creator_role": "seller", "seller_id": seller, "buyer_id": buyer});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = trustap.post(As::Key, "/me/transactions/create_with_guest_user", &body).1;
    let id = &made["id"];
    assert_eq!(trustap.refused(As::For(&buyer), id, "claim_for_seller").0, 403);
    let (_, claimed) =
        trustap.post(SELLER, &format!("/transactions/{id}/claim_for_seller"), &Value::Null);
    assert_eq!((&claimed["seller_id"], &claimed["buyer_id"]), (&json!(SELLER_ID), &json!(buyer)));
    assert_eq!(trustap.refused(SELLER, id, "claim_for_seller"), invalid("already_claimed"));
    assert_eq!(
        trustap.refused(SELLER, id, "claim_for_buyer"),
        invalid("cannot_claim_own_transaction")
    );
    assert_eq!(trustap.refused(As::For(UNCONNECTED_ID), id, "claim_for_buyer").0, 401);

    let shown = trustap.control(&format!("transactions/{id}/show"), &Value::Null);
    let secret = shown["claim_secret"].as_str().unwrap();
    let token = trustap.token(BUYER_ID);
    let path = format!("/transactions_by_claim_secret/{secret}/claim_as_buyer");
    let (_, claimed) = trustap.post(As::Token(&token), &path, &Value::Null);
    assert_eq!(
        (&claimed["buyer_id"], claimed["claimed_by_buyer"].is_string()),
        (&json!(BUYER_ID), true)
    );
    assert_eq!(
        code(&trustap.post(As::Token(&token), &path, &Value::Null)),
        invalid("already_claimed")
    );
    let wrong = "/transactions_by_claim_secret/wrong/claim_as_buyer";
    assert_eq!(trustap.post(As::Token(&token), wrong, &Value::Null).0, 404);
}

#[test]
fn parties_read_each_others_details() {
    let trustap = simulator();
    let id = trustap.joined(&[]);
    let token = trustap.token(SELLER_ID);
    let seller = As::Token(&token);
    let details = |part: &str| trustap.get(seller, &format!("/transactions/{id}/{part}"));
    assert_eq!(details("buyer_details").1["email"], "buyer@example.com");
    assert_eq!(details("seller_details").1["email"], "seller@example.com");
    assert_eq!(details("shipping_details").0, 404);
    let body = json!({"country": "IE", "name": "Ada", "address_line_1": "Main Street"});
    let (_, kept) = trustap.post(seller, &format!("/transactions/{id}/shipping_details"), &body);
    assert_eq!((&kept["name"], &kept["address"]["line1"]), (&json!("Ada"), &json!("Main Street")));
    assert_eq!(details("shipping_details").1, kept);
    let path = format!("/transactions/{id}/shipping_details");
    let nameless = trustap.post(seller, &path, &json!({"country": "IE", "name": ""}));
    assert_eq!(code(&nameless), invalid("empty_name"));
}

#[test]
fn the_control_interface_follows_the_states_too() {
    let trustap = simulator();
    let id = trustap.joined(&[]);
    let order = |path: &str| Partner::control(&trustap, &Method::POST, path, b"");
    let status = |path: &str| order(path).unwrap().unwrap_err().0.as_u16();
    assert_eq!(status(&format!("transactions/{id}/deliver")), 409);
    assert_eq!(status(&format!("transactions/{id}/fly")), 404);
    assert_eq!(status("transactions/1/pay"), 404);
    assert_eq!(status("users/nobody"), 400);
    assert!(order("nothing").is_none());
    let started = trustap.control(&format!("transactions/{id}/start_payment"), &Value::Null);
    assert_eq!(started["is_payment_in_progress"], true);
    let paid = trustap.control(&format!("transactions/{id}/pay"), &Value::Null);
    assert_eq!((&paid["status"], &paid["is_payment_in_progress"]), (&json!("paid"), &json!(false)));
    Partner::reset(&trustap);
    assert_eq!(trustap.get(As::Key, &format!("/transactions/{id}")).0, 404);
}

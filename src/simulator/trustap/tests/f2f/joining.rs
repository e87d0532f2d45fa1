//! Creating, joining, editing, claiming and finding face to face transactions.

use super::*;

impl Trustap {
    /// A transaction that waits for its buyer.
    fn offered(&self) -> Value {
        let body = with(deposit(), &json!({"role": "seller"}));
        let (status, shown) = self.post(SELLER, "/p2p/me/transactions", &body);
        assert_eq!((status, &shown["status"]), (201, &json!("created")), "{shown}");
        shown
    }
}

#[test]
fn a_buyer_joins_by_the_code() {
    let simulator = simulator();
    let offered = simulator.offered();
    let by_code =
        format!("/p2p/transactions_by_join_code/{}", offered["join_code"].as_str().unwrap());
    assert_eq!(simulator.get(As::Key, &by_code).1["id"], offered["id"]);
    let join = format!("{by_code}/join");
    let own = simulator.post(SELLER, &join, &Value::Null);
    assert_eq!(code(&own), invalid("cannot_join_own_transaction"));
    let (status, joined) = simulator.post(BUYER, &join, &Value::Null);
    assert_eq!((status, &joined["status"]), (200, &json!("joined")));
    assert_eq!(joined["buyer_id"], json!(BUYER_ID));
    let again = simulator.post(BUYER, &join, &Value::Null);
    assert_eq!(code(&again), invalid("second_party_already_joined"));
    assert_eq!(simulator.get(As::Key, "/p2p/transactions_by_join_code/NOSUCH").0, 404);
}

#[test]
fn an_invitation_can_be_declined_and_taken_by_a_guest() {
    let simulator = simulator();
    let declined = simulator.offered();
    let token = simulator.token(BUYER_ID);
    let code_of = |shown: &Value| shown["join_code"].as_str().unwrap().to_owned();
    let reject = format!("/p2p/transactions_by_join_code/{}/reject", code_of(&declined));
    let (status, shown) = simulator.post(As::Token(&token), &reject, &Value::Null);
    assert_eq!((status, &shown["status"]), (200, &json!("rejected")));
    let join = format!("/p2p/transactions_by_join_code/{}/join", code_of(&declined));
    assert_eq!(code(&simulator.post(BUYER, &join, &Value::Null)), invalid("already_cancelled"));

    let id = simulator.offered()["id"].clone();
    let guest = simulator.guest("buyer@example.org");
    assert_eq!(simulator.stopped(BUYER, &id, "join_with_guest").0, 403);
    assert_eq!(simulator.step(As::For(&guest), &id, "join_with_guest"), "joined");
}

#[test]
fn only_an_open_offer_can_be_edited_and_not_to_what_it_is() {
    let simulator = simulator();
    let offered = simulator.offered();
    let path = format!("/p2p/transactions/{}", offered["id"]);
    let same = json!({"description": "Used bicycle"});
    let other =
        json!({"description": "Old bicycle", "deposit_price": 10000, "deposit_charge": 560});
    assert_eq!(code(&simulator.call(SELLER, "PATCH", &path, &same)), invalid("values_not_changed"));
    let (status, shown) = simulator.call(SELLER, "PATCH", &path, &other);
    assert_eq!((status, &shown["deposit_pricing"]["price"]), (200, &json!(10000)));
    assert_eq!(shown["description"], json!("Old bicycle"));
    assert_eq!(simulator.call(BUYER, "PATCH", &path, &other).0, 403);
    let joined = format!("/p2p/transactions/{}", simulator.met(&json!({})));
    let late = code(&simulator.call(SELLER, "PATCH", &joined, &other));
    assert_eq!(late, invalid("second_party_already_joined"));
}

#[test]
fn before_anybody_joined_only_a_switch_allows_cancelling() {
    let simulator = simulator();
    let id = simulator.offered()["id"].clone();
    let cancel = "cancel_with_description";
    assert_eq!(simulator.stopped(SELLER, &id, cancel), invalid("second_party_not_joined"));
    simulator.switch(&json!({"f2f_cancel_before_join": true}));
    assert_eq!(simulator.step(SELLER, &id, cancel), "cancelled");
}

#[test]
fn a_quote_must_be_repeated_with_its_version() {
    let simulator = simulator();
    let create = |more: &Value| {
        let body = with(with(deposit(), &json!({"role": "buyer"})), more);
        simulator.post(BUYER, "/p2p/me/transactions", &body)
    };
    for (more, expected) in [
        (json!({"charge_calculator_version": 2}), "incorrect_calc_version"),
        (json!({"charge_calculator_version": 0}), "invalid_calc_version"),
        (json!({"charge_calculator_version": 4}), "invalid_calc_version"),
        (json!({"deposit_charge": 1081}), "incorrect_charge"),
        (json!({"deposit_charge_seller": 1}), "incorrect_charge_seller"),
        (json!({"deposit_price": -1}), "negative_price"),
        (json!({"deposit_price": 1}), "price_too_low"),
        (json!({"deposit_payment_method": "cheque"}), "invalid_payment_method"),
    ] {
        assert_eq!(code(&create(&more)), invalid(expected), "{more}");
    }
    assert_eq!(create(&json!({"deposit_payment_method": "bank_transfer"})).0, 201);
    simulator.control("charge_versions", &json!({"f2f": 4}));
    assert_eq!(code(&create(&json!({}))), invalid("incorrect_calc_version"));
    assert_eq!(create(&json!({"charge_calculator_version": 4})).0, 201);
}

#[test]
fn two_parties_must_differ_and_be_known() {
    let simulator = simulator();
    let and_join = |user: &str| {
        let parties = json!({
            "creator_role": "buyer", "join_user_id": user, "deposit_charge_seller": 0,
        });
        let body = with(deposit(), &parties);
        code(&simulator.post(BUYER, "/p2p/me/transactions/create_and_join", &body))
    };
    assert_eq!(and_join(BUYER_ID), invalid("duplicate_user_id"));
    assert_eq!(and_join("nobody"), invalid("invalid_join_user_id"));
    assert_eq!(and_join(UNCONNECTED_ID), invalid("user_not_owned_by_client"));

    let guest = simulator.guest("guest@example.org");
    let with_guest = |buyer: &str, seller: &str| {
        let parties = json!({"buyer_id": buyer, "seller_id": seller, "creator_role": "buyer"});
        let body = with(deposit(), &parties);
        simulator.post(As::Key, "/p2p/me/transactions/create_with_guest_user", &body)
    };
    assert_eq!(code(&with_guest(&guest, &guest)), invalid("duplicate_user_id"));
    assert_eq!(code(&with_guest(BUYER_ID, SELLER_ID)), invalid("no_guest_user"));
    assert_eq!(code(&with_guest("1-unknown", SELLER_ID)), invalid("guest_user_not_found"));
    assert_eq!(with_guest(&guest, UNCONNECTED_ID).0, 401);
    assert_eq!(with_guest(&guest, SELLER_ID).0, 201);
}

#[test]
fn a_guests_part_is_claimed_once_by_the_client_or_by_the_secret() {
    let simulator = simulator();
    let (seller, buyer) = (simulator.guest("s@example.org"), simulator.guest("b@example.org"));
    let parties = json!({"buyer_id": buyer, "seller_id": seller, "creator_role": "seller"});
    let body = with(deposit(), &parties);
    let (_, shown) = simulator.post(As::Key, "/p2p/me/transactions/create_with_guest_user", &body);
    let id = shown["id"].clone();
    let (status, claimed) = simulator.act(SELLER, &id, "claim_for_seller");
    assert_eq!((status, &claimed["seller_id"]), (200, &json!(SELLER_ID)));
    assert_eq!(
        (&claimed["seller_is_guest"], &claimed["status"]),
        (&json!(false), &json!("joined"))
    );
    assert_eq!(simulator.stopped(SELLER, &id, "claim_for_seller"), invalid("already_claimed"));
    assert_eq!(
        simulator.stopped(SELLER, &id, "claim_for_buyer"),
        invalid("cannot_claim_own_transaction")
    );
    let secrets = simulator.control(&format!("p2p/transactions/{id}/show"), &Value::Null);
    let secret = secrets["claim_secrets"]["buyer"].as_str().unwrap().to_owned();
    let token = simulator.token(BUYER_ID);
    let path = format!("/p2p/transactions_by_claim_secret/{secret}/claim_as_buyer");
    let (status, claimed) = simulator.post(As::Token(&token), &path, &Value::Null);
    assert_eq!((status, &claimed["buyer_id"]), (200, &json!(BUYER_ID)));
    let again = simulator.post(As::Token(&token), &path, &Value::Null);
    assert_eq!(code(&again), invalid("already_claimed"));
}

#[test]
fn lists_are_walked_by_key_and_batches_keep_order_and_gaps() {
    let simulator = simulator();
    let ids: Vec<_> = (0..3).map(|_| simulator.met(&json!({})).as_i64().unwrap()).collect();
    let token = simulator.token(BUYER_ID);
    let listed = |query: &str| {
        let path = format!("/p2p/me/transactions{query}");
        let (status, shown) = simulator.get(As::Token(&token), &path);
        assert_eq!(status, 200, "{shown}");
        let ids = shown.as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(listed(""), [ids[2], ids[1], ids[0]]);
    assert_eq!(listed(&format!("?limit=1&before_id={}", ids[2])), [ids[1]]);
    assert_eq!(listed(&format!("?after_id={}", ids[1])), [ids[2]]);

    let path = format!("/p2p/batch/transactions?ids={},1,{},{}", ids[2], ids[0], ids[2]);
    let (status, batch) = simulator.get(As::Key, &path);
    let found: Vec<_> = batch.as_array().unwrap().iter().map(|one| one["id"].as_i64()).collect();
    assert_eq!((status, found), (200, vec![Some(ids[2]), None, Some(ids[0]), Some(ids[2])]));
    let many = vec!["1"; 51].join(",");
    let refused =
        |ids: &str| code(&simulator.get(As::Key, &format!("/p2p/batch/transactions{ids}")));
    assert_eq!(refused(&format!("?ids={many}")), invalid("too_many_ids"));
    assert_eq!(refused("?ids=1,x"), invalid("invalid_id"));
    assert_eq!(refused(""), invalid("ids_missing"));
}

#[test]
fn a_clients_staff_turn_numbered_pages() {
    let simulator = simulator();
    let ids: Vec<_> = (0..3).map(|_| simulator.met(&json!({}))).collect();
    let token = simulator.token(SELLER_ID);
    let path = format!("/p2p/clients/{CLIENT_ID}/transactions");
    let page =
        |query: &str| simulator.post(As::Token(&token), &format!("{path}{query}"), &json!({}));
    let (status, second) = page("?page=2&page_size=2");
    assert_eq!(
        (status, &second["total_pages"], &second["total_count"]),
        (200, &json!(2), &json!(3))
    );
    assert_eq!(second["data"][0]["id"], ids[0]);
    assert_eq!(code(&page("?page=0")), invalid("page_value_too_low"));
    assert_eq!(code(&page("?page_size=0")), invalid("page_size_value_too_low"));
    assert_eq!(code(&page("?page_size=101")), invalid("excessive_page_size"));
    assert_eq!(page("?page=9").1["data"], json!([]));
}

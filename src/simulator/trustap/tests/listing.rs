//! Listings, whose four groups keep what they are told.

use super::*;

const GROUPS: [(&str, bool); 4] = [
    ("/multi_use_listings", false),
    ("/single_use_listings", false),
    ("/p2p/multi_use_listings", true),
    ("/p2p/single_use_listings", true),
];

/// Where a group's listings are created, and with what.
fn creation(group: &str, is_face_to_face: bool) -> (String, Value) {
    let (prefix, name) = group.rsplit_once('/').unwrap();
    let path = format!("{prefix}/me/{name}/create");
    let body = if is_face_to_face {
        json!({
            "charge_calculator_version": 3, "currency": "eur", "deposit_charge": 1080,
            "deposit_price": 20000, "description": "Bicycles", "role": "seller",
            "skip_remainder": true,
        })
    } else {
        json!({
            "charge": 78, "charge_calculator_version": 5, "currency": "eur", "price": 1234,
            "description": "Tickets", "role": "seller",
        })
    };
    (path, body)
}

#[test]
fn a_listing_is_created_shown_changed_and_deleted_once() {
    let simulator = simulator();
    let (seller, buyer) = (simulator.token(SELLER_ID), simulator.token(BUYER_ID));
    let (seller, buyer) = (As::Token(&seller), As::Token(&buyer));
    for (group, is_face_to_face) in GROUPS {
        let (create, body) = creation(group, is_face_to_face);
        let (status, created) = simulator.post(seller, &create, &body);
        assert_eq!(status, 201, "{group}: {created}");
        // Text online, a number face to face.
        assert_eq!(created["id"].is_i64(), is_face_to_face, "{created}");
        let id = created["id"].as_str().map_or_else(|| created["id"].to_string(), str::to_owned);
        let path = format!("{group}/{id}");
        assert_eq!(simulator.get(buyer, &path), (200, created.clone()));
        let (status, changed) = simulator.post(
            seller,
            &format!("{path}/set_description"),
            &json!({"description": "New"}),
        );
        assert_eq!((status, &changed["description"]), (200, &json!("New")));
        assert_eq!(
            code(&simulator.call(seller, "PATCH", &path, &json!({}))),
            invalid("empty_body")
        );
        let partial = json!({"currency": "eur"});
        let partial = code(&simulator.call(seller, "PATCH", &path, &partial));
        assert_eq!(partial, invalid("partial_pricing"));

        let sell = format!("{path}/create_transaction");
        assert_eq!(
            code(&simulator.post(seller, &sell, &Value::Null)),
            invalid("is_listing_creator")
        );
        let (status, sold) = simulator.post(buyer, &sell, &Value::Null);
        assert_eq!(status, if is_face_to_face { 200 } else { 201 });
        assert_eq!((&sold["listing_id"], &sold["description"]), (&json!(id), &json!("New")));
        assert_ne!(sold["id"], created["id"]);
        simulator.post(seller, &format!("{path}/disable"), &Value::Null);
        assert_eq!(
            code(&simulator.post(buyer, &sell, &Value::Null)),
            invalid("listing_is_disabled")
        );
        let (_, enabled) = simulator.post(seller, &format!("{path}/enable"), &Value::Null);
        assert!(enabled.get("disabled").is_none(), "{enabled}");

        assert_eq!(simulator.call(buyer, "DELETE", &path, &Value::Null).0, 403);
        let deleted = simulator.answer(&request(seller, "DELETE", &path, ""));
        assert_eq!((deleted.status.as_u16(), deleted.body.is_empty()), (204, true));
        assert_eq!(simulator.call(seller, "DELETE", &path, &Value::Null).0, 404);
    }
}

#[test]
fn a_group_does_not_know_the_others_listings() {
    let simulator = simulator();
    let token = simulator.token(SELLER_ID);
    let (create, body) = creation("/multi_use_listings", false);
    let (_, created) = simulator.post(As::Token(&token), &create, &body);
    let id = created["id"].as_str().unwrap();
    assert_eq!(simulator.get(As::Token(&token), &format!("/multi_use_listings/{id}")).0, 200);
    assert_eq!(simulator.get(As::Token(&token), &format!("/single_use_listings/{id}")).0, 404);
}

#[test]
fn a_listings_price_is_as_quoted() {
    let simulator = simulator();
    let token = simulator.token(SELLER_ID);
    let (create, mut body) = creation("/p2p/multi_use_listings", true);
    body["deposit_charge"] = json!(1);
    let refused = simulator.post(As::Token(&token), &create, &body);
    assert_eq!(code(&refused), invalid("incorrect_charge"));
}

//! Charges, and how a transaction is held to the quote that it was made from.

use super::*;

#[test]
fn a_quote_follows_the_formula_and_names_its_version() {
    let trustap = simulator();
    let (status, quote) = trustap.get(As::Key, "/charge?currency=eur&price=1234");
    assert_eq!(status, 200);
    // The description's own example.
    assert_eq!((&quote["charge"], &quote["charge_seller"]), (&json!(78), &json!(0)));
    assert_eq!(quote["charge_calculator_version"], 5);
    let (_, quote) = trustap.get(As::Key, "/p2p/charge?currency=EUR&price=20000");
    assert_eq!((&quote["charge"], &quote["charge_calculator_version"]), (&json!(1080), &json!(3)));
    let (_, quote) =
        trustap.get(As::Key, "/charge?currency=gbp&price=10000&quantity=2&postage_fee=5");
    assert_eq!((&quote["charge"], &quote["price"]), (&json!(640), &json!(20000)));
    assert_eq!(quote["charge_postage_buyer"], 5);

    trustap.switch(&json!({"charge_basis_points": 0, "charge_fixed": 1, "charge_minimum": 30}));
    let (_, quote) = trustap.get(As::Key, "/charge?currency=eur&price=1234");
    assert_eq!(quote["charge"], 30);
    let refused = trustap.set_switches(json!({"charge_fixed": -1}).as_object().unwrap());
    assert!(refused.is_err());
}

#[test]
fn a_price_that_cannot_be_charged_is_refused() {
    let trustap = simulator();
    let charge = |query: &str| code(&trustap.get(As::Key, &format!("/charge?{query}")));
    assert_eq!(charge("currency=eur&price=-1"), invalid("negative_price"));
    assert_eq!(charge("currency=eur&price=99"), invalid("price_too_low"));
    assert_eq!(charge("currency=xxx&price=1234"), invalid("unsupported_currency"));
    assert_eq!(charge("currency=eur"), invalid("price_missing"));
    let config = charge("currency=eur&price=1234&charge_config=2");
    assert_eq!(config, invalid("invalid_charge_config"));
    let method = charge("currency=eur&price=1234&payment_method=cash");
    assert_eq!(method, invalid("invalid_payment_method"));
    let postage = |fee: i64| format!("currency=eur&price=1234&postage_fee={fee}");
    assert_eq!(charge(&postage(-1)), invalid("invalid_postage_fee"));
    assert_eq!(trustap.get(As::Key, &format!("/charge?{}", postage(0))).0, 200);
}

#[test]
fn a_transaction_has_the_currency_of_its_charge() {
    let trustap = simulator();
    let id = trustap.joined(&[]);
    let path = format!("/transactions/{id}/charge?price=1234");
    let (_, quote) = trustap.get(As::Key, &path);
    assert_eq!((&quote["currency"], &quote["charge"]), (&json!("eur"), &json!(78)));
    let stranger = trustap.token(UNCONNECTED_ID);
    assert_eq!(trustap.get(As::Token(&stranger), &path).0, 403);
}

#[test]
fn a_transaction_must_repeat_its_quote() {
    let trustap = simulator();
    let create = |change: Value| {
        let mut body = terms();
        body["role"] = json!("seller");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        trustap.post(SELLER, "/me/transactions", &body)
    };
    assert_eq!(create(json!({})).0, 201);
    let refused = |change| code(&create(change));
    assert_eq!(refused(json!({"charge": 77})), invalid("incorrect_charge"));
    assert_eq!(refused(json!({"charge_seller": 1})), invalid("incorrect_charge_seller"));
    assert_eq!(refused(json!({"charge_calculator_version": 6})), invalid("invalid_calc_version"));
    assert_eq!(refused(json!({"charge_calculator_version": 0})), invalid("invalid_calc_version"));
    assert_eq!(refused(json!({"price": 1})), invalid("price_too_low"));
    assert_eq!(refused(json!({"price": -1})), invalid("negative_price"));
    assert_eq!(refused(json!({"currency": "xxx"})), invalid("unsupported_currency"));
    assert_eq!(refused(json!({"role": "broker"})), invalid("invalid_role"));
    assert_eq!(refused(json!({"features": ["use_magic"]})), invalid("feature_not_found"));

    // A new calculator makes the old quote stale, whatever its amount.
    let versions = trustap.control("charge_versions", &Value::Null);
    assert_eq!(versions, json!({"online": 6, "f2f": 4}));
    assert_eq!(refused(json!({"charge": 77})), invalid("incorrect_calc_version"));
    assert_eq!(create(json!({"charge_calculator_version": 6})).0, 201);
    let (_, listed) = trustap.get(As::Token(&trustap.token(SELLER_ID)), "/me/transactions");
    assert_eq!(listed.as_array().unwrap().len(), 2, "a refusal makes nothing");
}

#[test]
fn the_payment_method_is_set_once_with_the_terms_repeated() {
    let trustap = simulator();
    let id = trustap.joined(&[]);
    let buyer = trustap.token(BUYER_ID);
    let path = format!("/transactions/{id}/set_payment_method");
    let set = |who, change: Value| {
        let mut body = json!({
            "charge": 78, "currency": "eur", "price": 1234, "payment_method": "bank_transfer",
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        trustap.post(who, &path, &body)
    };
    let buyer = As::Token(&buyer);
    let refused = |change| code(&set(buyer, change));
    let details = format!("/transactions/{id}/bank_transfer_details");
    let by_card = code(&trustap.get(buyer, &details));
    assert_eq!(by_card, invalid("payment_method_not_bank_transfer"));
    assert_eq!(refused(json!({"payment_method": "cash"})), invalid("invalid_payment_method"));
    assert_eq!(refused(json!({"currency": "usd"})), invalid("incorrect_currency"));
    assert_eq!(refused(json!({"price": 1235})), invalid("incorrect_price"));
    assert_eq!(refused(json!({"charge": 79})), invalid("incorrect_charge"));
    let seller = trustap.token(SELLER_ID);
    assert_eq!(code(&set(As::Token(&seller), json!({}))), (403, "not_buyer".to_owned()));
    assert_eq!(set(buyer, json!({})).0, 200);
    assert_eq!(refused(json!({})), invalid("payment_method_already_set"));
    assert_eq!(trustap.get(buyer, &details).0, 200);
}

#[test]
fn a_balance_pays_once_and_not_more_than_there_is() {
    let trustap = simulator();
    let id = trustap.joined(&[]);
    let token = trustap.token(BUYER_ID);
    let buyer = As::Token(&token);
    trustap.switch(&json!({"balance": 1311}));
    assert_eq!(trustap.refused(buyer, &id, "pay_with_balance"), invalid("insufficient_funds"));
    trustap.switch(&json!({"balance": 1312}));
    assert_eq!(trustap.done(buyer, &id, "pay_with_balance"), "paid");
    assert_eq!(trustap.refused(buyer, &id, "pay_with_balance"), invalid("already_paid"));
    let secret = trustap.get(buyer, &format!("/transactions/{id}/stripe_client_secret"));
    assert_eq!(code(&secret), invalid("already_paid"));
}

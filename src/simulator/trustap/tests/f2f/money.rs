//! Deposits and remainders: methods of payment, prices, balances, what is kept beside them.

use super::*;

#[test]
fn a_payment_method_is_fixed_with_its_amounts() {
    let simulator = simulator();
    let id = simulator.met(&json!({}));
    let path = format!("/p2p/transactions/{id}/set_deposit_payment_method");
    let set = |more: &Value| {
        let body = json!({
            "currency": "eur", "deposit_charge": 1080, "deposit_charge_seller": 0,
            "deposit_price": 20000, "payment_method": "bank_transfer",
        });
        simulator.post(BUYER, &path, &with(body, more))
    };
    for (more, expected) in [
        (json!({"payment_method": "cheque"}), "invalid_payment_method"),
        (json!({"currency": "gbp"}), "incorrect_currency"),
        (json!({"deposit_price": 20001}), "incorrect_price"),
        (json!({"deposit_charge": 1}), "incorrect_charge"),
        (json!({"deposit_charge_seller": 1}), "incorrect_charge_seller"),
    ] {
        assert_eq!(code(&set(&more)), invalid(expected), "{more}");
    }
    let details = format!("/p2p/transactions/{id}/bank_transfer_details");
    let early = code(&simulator.get(BUYER, &details));
    assert_eq!(early, invalid("payment_method_not_bank_transfer"));
    assert_eq!(set(&json!({})).0, 200);
    assert_eq!(code(&set(&json!({}))), invalid("payment_method_already_set"));
    let (status, shown) = simulator.get(BUYER, &details);
    assert_eq!(status, 200);
    assert!(shown["financial_address"]["iban"]["bic"].is_string(), "{shown}");
    simulator.outside(&id, "pay_deposit");
    assert_eq!(code(&set(&json!({}))), invalid("deposit_already_paid"));
}

#[test]
fn a_price_is_set_once_the_deposit_is_accepted() {
    let simulator = simulator();
    let price = |id: &Value, more: &Value| {
        let body = json!({
            "charge": 2120, "charge_calculator_version": 3, "currency": "eur", "price": 40000,
        });
        simulator.post(SELLER, &format!("/p2p/transactions/{id}/set_price"), &with(body, more))
    };
    let id = simulator.deposited(&json!({}));
    assert_eq!(code(&price(&id, &json!({}))), invalid("deposit_not_accepted"));
    let id = simulator.accepted(&json!({}));
    for (more, expected) in [
        (json!({"currency": "gbp"}), "currency_mismatch"),
        (json!({"price": 19999}), "remainder_too_low"),
        (json!({"charge": 2119}), "incorrect_charge"),
        (json!({"charge_calculator_version": 1}), "incorrect_calc_version"),
    ] {
        assert_eq!(code(&price(&id, &more)), invalid(expected), "{more}");
    }
    assert_eq!(price(&id, &json!({})).0, 200);
    assert_eq!(simulator.stopped(SELLER, &id, "skip_remainder"), invalid("price_already_set"));
    let skipped = simulator.ready();
    assert_eq!(code(&price(&skipped, &json!({}))), invalid("remainder_already_skipped"));
}

#[test]
fn both_parts_can_be_paid_from_the_balance() {
    let simulator = simulator();
    let token = simulator.token(BUYER_ID);
    let buyer = As::Token(&token);
    let id = simulator.met(&json!({}));
    let pay = "pay_deposit_with_balance";
    simulator.switch(&json!({"balance": 21079}));
    assert_eq!(simulator.stopped(buyer, &id, pay), invalid("insufficient_funds"));
    simulator.switch(&json!({"balance": 21080}));
    assert_eq!(simulator.step(buyer, &id, pay), "deposit_paid");
    assert_eq!(simulator.stopped(buyer, &id, pay), invalid("already_paid"));
    let remainder = "pay_remainder_with_balance";
    assert_eq!(simulator.stopped(buyer, &id, remainder), invalid("missing_pricing"));
    simulator.step(SELLER, &id, "accept_deposit");
    let body = json!({
        "charge": 2120, "charge_calculator_version": 3, "currency": "eur", "price": 40000,
    });
    assert_eq!(simulator.post(SELLER, &format!("/p2p/transactions/{id}/set_price"), &body).0, 200);
    assert_eq!(simulator.step(buyer, &id, remainder), "remainder_paid");
    assert_eq!(simulator.stopped(buyer, &id, remainder), invalid("remainder_already_paid"));
}

#[test]
fn metadata_is_free_and_flat() {
    let simulator = simulator();
    let token = simulator.token(SELLER_ID);
    let path = format!("/p2p/transactions/{}/metadata", simulator.met(&json!({})));
    let set = |body: &Value| simulator.post(As::Token(&token), &path, body);
    let kept = json!({"order": "A-1", "weight": 2.5});
    assert_eq!(set(&kept), (200, kept.clone()));
    assert_eq!(simulator.get(As::Token(&token), &path), (200, kept));
    let many: Map<_, _> = (0..51).map(|i| (format!("f{i}"), json!(i))).collect();
    for (body, expected) in [
        (json!({}), "empty_json"),
        (many.into(), "too_many_metadata_fields"),
        (json!({"n".repeat(41): 1}), "field_name_too_long"),
        (json!({"n": "v".repeat(501)}), "value_too_long"),
        (json!({"n": {}}), "json_type_not_allowed"),
    ] {
        assert_eq!(code(&set(&body)), invalid(expected));
    }
}

#[test]
fn a_reply_has_what_no_edition_knows_unless_told_otherwise() {
    let simulator = simulator();
    let id = simulator.met(&json!({"deposit_fee_multiplier": 1.5}));
    let shown = simulator.met_again(&id);
    assert_eq!(shown["deposit_pricing"]["deposit_fee_multiplier"]["fee_multiplier"], json!(1.5));
    assert_eq!(shown.as_object().unwrap().get("deposit_payment_capture"), Some(&Value::Null));
    assert!(shown["undocumentedObject"].is_object());
    assert!(shown["deposit_pricing"]["undocumentedObject"].is_object());
    simulator.switch(&json!({"undocumented_fields": false}));
    let shown = simulator.met_again(&id);
    assert!(
        shown.get("undocumentedObject").is_none() && shown.get("deposit_payment_capture").is_none()
    );
}

//! Parcels that go through Shippo: for which transactions, and for whom.

use super::*;

/// The steps to a label, with a body that each takes.
fn steps() -> [(&'static str, &'static str, Value); 5] {
    let address = json!({
        "city": "Cork", "country": "ie", "full_name": "Sam Byron", "is_sender_address": true,
        "phone": "+353870000000", "state": "Munster", "street_1": "1 Quay", "zip_code": "T12",
    });
    let parcel = json!({
        "distance_unit": "cm", "height": 1.5, "length": 2.5, "mass_unit": "kg", "weight": 0.5,
        "width": 3.5, "shipment_date": "2026-01-02",
    });
    let customs = json!({
        "certify": true, "certify_signer": "Sam Byron", "description": "Bicycle bell",
        "incoterm": "DDP", "mass_unit": "kg", "net_weight": 0.5,
        "non_delivery_option": "return", "origin_country": "ie", "quantity": 1,
        "value_amount": "12.50", "value_currency": "eur",
    });
    [
        ("POST", "shippo_address", address),
        ("POST", "shippo_parcel_details", parcel),
        ("POST", "shippo_customs_declaration", customs),
        ("GET", "shippo_shipping_rates", Value::Null),
        ("POST", "shippo_shipping_rate", json!({"rate_id": "rate-1"})),
    ]
}

#[test]
fn a_parcel_is_prepared_where_the_transaction_asks_for_it() {
    let trustap = simulator();
    let (plain, with_feature) = (trustap.paid(&[]), trustap.paid(&["use_shippo"]));
    let stranger = trustap.guest("stranger@example.com");
    for (method, step, body) in steps() {
        let call = |who, id: &Value| {
            trustap.call(who, method, &format!("/transactions/{id}/{step}"), &body)
        };
        let (status, answer) = call(SELLER, &with_feature);
        assert!((200..300).contains(&status), "{step}: {answer}");
        assert_eq!(code(&call(SELLER, &plain)), invalid("missing_tx_feature"), "{step}");
        assert_eq!(call(SELLER, &json!(1)).0, 404, "{step}");
        assert_eq!(call(As::For(&stranger), &with_feature).0, 403, "{step}");
    }
}

#[test]
fn a_label_is_there_once_the_parcel_is_tracked() {
    let trustap = simulator();
    let label =
        |id: &Value| trustap.get(SELLER, &format!("/transactions/{id}/shippo_shipping_label"));
    assert_eq!(code(&label(&trustap.paid(&["use_shippo"]))), invalid("transaction_not_tracked"));
    let (status, shown) = label(&trustap.tracked());
    assert_eq!((status, shown["label_url"].is_string()), (200, true), "{shown}");
    assert_eq!(label(&json!(1)).0, 404);
}

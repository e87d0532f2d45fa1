//! What is kept has the members of its type, at every stage and in every group.

use super::super::facts::{Resolved, Type};
use super::*;

/// Asserts that a value is of its type: nothing required is missing, nothing unknown is there.
fn conforms(kind: &Type, value: &Value, at: &str) {
    let fits = match (kind, facts().resolved(kind)) {
        (_, Resolved::Type(Type::Object(fields))) => {
            let object = value.as_object().unwrap_or_else(|| panic!("{at}: {value}"));
            for (name, value) in object {
                let field = fields.iter().find(|field| field.name == *name);
                let field = field.unwrap_or_else(|| panic!("{at}.{name} is not in the type"));
                conforms(&field.kind, value, &format!("{at}.{name}"));
            }
            let missing = fields.iter().find(|f| f.required && !object.contains_key(&f.name));
            missing.is_none()
        }
        (_, Resolved::Values(known)) => known.iter().any(|known| value == known.as_str()),
        (Type::Boolean, _) => value.is_boolean(),
        (Type::Integer, _) => value.is_i64(),
        (Type::Number, _) => value.is_number(),
        (Type::Free, _) => value.is_object(),
        (Type::Time, _) => value.as_str().unwrap().parse::<Timestamp>().is_ok(),
        _ => value.is_string(),
    };
    assert!(fits, "{at}: {value}");
}

#[test]
fn a_transaction_is_of_its_type_at_every_stage() {
    let simulator = simulator();
    simulator.switch(&json!({"undocumented_fields": false}));
    let kind = Type::Named("p2p.Transaction".to_owned());
    let more = json!({"deposit_fee_multiplier": 1.5, "image_url": "https://a.example/i.png"});
    let handed_over = simulator.accepted(&more);
    let price = json!({
        "charge": 2120, "charge_calculator_version": 3, "currency": "eur", "price": 40000,
    });
    simulator.post(SELLER, &format!("/p2p/transactions/{handed_over}/set_price"), &price);
    simulator.outside(&handed_over, "pay_remainder");
    simulator.step(SELLER, &handed_over, "confirm_handover");
    let complained = simulator.ready();
    simulator.step(SELLER, &complained, "confirm_handover");
    simulator.step(BUYER, &complained, "complain");
    simulator.step(SELLER, &complained, "accept_complaint");
    let cancelled = simulator.deposited(&json!({}));
    simulator.step(BUYER, &cancelled, "cancel_with_description");
    for _ in 0..3 {
        for id in [&handed_over, &complained, &cancelled] {
            let shown = simulator.met_again(id);
            conforms(&kind, &shown, shown["status"].as_str().unwrap());
        }
        simulator.clock.advance(24 * 60 * 60);
    }
    assert_eq!(simulator.met_again(&handed_over)["status"], json!("funds_released"));
    assert_eq!(simulator.met_again(&complained)["status"], json!("deposit_refunded"));
}

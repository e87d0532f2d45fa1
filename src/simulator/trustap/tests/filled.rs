//! Answers that are made from their types alone.

use super::facts::{Resolved, Type};
use super::*;

/// Every operation's answer, as if it kept nothing.
fn filled(simulator: &Trustap, operation: &'static Operation, body: Value) -> Option<Value> {
    let mut state = locked(&simulator.state);
    let path = operation.parameters.iter().map(|field| (field.name.clone(), "7".to_owned()));
    let Value::Object(body) = body else { unreachable!() };
    let input = call::Input { path: path.collect(), query: Vec::new(), body };
    let mut call = Call {
        settings: &simulator.settings,
        state: &mut state,
        now: simulator.clock.now(),
        operation,
        caller: call::Caller::Client,
        input,
    };
    let answer = typed::answer(&mut call).unwrap().answer(operation.ok());
    assert_eq!(answer.status, operation.ok());
    (!answer.body.is_empty()).then(|| serde_json::from_slice(&answer.body).unwrap())
}

/// Asserts that a value has every member of its type and in every object one more.
fn complete(kind: &Type, value: &Value, at: &str) {
    let fits = match (kind, facts().resolved(kind)) {
        (_, Resolved::Type(Type::Object(fields))) => {
            assert!(value["undocumentedObject"].is_object(), "{at}: {value}");
            for field in fields {
                complete(&field.kind, &value[&field.name], &format!("{at}.{}", field.name));
            }
            true
        }
        (_, Resolved::Values(known)) => known.iter().any(|known| value == known.as_str()),
        (Type::List(element), _) => {
            let elements = value.as_array().unwrap();
            elements.iter().for_each(|value| complete(element, value, at));
            !elements.is_empty()
        }
        (Type::OrNull(_), _) if value.is_null() => true,
        (Type::OrNull(inner), _) => {
            complete(inner, value, at);
            true
        }
        (Type::Boolean, _) => value.is_boolean(),
        (Type::Integer, _) => value.is_i64(),
        (Type::Number, _) => value.is_f64(),
        (Type::Free, _) => value.is_object(),
        (Type::Time, _) => value.as_str().unwrap().parse::<Timestamp>().is_ok(),
        _ => value.is_string(),
    };
    assert!(fits, "{at}: {value}");
}

#[test]
fn every_operation_can_be_answered_in_full() {
    let simulator = simulator();
    for operation in facts().operations() {
        let value = filled(&simulator, operation, json!({}));
        match (&operation.answer, value) {
            (Some(kind), Some(value)) => complete(kind, &value, &operation.path),
            (None, None) => assert_eq!(operation.ok(), 204),
            (kind, value) => panic!("{}: {kind:?} and {value:?}", operation.path),
        }
    }
}

#[test]
fn an_answer_repeats_what_the_request_says() {
    let simulator = simulator();
    let find = |verb: &str, path: &str| {
        let mut operations = facts().operations().iter();
        operations.find(|one| one.verb == verb && one.path == path).unwrap()
    };
    let address = json!({"city": "Cork", "line1": "1 Quay", "unheard_of": 1});
    let body = json!({"name": "Ada", "address": address, "phone": 7});
    let operation = find("POST", "/transactions/{transaction_id}/shipping_details");
    let shown = filled(&simulator, operation, body).unwrap();
    assert_eq!((&shown["name"], &shown["address"]["city"]), (&json!("Ada"), &json!("Cork")));
    // Of another type than the member's, and of a member that there is not.
    assert_eq!(shown["phone"], json!("+353870000000"));
    assert!(shown["address"].get("unheard_of").is_none());

    let shown =
        filled(&simulator, find("GET", "/notifications/{notification_id}"), json!({})).unwrap();
    assert_eq!(shown["id"], json!(7));
    let label = filled(
        &simulator,
        find("POST", "/transactions/{transaction_id}/generate_shipment_label"),
        json!({}),
    );
    assert!(
        STANDARD.decode(label.unwrap()["label"].as_str().unwrap()).unwrap().starts_with(b"%PDF")
    );
}

#[test]
fn what_keeps_nothing_is_answered_over_the_api() {
    let simulator = simulator();
    let (status, carriers) = simulator.get(As::Key, "/supported_carriers");
    assert_eq!((status, carriers[0]["code"].is_string()), (200, true));
    let token = simulator.token(SELLER_ID);
    let user = As::Token(&token);
    let (status, session) = simulator.get(user, "/me/account_session");
    assert_eq!((status, session["client_secret"].is_string()), (201, true));
    // A body on a GET.
    let search =
        json!({"country_code": "hr", "delivery_type": "parcel_locker", "search_text": "Split"});
    let (status, facilities) =
        simulator.call(user, "GET", "/me/carriers/posta_hr/facilities", &search);
    assert_eq!((status, facilities[0]["city"].is_string()), (200, true), "{facilities}");
}

//! Requests and answers in their forms.

use super::super::facts::Operation;
use super::*;

fn row<'a>(route: &Route) -> Option<&'a Operation> {
    let mut all = facts().operations().iter();
    all.find(|operation| operation.verb == route.0 && operation.path == route.1)
}

#[test]
fn every_route_is_a_row_of_the_facts_and_is_there_once() {
    let mut seen = std::collections::BTreeSet::new();
    for route in routes() {
        assert!(row(route).is_some(), "{} {} is no row", route.0, route.1);
        assert!(seen.insert((route.0, route.1)), "{} {} is there twice", route.0, route.1);
    }
}

/// Every member of an object that the facts require must be there, and no other than those that
/// they name or that are undocumented on purpose.
#[test]
fn transactions_have_the_fields_of_their_type() {
    let trustap = simulator();
    trustap.switch(&json!({"undocumented_fields": false}));
    let id = trustap.tracked();
    let token = trustap.token(BUYER_ID);
    trustap.done(As::Token(&token), &id, "confirm_delivery");
    let body = json!({"description": "Item was fake"});
    let path = format!("/transactions/{id}/complain_with_description");
    let (_, shown) = trustap.post(As::Token(&token), &path, &body);
    let kind = facts::Type::Named("basic.Transaction".to_owned());
    let facts::Resolved::Type(facts::Type::Object(fields)) = facts().resolved(&kind) else {
        panic!("basic.Transaction is an object")
    };
    let shown = shown.as_object().unwrap();
    for field in fields.iter().filter(|field| field.required) {
        assert!(shown.contains_key(&field.name), "{} is missing", field.name);
    }
    for name in shown.keys() {
        assert!(fields.iter().any(|field| field.name == *name), "{name} is not in the type");
    }
    assert_eq!(shown["tracked"], "2026-01-01T00:00:00Z");
    assert_eq!(shown["complaint"], json!({"description": "Item was fake"}));
}

#[test]
fn answers_have_fields_that_no_edition_names_at_every_level() {
    let trustap = simulator();
    let id = trustap.tracked();
    let (_, shown) = trustap.get(SELLER, &format!("/transactions/{id}"));
    assert!(shown.get("undocumentedDecimal").is_some(), "{shown}");
    assert!(shown["tracking"].get("undocumentedDecimal").is_some(), "{shown}");
    assert_eq!(shown.get("cancelled"), None);
    trustap.switch(&json!({"undocumented_nulls": true}));
    let (_, shown) = trustap.get(SELLER, &format!("/transactions/{id}"));
    assert_eq!(shown.get("cancelled"), Some(&Value::Null));
}

#[test]
fn errors_come_in_every_form_that_was_seen() {
    let trustap = simulator();
    let charge = |who| read(&trustap.answer(&request(who, "GET", "/charge?price=1", "")));
    let (_, body) = charge(As::Key);
    assert_eq!(body["code"], "currency_missing");
    assert!(body["error"].is_string() && body.get("message").is_none());
    trustap.switch(&json!({"error_text": "message"}));
    let (_, body) = charge(As::Key);
    assert!(body["message"].is_string() && body.get("error").is_none());

    for (form, text) in [("empty", ""), ("text", "Unauthorized")] {
        trustap.switch(&json!({"bare_errors": form}));
        let answer = trustap.answer(&request(As::Nobody, "GET", "/charge", ""));
        assert_eq!((answer.status.as_u16(), answer.body), (401, Bytes::from(text)));
        // A code of its own is always told.
        assert_eq!(charge(As::Key).1["code"], "currency_missing");
    }
}

#[test]
fn the_first_bad_value_is_told_by_its_documented_code() {
    let trustap = simulator();
    let guest = |change: Value| {
        let mut body = json!({
            "email": "a@example.com", "first_name": "Ada", "last_name": "Byron",
            "tos_acceptance": {"unix_timestamp": NOW, "ip": "192.0.2.1"},
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        code(&trustap.post(As::Key, "/guest_users", &body))
    };
    let terms = |unix_timestamp: i64, ip: Value| json!({"tos_acceptance": {"unix_timestamp": unix_timestamp, "ip": ip}});
    assert_eq!(guest(json!({"email": null})), invalid("email_missing"));
    assert_eq!(guest(json!({"email": ""})), invalid("email_missing"));
    assert_eq!(guest(json!({"email": "a"})), invalid("invalid_email"));
    assert_eq!(guest(json!({"email": 1})), invalid("invalid_email"));
    assert_eq!(guest(json!({"first_name": 1})), invalid("incorrect_first_name_type"));
    assert_eq!(guest(json!({"country_code": "IRL"})), invalid("invalid_country_code"));
    assert_eq!(guest(terms(NOW, Value::Null)), invalid("tos_acceptance_ip_missing"));
    assert_eq!(guest(terms(NOW + 1, json!("x"))), invalid("invalid_tos_acceptance_date"));
    assert_eq!(guest(json!({"emial": "x"})), invalid("unexpected_emial"));
    trustap.switch(&json!({"require_guest_names": true}));
    assert_eq!(guest(json!({"first_name": null})), invalid("first_name_missing"));
    assert_eq!(guest(json!({"last_name": ""})), invalid("last_name_missing"));
    trustap.switch(&json!({"accept_unknown_fields": true}));
    let body = json!({"emial": "x"});
    assert_eq!(code(&trustap.post(As::Key, "/guest_users", &body)), invalid("email_missing"));
}

#[test]
fn paths_and_queries_are_read_strictly() {
    let trustap = simulator();
    let told = |method, target: &str| code(&trustap.call(SELLER, method, target, &Value::Null));
    assert_eq!(told("GET", "/transactions/abc"), invalid("invalid_id"));
    assert_eq!(told("GET", "/nothing").0, 404);
    assert_eq!(told("GET", "/transactions/").0, 404);
    assert_eq!(told("DELETE", "/transactions/1").0, 405);
    let charge = |query: &str| told("GET", &format!("/charge?{query}"));
    assert_eq!(charge("currency=eur&price=ten"), invalid("invalid_price"));
    assert_eq!(charge("currency=eur&price=1&price=2"), invalid("multiple_price"));
    assert_eq!(charge("currency=eur&price=1&prise=2"), invalid("unexpected_prise"));
    assert_eq!(charge("currency=%zz"), invalid("invalid_query"));
    assert_eq!(charge("price=1234"), invalid("currency_missing"));
}

#[test]
fn bodies_must_be_json_objects() {
    let trustap = simulator();
    for body in ["{", "[]", "null", "\"\""] {
        let answer = trustap.answer(&request(SELLER, "POST", "/me/transactions", body));
        assert_eq!(code(&read(&answer)), invalid("invalid_json"), "{body}");
    }
    let mut untyped = request(SELLER, "POST", "/me/transactions", "{}");
    untyped.headers.remove("content-type");
    assert_eq!(code(&read(&trustap.answer(&untyped))), invalid("invalid_content_type"));
}

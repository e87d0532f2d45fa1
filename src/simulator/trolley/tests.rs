use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::json;

use super::*;

mod merchants;

const NOW: i64 = 1_709_586_704;

fn simulator() -> Trolley {
    simulator_with(Settings::default())
}

fn simulator_with(settings: Settings) -> Trolley {
    Trolley::new(settings, Clock::from_source(|| jiff::Timestamp::from_second(NOW).unwrap()))
}

const PARENT: (&str, &str) = (PARENT_ACCESS_KEY, PARENT_SECRET_KEY);
const SUBMERCHANT: (&str, &str) = (SUBMERCHANT_ACCESS_KEY, SUBMERCHANT_SECRET_KEY);

fn request(keys: (&str, &str), method: &str, target: &str, body: &str) -> Received {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    };
    let body = Bytes::copy_from_slice(body.as_bytes());
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = Received { method, path, query, headers: HeaderMap::new(), body };
    let header = signature::authorization(keys.0, keys.1, &NOW.to_string(), &request);
    request.headers.insert("authorization", header.parse().unwrap());
    request.headers.insert("x-pr-timestamp", NOW.into());
    request.headers.insert("content-type", "application/json".parse().unwrap());
    request
}

fn call(trolley: &Trolley, keys: (&str, &str), method: &str, target: &str, body: &str) -> Answer {
    trolley.answer(&request(keys, method, target, body))
}

fn value(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Status, and the codes and fields of the errors.
fn errors(answer: &Answer) -> (u16, Vec<String>) {
    let body = value(answer);
    assert_eq!(body["ok"], json!(false), "{body}");
    assert!(!answer.acted);
    let text = |entry: &Value, name| entry[name].as_str().unwrap_or("-").to_owned();
    let entries = body["errors"].as_array().unwrap().iter();
    let shown = entries.map(|e| format!("{} {}", text(e, "code"), text(e, "field")));
    (answer.status.as_u16(), shown.collect())
}

fn switch(trolley: &Trolley, changes: &Value) {
    trolley.set_switches(changes.as_object().unwrap()).unwrap();
}

#[test]
fn every_authentication_failure_is_the_same_401() {
    let trolley = simulator();
    let unsigned =
        Received { headers: HeaderMap::new(), ..request(PARENT, "GET", "/v1/subscriptions", "") };
    let wrong_secret = request((PARENT_ACCESS_KEY, "x"), "GET", "/v1/subscriptions", "");
    let unknown_key = request(("x", "x"), "GET", "/v1/subscriptions", "");
    for request in [unsigned, wrong_secret, unknown_key] {
        let answer = trolley.answer(&request);
        assert_eq!(errors(&answer), (401, vec!["invalid_api_key -".to_owned()]));
        assert!(answer.headers.contains_key("x-rate-limit-remaining"));
    }
    trolley.clock.advance(31);
    assert_eq!(call(&trolley, PARENT, "GET", "/v1/subscriptions", "").status, 401);
}

#[test]
fn the_key_decides_what_may_be_done() {
    let trolley = simulator();
    let status = |keys, method, target| call(&trolley, keys, method, target, "{}").status.as_u16();
    for (method, target) in [
        ("POST", "/v1/profile/submerchant"),
        ("POST", "/v1/profile/sandbox"),
        ("DELETE", "/v1/profile/sandbox"),
    ] {
        assert_eq!(
            errors(&call(&trolley, SUBMERCHANT, method, target, "{}")).1,
            ["not_authorized -"]
        );
    }
    assert_eq!(status(PARENT, "POST", "/v1/onboarding/update"), 403);
    assert_eq!(status(SUBMERCHANT, "POST", "/v1/onboarding/update"), 200);
    assert_eq!(status(PARENT, "GET", "/v1/balances/info"), 200);
    switch(&trolley, &json!({"require_submerchant_key": true}));
    assert_eq!(status(PARENT, "GET", "/v1/balances/info"), 403);
    assert_eq!(status(SUBMERCHANT, "GET", "/v1/balances/info"), 200);
}

#[test]
fn bodies_that_are_not_json_are_refused() {
    let trolley = simulator();
    for body in ["{", "[]", "null", "\"\""] {
        assert_eq!(
            call(&trolley, PARENT, "POST", "/v1/profile/sandbox", body).status,
            400,
            "{body}"
        );
    }
    let mut untyped = request(PARENT, "POST", "/v1/profile/sandbox", "{}");
    untyped.headers.remove("content-type");
    assert_eq!(trolley.answer(&untyped).status, 400);
}

#[test]
fn paths_may_end_in_a_slash_unless_exact() {
    let trolley = simulator();
    let status = |method, path| call(&trolley, SUBMERCHANT, method, path, "").status.as_u16();
    assert_eq!(
        (status("GET", "/v1/subscriptions/"), status("GET", "/v1/balances/info")),
        (200, 200)
    );
    assert_eq!(status("POST", "/v1/direct-debit/bank-account"), 400);
    switch(&trolley, &json!({"exact_paths": true}));
    assert_eq!(
        (status("GET", "/v1/subscriptions/"), status("GET", "/v1/subscriptions")),
        (404, 200)
    );
    assert_eq!(status("POST", "/v1/direct-debit/bank-account"), 404);
    assert_eq!(status("POST", "/v1/direct-debit/bank-account/"), 400);
    assert_eq!((status("GET", "/subscriptions"), status("PUT", "/v1/subscriptions")), (404, 404));
}

#[test]
fn subscriptions_belong_to_one_merchant_and_update_flat() {
    let trolley = simulator();
    let body = r#"{"action":"*","model":"payment","target":"https://example.com/hook"}"#;
    let created = value(&call(&trolley, SUBMERCHANT, "POST", "/v1/subscriptions", body));
    let id = created["subscription"]["id"].as_str().unwrap();
    let path = format!("/v1/subscriptions/{id}");
    let list = |keys| value(&call(&trolley, keys, "GET", "/v1/subscriptions?page=1", ""));
    assert_eq!(list(PARENT)["subscriptions"], json!([]));
    let listed = list(SUBMERCHANT);
    assert_eq!((listed["subscriptions"][0]["id"].as_str(), listed.get("ok")), (Some(id), None));
    assert_eq!(errors(&call(&trolley, PARENT, "GET", &path, "")).1, ["not_found -"]);

    let updated = value(&call(&trolley, SUBMERCHANT, "PATCH", &path, r#"{"action":"failed"}"#));
    assert_eq!((&updated["action"], &updated["model"]), (&json!("failed"), &json!("payment")));
    assert_eq!(updated.get("subscription"), None);
    switch(&trolley, &json!({"nested_subscription_update": true}));
    let updated = value(&call(&trolley, SUBMERCHANT, "PATCH", &path, ""));
    assert_eq!(updated["subscription"]["action"], json!("failed"));
    let got = value(&call(&trolley, SUBMERCHANT, "GET", &path, ""));
    assert_eq!(got["subscription"]["target"], json!("https://example.com/hook"));

    assert_eq!(call(&trolley, SUBMERCHANT, "DELETE", &path, "{}").status, 200);
    assert_eq!(call(&trolley, SUBMERCHANT, "DELETE", &path, "").status, 404);
}

#[test]
fn subscription_values_are_closed_unless_opened() {
    let trolley = simulator();
    let body = r#"{"action":"status_updated","model":"taxForm","target":"/hook"}"#;
    let post = || call(&trolley, PARENT, "POST", "/v1/subscriptions", body);
    let want = ["invalid_field action", "invalid_field model", "invalid_field target"];
    assert_eq!(errors(&post()).1, want);
    switch(&trolley, &json!({"open_enums": true}));
    assert_eq!(errors(&post()).1, ["invalid_field target"]);
    switch(&trolley, &json!({"probe_new_subscriptions": true}));
    let answer =
        call(&trolley, PARENT, "POST", "/v1/subscriptions", &body.replace("/hook", "http://h/"));
    let probe = answer.probe.unwrap();
    assert_eq!((probe.url.as_str(), probe.body.as_slice()), ("http://h/", b"{}".as_slice()));
}

#[test]
fn requests_over_the_limit_are_refused_until_the_window_closes() {
    let trolley = simulator_with(Settings { rate_limit: 2, ..Settings::default() });
    let get = || call(&trolley, PARENT, "GET", "/v1/subscriptions", "");
    let header =
        |answer: &Answer, name| answer.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    let first = get();
    assert_eq!(header(&first, "x-rate-limit-remaining").as_deref(), Some("1"));
    assert_eq!(header(&first, "x-rate-limit-reset"), Some((NOW + 60).to_string()));
    get();
    let refused = get();
    assert_eq!(errors(&refused), (429, vec!["rate_limit_exceeded -".to_owned()]));
    assert_eq!(header(&refused, "retry-after"), None);
    switch(&trolley, &json!({"retry_after_header": true}));
    assert_eq!(header(&get(), "retry-after").as_deref(), Some("60"));
    assert_eq!(call(&trolley, SUBMERCHANT, "GET", "/v1/subscriptions", "").status, 200);
    switch(&trolley, &json!({"rate_limit_scope": "everyone"}));
    assert_eq!(call(&trolley, SUBMERCHANT, "GET", "/v1/subscriptions", "").status, 200);
}

#[test]
fn reset_forgets_everything() {
    let trolley = simulator();
    call(&trolley, PARENT, "POST", "/v1/profile/sandbox", "");
    switch(&trolley, &json!({"request_id_header": false}));
    trolley.reset();
    let state = locked(&trolley.state);
    assert_eq!((state.merchants.len(), &state.switches), (2, &Switches::default()));
}

#[test]
fn the_parents_keys_are_changed_over_the_control_interface() {
    let trolley = simulator();
    let control = |method: Method, body: Value| {
        trolley.control(&method, "parent", body.to_string().as_bytes()).unwrap().map(|_| ())
    };
    let status = |keys| call(&trolley, keys, "GET", "/v1/subscriptions", "").status.as_u16();
    let pair = |access: &str, secret: &str| json!({"access_key": access, "secret_key": secret});
    let both = json!({"keys": [pair("AKNEW", "new"), pair(PARENT.0, PARENT.1)]});
    control(Method::PUT, both).unwrap();
    assert_eq!([("AKNEW", "new"), PARENT, ("AKNEW", PARENT.1)].map(status), [200, 200, 401]);
    control(Method::PUT, json!({"keys": [pair("AKNEW", "new")]})).unwrap();
    assert_eq!([("AKNEW", "new"), PARENT].map(status), [200, 401]);
    assert_eq!(control(Method::PUT, json!({"keys": []})).unwrap_err().0, 400);
    assert_eq!(control(Method::GET, json!({})).unwrap_err().0, 405);
    trolley.reset();
    assert_eq!(status(PARENT), 200);
}

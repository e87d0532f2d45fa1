use serde_json::json;

use super::*;

fn simulator() -> Trustist {
    let clock = Clock::from_source(|| jiff::Timestamp::UNIX_EPOCH);
    Trustist::new(Settings::default(), clock)
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Received {
    let headers = headers.iter().map(|(name, value)| {
        (name.parse::<http::HeaderName>().unwrap(), value.parse::<http::HeaderValue>().unwrap())
    });
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (path.to_owned(), None),
    };
    let body = bytes::Bytes::copy_from_slice(body.as_bytes());
    Received { method, path, query, headers: headers.collect(), body }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");
const GRANT: &str = "client_id=simulator-client&client_secret=simulator-client-secret&grant_type=client_credentials";

fn value(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn token(simulator: &Trustist) -> String {
    let answer = simulator.answer(&request(Method::POST, "/token", &[FORM], GRANT));
    assert_eq!(answer.status, 200);
    format!("Bearer {}", value(&answer)["access_token"].as_str().unwrap())
}

fn call(simulator: &Trustist, method: Method, path: &str, body: &str) -> Answer {
    let token = token(simulator);
    simulator.answer(&request(method, path, &[("authorization", &token), JSON], body))
}

fn switch(simulator: &Trustist, changes: &Value) {
    simulator.set_switches(changes.as_object().unwrap()).unwrap();
}

#[test]
fn a_token_has_the_documented_fields_and_more() {
    let simulator = simulator();
    let answer = simulator.answer(&request(Method::POST, "/token", &[FORM], GRANT));
    let body = value(&answer);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(body["undocumentedInteger"], json!(9_007_199_254_740_993_u64));
    assert!(answer.acted && answer.headers.contains_key("correlationid"));
}

#[test]
fn token_refusals_follow_rfc_6749() {
    let simulator = simulator();
    let cases = [
        (JSON, GRANT, 400, "invalid_request"),
        (FORM, "grant_type=client_credentials", 400, "invalid_request"),
        (FORM, "client_id=%zz", 400, "invalid_request"),
        (FORM, &format!("{GRANT}&client_id=simulator-client"), 400, "invalid_request"),
        (FORM, &GRANT.replace("client_credentials", "password"), 400, "unsupported_grant_type"),
        (FORM, &GRANT.replace("=simulator-client&", "=other&"), 401, "invalid_client"),
    ];
    for (content_type, body, status, code) in cases {
        let answer = simulator.answer(&request(Method::POST, "/token", &[content_type], body));
        assert_eq!((answer.status.as_u16(), &value(&answer)["error"]), (status, &json!(code)));
        assert!(!answer.acted);
    }
}

#[test]
fn tokens_are_required_expire_and_can_be_revoked() {
    let simulator = simulator();
    let get = |headers: &[(&str, &str)]| {
        simulator.answer(&request(Method::GET, "/invitations", headers, "")).status.as_u16()
    };
    let first = token(&simulator);
    assert_eq!(get(&[]), 401);
    assert_eq!(get(&[("authorization", "Bearer other")]), 401);
    assert_eq!(get(&[("authorization", &first)]), 200);
    simulator.clock.advance(3599);
    assert_eq!(get(&[("authorization", &first)]), 200);
    simulator.clock.advance(1);
    assert_eq!(get(&[("authorization", &first)]), 401);

    let second = token(&simulator);
    switch(&simulator, &json!({"last_token_wins": true}));
    let third = token(&simulator);
    assert_eq!(get(&[("authorization", &second)]), 401);
    assert_eq!(get(&[("authorization", &third)]), 200);
    simulator.expire_tokens();
    assert_eq!(get(&[("authorization", &third)]), 401);
}

#[test]
fn an_invitation_is_created_listed_and_completed() {
    let simulator = simulator();
    let body = r#"{"email":"a@example.com","name":"A","paymentTypes":["cards","unheard-of"]}"#;
    let created = call(&simulator, Method::POST, "/invitations", body);
    assert_eq!((created.status.as_u16(), &value(&created)["status"]), (200, &json!("pending")));
    let id = value(&created)["id"].as_str().unwrap().to_owned();
    let listed = value(&call(&simulator, Method::GET, "/invitations?page=2", ""));
    assert_eq!(listed.as_array().unwrap().len(), 3);

    let keys = format!("/invitations/{id}/merchant/keys");
    for status in ["sent", "OPENED", "COMPLETE"] {
        assert_eq!(call(&simulator, Method::GET, &keys, "").status, 404);
        let path = format!("invitations/{id}/advance");
        let moved = simulator.control(&Method::POST, &path, b"").unwrap().unwrap();
        let moved: Value = serde_json::from_slice(&moved.to_bytes()).unwrap();
        assert_eq!(moved["status"], json!(status));
    }
    let keys = value(&call(&simulator, Method::GET, &keys, ""));
    assert!(keys["items"][0]["apiKey"].is_string());
    assert!(keys["items"][0]["undocumentedObject"].is_object());
}

#[test]
fn invitations_need_exactly_the_documented_body() {
    let simulator = simulator();
    let bodies = [
        "",
        "[]",
        r#"{"email":"a"}"#,
        r#"{"email":"a","name":1}"#,
        r#"{"email":"a","name":""}"#,
        r#"{"email":"a","name":"b","payment_types":[]}"#,
        r#"{"email":"a","name":"b","paymentTypes":null}"#,
        r#"{"email":"a","name":"b","paymentTypes":[1]}"#,
    ];
    for body in bodies {
        let answer = call(&simulator, Method::POST, "/invitations", body);
        assert_eq!((answer.status.as_u16(), answer.acted), (400, false), "{body}");
    }
    let token = token(&simulator);
    let body = r#"{"email":"a","name":"b"}"#;
    let untyped = request(Method::POST, "/invitations", &[("authorization", &token)], body);
    assert_eq!(simulator.answer(&untyped).status, 400);
    assert_eq!(call(&simulator, Method::POST, "/invitations", body).status, 200);
}

#[test]
fn ids_are_one_segment_and_unknown_paths_are_not_found() {
    let simulator = simulator();
    let status = |method: Method, path: &str| call(&simulator, method, path, "").status.as_u16();
    assert_eq!(status(Method::GET, &format!("/invitations/{SENT_INVITATION}")), 200);
    assert_eq!(status(Method::GET, &format!("/invitations/%35{}", &SENT_INVITATION[1..])), 200);
    assert_eq!(status(Method::GET, "/invitations/a%2Fb"), 404);
    assert_eq!(status(Method::GET, "/invitations/"), 404);
    assert_eq!(status(Method::GET, "/v1/invitations"), 404);
    assert_eq!(status(Method::DELETE, "/invitations"), 405);
}

#[test]
fn switches_choose_between_readings() {
    let simulator = simulator();
    let complete = format!("/invitations/{COMPLETE_INVITATION}");
    switch(
        &simulator,
        &json!({"status_case": "lower", "echo_invitee": true,
        "echo_payment_types": "effective", "undocumented_fields": false}),
    );
    assert_eq!(
        value(&call(&simulator, Method::GET, &complete, "")),
        json!({"id": COMPLETE_INVITATION, "status": "complete", "email": "complete@example.com",
            "name": "A complete client", "paymentTypes": ["openbanking", "cards"]})
    );
    switch(&simulator, &json!({"keys_before_complete": "empty_items"}));
    let keys = format!("/invitations/{SENT_INVITATION}/merchant/keys");
    assert_eq!(value(&call(&simulator, Method::GET, &keys, "")), json!({"items": []}));

    switch(&simulator, &json!({"error_body": "text", "correlation_id_header": false}));
    let missing = call(&simulator, Method::GET, "/invitations/none", "");
    assert_eq!(missing.body, "The requested resource could not be found.");
    assert!(!missing.headers.contains_key("correlationid"));
    switch(&simulator, &json!({"error_body": "empty"}));
    assert!(call(&simulator, Method::GET, "/invitations/none", "").body.is_empty());

    for bad in [json!({"unheard_of": 1}), json!({"create_status": 100})] {
        assert!(simulator.set_switches(bad.as_object().unwrap()).is_err(), "{bad}");
    }
}

#[test]
fn reset_forgets_everything() {
    let simulator = simulator();
    switch(&simulator, &json!({"error_body": "empty"}));
    call(&simulator, Method::POST, "/invitations", r#"{"email":"a","name":"b"}"#);
    simulator.reset();
    let state = locked(&simulator.state);
    assert_eq!((state.invitations.len(), state.tokens.len()), (2, 0));
    assert_eq!(state.switches, Switches::default());
}

#[test]
fn the_control_interface_changes_secrets_and_tokens() {
    let simulator = simulator();
    let control = |method: Method, path: &str, body: Value| {
        let answer = simulator.control(&method, path, body.to_string().as_bytes()).unwrap();
        answer.map(|object| serde_json::from_slice::<Value>(&object.to_bytes()).unwrap())
    };
    let grant = |secret: &str| {
        let body = GRANT.replace("simulator-client-secret", secret);
        simulator.answer(&request(Method::POST, "/token", &[FORM], &body))
    };
    control(Method::PUT, "client", json!({"secrets": ["old", "new"]})).unwrap();
    assert_eq!(
        [grant("old"), grant("new"), grant("simulator-client-secret")].map(|a| a.status.as_u16()),
        [200, 200, 401]
    );
    let shown = control(Method::PUT, "tokens", json!({"lifetime_seconds": 3})).unwrap();
    assert_eq!(shown, json!({"issued": 2, "lifetime_seconds": 3}));
    assert_eq!(value(&grant("new"))["expires_in"], json!(3));
    control(Method::DELETE, "tokens", json!({})).unwrap();
    assert!(locked(&simulator.state).tokens.is_empty());
    for (method, path) in [(Method::GET, "client"), (Method::POST, "tokens")] {
        assert_eq!(control(method, path, json!({})).unwrap_err().0, 405, "{path}");
    }
    assert_eq!(control(Method::PUT, "client", json!({"secret": "x"})).unwrap_err().0, 400);
    simulator.reset();
    assert_eq!(grant("new").status, 401);
}

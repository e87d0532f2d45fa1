use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;

const USER: &str = "5e11e400-0000-4000-8000-000000000001";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const CLIENT: Client<'_> = Client {
    id: "client",
    secret: "s cret",
    access_seconds: 180,
    refresh_seconds: 1800,
    rotates: true,
};
const KEYS: &str = "client_id=client&client_secret=s%20cret";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn post(headers: &[(&str, &str)], body: &str) -> Received {
    let headers = headers.iter().map(|(name, value)| {
        (name.parse::<http::HeaderName>().unwrap(), value.parse::<http::HeaderValue>().unwrap())
    });
    Received {
        method: http::Method::POST,
        path: TOKEN_PATH.to_owned(),
        query: None,
        headers: headers.collect(),
        body: bytes::Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn ask(sso: &mut Sso, client: Client<'_>, second: i64, grant: &str) -> (u16, Value) {
    let request = post(&[FORM], &format!("{KEYS}&{grant}"));
    let answer = sso.answer(client, at(second), &request);
    assert_eq!(answer.acted, answer.status.is_success());
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
}

fn redeem(sso: &mut Sso, code: &str, second: i64) -> (u16, Value) {
    ask(sso, CLIENT, second, &format!("grant_type=authorization_code&code={code}"))
}

fn renew(sso: &mut Sso, client: Client<'_>, token: &Value, second: i64) -> (u16, Value) {
    let token = token.as_str().unwrap();
    ask(sso, client, second, &format!("grant_type=refresh_token&refresh_token={token}"))
}

#[test]
fn a_code_buys_the_tokens_that_the_stage_realm_gives() {
    let mut sso = Sso::default();
    let code = sso.log_in(USER, None, at(0));
    let (status, body) = redeem(&mut sso, &code, 0);
    assert_eq!(status, 200);
    assert_eq!((&body["expires_in"], &body["refresh_expires_in"]), (&json!(180), &json!(1800)));
    assert_eq!(body["token_type"], json!("bearer"));
    for name in ["refresh_token", "session_state", "scope"] {
        assert!(body[name].is_string(), "{name}");
    }
    assert_eq!(body["not-before-policy"], json!(0));
    let id_token: Vec<_> = body["id_token"].as_str().unwrap().split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(id_token[1]).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((id_token.len(), &claims["sub"]), (3, &json!(USER)));
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(sso.user_of(token, at(179)), Some(USER));
    assert_eq!(sso.user_of(token, at(180)), None);
    assert_eq!(sso.user_of("another", at(0)), None);
}

#[test]
fn a_code_is_good_once_and_for_a_minute() {
    let mut sso = Sso::default();
    let first = sso.log_in(USER, None, at(0));
    let second = sso.log_in(USER, None, at(0));
    assert_eq!(redeem(&mut sso, &first, 59).0, 200);
    for (code, second) in [(&first, 59), (&second, 60), (&"unknown".to_owned(), 0)] {
        let (status, body) = redeem(&mut sso, code, second);
        assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")), "{code}");
    }
}

#[test]
fn a_redirect_address_is_repeated_exactly() {
    let mut sso = Sso::default();
    for (given, status) in
        [("", 400), ("&redirect_uri=http://b/", 400), ("&redirect_uri=http://a/", 200)]
    {
        let code = sso.log_in(USER, Some("http://a/"), at(0));
        let grant = format!("grant_type=authorization_code&code={code}{given}");
        assert_eq!(ask(&mut sso, CLIENT, 0, &grant).0, status, "{given}");
    }
}

#[test]
fn a_refresh_token_is_replaced_by_its_use() {
    let mut sso = Sso::default();
    let code = sso.log_in(USER, None, at(0));
    let first = redeem(&mut sso, &code, 0).1;
    let (status, second) = renew(&mut sso, CLIENT, &first["refresh_token"], 1799);
    assert_eq!((status, &second["session_state"]), (200, &first["session_state"]));
    let (status, refused) = renew(&mut sso, CLIENT, &first["refresh_token"], 1799);
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    let (status, refused) = renew(&mut sso, CLIENT, &second["refresh_token"], 1799 + 1800);
    assert_eq!((status, &refused["error_description"]), (400, &json!("Token is not active")));
}

#[test]
fn without_rotation_a_refresh_token_stays_good() {
    let mut sso = Sso::default();
    let client = Client { rotates: false, ..CLIENT };
    let code = sso.log_in(USER, None, at(0));
    let first = redeem(&mut sso, &code, 0).1;
    for _ in 0..2 {
        assert_eq!(renew(&mut sso, client, &first["refresh_token"], 1).0, 200);
    }
}

#[test]
fn the_client_may_also_come_as_basic() {
    let mut sso = Sso::default();
    let ask = |sso: &mut Sso, id_and_secret: &str| {
        let code = sso.log_in(USER, None, at(0));
        let basic = format!("Basic {}", STANDARD.encode(id_and_secret));
        let body = format!("grant_type=authorization_code&code={code}");
        sso.answer(CLIENT, at(0), &post(&[FORM, ("authorization", &basic)], &body)).status.as_u16()
    };
    assert_eq!(ask(&mut sso, "client:s+cret"), 200);
    assert_eq!(ask(&mut sso, "client:other"), 401);
}

#[test]
fn refusals_follow_rfc_6749() {
    let json = ("content-type", "application/json");
    let cases = [
        (json, format!("{KEYS}&grant_type=refresh_token"), 415, "invalid_request"),
        (FORM, "%zz".to_owned(), 400, "invalid_request"),
        (FORM, KEYS.to_owned(), 400, "invalid_request"),
        (FORM, format!("{KEYS}&grant_type=refresh_token"), 400, "invalid_request"),
        (FORM, format!("{KEYS}&grant_type=authorization_code"), 400, "invalid_request"),
        (FORM, format!("{KEYS}&client_id=client"), 400, "invalid_request"),
        (FORM, "grant_type=refresh_token&refresh_token=x".to_owned(), 401, "invalid_client"),
        (FORM, format!("{KEYS}&grant_type=client_credentials"), 400, "unsupported_grant_type"),
        (FORM, format!("{KEYS}&grant_type=refresh_token&refresh_token=x"), 400, "invalid_grant"),
    ];
    for (media_type, body, status, code) in cases {
        let answer = Sso::default().answer(CLIENT, at(0), &post(&[media_type], &body));
        let error: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status.as_u16(), &error["error"]), (status, &json!(code)), "{body}");
        assert!(!answer.acted);
    }
}

#[test]
fn expired_access_tokens_leave_the_refresh_tokens() {
    let mut sso = Sso::default();
    let code = sso.log_in(USER, None, at(0));
    let first = redeem(&mut sso, &code, 0).1;
    sso.expire_access_tokens();
    assert_eq!(sso.user_of(first["access_token"].as_str().unwrap(), at(0)), None);
    assert_eq!(renew(&mut sso, CLIENT, &first["refresh_token"], 0).0, 200);
}

#[test]
fn settings_and_switch_reach_the_token_endpoint() {
    let lifetime = Duration::from_secs(7);
    let settings = Settings { access_token_lifetime: lifetime, ..Settings::default() };
    let mut state = State::new(&settings);
    let code = state.sso.log_in(USER, None, at(0));
    let keys = format!("client_id={}&client_secret={}", settings.client_id, settings.client_secret);
    let ask = |state: &mut State, grant: &str| {
        let answer = handle(&settings, state, at(0), &post(&[FORM], &format!("{keys}&{grant}")));
        (answer.status.as_u16(), serde_json::from_slice::<Value>(&answer.body).unwrap())
    };
    let (_, tokens) = ask(&mut state, &format!("grant_type=authorization_code&code={code}"));
    assert_eq!((&tokens["expires_in"], &tokens["refresh_expires_in"]), (&json!(7), &json!(1800)));
    let renewal = format!(
        "grant_type=refresh_token&refresh_token={}",
        tokens["refresh_token"].as_str().unwrap()
    );
    state.switches.rotate_refresh_tokens = false;
    assert_eq!(ask(&mut state, &renewal).0, 200);
    state.switches.rotate_refresh_tokens = true;
    assert_eq!(ask(&mut state, &renewal).0, 200);
    assert_eq!(ask(&mut state, &renewal).0, 400);
}

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;

use super::facts::facts;
use super::*;

mod calling;
mod f2f;
mod filled;
mod life;
mod listing;
mod money;
mod reading;
mod shape;
mod shippo;

const NOW: i64 = 1_767_225_600;

fn simulator() -> Trustap {
    let start = Timestamp::from_second(NOW).unwrap();
    Trustap::new(Settings::default(), Clock::from_source(move || start))
}

/// Who sends a request.
#[derive(Clone, Copy)]
enum As<'a> {
    Nobody,
    /// The client with its key.
    Key,
    /// The client with its key, for this user.
    For(&'a str),
    /// A user with this token.
    Token(&'a str),
}

fn request(who: As<'_>, method: &str, target: &str, body: &str) -> Received {
    let target = format!("/api/v1{target}");
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target, None),
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    let authorization = match who {
        As::Nobody => None,
        As::Key | As::For(_) => Some(format!("Basic {}", STANDARD.encode(format!("{API_KEY}:")))),
        As::Token(token) => Some(format!("Bearer {token}")),
    };
    if let Some(value) = authorization {
        headers.insert("authorization", value.parse().unwrap());
    }
    if let As::For(user) = who {
        headers.insert("trustap-user", user.parse().unwrap());
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let body = Bytes::copy_from_slice(body.as_bytes());
    Received { method, path, query, headers, body }
}

impl Trustap {
    fn call(&self, who: As<'_>, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        read(&self.answer(&request(who, method, target, &body)))
    }

    fn get(&self, who: As<'_>, target: &str) -> (u16, Value) {
        self.call(who, "GET", target, &Value::Null)
    }

    fn post(&self, who: As<'_>, target: &str, body: &Value) -> (u16, Value) {
        self.call(who, "POST", target, body)
    }

    /// An action without a body that succeeds, and the status that it leads to.
    fn done(&self, who: As<'_>, id: &Value, action: &str) -> String {
        let (status, shown) = self.post(who, &format!("/transactions/{id}/{action}"), &Value::Null);
        assert_eq!(status, 200, "{action}: {shown}");
        shown["status"].as_str().unwrap().to_owned()
    }

    /// The code with which an action without a body is refused.
    fn refused(&self, who: As<'_>, id: &Value, action: &str) -> (u16, String) {
        code(&self.post(who, &format!("/transactions/{id}/{action}"), &Value::Null))
    }

    fn control(&self, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answered = Partner::control(self, &Method::POST, path, &body).unwrap();
        serde_json::to_value(answered.unwrap()).unwrap()
    }

    fn switch(&self, changes: &Value) {
        self.set_switches(changes.as_object().unwrap()).unwrap();
    }

    /// A user's own token, fetched as a client fetches it.
    fn token(&self, user: &str) -> String {
        let code = self.control("login", &json!({"user": user}))["code"].take();
        let form = format!(
            "grant_type=authorization_code&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&code={}",
            code.as_str().unwrap(),
        );
        let mut request = request(As::Nobody, "POST", "", &form);
        sso::TOKEN_PATH.clone_into(&mut request.path);
        let form = "application/x-www-form-urlencoded".parse().unwrap();
        request.headers.insert("content-type", form);
        let (status, tokens) = read(&self.answer(&request));
        assert_eq!(status, 200, "{tokens}");
        tokens["access_token"].as_str().unwrap().to_owned()
    }

    fn guest(&self, email: &str) -> String {
        let body = json!({
            "email": email, "first_name": "Ada", "last_name": "Byron", "country_code": "IE",
            "tos_acceptance": {"unix_timestamp": NOW - 1, "ip": "192.0.2.1"},
        });
        let (status, guest) = self.post(As::Key, "/guest_users", &body);
        assert_eq!(status, 201, "{guest}");
        guest["id"].as_str().unwrap().to_owned()
    }

    /// A transaction that two full users have joined.
    fn joined(&self, features: &[&str]) -> Value {
        let mut body = terms();
        let more =
            json!({"creator_role": "seller", "join_user_id": BUYER_ID, "features": features});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, shown) =
            self.post(As::For(SELLER_ID), "/me/transactions/create_and_join", &body);
        assert_eq!((status, &shown["status"]), (201, &json!("joined")), "{shown}");
        shown["id"].clone()
    }

    fn paid(&self, features: &[&str]) -> Value {
        let id = self.joined(features);
        assert_eq!(self.control(&format!("transactions/{id}/pay"), &Value::Null)["status"], "paid");
        id
    }

    fn tracked(&self) -> Value {
        let id = self.paid(&[]);
        let body = json!({"carrier": "ups", "tracking_code": "1Z"});
        let (status, _) = self.post(SELLER, &format!("/transactions/{id}/track"), &body);
        assert_eq!(status, 200);
        id
    }
}

const SELLER: As<'static> = As::For(SELLER_ID);
const BUYER: As<'static> = As::For(BUYER_ID);

/// What every transaction is created with; the charge is as it is quoted.
fn terms() -> Value {
    json!({
        "charge": 78, "charge_calculator_version": 5, "currency": "eur",
        "description": "Soccer ticket", "price": 1234,
    })
}

fn read(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// Status and code of a refusal.
fn code((status, body): &(u16, Value)) -> (u16, String) {
    assert!(*status >= 400, "{body}");
    (*status, body["code"].as_str().unwrap_or_default().to_owned())
}

fn invalid(code: &str) -> (u16, String) {
    (400, code.to_owned())
}

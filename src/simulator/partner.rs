//! What every partner double is: a function from a raw request to an answer, over state that the
//! control interface can inspect and reset. Synchronous on purpose: sockets, faults and the journal
//! belong to [`super::exchange`], so that a partner's file reads like the partner's document.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};

use super::json::Object;
use super::webhook::{Delivery, Order};

/// A request to a partner, byte for byte as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    /// The path below the partner's mount, escapes untouched.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a partner answers, before any fault.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the operation had its effect, or read what it was asked for.
    pub(crate) acted: bool,
    /// A request that the partner sends before it answers.
    pub(crate) probe: Option<Delivery>,
}

/// One partner's double.
pub(crate) trait Partner: Send + Sync + fmt::Debug {
    /// The name of its mount, and its name on the control interface.
    fn name(&self) -> &'static str;

    /// Carries out a request.
    fn answer(&self, request: &Received) -> Answer;

    /// An error in the partner's own form, for a status that did not come from an operation.
    fn refusal(&self, request: &Received, status: StatusCode) -> Answer;

    /// A 429 in the partner's own form; `reset_after` overrides when the limit is lifted, in
    /// seconds from now.
    fn rate_limited(&self, request: &Received, _reset_after: Option<i64>) -> Answer {
        self.refusal(request, StatusCode::TOO_MANY_REQUESTS)
    }

    /// Makes all issued tokens invalid.
    fn expire_tokens(&self) {}

    /// Whether [`Partner::expire_tokens`] means anything here.
    fn issues_tokens(&self) -> bool {
        false
    }

    /// Returns to the starting state.
    fn reset(&self);

    /// The switches as JSON.
    fn switches(&self) -> Value;

    /// Changes the named switches and leaves the others.
    fn set_switches(&self, changes: &Map<String, Value>) -> Result<(), String>;

    /// Control requests of this partner only, below `/_simulator/<name>`. `None`: no such path.
    fn control(&self, _method: &Method, _path: &str, _body: &[u8]) -> Option<Controlled> {
        None
    }

    /// The webhook that was ordered, signed as the partner signs.
    fn webhook(&self, order: &Order) -> Result<Delivery, String>;
}

/// The outcome of a partner's own control request.
pub(crate) type Controlled = Result<Object, (StatusCode, String)>;

// === impl Received ===

impl Received {
    /// A header as text; one that is absent, repeated or not text reads as `None`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// Whether the body was declared to be of this media type, parameters aside.
    pub(crate) fn has_media_type(&self, wanted: &str) -> bool {
        let declared = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = declared.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case(wanted)
    }

    /// Path and query exactly as transmitted, without the mount.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

// === impl Answer ===

impl Answer {
    /// A JSON answer to an operation that did what it was asked.
    pub(crate) fn done(status: StatusCode, body: &impl serde::Serialize) -> Self {
        Self { acted: true, ..Self::json(status, body) }
    }

    /// A JSON answer that did nothing.
    pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self::bytes(status, "application/json; charset=utf-8", body)
    }

    /// Any other answer that did nothing; an empty media type sends none.
    pub(crate) fn bytes(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Self {
        let mut headers = HeaderMap::new();
        if !media_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        Self { status, headers, body: body.into(), acted: false, probe: None }
    }

    /// Sets a header. A value that no header can hold is left out.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

/// Applies `changes` over `current`, refusing names and values that `T` does not know.
pub(crate) fn merge_switches<T>(current: &T, changes: &Map<String, Value>) -> Result<T, String>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let mut merged = match serde_json::to_value(current) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    };
    merged.extend(changes.iter().map(|(name, value)| (name.clone(), value.clone())));
    serde_json::from_value(Value::Object(merged)).map_err(|error| error.to_string())
}

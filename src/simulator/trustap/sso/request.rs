//! Requests to the token endpoint: what they say, and how they are refused in the words of RFC 6749.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use super::super::super::form;
use super::super::super::json::Object;
use super::super::super::partner::{Answer, Received};

/// A refusal in the words of RFC 6749.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) description: &'static str,
}

/// The parameters of a token request.
pub(crate) struct Form(Vec<(String, String)>);

// === impl Form ===

impl Form {
    pub(crate) fn read(request: &Received) -> Result<Self, Refusal> {
        if !request.has_media_type("application/x-www-form-urlencoded") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Refusal { status, ..invalid_request("HTTP 415 Unsupported Media Type") });
        }
        let text = std::str::from_utf8(&request.body);
        let text = text.map_err(|_| invalid_request("The body is not text"))?;
        let pairs = form::pairs(text);
        pairs.map(Self).map_err(|_| invalid_request("The body is not form-encoded"))
    }

    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(given, _)| given == name);
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(invalid_request("duplicated parameter")),
            (Some((_, value)), None) if !value.is_empty() => Ok(Some(value)),
            _ => Ok(None),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn answer(&self) -> Answer {
        let body =
            Object::new().with("error", self.code).with("error_description", self.description);
        Answer::json(self.status, &body).with_header("cache-control", "no-store")
    }
}

pub(crate) fn bad(code: &'static str, description: &'static str) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, code, description }
}

pub(crate) fn invalid_request(description: &'static str) -> Refusal {
    bad("invalid_request", description)
}

pub(crate) fn invalid_grant(description: &'static str) -> Refusal {
    bad("invalid_grant", description)
}

/// The client's id and secret: from the body as Trustap's guide has it, or as Basic.
pub(crate) fn client_of(request: &Received, form: &Form) -> Result<(String, String), Refusal> {
    let given = request.header("authorization").and_then(|value| value.split_once(' '));
    if let Some((scheme, encoded)) = given
        && scheme.eq_ignore_ascii_case("basic")
    {
        let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (id, secret) =
            text.as_deref().and_then(|text| text.split_once(':')).unwrap_or_default();
        // RFC 6749, 2.3.1: both are form-encoded before they are joined.
        let decoded = |text: &str| form::segment(&text.replace('+', " ")).unwrap_or_default();
        return Ok((decoded(id), decoded(secret)));
    }
    let text = |name| Ok(form.one(name)?.unwrap_or_default().to_owned());
    Ok((text("client_id")?, text("client_secret")?))
}

//! TrustistTransfer: OAuth2 client credentials, and errors of which only the status is
//! documented.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Partner;
use super::answer::{self, MAX_CODE, MAX_MESSAGE};
use crate::error::{Meaning, PartnerFailure};

/// The TrustistTransfer Partner API.
#[derive(Debug)]
pub(super) struct Trustist;

impl Partner for Trustist {
    fn name(&self) -> &'static str {
        "trustist"
    }

    /// No error body is documented: any JSON object's usual members are taken, those of
    /// OAuth2 (RFC 6749 section 5.2) and of problem details (RFC 9457) among them.
    fn failure(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<PartnerFailure> {
        if status.is_success() {
            return None;
        }
        let mut failure = answer::bare(status);
        if let Ok(problem) = serde_json::from_slice::<Value>(body) {
            failure.code = answer::first_text(&problem, &["code", "error"], MAX_CODE);
            let said = ["error_description", "message", "detail", "title"];
            failure.message = answer::first_text(&problem, &said, MAX_MESSAGE);
            failure.meaning = failure.code.as_deref().and_then(meaning);
        }
        Some(failure)
    }

    fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        answer::request_id(headers, &["correlationid", "x-request-id", "x-correlation-id"])
    }

    fn token_path(&self) -> Option<&'static str> {
        Some("/token")
    }
}

/// The codes of RFC 6749 section 5.2 and RFC 6750 section 3.1; no others are known.
fn meaning(code: &str) -> Option<Meaning> {
    Some(match code {
        "invalid_client" | "invalid_token" => Meaning::Unauthenticated,
        "unauthorized_client" | "insufficient_scope" => Meaning::PermissionDenied,
        "invalid_request" | "invalid_scope" => Meaning::InvalidArgument,
        "unsupported_grant_type" => Meaning::Misdirected,
        "temporarily_unavailable" => Meaning::Unavailable,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn failure(code: u16, body: &str) -> Option<PartnerFailure> {
        let status = StatusCode::from_u16(code).unwrap();
        Trustist.failure(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn the_status_alone_tells_success() {
        assert_eq!(failure(200, r#"{"error":"x"}"#), None);
        assert_eq!(failure(201, "[]"), None);
        assert!(failure(404, "").is_some());
    }

    #[test]
    fn any_usual_error_body_is_read() {
        for (body, code, message) in [
            (
                r#"{"error":"invalid_client","error_description":"no"}"#,
                Some("invalid_client"),
                Some("no"),
            ),
            (
                r#"{"type":"about:blank","title":"Bad","detail":"No e-mail","status":400}"#,
                None,
                Some("No e-mail"),
            ),
            (r#"{"title":"Bad Request"}"#, None, Some("Bad Request")),
            (r#"{"code":17,"message":"Nope"}"#, Some("17"), Some("Nope")),
            (r#"{"error":{"code":"x"}}"#, None, None),
            (r#"["x"]"#, None, None),
            ("no JSON", None, None),
            ("", None, None),
        ] {
            let failed = failure(400, body).unwrap();
            let told = (failed.code.as_deref(), failed.message.as_deref());
            assert_eq!(told, (code, message), "{body}");
        }
    }

    #[test]
    fn a_refused_client_is_a_refused_credential_with_400_too() {
        let failed = failure(400, r#"{"error":"invalid_client"}"#).unwrap();
        assert_eq!(failed.meaning, Some(Meaning::Unauthenticated));
    }

    #[test]
    fn its_correlation_id_comes_before_the_common_names() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("common"));
        assert_eq!(Trustist.request_id(&headers).as_deref(), Some("common"));
        headers.insert("CorrelationId", HeaderValue::from_static("own"));
        assert_eq!(Trustist.request_id(&headers).as_deref(), Some("own"));
    }

    proptest! {
        #[test]
        fn no_body_panics(code in 100_u16..1000, body in any::<Vec<u8>>()) {
            let status = StatusCode::from_u16(code).unwrap();
            let _ = Trustist.failure(status, &HeaderMap::new(), &body);
        }
    }
}

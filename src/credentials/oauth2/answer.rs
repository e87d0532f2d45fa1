//! The token endpoint's answer (RFC 6749 sections 5.1 and 5.2), read defensively: what
//! is not a token of the expected sort is never sent anywhere.

use std::time::Duration;

use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::credentials::token::{Issued, Refusal};

/// The life of a token whose answer does not tell: RFC 6749 only recommends that it does.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// The longest life that is believed.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The errors of RFC 6749 section 5.2: asking again does not help.
const PERMANENT: [&str; 6] = [
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
];

#[derive(Deserialize)]
struct Answer {
    access_token: Option<SecretString>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    error: Option<Value>,
}

/// The token of an answer, or why there is none.
pub(in crate::credentials) fn read(status: StatusCode, body: &[u8]) -> Result<Issued, Refusal> {
    let refusal = |permanent, problem| {
        Err(Refusal { permanent, status: Some(status), ..Refusal::transient(problem) })
    };
    let failure = |code, problem| {
        let refuses_client = refuses_client(status, code);
        refusal(is_permanent(status, code), problem)
            .map_err(|refusal| Refusal { refuses_client, ..refusal })
    };
    let answer = serde_json::from_slice::<Answer>(body).ok();
    // Some endpoints tell an error with 200.
    let error = answer.as_ref().and_then(|answer| answer.error.as_ref());
    if let Some(error) = error {
        return failure(error.as_str(), "the token endpoint tells an error");
    }
    if !status.is_success() {
        return failure(None, "the token endpoint answers with a failure");
    }
    let Some(answer) = answer else {
        return refusal(false, "the token endpoint's answer cannot be read");
    };
    if !answer.token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return refusal(true, "the token is not a bearer token");
    }
    match answer.access_token.filter(is_usable) {
        Some(secret) => Ok(Issued { secret, lifetime: lifetime(answer.expires_in.as_ref()) }),
        None => refusal(false, "the token is empty or has characters that no header can hold"),
    }
}

fn is_permanent(status: StatusCode, code: Option<&str>) -> bool {
    let passes = matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error();
    match code {
        Some("temporarily_unavailable" | "server_error") => false,
        Some(code) if PERMANENT.contains(&code) => true,
        _ => !passes && !status.is_success(),
    }
}

/// Whether it is the client's id or secret that is not accepted.
fn refuses_client(status: StatusCode, code: Option<&str>) -> bool {
    match code {
        Some(code) => code == "invalid_client",
        None => status == StatusCode::UNAUTHORIZED,
    }
}

fn is_usable(secret: &SecretString) -> bool {
    let secret = secrecy::ExposeSecret::expose_secret(secret);
    !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic())
}

/// How long the token may be kept; `None` for one that is good for one use. What
/// cannot be understood counts as not told: a refused token is fetched anew anyway.
fn lifetime(expires_in: Option<&Value>) -> Option<Duration> {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let Some(seconds) = seconds.filter(|seconds: &f64| seconds.is_finite()) else {
        return Some(DEFAULT_LIFETIME);
    };
    let seconds = seconds.floor().clamp(0.0, MAX_LIFETIME.as_secs_f64());
    Some(Duration::from_secs_f64(seconds)).filter(|life| !life.is_zero())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn answer(status: u16, body: &str) -> Result<Issued, Refusal> {
        read(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn o7_lifetimes_are_read_leniently_and_clamped() {
        let default = Some(15 * 60);
        for (expires_in, expected) in [
            ("null", default),
            ("0", None),
            ("-1", None),
            ("1", Some(1)),
            ("\"3600\"", Some(3600)),
            ("3600.0", Some(3600)),
            ("0.9", None),
            ("1e18", Some(86_400)),
            ("9223372036854775808", Some(86_400)),
            ("1e400", default),
            ("\"abc\"", default),
            ("\"NaN\"", default),
            ("{}", default),
        ] {
            let body = format!(
                r#"{{"access_token":"t","token_type":"bearer","expires_in":{expires_in}}}"#
            );
            // JSON that holds a number beyond f64 is not read at all.
            let Ok(issued) = answer(200, &body) else {
                assert_eq!(expires_in, "1e400");
                continue;
            };
            let seconds = issued.lifetime.map(|life| life.as_secs());
            assert_eq!(seconds, expected, "{expires_in}");
        }
        let missing = answer(200, r#"{"access_token":"t","token_type":"Bearer"}"#).unwrap();
        assert_eq!(missing.lifetime, Some(DEFAULT_LIFETIME));
    }

    #[test]
    fn o6_only_a_usable_bearer_token_is_taken() {
        for kind in ["Bearer", "bearer", "BEARER"] {
            let body = format!(r#"{{"access_token":"a.b-c","token_type":"{kind}"}}"#);
            assert_eq!(answer(200, &body).unwrap().secret.expose_secret(), "a.b-c");
        }
        for (body, permanent) in [
            (r#"{"access_token":"","token_type":"Bearer"}"#, false),
            (r#"{"token_type":"Bearer"}"#, false),
            (r#"{"access_token":"a\nb","token_type":"Bearer"}"#, false),
            (r#"{"access_token":"a b","token_type":"Bearer"}"#, false),
            (r#"{"access_token":"é","token_type":"Bearer"}"#, false),
            (r#"{"access_token":7,"token_type":"Bearer"}"#, false),
            (r#"{"access_token":"a","token_type":"mac"}"#, true),
            (r#"{"access_token":"a"}"#, true),
            (r#"{"access_token":"a","token_type":"Bearer","error":"invalid_client"}"#, true),
            (r#"{"error":"temporarily_unavailable"}"#, false),
            (r#"{"error":{"code":1}}"#, false),
            ("<html>", false),
            ("", false),
        ] {
            assert_eq!(
                answer(200, body).map(drop).map_err(|r| r.permanent),
                Err(permanent),
                "{body}"
            );
        }
    }

    #[test]
    fn o5_failures_are_permanent_or_pass() {
        for (status, body, permanent) in [
            (400, r#"{"error":"invalid_client"}"#, true),
            (401, r#"{"error":"invalid_client"}"#, true),
            (400, r#"{"error":"temporarily_unavailable"}"#, false),
            (500, r#"{"error":"invalid_scope"}"#, true),
            (401, "", true),
            (404, "<html>", true),
            (302, "", true),
            (408, "", false),
            (429, "", false),
            (500, "", false),
            (503, r#"{"error":"busy"}"#, false),
        ] {
            let refusal = answer(status, body).unwrap_err();
            assert_eq!(refusal.permanent, permanent, "{status} {body}");
            assert_eq!(refusal.status.map(|s| s.as_u16()), Some(status));
        }
    }

    #[test]
    fn s19_only_a_refused_client_is_a_reason_for_another_secret() {
        for (status, body, refuses_client) in [
            (400, r#"{"error":"invalid_client"}"#, true),
            (401, r#"{"error":"invalid_client"}"#, true),
            (200, r#"{"error":"invalid_client"}"#, true),
            (401, "", true),
            (401, r#"{"error":"invalid_scope"}"#, false),
            (400, r#"{"error":"unauthorized_client"}"#, false),
            (403, "", false),
            (503, "", false),
        ] {
            let refusal = answer(status, body).unwrap_err();
            assert_eq!(refusal.refuses_client, refuses_client, "{status} {body}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(status in 100_u16..1000, body in any::<Vec<u8>>()) {
            let _ = read(StatusCode::from_u16(status).unwrap(), &body);
        }
    }
}

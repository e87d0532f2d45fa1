use http::{HeaderValue, Method};
use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap()
}

fn failure(code: u16, body: &str) -> Option<PartnerFailure> {
    Trolley.failure(status(code), &HeaderMap::new(), body.as_bytes())
}

fn signature(verb: &Method, target: &str, body: &str) -> String {
    let headers = Trolley
        .sign(&Signable {
            access_key: "AKEXAMPLE",
            secret_key: "test-secret",
            now: Timestamp::from_second(1_709_586_704).unwrap(),
            verb,
            target,
            body: body.as_bytes(),
        })
        .unwrap();
    assert_eq!(headers[1], (TIMESTAMP, "1709586704".to_owned()));
    assert_eq!(headers[0].0, header::AUTHORIZATION);
    headers[0].1.strip_prefix("prsign AKEXAMPLE:").unwrap().to_owned()
}

#[test]
fn signatures_are_those_of_an_independent_implementation() {
    let hook = r#"{"action":"updated","model":"payment","target":"https://example.com/hook"}"#;
    for (verb, target, body, expected) in [
        (
            Method::GET,
            "/v1/subscriptions",
            "",
            "bd4645e0a26bd13963cca5ca5956d7c099d5cb7f13d353e0ea9ec4203c1eaabc",
        ),
        (
            Method::POST,
            "/v1/subscriptions",
            hook,
            "2779318d537055e95d0fc51d21c25dcdbf7b223f417ddead4f4a74040b1a05dd",
        ),
        (
            Method::DELETE,
            "/v1/profile/sandbox",
            r#"{"id":"M-C7AsydAeAqW3husDNHSAND"}"#,
            "6d144adf062d43a19e59815161f955aab0b1935587c9df4aa6a5170b1a9ce576",
        ),
        (
            Method::GET,
            "/v1/subscriptions?page=1&pageSize=10",
            "",
            "3635209c8f59cd775b2d5dacfcf5f20037eacf192757063befff1fb665f252a3",
        ),
        (
            Method::DELETE,
            "/v1/subscriptions/WH-EXAMPLE",
            "",
            "d39a96d54f8d20bf0e7a781564694cfc80162984fa728ff600bbb62383e31523",
        ),
        (
            Method::DELETE,
            "/v1/subscriptions/WH-EXAMPLE",
            "{}",
            "18dd14774e76962801f4c1838cacfb8e4ecfd13f58fc8a3d987fb6dae3974491",
        ),
        (
            Method::POST,
            "/v1/profile/sandbox",
            "{}",
            "05012ce3dfbb3eb4ebef95aeac4eaf6238e1a96cf0df15f616c9de3be927c436",
        ),
    ] {
        assert_eq!(signature(&verb, target, body), expected, "{verb} {target} {body}");
    }
}

#[test]
fn a_signature_covers_utf_8_and_not_a_lossy_ascii_form() {
    let body = r#"{"accountName":"Café Zoë"}"#;
    let signature = signature(&Method::POST, "/v1/direct-debit/bank-account/", body);
    assert_eq!(signature, "238388f3d40ba6ca2ced6c968f23784c6bc11ffe2397b46c533cbecb8e8bded1");
    assert_ne!(signature, "5b9f82ad9816a986c5ee7caf88165ac5eae877274323ab592372ae5e5b8e7387");
}

#[test]
fn a_success_needs_no_ok() {
    for body in [
        r#"{"ok":true}"#,
        r#"{"info":[]}"#,
        r#"{"ok":null}"#,
        r#"{"ok":"true"}"#,
        r#"{"ok":1}"#,
        r#"{"ok":[]}"#,
        r#"{"ok":"yes"}"#,
        r#"{"ok":true,"errors":[]}"#,
        r#"{"ok":true,"errors":null}"#,
        r#"{"ok":true,"errors":{"a":1}}"#,
        "[]",
        r#"[{"ok":false}]"#,
        "[false]",
        "",
        "<html>",
    ] {
        assert_eq!(failure(200, body), None, "{body}");
    }
}

#[test]
fn a_failure_may_come_as_a_success() {
    for body in [
        r#"{"ok":false}"#,
        r#"{"ok":"false"}"#,
        r#"{"ok":"False"}"#,
        r#"{"ok":0}"#,
        r#"{"ok":false,"ok":false}"#,
        r#"{"errors":[{"code":"never_seen"}]}"#,
        r#"{"ok":true,"errors":[{"code":"never_seen"}]}"#,
        r#"{"ok":null,"errors":[7]}"#,
    ] {
        let failed = failure(200, body).unwrap_or_else(|| panic!("{body} is a failure"));
        // Not what HTTP calls a status: its caller is told INTERNAL, and nothing proven.
        assert_eq!(failed.meaning, Some(Meaning::Internal), "{body}");
    }
    let coded = r#"{"ok":true,"errors":[{"code":"never_seen"},{"code":"duplicate"}]}"#;
    assert_eq!(failure(201, coded).unwrap().meaning, Some(Meaning::AlreadyExists));
}

#[test]
fn a_failure_with_a_code_that_is_not_known_leaves_its_meaning_to_its_status() {
    let body = r#"{"ok":false,"errors":[{"code":"never_seen"}]}"#;
    assert_eq!(failure(409, body).unwrap().meaning, None);
}

#[test]
fn not_ok_is_a_failure_whatever_the_status() {
    let body = r#"{"ok":false,"errors":[{"code":"invalid_status","message":"Cannot do that"}]}"#;
    let failed = failure(200, body).unwrap();
    assert_eq!(failed.status, status(200));
    assert_eq!(failed.meaning, Some(Meaning::FailedPrecondition));
    assert_eq!(failed.code.as_deref(), Some("invalid_status"));
    assert_eq!(failed.message.as_deref(), Some("Cannot do that"));
}

#[test]
fn codes_have_their_meanings() {
    for (code, expected) in [
        ("invalid_field", Some(Meaning::InvalidArgument)),
        ("empty_field", Some(Meaning::InvalidArgument)),
        ("not_found", Some(Meaning::NotFound)),
        ("invalid_api_key", Some(Meaning::Unauthenticated)),
        ("not_authorized", Some(Meaning::PermissionDenied)),
        ("invalid_status", Some(Meaning::FailedPrecondition)),
        ("expired_quote", Some(Meaning::FailedPrecondition)),
        ("non_sufficient_funds", Some(Meaning::FailedPrecondition)),
        ("duplicate", Some(Meaning::AlreadyExists)),
        ("rate_limit_exceeded", Some(Meaning::RateLimited)),
        ("internal_server_error", Some(Meaning::Internal)),
        ("partner_integration_error", None),
        ("never_seen", None),
    ] {
        let body = format!(r#"{{"ok":false,"errors":[{{"code":"{code}"}}]}}"#);
        // A wrong parameter of a sandbox deletion comes with 403: the code decides.
        assert_eq!(failure(403, &body).unwrap().meaning, expected, "{code}");
    }
}

#[test]
fn fields_are_told_one_by_one_and_bounded() {
    let body = r#"{"ok":false,"errors":[
        {"code":"invalid_field","message":"Value is invalid","field":"batchId"},
        {"code":"invalid_field","message":"Value is invalid","field":"recipient"},
        {"code":"empty_field"}, 7, null]}"#;
    let fields = failure(400, body).unwrap().fields;
    let names: Vec<_> = fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(names, ["batchId", "recipient"]);

    let entry = format!(r#"{{"code":"{0}","message":"{0}","field":"{0}"}}"#, "x".repeat(900));
    let many = vec![entry; 80].join(",");
    let failed = failure(400, &format!(r#"{{"ok":false,"errors":[{many}]}}"#)).unwrap();
    assert_eq!(failed.fields.len(), MAX_FIELDS);
    assert_eq!(failed.code.unwrap().len(), MAX_CODE);
    assert_eq!(failed.message.unwrap().len(), MAX_MESSAGE);
    assert!(failed.fields.iter().all(|f| f.field.len() == 128 && f.message.len() == 512));
}

#[test]
fn a_body_that_is_no_envelope_leaves_the_status() {
    let deep = "[".repeat(10_000);
    for body in ["", "<html>Bad gateway</html>", "null", "[1]", r#"{"errors":{"a":1}}"#, &deep] {
        let failed = failure(502, body).unwrap();
        assert_eq!((failed.meaning, failed.code, failed.message), (None, None, None), "{body:.20}");
    }
}

#[test]
fn a_429_tells_when_its_window_ends() {
    let now = Timestamp::from_second(1_709_586_704).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(LIMIT_RESET, HeaderValue::from_static("1709586741"));
    assert_eq!(Trolley.retry_after(status(429), &headers, now), Some(Duration::from_secs(37)));
    assert_eq!(Trolley.retry_after(status(503), &headers, now), None);
    // The gateway's clock is 30 s behind, then an hour.
    headers.insert(header::DATE, HeaderValue::from_static("Mon, 04 Mar 2024 21:12:14 GMT"));
    assert_eq!(Trolley.retry_after(status(429), &headers, now), Some(Duration::from_secs(7)));
    headers.remove(header::DATE);
    let hour = Duration::from_secs(3600);
    assert_eq!(Trolley.retry_after(status(429), &headers, now - hour), Some(WINDOW));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    assert_eq!(Trolley.retry_after(status(429), &headers, now), Some(Duration::from_secs(5)));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("never"));
    headers.insert(LIMIT_RESET, HeaderValue::from_static("99999999999999999"));
    assert_eq!(Trolley.retry_after(status(429), &headers, now), None);
}

/// The account and the two halves of the key that a reply to a creation shows.
fn issued(reply: &str) -> Result<Option<[String; 3]>, Unkeepable> {
    let change = Trolley.key_change(AccountKey::Issued, b"{}", reply.as_bytes())?;
    Ok(change.map(|change| match change {
        KeyChange::Issued { account, access_key, secret_key } => {
            let [access_key, secret_key] =
                [access_key, secret_key].map(|key| key.expose_secret().to_owned());
            [account, access_key, secret_key]
        }
        KeyChange::Deleted { .. } => panic!("a creation deletes nothing"),
    }))
}

#[test]
fn s14_a_key_shown_once_is_taken_from_every_form_of_the_reply() {
    for (reply, id) in [
        (r#"{"ok":true,"merchant":{"id":"M-1","accessKey":"AL1","secretKey":"s1"}}"#, "M-1"),
        (r#"{"id":"M-1","accessKey":"AL1","secretKey":"s1"}"#, "M-1"),
        (r#"{"merchant":{"id":17,"accessKey":"AL1","secretKey":"s1"},"id":"other"}"#, "17"),
        (r#"{"merchant":{"id":"M-1","accessKey":null},"accessKey":"AL1","secretKey":"s1"}"#, "M-1"),
        (r#"{"merchant":null,"id":17,"accessKey":"AL1","secretKey":"s1"}"#, "17"),
    ] {
        assert_eq!(issued(reply), Ok(Some([id, "AL1", "s1"].map(str::to_owned))), "{reply}");
    }
}

#[test]
fn a_reply_that_shows_no_key_changes_none() {
    for reply in [
        r#"{"ok":true,"merchant":{"id":"M-1"}}"#,
        r#"{"ok":true,"merchant":{"id":"M-1","accessKey":null,"secretKey":null}}"#,
    ] {
        assert_eq!(issued(reply), Ok(None), "{reply}");
    }
}

#[test]
fn s14_a_key_that_cannot_be_kept_is_told() {
    for reply in [
        r#"{"merchant":{"accessKey":"AL1","secretKey":"s1"}}"#,
        r#"{"merchant":{"id":"","accessKey":"AL1","secretKey":"s1"}}"#,
        r#"{"merchant":{"id":{},"accessKey":"AL1","secretKey":"s1"}}"#,
        r#"{"merchant":{"id":"M-1","accessKey":"AL1"}}"#,
        r#"{"merchant":{"id":"M-1","secretKey":"s1"}}"#,
        r#"{"merchant":{"id":"M-1","accessKey":"","secretKey":"s1"}}"#,
        r#"{"merchant":{"id":"M-1","accessKey":"A\nL","secretKey":"s1"}}"#,
        r#"{"merchant":{"id":"M-1","accessKey":"AL1","secretKey":7}}"#,
        r#"{"merchant":{"id":"M\u0000","accessKey":"AL1","secretKey":"s1"}}"#,
        r#"{"ok":true,"merchant":{}}"#,
        "{}",
        "[]",
        "<html>",
        "",
    ] {
        assert_eq!(issued(reply), Err(Unkeepable), "{reply}");
    }
}

#[test]
fn the_keys_of_a_deleted_sandbox_are_dropped() {
    for (request, id) in [
        (r#"{"id":"M-1"}"#, Some("M-1")),
        (r#"{"id":17}"#, Some("17")),
        (r#"{"merchant":{"id":"M-1"}}"#, Some("M-1")),
        ("{}", None),
        ("", None),
    ] {
        let change = Trolley.key_change(AccountKey::Deleted, request.as_bytes(), b"").unwrap();
        let account = change.map(|change| match change {
            KeyChange::Deleted { account } => account,
            KeyChange::Issued { .. } => panic!("a deletion issues nothing"),
        });
        assert_eq!(account.as_deref(), id, "{request}");
    }
}

proptest! {
    #[test]
    fn no_body_panics(code in 100_u16..1000, body in any::<Vec<u8>>()) {
        let _ = Trolley.failure(status(code), &HeaderMap::new(), &body);
        let _ = Trolley.key_change(AccountKey::Issued, &body, &body);
        let _ = Trolley.key_change(AccountKey::Deleted, &body, &body);
    }

    #[test]
    fn no_limit_header_panics(value in "[ -~]{0,30}") {
        let mut headers = HeaderMap::new();
        headers.insert(LIMIT_RESET, HeaderValue::from_str(&value).unwrap());
        let _ = Trolley.retry_after(status(429), &headers, Timestamp::UNIX_EPOCH);
    }
}

#[test]
fn r12_every_answer_tells_what_is_left_of_the_window() {
    let said = |lines: &[(&'static str, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.insert(*name, value.parse().unwrap());
        }
        let quota = Trolley.quota(&headers, Timestamp::from_second(1_792_567_620).unwrap())?;
        Some((quota.remaining, quota.limit, quota.reset.as_secs()))
    };
    let (limit, left) = (("x-rate-limit-limit", "600"), ("x-rate-limit-remaining", "599"));
    let reset = |epoch| ("x-rate-limit-reset", epoch);
    assert_eq!(said(&[limit, left, reset("1792567680")]), Some((599, Some(600), 60)));
    let date = ("date", "Wed, 21 Oct 2026 07:27:50 GMT");
    assert_eq!(said(&[limit, left, reset("1792567680"), date]), Some((599, Some(600), 10)));
    // A clock that is slow makes no window longer.
    assert_eq!(said(&[limit, left, reset("1792567900")]), Some((599, Some(600), 60)));
    assert_eq!(said(&[limit, left, reset("1792567000")]), Some((599, Some(600), 0)));
    for reset in [reset("soon"), reset("-1"), ("x-other", "1")] {
        assert_eq!(said(&[limit, left, reset]), None);
    }
    assert_eq!(said(&[limit, reset("1792567680")]), None);
}

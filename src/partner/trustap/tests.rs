use proptest::prelude::*;

use super::*;

fn failure(code: u16, body: &str) -> Option<PartnerFailure> {
    let status = StatusCode::from_u16(code).unwrap();
    Trustap.failure(status, &HeaderMap::new(), body.as_bytes())
}

#[test]
fn the_status_alone_tells_success() {
    for (code, body) in [(200, r#"{"code":"already_paid"}"#), (201, "[]"), (204, "")] {
        assert_eq!(failure(code, body), None, "{code}");
    }
    assert!(failure(404, "").is_some());
}

#[test]
fn both_forms_of_an_error_are_read() {
    for (body, code, message) in [
        (
            r#"{"code":"already_paid","error":"It is paid"}"#,
            Some("already_paid"),
            Some("It is paid"),
        ),
        (r#"{"code":"not_found","message":"No such"}"#, Some("not_found"), Some("No such")),
        (r#"{"code":"x","error":"a","message":"b","context":{}}"#, Some("x"), Some("a")),
        (r#"{"error":"active country not set"}"#, None, Some("active country not set")),
        (r#"{"code":{"n":1},"error":["x"]}"#, None, None),
        (r#""forbidden""#, None, None),
        ("<html>", None, None),
        ("", None, None),
    ] {
        let failed = failure(400, body).unwrap();
        let told = (failed.code.as_deref(), failed.message.as_deref());
        assert_eq!(told, (code, message), "{body}");
    }
}

#[test]
fn a_conflict_of_state_is_one_though_it_comes_as_a_400() {
    let failed = failure(400, r#"{"code":"already_cancelled","error":"no"}"#).unwrap();
    assert_eq!(failed.meaning, Some(Meaning::FailedPrecondition));
    assert!(failed.fields.is_empty());
}

#[test]
fn a_code_about_a_field_names_it() {
    let failed = failure(400, r#"{"code":"invalid_country_code","error":"no"}"#).unwrap();
    let field = FieldFailure {
        field: "country_code".to_owned(),
        code: "invalid_country_code".to_owned(),
        message: "no".to_owned(),
        is_inferred: true,
    };
    assert_eq!(failed.meaning, Some(Meaning::InvalidArgument));
    assert_eq!(failed.fields.first(), Some(&field));
}

proptest! {
    #[test]
    fn no_body_panics(code in 100_u16..1000, body in any::<Vec<u8>>()) {
        let status = StatusCode::from_u16(code).unwrap();
        let _ = Trustap.failure(status, &HeaderMap::new(), &body);
    }

    #[test]
    fn no_code_panics(code in ".{0,200}") {
        let body = serde_json::json!({"code": code, "error": code}).to_string();
        let failed = failure(400, &body).unwrap();
        prop_assert!(failed.code.is_none_or(|code| code.chars().count() <= MAX_CODE));
    }
}

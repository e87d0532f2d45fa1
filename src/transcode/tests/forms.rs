//! Forms that few contracts need: lists in one query parameter, lists with nulls,
//! objects of any shape, and the user for whom a call acts.

use serde_json::json;

use super::contract::{body_of, read_all, refusal, send, violations};

#[test]
fn a_comma_list_is_one_parameter_whose_elements_are_encoded() {
    for (message, query) in [
        (r#"{"ids":["1"]}"#, "?ids=1"),
        (r#"{"ids":["1","2","3"]}"#, "?ids=1,2,3"),
        (r#"{"ids":["a,b","","é&=","+"]}"#, "?ids=a%2Cb,,%C3%A9%26%3D,%2B"),
        (r#"{"numbers":["7","-7"],"plain":["x","y"]}"#, "?number%5B%5D=7,-7&plain=x&plain=y"),
        (r#"{"ids":[""]}"#, "?ids="),
        (r#"{"ids":[]}"#, ""),
        ("{}", ""),
    ] {
        let target = send("BatchGetThings", message).unwrap().target;
        assert_eq!(target, format!("/batch{query}"), "{message}");
    }
}

#[test]
fn a_user_is_the_header_and_the_account() {
    let user = "1-6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    let request = send("BatchGetThings", &format!("{{\"userId\":\"{user}\"}}")).unwrap();
    assert_eq!(request.headers["x-user"], user);
    assert_eq!(request.account.as_deref(), Some(user));
    assert_eq!(request.target, "/batch");
    for nobody in ["{}", r#"{"userId":""}"#] {
        let request = send("BatchGetThings", nobody).unwrap();
        assert!(request.headers.is_empty() && request.account.is_none(), "{nobody}");
    }
}

/// S8
#[test]
fn a_user_that_no_header_can_name_is_refused() {
    for user in ["a\\nb", " a", "a ", "é", "a\\u0000"] {
        let message = format!("{{\"userId\":\"{user}\"}}");
        let expected = [("user_id".to_owned(), "HEADER_VALUE")];
        assert_eq!(violations("BatchGetThings", &message), expected, "{user}");
    }
}

#[test]
fn nulls_of_a_nullable_list_keep_their_places() {
    let first = json!({ "thing": { "id": "1", "amount": 5 } });
    let unknown = json!({ "thing": { "id": "2", "additionalFields": { "new": "x" } } });
    for (answer, things, drift) in [
        (r#"[{"id":"1","amount":5}]"#, json!([first]), 0),
        (r#"[null,{"id":"1","amount":5},null]"#, json!([{}, first, {}]), 0),
        (r#"{"things":[null,{"id":"2","new":"x"}]}"#, json!([{}, unknown]), 1),
        // A double that the fast reading leaves to the careful one.
        (
            r#"[null,{"id":"3","rate":0.5}]"#,
            json!([{}, { "thing": { "id": "3", "rate": 0.5 } }]),
            0,
        ),
        ("[null]", json!([{}]), 0),
        ("[{}]", json!([{ "thing": {} }]), 0),
    ] {
        assert_eq!(
            read_all("BatchGetThings", answer),
            (json!({ "things": things }), drift),
            "{answer}"
        );
    }
    assert_eq!(read_all("BatchGetThings", "[]"), (json!({}), 0));
}

/// S13
#[test]
fn an_element_that_is_neither_object_nor_null_keeps_the_list() {
    let (read, drift) = read_all("BatchGetThings", r#"[null,7,{"id":"1"}]"#);
    let things = json!([{}, { "thing": { "id": "1" } }]);
    let kept = json!({ "things": [null, 7.0, { "id": "1" }] });
    assert_eq!((read, drift), (json!({ "things": things, "additionalFields": kept }), 1));
}

#[test]
fn an_object_of_any_shape_is_the_whole_body() {
    let metadata = r#"{"a":[1,{"b":null}],"metadata":"x","é":true}"#;
    let body = body_of("SetMetadata", &format!("{{\"id\":\"1\",\"metadata\":{metadata}}}"));
    let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(sent, serde_json::from_str::<serde_json::Value>(metadata).unwrap());
    assert_eq!(body_of("SetMetadata", r#"{"id":"1","metadata":{}}"#), "{}");
    let missing = [("metadata".to_owned(), "REQUIRED")];
    assert_eq!(violations("SetMetadata", r#"{"id":"1"}"#), missing);
}

#[test]
fn an_object_of_any_shape_is_the_whole_reply() {
    for (answer, metadata) in [
        (
            r#"{"a":[1,{"b":null}],"metadata":"x"}"#,
            json!({ "a": [1.0, { "b": null }], "metadata": "x" }),
        ),
        // As additional fields are kept: a number that no double holds is its text.
        (r#"{"n":12345678901234567890123}"#, json!({ "n": "12345678901234567890123" })),
        (r#" {"additional_fields":{"x":1}} "#, json!({ "additional_fields": { "x": 1.0 } })),
        (r#"{"\ud800":"\ud800"}"#, json!({ "\u{fffd}": "\u{fffd}" })),
        ("{}", json!({})),
    ] {
        let expected = json!({ "metadata": metadata });
        assert_eq!(read_all("SetMetadata", answer), (expected, 0), "{answer}");
    }
}

#[test]
fn what_is_no_object_is_no_reply_of_any_shape() {
    for answer in ["[]", "[{}]", "null", "1", "\"x\"", "{", r#"{"a":1"#, r#"{"a":1}}"#, ""] {
        assert!(refusal("SetMetadata", answer).is_some(), "{answer}");
    }
}

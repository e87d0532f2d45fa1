//! Answers as partners wrap them.

use prost_reflect::DynamicMessage;
use serde_json::json;

use crate::transcode::reply;

use super::contract::{self, operation, proto_json, read, read_all, refusal};

#[test]
fn a_resource_may_be_wrapped_or_not() {
    let expected = json!({ "id": "1", "name": "n", "additionalFields": { "new": true } });
    for answer in [
        r#"{"ok":true,"thing":{"id":"1","name":"n","new":true}}"#,
        r#"{"thing":{"id":"1","name":"n","new":true},"meta":{"page":1},"ok":"yes"}"#,
        r#"{"ok":true,"id":"1","name":"n","new":true}"#,
        r#"{"id":"1","thing":{"name":"n"},"new":true}"#,
    ] {
        assert_eq!(read_all("CreateThing", answer), (expected.clone(), 1), "{answer}");
    }
}

#[test]
fn what_stands_beside_a_wrapped_resource_is_kept() {
    let (read, drift) =
        read_all("CreateThing", r#"{"thing":{"id":"1","rate":"x"},"warnings":["w"]}"#);
    let expected = json!({ "id": "1", "additionalFields": { "warnings": ["w"], "rate": "x" } });
    assert_eq!((read, drift), (expected, 2));
}

#[test]
fn a_wrapper_that_holds_no_object_is_kept() {
    for (json, kept) in [("[]", json!([])), ("\"x\"", json!("x")), ("12.10", json!(12.1))] {
        let read = read("CreateThing", &format!("{{\"ok\":true,\"thing\":{json}}}"));
        assert_eq!(read, json!({ "additionalFields": { "thing": kept } }));
    }
}

/// An answer to nothing proves nothing: a create that says no more than `ok` may not
/// pass for one.
#[test]
fn an_answer_that_says_nothing_of_the_resource_is_unreadable() {
    for answer in ["{}", r#"{"ok":true}"#, r#"{"ok":true,"thing":null}"#, r#"{"thing":{}}"#] {
        let refused = reply(operation("CreateThing"), answer.as_bytes(), &[]);
        assert!(refused.unwrap_err().to_string().contains("says nothing"), "{answer}");
    }
    for answer in [r#"{"id":"1"}"#, r#"{"thing":{"id":"1"}}"#, r#"{"unheard":1}"#] {
        reply(operation("CreateThing"), answer.as_bytes(), &[]).unwrap();
    }
    reply(operation("SetThing"), b"{}", &[]).unwrap();
}

/// Only the outermost object is an envelope.
#[test]
fn the_envelopes_names_mean_nothing_deeper() {
    let answer =
        r#"{"ok":true,"thing":{"id":"1","ok":false,"thing":{"id":"2"},"items":[{"ok":1}]}}"#;
    let expected = json!({
        "id": "1",
        "items": [{ "additionalFields": { "ok": 1.0 } }],
        "additionalFields": { "ok": false, "thing": { "id": "2" } },
    });
    assert_eq!(read("CreateThing", answer), expected);
    assert_eq!(read("GetThing", r#"{"ok":true}"#), json!({ "additionalFields": { "ok": true } }));
}

#[test]
fn a_list_may_be_bare_or_wrapped() {
    let expected = json!({ "things": [{ "id": "1" }, { "id": "2" }] });
    assert_eq!(read("ListThings", r#"[{"id":"1"},{"id":"2"}]"#), expected);
    assert_eq!(read("ListThings", r#"{"items":[{"id":"1"},{"id":"2"}]}"#), expected);
    assert_eq!(read("ListThings", "[]"), json!({}));
    assert_eq!(
        read("ListThings", r#"{"items":[{"id":"1"}],"more":true,"next":"x"}"#),
        json!({ "things": [{ "id": "1" }], "more": true, "additionalFields": { "next": "x" } })
    );
    assert_eq!(read("SetLabels", r#"["a","b"]"#), json!({ "labels": ["a", "b"] }));
    assert!(refusal("CreateThing", "[]").is_some());
}

#[test]
fn a_bare_list_with_a_misfit_is_kept_whole() {
    let expected = json!({
        "things": [{ "id": "1" }],
        "additionalFields": { "items": [{ "id": "1" }, 5.0] },
    });
    assert_eq!(read_all("ListThings", r#" [{"id":"1"},5] "#), (expected, 1));
    let expected =
        json!({ "labels": ["a", "1"], "additionalFields": { "labels": ["a", 1.0, null] } });
    assert_eq!(read_all("SetLabels", r#"["a",1,null]"#), (expected, 1));
}

/// What the partner does not repeat is taken from the request; what it says wins.
#[test]
fn an_echo_stands_until_the_partner_speaks() {
    let request = contract::send("GetThing", r#"{"id":"a/b","reference":"r"}"#).unwrap();
    let read = |answer: &str| {
        let decoded = reply(operation("GetThing"), answer.as_bytes(), &request.echo).unwrap();
        let output = contract::test().method(operation("GetThing")).output();
        proto_json(&DynamicMessage::decode(output, decoded.message.as_slice()).unwrap())
    };
    assert_eq!(read("{}"), json!({ "id": "a/b", "reference": "r" }));
    assert_eq!(read(r#"{"id":"c"}"#), json!({ "id": "c", "reference": "r" }));
    assert_eq!(read(r#"{"id":"","reference":5}"#), json!({ "reference": "5" }));
    assert_eq!(
        read(r#"{"id":null}"#),
        json!({ "id": "a/b", "reference": "r", "additionalFields": { "id": null } })
    );
    // After a second reading too.
    assert_eq!(
        read(r#"{"tags":[1,{}]}"#),
        json!({ "id": "a/b", "reference": "r", "tags": ["1"], "additionalFields": { "tags": [1.0, {}] } })
    );
}

#[test]
fn a_name_is_found_however_it_is_spelled_in_json() {
    let expected = json!({ "oddName": "1", "snakeName": "2", "JSONNamed": "3", "farAway": "4" });
    for answer in [
        r#"{"$odd \"name\"\\/é":"1","snake_name":"2","JSONNamed":"3","farAway":"4"}"#,
        r#"{"\u0024odd \u0022name\u0022\u005c\/\u00e9":"1","\u0073nake_name":"2","JSONNamed":"3","farAway":"4"}"#,
    ] {
        assert_eq!(read("PutEverything", answer), expected);
    }
    // A field's proto name is not its name on the wire.
    assert_eq!(read_all("PutEverything", r#"{"string_optional":"x","snakeName":1}"#).1, 2);
}

#[test]
fn a_decoded_reply_shows_sizes_only() {
    let decoded = reply(operation("GetThing"), br#"{"id":"secret"}"#, &[]).unwrap();
    assert_eq!(format!("{decoded:?}"), "8 bytes, drift 0");
}

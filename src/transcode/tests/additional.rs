//! What a request may add to its contract, and what not.

use super::contract::{body_of, violations};

fn refused(members: &str) -> Vec<(String, &'static str)> {
    violations("PutEverything", &format!("{{{members}}}"))
}

fn is_refused(members: &str, key: &str) {
    let expected = [(format!("additional_fields[{key:?}]"), "FIELD_OF_CONTRACT")];
    assert_eq!(refused(members), expected, "{members}");
}

#[test]
fn unknown_members_are_merged_at_every_level() {
    let message = r#"{"stringOptional":"a","inner":{"id":"1","additionalFields":{"deep":[1,null,{"x":"y"}]}},
        "additionalFields":{"new":{"a":1.5}}}"#;
    let expected =
        r#"{"stringOptional":"a","inner":{"id":"1","deep":[1,null,{"x":"y"}]},"new":{"a":1.5}}"#;
    assert_eq!(body_of("PutEverything", message), expected);
}

#[test]
fn a_field_of_the_contract_cannot_be_set_twice() {
    for (key, value) in [
        ("stringOptional", "\"a\""),
        ("string_optional", "\"a\""),
        ("int64Optional", "5"),
        ("inner", "{}"),
        ("stringList", "[\"a\"]"),
        ("snake_name", "\"a\""),
        ("snakeName", "null"),
        ("channelOptional", "\"*\""),
        ("channelList", "[\"*\"]"),
        ("boolOptional", "true"),
        ("stringImplicit", "null"),
        ("struct", "{}"),
        ("stringMap", "{}"),
        ("stringMap", "null"),
        ("stringList", "null"),
        ("channelOptional", "5"),
        ("string_list", "[]"),
        ("channel_optional", "\"new\""),
        ("string_optional", "null"),
        ("channelList", "[1]"),
    ] {
        let members = format!("\"additionalFields\":{{\"{key}\":{value}}}");
        if key == "snakeName" {
            // Not a name of this field: neither its proto name nor its wire name.
            assert_eq!(
                body_of("PutEverything", &format!("{{{members}}}")),
                r#"{"snakeName":null}"#
            );
        } else {
            is_refused(&members, key);
        }
    }
}

/// Text that the enum does not know, null where absence is told, an empty list.
#[test]
fn what_a_field_cannot_say_may_be_added() {
    for (key, value) in [
        ("channelOptional", "\"new\""),
        ("channelImplicit", "\"new\""),
        ("channelList", "[\"*\",\"new\"]"),
        ("channelList", "[]"),
        ("stringList", "[]"),
        ("innerList", "[]"),
        ("stringOptional", "null"),
        ("inner", "null"),
        ("time", "null"),
        ("channelOptional", "null"),
    ] {
        let message = format!("{{\"additionalFields\":{{\"{key}\":{value}}}}}");
        assert_eq!(body_of("PutEverything", &message), format!("{{\"{key}\":{value}}}"));
    }
}

#[test]
fn nothing_is_added_to_a_field_that_is_set() {
    for (field, key, value) in [
        (r#""channelOptional":"CHANNEL_ANY""#, "channelOptional", "\"new\""),
        (r#""channelList":["CHANNEL_ANY"]"#, "channelList", "[\"new\"]"),
        (r#""stringOptional":"""#, "stringOptional", "null"),
        (r#""stringList":["a"]"#, "stringList", "[]"),
        (r#""inner":{}"#, "inner", "null"),
    ] {
        is_refused(&format!("{field},\"additionalFields\":{{\"{key}\":{value}}}"), key);
    }
}

/// A body field's entry must not name what goes elsewhere either.
#[test]
fn fields_of_other_places_cannot_be_added() {
    for key in ["dryRun", "userId", "user_id", "requestId", "request_id"] {
        let message = format!("{{\"thing\":{{}},\"additionalFields\":{{\"{key}\":\"a\"}}}}");
        let expected = [(format!("additional_fields[{key:?}]"), "FIELD_OF_CONTRACT")];
        assert_eq!(violations("CreateThing", &message), expected);
    }
}

#[test]
fn what_a_credential_writes_cannot_be_added() {
    for key in ["grant_type", "client_id", "client_secret"] {
        let message = format!("{{\"additionalFields\":{{\"{key}\":\"a\"}}}}");
        let expected = [(format!("additional_fields[{key:?}]"), "RESERVED")];
        assert_eq!(violations("PostForm", &message), expected);
    }
}

#[test]
fn a_form_takes_no_nested_values() {
    for value in ["null", "[]", "{}", "[\"a\"]"] {
        let message = format!("{{\"additionalFields\":{{\"k\":{value}}}}}");
        let expected = [("additional_fields[\"k\"]".to_owned(), "FORM_VALUE")];
        assert_eq!(violations("PostForm", &message), expected);
    }
}

#[test]
fn an_added_value_is_finite_and_of_bounded_depth() {
    use super::contract::{self, operation, send};
    use prost::Message as _;

    let deep = |depth: usize| {
        let value = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        send("PutEverything", &format!("{{\"additionalFields\":{{\"k\":{value}}}}}"))
    };
    assert!(deep(30).is_ok());
    // Deeper than ProtoJSON readers go, so its bytes are made by hand: a Value is a list
    // (field 6) of values (field 1).
    let mut value = vec![0x20, 1];
    for _ in 0..80 {
        let mut list = Vec::new();
        prost::encoding::bytes::encode(1, &value, &mut list);
        value.clear();
        prost::encoding::bytes::encode(6, &list, &mut value);
    }
    let mut not_finite = vec![0x11];
    not_finite.extend(f64::NAN.to_le_bytes());
    for value in [value, not_finite, vec![0x2A, 1, 0xFF], vec![0x1A, 1, 0xFF], vec![0x38, 1]] {
        let mut entry = vec![0x0A, 1, b'k'];
        prost::encoding::bytes::encode(2, &value, &mut entry);
        let mut additional = Vec::new();
        prost::encoding::bytes::encode(1, &entry, &mut additional);
        let mut message = Vec::new();
        prost::encoding::bytes::encode(1000, &additional, &mut message);
        let found = crate::transcode::request(operation("PutEverything"), &message).unwrap_err();
        assert_eq!(
            (found[0].field.as_str(), found[0].reason),
            ("additional_fields[\"k\"]", "JSON_VALUE")
        );
    }
    let empty =
        contract::message(contract::test().method(operation("PutEverything")).input(), "{}");
    assert!(empty.encode_to_vec().is_empty());
}

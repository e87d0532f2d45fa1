//! The rules of a request: each kind, where it is broken, and all of them at once.

use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};

use crate::transcode::request;

use super::contract::{self, operation, send, violations};

/// A request that breaks no rule, but for what is put into it.
fn broken(members: &str) -> Vec<(String, &'static str)> {
    let valid = r#""requiredText":"t","requiredItem":{},"requiredChannel":"CHANNEL_ANY","notIgnored":"x",
        "said":"CHANNEL_ANY""#;
    let few = if members.contains("\"few\"") { "" } else { r#","few":["a"]"# };
    let message = format!("{{{valid}{few}{}{members}}}", if members.is_empty() { "" } else { "," });
    match send("CheckRules", &message) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.into_iter().map(|v| (v.field, v.reason)).collect(),
    }
}

#[test]
fn each_rule_allows_what_it_says() {
    for members in [
        "",
        r#""min":"ab""#,
        r#""min":"éé""#,
        r#""max":"abc""#,
        r#""max":"😹😹😹""#,
        r#""max":"""#,
        r#""between":"ab""#,
        r#""between":"abc""#,
        r#""exact":"ab""#,
        r#""country":"IE""#,
        r#""word":"two""#,
        r#""uuid":"0191d5f3-6f4c-4b1f-9c57-2a4f6b0e8d11""#,
        r#""ignored":"""#,
        r#""ignored":"abcd""#,
        r#""defined":"CHANNEL_NEGATIVE""#,
        r#""positive":1"#,
        r#""positive":9007199254740993"#,
        r#""atLeast":-5"#,
        r#""below":9"#,
        r#""atMost":0.5"#,
        r#""atMost":-1e300"#,
        r#""few":["a","b"]"#,
        r#""channels":["CHANNEL_MANY"]"#,
    ] {
        assert_eq!(broken(members), [], "{members}");
    }
}

#[test]
fn each_rule_refuses_the_rest() {
    for (members, field, reason) in [
        (r#""min":"a""#, "min", "STRING_LENGTH"),
        (r#""min":"""#, "min", "STRING_LENGTH"),
        (r#""max":"abcd""#, "max", "STRING_LENGTH"),
        (r#""between":"a""#, "between", "STRING_LENGTH"),
        (r#""between":"abcd""#, "between", "STRING_LENGTH"),
        (r#""exact":"a""#, "exact", "STRING_LENGTH"),
        (r#""exact":"abc""#, "exact", "STRING_LENGTH"),
        (r#""country":"ie""#, "country", "STRING_PATTERN"),
        (r#""country":"IE\n""#, "country", "STRING_PATTERN"),
        (r#""country":"""#, "country", "STRING_PATTERN"),
        (r#""word":"three""#, "word", "STRING_IN"),
        (r#""uuid":"0191d5f36f4c4b1f9c572a4f6b0e8d11""#, "uuid", "STRING_PATTERN"),
        (r#""ignored":"abc""#, "ignored", "STRING_LENGTH"),
        (r#""defined":99"#, "defined", "ENUM_DEFINED_ONLY"),
        (r#""positive":0"#, "positive", "NUMBER_RANGE"),
        (r#""positive":-9223372036854775808"#, "positive", "NUMBER_RANGE"),
        (r#""atLeast":-6"#, "at_least", "NUMBER_RANGE"),
        (r#""below":10"#, "below", "NUMBER_RANGE"),
        (r#""below":18446744073709551615"#, "below", "NUMBER_RANGE"),
        (r#""atMost":0.50001"#, "at_most", "NUMBER_RANGE"),
        (r#""few":[]"#, "few", "LIST_LENGTH"),
        (r#""few":["a","b","c"]"#, "few", "LIST_LENGTH"),
        (r#""few":["a",""]"#, "few[1]", "STRING_LENGTH"),
        (r#""channels":["CHANNEL_ANY",99]"#, "channels[1]", "ENUM_DEFINED_ONLY"),
        (r#""channels":["CHANNEL_ANY","CHANNEL_UNSPECIFIED"]"#, "channels[1]", "ENUM_NOT_IN"),
    ] {
        assert!(
            broken(members).contains(&(field.to_owned(), reason)),
            "{members}: {:?}",
            broken(members)
        );
    }
    assert_eq!(
        violations("CheckRules", "{}"),
        [
            ("required_text", "REQUIRED"),
            ("required_item", "REQUIRED"),
            ("required_channel", "REQUIRED"),
            ("not_ignored", "STRING_LENGTH"),
            ("said", "ENUM_NOT_IN"),
            ("few", "LIST_LENGTH"),
        ]
        .map(|(field, reason)| (field.to_owned(), reason))
    );
}

#[test]
fn a_description_says_what_is_asked_and_not_what_was_given() {
    for (members, description) in [
        (r#""min":"a""#, "must have at least 2 characters"),
        (r#""max":"abcd""#, "must have at most 3 characters"),
        (r#""exact":"a""#, "must have exactly 2 characters"),
        (r#""word":"zzz""#, "must be one of one, two"),
        (r#""atLeast":-99"#, "must be at least -5"),
        (r#""below":99"#, "must be less than 10"),
    ] {
        let message = format!(
            r#"{{"requiredText":"t","requiredItem":{{}},"requiredChannel":"CHANNEL_ANY","notIgnored":"x","said":"CHANNEL_ANY","few":["a"],{members}}}"#
        );
        let found = send("CheckRules", &message).unwrap_err();
        let found: Vec<_> = found.iter().map(|v| v.description.as_str()).collect();
        assert_eq!(found, [description]);
    }
}

#[test]
fn everything_wrong_is_told_at_its_place() {
    let message = r#"{
        "items": [{"amount": "1"}, {"amount": "-1", "rate": "NaN", "items": [{"amount": "-2"}]}],
        "itemsByName": {"a.b": {"amount": "-3"}, "c": {"channel": 99}},
        "userId": "é", "requestId": "x",
        "additionalFields": {"thing": {}}
    }"#;
    let mut found = violations("CreateThing", message);
    found.sort();
    let expected = [
        ("additional_fields[\"thing\"]", "FIELD_OF_CONTRACT"),
        ("items[1].amount", "NUMBER_RANGE"),
        ("items[1].items[0].amount", "NUMBER_RANGE"),
        ("items[1].rate", "FINITE"),
        ("items_by_name[\"a.b\"].amount", "NUMBER_RANGE"),
        ("items_by_name[\"c\"].channel", "ENUM_DEFINED_ONLY"),
        ("request_id", "STRING_PATTERN"),
        ("thing", "REQUIRED"),
        ("user_id", "HEADER_VALUE"),
    ];
    assert_eq!(found, expected.map(|(field, reason)| (field.to_owned(), reason)));
}

#[test]
fn a_value_without_a_form_is_refused() {
    for (members, field, reason) in [
        (r#""doubleOptional":"NaN""#, "double_optional", "FINITE"),
        (r#""doubleList":["Infinity"]"#, "double_list[0]", "FINITE"),
        (r#""channelOptional":99"#, "channel_optional", "ENUM_DEFINED_ONLY"),
        (r#""channelList":["CHANNEL_UNSPECIFIED"]"#, "channel_list[0]", "ENUM_DEFINED_ONLY"),
        (r#""channelMap":{"k":99}"#, "channel_map[\"k\"]", "ENUM_DEFINED_ONLY"),
        (r#""amount":"twelve""#, "amount", "NUMBER"),
        (r#""amount":"""#, "amount", "NUMBER"),
        (r#""amount":"1,5""#, "amount", "NUMBER"),
        (r#""amount":"1}""#, "amount", "NUMBER"),
        (r#""amount":" 1""#, "amount", "NUMBER"),
        (r#""amount":"01""#, "amount", "NUMBER"),
        (r#""amountList":["1","x"]"#, "amount_list[1]", "NUMBER"),
        (r#""self":{"selfMap":{"k":{"amount":"x"}}}"#, "self.self_map[\"k\"].amount", "NUMBER"),
    ] {
        let found = violations("PutEverything", &format!("{{{members}}}"));
        assert_eq!(found, [(field.to_owned(), reason)], "{members}");
    }
}

/// Sends a message made field by field, for what ProtoJSON cannot say.
fn send_bytes(name: &str, bytes: &[u8]) -> Vec<(String, &'static str)> {
    let violations = request(operation(name), bytes).expect_err("a violation");
    violations.into_iter().map(|v| (v.field, v.reason)).collect()
}

#[test]
fn a_time_outside_of_its_years_is_refused() {
    let input = contract::test().method(operation("PutEverything")).input();
    for (seconds, nanos) in
        [(-62_135_596_801, 0), (253_402_300_800, 0), (i64::MAX, 0), (0, -1), (0, 1_000_000_000)]
    {
        let mut message = DynamicMessage::new(input.clone());
        let prost_reflect::Kind::Message(time) = input.get_field_by_name("time").unwrap().kind()
        else {
            panic!("no message")
        };
        let mut value = DynamicMessage::new(time);
        value.set_field_by_name("seconds", Value::I64(seconds));
        value.set_field_by_name("nanos", Value::I32(nanos));
        message.set_field_by_name("time", Value::Message(value));
        let found = send_bytes("PutEverything", &message.encode_to_vec());
        assert_eq!(found, [("time".to_owned(), "TIMESTAMP_RANGE")], "{seconds} {nanos}");
    }
}

/// What a newer caller asks for is refused, not dropped.
#[test]
fn a_field_that_the_contract_does_not_know_is_refused() {
    let found = |bytes: &[u8]| send_bytes("CreateThing", bytes);
    let malformed = |path: &str| [(path.to_owned(), "MALFORMED")];
    assert_eq!(found(&[0xF8, 0x01, 1]), malformed(""));
    assert_eq!(found(&[0x0A, 3, 0xF8, 0x01, 1]), malformed("thing"));
    assert_eq!(found(&[0x0A, 0, 0x12, 3, 0xF8, 0x01, 1]), malformed("items[0]"));
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    for bytes in [
        &[0x0A][..],
        &[0x0A, 5, 1],
        &[0xFF],
        &[0x08, 1],
        &[0x0B],
        &[0x00, 1],
        &[0x0D, 1, 2],
        &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    ] {
        assert_eq!(send_bytes("CreateThing", bytes), [(String::new(), "MALFORMED")], "{bytes:?}");
    }
    // Text that is no UTF-8, wherever it goes: an account that fell silently to the
    // partner's own would sign for another.
    for (name, bytes, path) in [
        ("GetThing", &[0x0A, 1, 0xFF][..], "id"),
        ("GetThing", &[0x0A, 1, b'1', 0x1A, 1, 0xFF], "filter"),
        ("GetThing", &[0x0A, 1, b'1', 0x5A, 1, 0xFF], "submerchant_id"),
        ("GetThing", &[0x0A, 1, b'1', 0x62, 1, 0xFF], "trace"),
        ("CreateThing", &[0x0A, 3, 0x12, 1, 0xFF], "thing.name"),
        ("SetLabels", &[0x0A, 1, 0xFF], "labels[0]"),
    ] {
        assert!(send_bytes(name, bytes).contains(&(path.to_owned(), "MALFORMED")), "{path}");
    }
}

#[test]
fn a_long_key_is_cut_in_a_path() {
    let key = "k".repeat(500);
    let found = violations("PutEverything", &format!("{{\"channelMap\":{{\"{key}\":99}}}}"));
    assert_eq!(found, [(format!("channel_map[\"{}\"…]", "k".repeat(60)), "ENUM_DEFINED_ONLY")]);
}

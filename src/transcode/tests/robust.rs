//! S12, S13: whatever the bytes are, the transcoder answers; it never panics, and never
//! takes what is broken for a success.

use proptest::collection::vec;
use proptest::prelude::*;
use prost_reflect::DynamicMessage;

use crate::transcode::{is_unsafe_segment, reply, request};

use super::contract::{self, operation, refusal};

/// Bytes that look like JSON often enough to get far.
fn json_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[\\[\\]{}:,\" ]{1,3}",
        "\"(id|items|inner|self|selfList|time|value|structList|x)\":",
        "(true|false|null|0|-1|1e3|1\\.5|18446744073709551616)",
        "\"[a-z\\\\u0-9]{0,4}\"",
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_request_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        for (_, operation) in contract::all() {
            if let Ok(request) = request(operation, &bytes) {
                prop_assert!(request.target.is_ascii());
            }
        }
    }

    #[test]
    fn a_damaged_request_is_a_request_or_refused(
        entropy in vec(any::<u8>(), 0..600), at in any::<usize>(), with in any::<u8>(),
    ) {
        use prost::Message as _;
        let operation = operation("PutEverything");
        let input = contract::test().method(operation).input();
        let mut source = super::source::Source::new(&entropy);
        let mut bytes = super::generate::message(&input, &mut source, 0).encode_to_vec();
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = with;
            if let Ok(request) = request(operation, &bytes) {
                let body = request.body.unwrap().bytes;
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok());
            }
        }
    }

    #[test]
    fn any_bytes_are_a_reply_or_unreadable(bytes in vec(any::<u8>(), 0..400)) {
        for (_, operation) in contract::all() {
            let _ = reply(operation, &bytes, &[]);
        }
    }

    #[test]
    fn a_reply_that_is_read_is_json_and_decodes(json in json_like()) {
        for (contract, operation) in contract::all() {
            if let Ok(decoded) = reply(operation, json.as_bytes(), &[]) {
                prop_assert!(
                    json.trim().is_empty()
                        || serde_json::from_str::<&serde_json::value::RawValue>(json.trim()).is_ok()
                );
                let output = contract.method(operation).output();
                DynamicMessage::decode(output, decoded.message.as_slice()).unwrap();
            }
        }
    }

    /// S8
    #[test]
    fn no_identifier_leaves_its_segment(id in any::<String>()) {
        let message = serde_json::json!({ "id": id }).to_string();
        match contract::send("GetThing", &message) {
            Ok(request) => {
                let path = request.target.split('?').next().unwrap();
                let segments: Vec<_> = path.split('/').collect();
                prop_assert_eq!(segments.len(), 6);
                prop_assert_eq!((segments[1], segments[3], segments[5]), ("things", "parts", ""));
                prop_assert!(!is_unsafe_segment(segments[2]));
            }
            Err(violations) => prop_assert_eq!(violations[0].reason, "PATH_SEGMENT"),
        }
    }

    /// S9
    #[test]
    fn no_text_leaves_its_header(text in any::<String>()) {
        let message = serde_json::json!({ "id": "1", "trace": text }).to_string();
        match contract::send("GetThing", &message) {
            Ok(request) => {
                let value = request.headers["x-trace"].to_str().unwrap();
                prop_assert_eq!(value, text);
                prop_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)));
            }
            Err(violations) => prop_assert_eq!(violations[0].reason, "HEADER_VALUE"),
        }
    }
}

/// S12: 10,000 levels deep, wherever they stand.
#[test]
fn deep_json_is_kept_as_text_or_refused() {
    const DEPTH: usize = 10_000;
    let arrays = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(DEPTH), "}".repeat(DEPTH));
    for deep in [&arrays, &objects] {
        for name in
            ["unknown", "struct", "value", "list", "structList", "valueMap", "inner", "time"]
        {
            let answer = format!("{{\"{name}\":{deep}}}");
            let decoded = reply(operation("PutEverything"), answer.as_bytes(), &[]).unwrap();
            let output = contract::test().method(operation("PutEverything")).output();
            DynamicMessage::decode(output, decoded.message.as_slice()).unwrap();
        }
    }
    assert!(refusal("PutEverything", &arrays).is_some());
    assert_eq!(refusal("PutEverything", &objects), None);
}

/// S12: messages within messages, each way a contract can nest them.
#[test]
fn deep_messages_are_read_to_a_depth_that_every_client_reads() {
    for (open, close) in [
        (r#"{"self":"#, "}"),
        (r#"{"selfList":["#, "]}"),
        (r#"{"selfMap":{"k":"#, "}}"),
        (r#"{"self":{"selfList":[{"selfMap":{"k":"#, "}}]}}"),
    ] {
        for depth in [1, 5, 15, 16, 17, 40, 200, 10_000] {
            let deep = format!(
                r#"{}{{"stringOptional":"bottom","x":{{"y":[1]}}}}{}"#,
                open.repeat(depth),
                close.repeat(depth)
            );
            let decoded = reply(operation("PutEverything"), deep.as_bytes(), &[]).unwrap();
            let output = contract::test().method(operation("PutEverything")).output();
            DynamicMessage::decode(output, decoded.message.as_slice())
                .unwrap_or_else(|e| panic!("{open} {depth}: {e}"));
        }
    }
}

/// A caller's message is bounded in the same way.
#[test]
fn deep_requests_are_refused() {
    use prost::Message as _;
    use prost_reflect::Value;
    let operation = operation("PutEverything");
    let input = contract::test().method(operation).input();
    for (name, is_list) in [("self", false), ("self_list", true)] {
        let mut message = DynamicMessage::new(input.clone());
        for depth in 0..90 {
            let mut outer = DynamicMessage::new(input.clone());
            let inner = Value::Message(message);
            outer.set_field_by_name(name, if is_list { Value::List(vec![inner]) } else { inner });
            message = outer;
            let is_refused = request(operation, &message.encode_to_vec()).is_err();
            assert_eq!(is_refused, depth >= if is_list { 32 } else { 64 }, "{name} {depth}");
        }
    }
    let mut bytes = Vec::new();
    for _ in 0..20_000 {
        let mut outer = Vec::new();
        prost::encoding::bytes::encode(83, &bytes, &mut outer);
        bytes = outer;
    }
    assert!(request(operation, &bytes).is_err());
}

/// A long list of anything is read in time that grows with its length, not its square.
#[test]
fn many_entries_are_no_burden() {
    let entries: Vec<String> = (0..50_000).map(|i| format!("\"k{i}\":{i}")).collect();
    let object = format!("{{{}}}", entries.join(","));
    let message = format!(r#"{{"additionalFields":{object},"stringMap":{{}},"struct":{object}}}"#);
    assert!(contract::send("PutEverything", &message).is_ok());
    assert_eq!(refusal("PutEverything", &object), None);
    let bad = vec![r#"{"amount":"-1"}"#; 50_000].join(",");
    let message = format!(r#"{{"thing":{{}},"items":[{bad}]}}"#);
    assert_eq!(contract::send("CreateThing", &message).unwrap_err().len(), 100);
}

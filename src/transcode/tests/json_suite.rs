//! S13: what is not JSON is never read as a success. The cases follow the groups of
//! JSONTestSuite: `n_` must be refused, `y_` must be read, `i_` is for each reader to say.

use super::contract::{operation, read, refusal};
use crate::transcode::reply;

/// Values that are no JSON, each tried alone, as a known member, as an unknown one, in a
/// list and in an object that is kept.
const BROKEN_VALUES: [&str; 92] = [
    // structure
    "[1 true]",
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[",
    "[1",
    "[1,",
    "]",
    "[]]",
    "[1}",
    "{]",
    "[\"a\",\n4\n,1,",
    "[:1]",
    "[*]",
    "[\u{b}\"a\"]",
    "[1,\u{c}2]",
    "<.>",
    "[<null>]",
    "[\u{a0}]",
    "[\u{feff}1]",
    "{",
    "}",
    "{}}",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{\"a\":1,,\"b\":2}",
    "{,\"a\":1}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{\"a\":1 \"b\":2}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{[]:1}",
    "{\"a\":1}#",
    "{\"a\":/*c*/1}",
    "{\"a\":1}//",
    "{\"a\"=>1}",
    "{\"a\":\"b\",5}",
    "*",
    "&",
    "",
    // literals
    "nul",
    "nulll",
    "NULL",
    "Null",
    "tru",
    "truth",
    "True",
    "fals",
    "FALSE",
    "nan",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    // numbers
    "01",
    "-01",
    "+1",
    "++1",
    "-",
    "--1",
    "1.",
    ".1",
    "-.1",
    "1.e1",
    "1e",
    "1e+",
    "1e-",
    "1eE2",
    "0e",
    "0x1",
    "1_000",
    "1,000",
    "1 000",
    "0.1.2",
    "1a",
    "１",
    "- 1",
    "1.0e+",
    "2.e3",
    "-2.",
    // texts
    "\"",
    "\"a",
    "'a'",
    "\"\\x00\"",
    "\"\\u00\"",
    "\"\\\"",
];

/// Texts with a character that JSON wants escaped, or an escape that it does not have.
const BROKEN_TEXTS: [&str; 14] = [
    "\u{0}",
    "\u{1}",
    "\t",
    "\n",
    "\r",
    "\u{1f}",
    "a\u{8}b",
    "\\a",
    "\\U0041",
    "\\u12g4",
    "\\u-123",
    "\\ud83d\\x",
    "\\",
    "\\u",
];

#[test]
fn what_is_not_json_is_unreadable() {
    let mut cases: Vec<String> = BROKEN_VALUES.iter().map(|case| (*case).to_owned()).collect();
    cases.extend(BROKEN_TEXTS.iter().map(|text| format!("\"{text}\"")));
    assert!(cases.len() >= 60);
    for case in &cases {
        for answer in [
            case.clone(),
            format!("{{\"stringOptional\":{case}}}"),
            format!("{{\"int64Optional\":{case}}}"),
            format!("{{\"doubleOptional\":{case}}}"),
            format!("{{\"timeList\":[{case}]}}"),
            format!("{{\"stringList\":[\"a\",{case}]}}"),
            format!("{{\"stringMap\":{{\"k\":{case}}}}}"),
            format!("{{\"inner\":{{\"id\":{case}}}}}"),
            format!("{{\"innerList\":[{{\"id\":\"1\",\"x\":{case}}}]}}"),
            format!("{{\"struct\":{{\"k\":{case}}}}}"),
            format!("{{\"unknown\":{case}}}"),
            format!("{{\"unknown\":[{case}]}}"),
        ] {
            // Nothing at all, or two elements instead of one, is well placed in an array.
            if serde_json::from_str::<serde::de::IgnoredAny>(&answer).is_err() {
                assert!(refusal("PutEverything", &answer).is_some(), "{answer}");
            } else {
                assert!(case.is_empty() || case.contains(','), "{answer} is JSON");
            }
        }
    }
}

#[test]
fn a_broken_name_is_unreadable() {
    for text in BROKEN_TEXTS {
        for answer in [
            format!("{{\"{text}\":1}}"),
            format!("{{\"stringMap\":{{\"{text}\":\"v\"}}}}"),
            format!("{{\"unknown\":{{\"{text}\":1}}}}"),
        ] {
            assert!(refusal("PutEverything", &answer).is_some(), "{answer}");
        }
    }
}

#[test]
fn what_follows_the_document_makes_it_unreadable() {
    for after in ["{}", "1", ",", "x", "\0", "\u{feff}", "]", "}", "//", "#"] {
        assert!(refusal("PutEverything", format!("{{}}{after}")).is_some(), "{after:?}");
        assert!(refusal("ListThings", format!("[]{after}")).is_some(), "{after:?}");
    }
    for white_space in [" ", "\n", "\r\n", "\t", "   \n"] {
        assert_eq!(
            refusal("PutEverything", format!("{white_space}{{\"a\":1}}{white_space}")),
            None
        );
    }
}

#[test]
fn an_answer_of_another_shape_is_unreadable() {
    for answer in ["null", "true", "1", "\"a\"", "[]", "[{}]"] {
        assert!(refusal("PutEverything", answer).is_some(), "{answer}");
    }
    for answer in ["null", "false", "-1.5", "\"[]\""] {
        assert!(refusal("ListThings", answer).is_some(), "{answer}");
    }
}

/// `i_structure_UTF-8_BOM_empty_object`, `i_string_invalid_utf-8` and its kin: refused.
#[test]
fn what_is_not_utf_8_is_unreadable() {
    let invalid: [&[u8]; 10] = [
        b"\xEF\xBB\xBF{}",
        b"\xFE\xFF\x00{\x00}",
        b"{\"a\":\"\xFF\"}",
        b"{\"stringOptional\":\"\xC3\x28\"}",
        b"{\"stringOptional\":\"\xED\xA0\x80\"}",
        b"{\"stringOptional\":\"\xF4\xBF\xBF\xBF\"}",
        b"{\"stringOptional\":\"\xC0\xAF\"}",
        b"{\"\xE9\":1}",
        b"\xFF",
        b"{\"a\":\"\xE2\x82\"}",
    ];
    for answer in invalid {
        assert!(refusal("PutEverything", answer).is_some(), "{answer:?}");
    }
}

/// The text of an error tells where, and nothing of what stands there.
#[test]
fn an_error_tells_nothing_of_the_answer() {
    for answer in [
        "{\"stringOptional\":\"secret-1\",}",
        "{\"secret-1\":secret-1}",
        "[\"secret-1\"]",
        "\"secret-1\"",
        "{\"stringOptional\":\"secret-1",
    ] {
        let refusal = refusal("PutEverything", answer).unwrap();
        assert!(!refusal.contains("secret"), "{refusal}");
    }
    assert!(refusal("PutEverything", "{\n\"a\":x}").unwrap().contains("line 2, column 5"));
}

#[test]
fn what_is_json_is_read() {
    for value in [
        "0",
        "-0",
        "123e45",
        "1E22",
        "1E-2",
        "0e+1",
        "-123.123",
        "1e-400",
        "1e400",
        "\"\"",
        "\" \"",
        "\"\\u0000\"",
        "\"\\uDBFF\\uDFFF\"",
        "\"\u{7f}\"",
        "\"\u{2028}\"",
        "\"\u{10FFFF}\"",
        "\"\\/\\\\\\\"\\b\\f\\n\\r\\t\"",
        "[[]   ]",
        "[null,1,\"1\",{}]",
        "{\"\":0}",
        "{\"a\":1,\"a\":2}",
        "{\"\\u0000\":1}",
        "[1\n]",
        "[ 4]",
    ] {
        assert_eq!(refusal("PutEverything", format!("{{\"unknown\":{value}}}")), None, "{value}");
    }
    assert_eq!(
        read("PutEverything", r#"{"stringOptional":"\u0061\n\/"}"#)["stringOptional"],
        "a\n/"
    );
}

/// Half of a pair of surrogates (`i_string_*surrogate*`) is no text: it becomes U+FFFD.
#[test]
fn a_lone_surrogate_is_replaced() {
    let answer = r#"{"stringOptional":"a\ud800b","x\udc00":{"y\ud800":"\udfff","z":1},"stringMap":{"\ud800":"v"},
        "stringList":["\ud800"],"inner":{"id":"\ud800"}}"#;
    let expected = serde_json::json!({
        "stringOptional": "a\u{FFFD}b",
        "stringMap": { "\u{FFFD}": "v" },
        "stringList": ["\u{FFFD}"],
        "inner": { "id": "\u{FFFD}" },
        "additionalFields": { "x\u{FFFD}": { "y\u{FFFD}": "\u{FFFD}", "z": 1.0 } },
    });
    assert_eq!(read("PutEverything", answer), expected);
}

#[test]
fn an_empty_body_is_a_success_only_where_the_contract_says_so() {
    for empty in ["", " ", "\r\n"] {
        assert_eq!(refusal("PutEverything", empty).as_deref(), Some("it is empty"));
        let decoded = reply(operation("SetThing"), empty.as_bytes(), &[0x0a, 1, b'a']).unwrap();
        assert_eq!((decoded.message.as_slice(), decoded.drift), (&[0x0a, 1, b'a'][..], 0));
    }
}

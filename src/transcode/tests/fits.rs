//! Which JSON fits which field, exactly, and what becomes of the rest: tables.

use serde_json::{Value, json};

use super::contract::{body_of, read, read_all};

/// What a member of `Everything` is read as: the field's own ProtoJSON and what is kept.
fn member(name: &str, json: &str) -> (Value, Value) {
    let read = read("PutEverything", &format!("{{\"{name}\":{json}}}"));
    (read[name].clone(), read["additionalFields"][name].clone())
}

fn fits(name: &str, json: &str, expected: Value) {
    assert_eq!(member(name, json), (expected, Value::Null), "{name}: {json}");
}

fn is_kept(name: &str, json: &str, kept: Value) {
    assert_eq!(member(name, json), (Value::Null, kept), "{name}: {json}");
}

/// S13, G41: no integer passes through a double.
#[test]
fn an_integer_is_exact_in_any_spelling() {
    for (json, expected) in [
        ("9007199254740993", 9_007_199_254_740_993),
        ("-9007199254740993", -9_007_199_254_740_993),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("\"9223372036854775807\"", i64::MAX),
        ("\"-9223372036854775808\"", i64::MIN),
        ("9223372036854775807.0", i64::MAX),
        ("9007199254740993.00", 9_007_199_254_740_993),
        ("0.9007199254740993e16", 9_007_199_254_740_993),
        ("1e3", 1000),
        ("1E+3", 1000),
        ("1.0", 1),
        ("\"1.0\"", 1),
        ("\"1e3\"", 1000),
        ("12.50e1", 125),
        ("100e-2", 1),
        ("-0", 0),
        ("0.0", 0),
    ] {
        fits("int64Optional", json, json!(expected));
    }
    for (json, kept) in [
        ("9223372036854775808", json!("9223372036854775808")),
        ("-9223372036854775809", json!("-9223372036854775809")),
        ("9223372036854775809", json!("9223372036854775809")),
        ("1.5", json!(1.5)),
        ("1e19", json!(1e19)),
        ("1e400", json!("1e400")),
        ("\"007\"", json!("007")),
        ("\"+1\"", json!("+1")),
        ("\" 1\"", json!(" 1")),
        ("\"\"", json!("")),
        ("\"0x10\"", json!("0x10")),
        ("true", json!(true)),
        ("[1]", json!([1.0])),
        ("{}", json!({})),
    ] {
        is_kept("int64Optional", json, kept);
    }
}

#[test]
fn each_kind_of_integer_has_its_bounds() {
    for (kind, least, most) in [
        ("int32", i32::MIN.into(), i32::MAX.into()),
        ("sint32", i32::MIN.into(), i32::MAX.into()),
        ("sfixed32", i32::MIN.into(), i32::MAX.into()),
        ("uint32", 0, u32::MAX.into()),
        ("fixed32", 0, u32::MAX.into()),
        ("int64", i128::from(i64::MIN), i128::from(i64::MAX)),
        ("sint64", i64::MIN.into(), i64::MAX.into()),
        ("sfixed64", i64::MIN.into(), i64::MAX.into()),
        ("uint64", 0, u64::MAX.into()),
        ("fixed64", 0, u64::MAX.into()),
    ] {
        let name = format!("{kind}Optional");
        for number in [least, most, 0] {
            for json in [number.to_string(), format!("\"{number}\""), format!("{number}.0")] {
                let (value, kept) = member(&name, &json);
                assert_eq!((value.to_string(), kept), (number.to_string(), Value::Null), "{name}");
                let body = body_of("PutEverything", &format!("{{\"{name}\":\"{number}\"}}"));
                assert_eq!(body, format!("{{\"{name}\":{number}}}"));
            }
        }
        for number in [least - 1, most + 1] {
            assert_eq!(member(&name, &number.to_string()).0, Value::Null, "{name}: {number}");
        }
    }
}

/// Partners change a text to a number from one day to the next; its digits are money.
#[test]
fn a_number_for_a_text_keeps_its_exact_text() {
    for json in [
        "12.10",
        "0.10",
        "1e3",
        "-0.0",
        "100000000000000000000000000001",
        "3.14159265358979323846264338327",
        "9007199254740993",
    ] {
        fits("stringOptional", json, json!(json));
        fits("stringImplicit", json, json!(json));
        fits("amount", json, json!(json));
        fits("amount", &format!("\"{json}\""), json!(json));
        assert_eq!(
            read("PutEverything", &format!("{{\"stringList\":[{json}]}}"))["stringList"],
            json!([json])
        );
        assert_eq!(
            read("PutEverything", &format!("{{\"stringMap\":{{\"k\":{json}}}}}"))["stringMap"],
            json!({ "k": json })
        );
    }
    for (json, kept) in
        [("true", json!(true)), ("[]", json!([])), ("{\"a\":1}", json!({ "a": 1.0 }))]
    {
        is_kept("stringOptional", json, kept);
    }
}

/// G41: text here, digit for digit a bare number there.
#[test]
fn a_json_number_is_written_as_it_is_spelled() {
    for text in ["12.10", "0", "-1.50", "1e3", "100000000000000000000000000001.25"] {
        let body = body_of(
            "PutEverything",
            &format!("{{\"amount\":\"{text}\",\"amountList\":[\"{text}\"]}}"),
        );
        assert_eq!(body, format!("{{\"amount\":{text},\"amountList\":[{text}]}}"));
    }
}

#[test]
fn a_double_is_read_and_written_to_its_last_bit() {
    for text in [
        "0.1",
        "12.10",
        "1e22",
        "5e-324",
        "1.7976931348623157e308",
        "0.30000000000000004",
        "8.41",
        "6.3e-10",
    ] {
        let expected: f64 = text.parse().unwrap();
        fits("doubleOptional", text, json!(expected));
        fits("doubleOptional", &format!("\"{text}\""), json!(expected));
        let body = body_of("PutEverything", &format!("{{\"doubleOptional\":{text}}}"));
        let written = body.trim_start_matches("{\"doubleOptional\":").trim_end_matches('}');
        assert_eq!(written.parse::<f64>().unwrap().to_bits(), expected.to_bits(), "{body}");
    }
    for (json, kept) in [
        ("1e400", json!("1e400")),
        ("\"NaN\"", json!("NaN")),
        ("\"Infinity\"", json!("Infinity")),
        ("\"inf\"", json!("inf")),
        ("\"\"", json!("")),
        ("false", json!(false)),
    ] {
        is_kept("doubleOptional", json, kept);
    }
    assert_eq!(member("floatOptional", "1e39").1, json!(1e39));
}

#[test]
fn whole_numbers_are_written_without_a_fraction() {
    for (value, text) in
        [("3.0", "3"), ("-3", "-3"), ("0.5", "0.5"), ("100000000", "100000000"), ("0", "0")]
    {
        let message = format!("{{\"doubleOptional\":{value},\"floatOptional\":{value}}}");
        let expected = format!("{{\"doubleOptional\":{text},\"floatOptional\":");
        assert!(body_of("PutEverything", &message).starts_with(&expected), "{value}");
    }
    assert_eq!(body_of("PutEverything", r#"{"floatOptional":0.1}"#), r#"{"floatOptional":0.1}"#);
}

#[test]
fn a_flag_may_be_quoted_and_nothing_else() {
    fits("boolOptional", "true", json!(true));
    fits("boolOptional", "\"false\"", json!(false));
    for (json, kept) in [
        ("1", json!(1.0)),
        ("0", json!(0.0)),
        ("\"yes\"", json!("yes")),
        ("\"True\"", json!("True")),
        ("\"\"", json!("")),
    ] {
        is_kept("boolOptional", json, kept);
    }
}

/// Unknown is a value: its text is kept, both ways.
#[test]
fn an_enum_is_its_partners_word_letter_for_letter() {
    for (text, name) in [
        ("e-commerce", "CHANNEL_E_COMMERCE"),
        ("*", "CHANNEL_ANY"),
        ("100000-more", "CHANNEL_MANY"),
        ("with \\\"quotes\\\" & \\u00e9", "CHANNEL_QUOTED"),
        ("negative", "CHANNEL_NEGATIVE"),
    ] {
        fits("channelOptional", &format!("\"{text}\""), json!(name));
        let body = body_of("PutEverything", &format!("{{\"channelOptional\":\"{name}\"}}"));
        let sent: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            sent["channelOptional"],
            serde_json::from_str::<Value>(&format!("\"{text}\"")).unwrap()
        );
    }
    for (json, kept) in [
        ("\"E-commerce\"", json!("E-commerce")),
        ("\"CHANNEL_ANY\"", json!("CHANNEL_ANY")),
        ("\"\"", json!("")),
        ("\"new \\u00e9 \\ud83d\\ude39\"", json!("new é 😹")),
        ("1", json!(1.0)),
        ("100000", json!(100_000.0)),
        ("null", Value::Null),
    ] {
        is_kept("channelOptional", json, kept);
    }
}

#[test]
fn bytes_are_base64_of_either_alphabet() {
    for (json, expected) in [
        ("\"+/8=\"", "+/8="),
        ("\"-_8=\"", "+/8="),
        ("\"-_8\"", "+/8="),
        ("\"\"", ""),
        ("\"AAEC\"", "AAEC"),
    ] {
        fits("bytesOptional", json, json!(expected));
    }
    for text in ["*", "A", "+_8=", "AA A", "AAEC=", "AB"] {
        is_kept("bytesOptional", &format!("\"{text}\""), json!(text));
    }
}

#[test]
fn a_time_is_rfc_3339_to_the_nanosecond() {
    for (text, expected) in [
        ("2024-05-17T09:30:00Z", "2024-05-17T09:30:00Z"),
        ("2024-05-17t09:30:00z", "2024-05-17T09:30:00Z"),
        ("2024-05-17 09:30:00Z", "2024-05-17T09:30:00Z"),
        ("2024-05-17T09:30:00.1234567Z", "2024-05-17T09:30:00.123456700Z"),
        ("2024-05-17T09:30:00.120Z", "2024-05-17T09:30:00.120Z"),
        ("2024-05-17T09:30:00.123456789+00:00", "2024-05-17T09:30:00.123456789Z"),
        ("2024-05-17T09:30:00-00:00", "2024-05-17T09:30:00Z"),
        ("2024-05-17T09:30:00+02:00", "2024-05-17T07:30:00Z"),
        ("2024-05-17T00:30:00+05:45", "2024-05-16T18:45:00Z"),
        ("2024-12-31T23:00:00.5-01:30", "2025-01-01T00:30:00.500Z"),
        ("1969-12-31T23:59:59.75Z", "1969-12-31T23:59:59.750Z"),
        ("1900-02-28T23:59:59Z", "1900-02-28T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
    ] {
        fits("time", &format!("\"{text}\""), json!(expected));
        let body = body_of("PutEverything", &format!("{{\"time\":\"{expected}\"}}"));
        assert_eq!(body, format!("{{\"time\":\"{expected}\"}}"));
    }
}

/// What is no moment, or one that a timestamp cannot say, is kept as it is.
#[test]
fn a_time_that_is_none_is_kept() {
    for text in [
        "",
        "tomorrow",
        "2024-05-17",
        "09:30:00Z",
        "2024-05-17T09:30:00",
        "2024-05-17T09:30Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-10T00:00:00Z",
        "2024-05-17T24:00:00Z",
        "2024-05-17T09:60:00Z",
        "2016-12-31T23:59:60Z",
        "2024-05-17T09:30:00.Z",
        "2024-05-17T09:30:00.1234567891Z",
        "2024-05-17T09:30:00+24:00",
        "2024-05-17T09:30:00+02",
        "2024-05-17T09:30:00+0200",
        "2024-05-17T09:30:00+02:60",
        "2024-05-17T09:30:00Z[UTC]",
        "20240517T093000Z",
        "2024-W20-5T09:30:00Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2024-05-17T09:30:00é",
        "+2024-05-17T09:30:00Z",
        " 2024-05-17T09:30:00Z",
        "2024-05-17T09:30:00 Z",
        "1715938200",
    ] {
        is_kept("time", &format!("\"{text}\""), json!(text));
    }
    is_kept("time", "1715938200", json!(1_715_938_200.0));
    is_kept("time", "{\"seconds\":1}", json!({ "seconds": 1.0 }));
}

/// Absent, null and empty stay apart.
#[test]
fn null_is_kept_and_is_drift_only_where_a_value_must_be() {
    for (name, drift) in [
        ("stringOptional", 0),
        ("int64Optional", 0),
        ("doubleOptional", 0),
        ("channelOptional", 0),
        ("time", 0),
        ("struct", 0),
        ("list", 0),
        ("inner", 0),
        ("stringList", 0),
        ("doubleList", 0),
        ("innerList", 0),
        ("valueList", 0),
        ("stringMap", 0),
        ("valueMap", 0),
        ("stringImplicit", 1),
        ("doubleImplicit", 1),
    ] {
        let expected = json!({ "additionalFields": { name: null } });
        let answer = format!("{{\"{name}\":null}}");
        assert_eq!(read_all("PutEverything", &answer), (expected, drift), "{name}");
    }
    assert_eq!(read_all("PutEverything", r#"{"value":null}"#), (json!({ "value": null }), 0));
    for (name, json) in
        [("stringOptional", "\"\""), ("int64Optional", "0"), ("boolOptional", "false")]
    {
        fits(name, json, serde_json::from_str(json).unwrap());
    }
    for (name, json) in [("inner", json!({})), ("struct", json!({})), ("list", json!([]))] {
        fits(name, &json.to_string(), json);
    }
    for (name, json) in
        [("stringList", "[]"), ("innerList", "[]"), ("stringMap", "{}"), ("stringImplicit", "\"\"")]
    {
        assert_eq!(read_all("PutEverything", &format!("{{\"{name}\":{json}}}")), (json!({}), 0));
    }
}

/// The elements that fit stand in the field, and the whole list is kept.
#[test]
fn a_list_with_a_misfit_is_kept_whole() {
    for (name, answer, field, kept) in [
        ("int64List", "[1,\"x\",3]", json!([1, 3]), json!([1.0, "x", 3.0])),
        (
            "stringList",
            "[\"a\",null,[\"b\"],\"c\"]",
            json!(["a", "c"]),
            json!(["a", null, ["b"], "c"]),
        ),
        ("channelList", "[\"*\",\"new\"]", json!(["CHANNEL_ANY"]), json!(["*", "new"])),
        (
            "timeList",
            "[\"2024-05-17T09:30:00Z\",\"-\"]",
            json!(["2024-05-17T09:30:00Z"]),
            json!(["2024-05-17T09:30:00Z", "-"]),
        ),
        ("doubleList", "[1.5,{}]", json!([1.5]), json!([1.5, {}])),
        ("structList", "[{\"a\":1},2]", json!([{ "a": 1.0 }]), json!([{ "a": 1.0 }, 2.0])),
        ("valueList", "[1,null,{}]", json!([1.0, null, {}]), Value::Null),
        ("listList", "[[1],{}]", json!([[1.0]]), json!([[1.0], {}])),
        (
            "innerList",
            "[{\"id\":\"1\"},\"x\"]",
            json!([{ "id": "1" }]),
            json!([{ "id": "1" }, "x"]),
        ),
        ("int64List", "\"1\"", Value::Null, json!("1")),
        ("int64List", "{\"0\":1}", Value::Null, json!({ "0": 1.0 })),
        ("innerList", "{\"id\":\"1\"}", Value::Null, json!({ "id": "1" })),
    ] {
        assert_eq!(member(name, answer), (field, kept), "{name}: {answer}");
    }
}

#[test]
fn a_misfit_deep_in_lists_of_lists_is_kept_where_it_stands() {
    let answer = r#"{"innerList":[{"id":"1","lines":[{"words":["a",1,true],"text":{}}]},{"lines":[{"channel":"new"},7]}]}"#;
    let expected = json!({ "innerList": [
        { "id": "1", "lines": [
            { "words": ["a", "1"], "additionalFields": { "words": ["a", 1.0, true], "text": {} } },
        ] },
        { "lines": [{ "additionalFields": { "channel": "new" } }],
          "additionalFields": { "lines": [{ "channel": "new" }, 7.0] } },
    ] });
    assert_eq!(read_all("PutEverything", answer), (expected, 4));
}

#[test]
fn a_map_with_a_misfit_is_kept_whole_and_alone() {
    is_kept("int64Map", "{\"a\":1,\"b\":\"x\"}", json!({ "a": 1.0, "b": "x" }));
    is_kept(
        "innerMap",
        "{\"a\":{\"id\":\"1\",\"new\":1},\"b\":2}",
        json!({ "a": { "id": "1", "new": 1.0 }, "b": 2.0 }),
    );
    is_kept("stringMap", "[1]", json!([1.0]));
    fits(
        "innerMap",
        "{\"a\":{\"id\":\"1\",\"new\":1}}",
        json!({ "a": { "id": "1", "additionalFields": { "new": 1.0 } } }),
    );
    assert_eq!(read_all("PutEverything", r#"{"innerMap":{"a":{"new":1},"b":2}}"#).1, 1);
}

/// As protobuf reads a field twice: the last single value, objects merged, lists joined.
#[test]
fn a_member_given_twice_is_read_twice() {
    let answer = r#"{"stringOptional":"a","stringOptional":"b","stringImplicit":"a","stringImplicit":"",
        "int64Optional":1,"int64Optional":0,"stringList":["a"],"stringList":["b"],"stringMap":{"a":"1","a":"2","b":"3"},
        "inner":{"id":"1","amount":1,"x":1,"x":2},"inner":{"amount":2,"y":1},"z":1,"z":[2]}"#;
    let expected = json!({
        "stringOptional": "b", "int64Optional": 0, "stringList": ["a", "b"], "stringMap": { "a": "2", "b": "3" },
        "inner": { "id": "1", "amount": 2, "additionalFields": { "x": 2.0, "y": 1.0 } },
        "additionalFields": { "z": [2.0] },
    });
    assert_eq!(read("PutEverything", answer), expected);
}

#[test]
fn an_unknown_number_that_no_double_holds_is_kept_as_its_text() {
    for (json, kept) in [
        ("12.10", json!(12.1)),
        ("9007199254740993", json!("9007199254740993")),
        ("9007199254740992", json!(9_007_199_254_740_992_f64)),
        ("123456789012345678901234567890", json!("123456789012345678901234567890")),
        ("0.1000000000000000000000000001", json!("0.1000000000000000000000000001")),
        ("1e400", json!("1e400")),
        ("1e-400", json!("1e-400")),
        ("-0", json!(-0.0)),
        ("1e2", json!(100.0)),
    ] {
        is_kept("unknown", json, kept.clone());
        let read =
            read("PutEverything", &format!("{{\"struct\":{{\"a\":[{json}]}},\"value\":{json}}}"));
        assert_eq!((&read["struct"]["a"][0], &read["value"]), (&kept, &kept), "{json}");
    }
}

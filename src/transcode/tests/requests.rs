//! Where each field of a request goes, and what never gets there.

use super::contract::{body_of, send, violations};

fn target(proto_json: &str) -> String {
    send("GetThing", proto_json).unwrap_or_else(|e| panic!("{proto_json}: {e:?}")).target
}

/// S8
#[test]
fn a_path_value_is_one_encoded_segment() {
    for (id, segment) in [
        ("a", "a"),
        ("hello/escape", "hello%2Fescape"),
        (
            " %:/?#[]@!$&'()*+,;=😹",
            "%20%25%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%F0%9F%98%B9",
        ),
        ("..;/", "..%3B%2F"),
        ("a\\\\b", "a%5Cb"),
        ("../..", "..%2F.."),
        ("...", "..."),
        ("%2f", "%252f"),
        ("-._~", "-._~"),
    ] {
        let message = format!("{{\"id\":\"{id}\",\"part\":7}}");
        assert_eq!(target(&message), format!("/things/{segment}/parts/7/"), "{id}");
    }
    assert_eq!(
        target(r#"{"id":"a","part":-9223372036854775808}"#),
        "/things/a/parts/-9223372036854775808/"
    );
}

/// S8
#[test]
fn a_path_value_that_is_no_segment_is_refused() {
    for id in ["", ".", "..", "%2e", "%2E%2e", ".%2E", "a\\u0000", "a\\nb", "\\u007f", "\\u0085"] {
        let message = format!("{{\"id\":\"{id}\"}}");
        assert_eq!(violations("GetThing", &message), [("id".to_owned(), "PATH_SEGMENT")], "{id}");
    }
}

#[test]
fn what_the_binding_does_not_name_is_the_query() {
    let message = r#"{"id":"1","filter":"a b&c=d","tags":["x","","é"],"channel":"CHANNEL_QUOTED",
        "channels":["CHANNEL_ANY","CHANNEL_MANY"],"deep":false,"ratio":1.50,"since":"2024-05-17T09:30:00.5Z","cursor":"+/8="}"#;
    assert_eq!(
        target(message),
        "/things/1/parts/0/?filter=a%20b%26c%3Dd&tag%5B%5D=x&tag%5B%5D=&tag%5B%5D=%C3%A9\
         &channel=with%20%22quotes%22%20%26%20%C3%A9&channels=%2A&channels=100000-more&deep=false\
         &ratio=1.5&since=2024-05-17T09%3A30%3A00.500Z&cursor=%2B%2F8%3D"
    );
    assert_eq!(target(r#"{"id":"1","filter":""}"#), "/things/1/parts/0/?filter=");
    assert_eq!(target(r#"{"id":"1","reference":""}"#), "/things/1/parts/0/");
}

#[test]
fn account_and_request_id_are_not_sent() {
    let request = send("GetThing", r#"{"id":"1","submerchantId":"M-1"}"#).unwrap();
    assert_eq!(
        (request.account.as_deref(), request.target.as_str()),
        (Some("M-1"), "/things/1/parts/0/")
    );
    assert_eq!(send("GetThing", r#"{"id":"1","submerchantId":""}"#).unwrap().account, None);

    let id = "0191d5f3-6f4c-4b1f-9c57-2a4f6b0e8d11";
    let request =
        send("CreateThing", &format!("{{\"thing\":{{}},\"requestId\":\"{id}\"}}")).unwrap();
    assert_eq!(request.request_id.map(|id| id.to_string()).as_deref(), Some(id));
    assert_eq!(&*request.body.unwrap().bytes, br#"{"thing":{}}"#);
    for text in ["x", "{0191d5f3-6f4c-4b1f-9c57-2a4f6b0e8d11}", "0191d5f36f4c4b1f9c572a4f6b0e8d11"]
    {
        let message = format!("{{\"thing\":{{}},\"requestId\":\"{text}\"}}");
        assert_eq!(
            violations("CreateThing", &message),
            [("request_id".to_owned(), "STRING_PATTERN")]
        );
    }
}

/// S9
#[test]
fn a_header_holds_visible_text_only() {
    for text in ["a", "a b", "\\\"quoted\\\", x=1;", "~"] {
        let request = send("GetThing", &format!("{{\"id\":\"1\",\"trace\":\"{text}\"}}")).unwrap();
        let expected: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        assert_eq!(request.headers["x-trace"], expected);
    }
    for text in [
        "a\\r\\nx-evil: 1",
        "a\\nb",
        "a\\rb",
        "a\\u0000",
        "\\tb",
        "é",
        "😹",
        " a",
        "a ",
        "a\\u007f",
        "\\u0080",
        "\\u2028",
    ] {
        let message = format!("{{\"id\":\"1\",\"trace\":\"{text}\"}}");
        assert_eq!(
            violations("GetThing", &message),
            [("trace".to_owned(), "HEADER_VALUE")],
            "{text}"
        );
    }
    let headers = send("GetThing", r#"{"id":"1"}"#).unwrap().headers;
    assert!(headers.is_empty());
}

#[test]
fn a_body_may_stand_on_get_and_a_query_on_post() {
    let request = send("ListThings", r#"{"name":"n","limit":5}"#).unwrap();
    assert_eq!(request.target, "/things?limit=5");
    assert_eq!(&*request.body.unwrap().bytes, br#"{"name":"n"}"#);

    let request =
        send("CreateThing", r#"{"thing":{"id":"1"},"dryRun":true,"userId":"u"}"#).unwrap();
    assert_eq!(request.target, "/things?dryRun=true");
    assert_eq!(request.headers["trustap-user"], "u");
    let body = request.body.unwrap();
    assert_eq!(
        (&*body.bytes, body.content_type.to_str().unwrap()),
        (&br#"{"thing":{"id":"1"}}"#[..], "application/json")
    );
}

#[test]
fn a_field_may_be_the_whole_body() {
    let request = send("SetThing", r#"{"id":"1","thing":{"name":"n"},"reason":"r"}"#).unwrap();
    assert_eq!(request.target, "/things/1?reason=r");
    assert_eq!(&*request.body.unwrap().bytes, br#"{"name":"n"}"#);
    assert_eq!(&*send("SetThing", r#"{"id":"1","thing":{}}"#).unwrap().body.unwrap().bytes, b"{}");
    assert!(send("SetThing", r#"{"id":"1"}"#).unwrap().body.is_none());
    assert_eq!(body_of("SetLabels", r#"{"labels":["a","\"b\""]}"#), r#"["a","\"b\""]"#);
}

#[test]
fn a_form_has_a_pair_for_each_value() {
    let request = send(
        "PostForm",
        r#"{"scope":"a b+c&d","audience":["x","y=z"],"channel":"CHANNEL_ANY","number":-5,"amount":"1.50",
            "additionalFields":{"extra":"é","flag":true,"whole":3,"part":0.25}}"#,
    )
    .unwrap();
    let body = request.body.unwrap();
    assert_eq!(body.content_type, "application/x-www-form-urlencoded");
    let mut pairs: Vec<_> = std::str::from_utf8(&body.bytes).unwrap().split('&').collect();
    pairs.sort_unstable();
    let expected = [
        "amount=1.50",
        "audience=x",
        "audience=y%3Dz",
        "channel=%2A",
        "extra=%C3%A9",
        "flag=true",
        "number=-5",
        "part=0.25",
        "scope=a+b%2Bc%26d",
        "whole=3",
    ];
    assert_eq!(pairs, expected);
    assert_eq!(body_of("PostForm", "{}"), "");
}

#[test]
fn unset_is_left_out_and_empty_is_sent() {
    assert_eq!(body_of("PutEverything", "{}"), "{}");
    assert_eq!(
        body_of(
            "PutEverything",
            r#"{"stringOptional":"","int64Optional":0,"boolOptional":false,"inner":{},"struct":{},"list":[],"value":null}"#
        ),
        r#"{"int64Optional":0,"boolOptional":false,"stringOptional":"","struct":{},"value":null,"list":[],"inner":{}}"#
    );
    // The zero value of an enum says that nothing is said.
    assert_eq!(
        body_of("PutEverything", r#"{"channelOptional":"CHANNEL_UNSPECIFIED","int64Implicit":0}"#),
        "{}"
    );
}

#[test]
fn names_and_texts_are_escaped() {
    assert_eq!(
        body_of(
            "PutEverything",
            r#"{"oddName":"\"\\\b\f\n\r\t\u0001/é\u2028😹","snakeName":"a","JSONNamed":"b"}"#
        ),
        "{\"$odd \\\"name\\\"\\\\/é\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001/é\u{2028}😹\",\"snake_name\":\"a\",\"JSONNamed\":\"b\"}"
    );
    assert_eq!(
        body_of("PutEverything", r#"{"stringMap":{"a\"b":"\\"}}"#),
        r#"{"stringMap":{"a\"b":"\\"}}"#
    );
}

#[test]
fn an_echo_holds_what_was_said() {
    let request = send("CreateThing", r#"{"thing":{},"reference":"r"}"#).unwrap();
    assert_eq!(request.echo, [0x5a, 1, b'r']);
    assert!(send("CreateThing", r#"{"thing":{}}"#).unwrap().echo.is_empty());
}

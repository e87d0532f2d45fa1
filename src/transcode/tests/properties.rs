//! Laws: whatever a message of any contract holds, the transcoder and the oracle say
//! the same, in both directions.

use percent_encoding::percent_decode_str;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, MethodDescriptor, ReflectMessage as _, Value as Proto,
};
use serde_json::{Map, Number, Value, json};

use crate::operation::options::{self, Place};
use crate::operation::{Encoding, Kind, Operation};
use crate::transcode::reply::{self, Pace};
use crate::transcode::{Request, request};

use super::contract::{self, Contract};
use super::scramble::scramble;
use super::source::Source;
use super::spell::spell;
use super::{generate, oracle};

/// How many cases an operation is tried with, and all of a partner's together at least.
const CASES: (usize, usize) = (48, 2_000);

/// Runs a law for every operation of both contracts. Of a partner with many operations,
/// most of which are alike, each gets fewer cases.
fn for_all(law: impl Fn(&Contract, &'static Operation, &mut Source<'_>)) {
    for (contract, operation) in contract::all() {
        let operations = contract.catalogue.operations().iter();
        let alike = operations.filter(|other| other.partner == operation.partner).count();
        let cases = (CASES.1 / alike).min(CASES.0).try_into().unwrap();
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let result = TestRunner::new(config).run(&vec(any::<u8>(), 0..4000), |bytes| {
            law(contract, operation, &mut Source::new(&bytes));
            Ok::<_, TestCaseError>(())
        });
        result.unwrap_or_else(|e| panic!("{}: {e}", operation.rpc()));
    }
}

#[test]
fn a_request_says_what_its_message_says() {
    for_all(|contract, operation, source| {
        let method = contract.method(operation);
        let message = generate::request(operation, &method.input(), source);
        let sent = request(operation, &message.encode_to_vec()).unwrap();
        check_request(&method, operation, &message, &sent);
    });
}

#[test]
fn a_request_in_any_legal_encoding_is_the_same_request() {
    for_all(|contract, operation, source| {
        let descriptor = contract.method(operation).input();
        let message = generate::request(operation, &descriptor, source);
        let bytes = message.encode_to_vec();
        let scrambled = scramble(&descriptor, &bytes, source);
        let decoded = DynamicMessage::decode(descriptor, scrambled.as_slice()).unwrap();
        oracle::assert_same(&decoded, &message, "the scrambler");

        let (sent, expected) =
            (request(operation, &scrambled).unwrap(), request(operation, &bytes).unwrap());
        assert_eq!(sent.target, expected.target);
        assert_eq!(sent.headers, expected.headers);
        assert_eq!((sent.account, sent.request_id), (expected.account, expected.request_id));
        assert_eq!(sent.echo, expected.echo);
        // Entries of maps may come in another order.
        assert_eq!(sent.body.map(|b| value(&b.bytes)), expected.body.map(|b| value(&b.bytes)));
    });

    fn value(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes)
            .unwrap_or_else(|_| String::from_utf8(bytes.to_vec()).unwrap().into())
    }
}

/// Also: what no field knows is found again, at every level, whatever it is.
#[test]
fn a_reply_says_what_the_partner_says() {
    for_all(|contract, operation, source| {
        let descriptor = contract.method(operation).output();
        let message = generate::reply(operation, &descriptor, source);
        let answer = answer(&message, operation, source);
        let is_silent = is_silent(&answer, operation);
        let answer = spell(&answer, source);
        let decoded = match reply::reply(operation, answer.as_bytes(), &[]) {
            Err(_) if is_silent => return,
            decoded => decoded.unwrap(),
        };
        let read = DynamicMessage::decode(descriptor, decoded.message.as_slice()).unwrap();
        oracle::assert_same(&read, &message, &answer);
        assert_eq!(decoded.drift, oracle::unknown_members(&message), "{answer}");
    });
}

#[test]
fn a_message_comes_back_as_it_was_sent() {
    let operation = contract::operation("PutEverything");
    let descriptor = contract::test().method(operation).input();
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&vec(any::<u8>(), 0..8000), |bytes| {
        let message = generate::message(&descriptor, &mut Source::new(&bytes), 0);
        let sent = request(operation, &message.encode_to_vec()).unwrap().body.unwrap().bytes;
        if sent == "{}" {
            return Ok(());
        }
        let back = reply::reply(operation, &sent, &[]).unwrap();
        let read = DynamicMessage::decode(descriptor.clone(), back.message.as_slice()).unwrap();
        oracle::assert_same(&read, &message, "the round trip");
        Ok(())
    });
    result.unwrap();
}

/// S13: any value may stand where the contract has another, and none is lost: with what
/// was kept put back in its place, the message is the answer again.
#[test]
fn a_misfit_is_kept_and_spoils_nothing_else() {
    for_all(|contract, operation, source| {
        let descriptor = contract.method(operation).output();
        let message = generate::reply(operation, &descriptor, source);
        let mut answer = answer(&message, operation, source);
        drift(&mut answer, source);
        let text = spell(&answer, source);
        let Ok(decoded) = reply::reply(operation, text.as_bytes(), &[]) else {
            assert!(!answer.is_object() || is_silent(&answer, operation), "{text}");
            return;
        };
        let read = DynamicMessage::decode(descriptor, decoded.message.as_slice()).unwrap();
        let (read, answer) = (oracle::partner_json(&read), flat(answer, operation));
        assert!(is_kept(&answer, Some(&read)), "{text}\n{read}");

        // The fast reading gives up or is right.
        let careful = reply::read(operation, text.trim(), &[], Pace::Careful).unwrap();
        assert_eq!(careful.drift, decoded.drift, "{text}");
        assert_eq!(careful.message, decoded.message, "{text}");
    });
}

/// Whether nothing is said but what belongs to the envelope.
fn is_silent(answer: &Value, operation: &Operation) -> bool {
    let Value::Object(members) = answer else { return false };
    let is_nothing = |(name, value): (&String, &Value)| {
        let is_wrapper = operation.unwrap.as_ref() == Some(name);
        operation.envelope.contains(name)
            || is_wrapper && (value.is_null() || value.as_object().is_some_and(Map::is_empty))
    };
    !operation.empty_reply && members.iter().all(is_nothing)
}

/// The answer as its message has it: nothing wrapped, no envelope.
fn flat(answer: Value, operation: &Operation) -> Value {
    let list = operation.response_body.and_then(|index| operation.reply().fields.get(index));
    let mut members = match (answer, list) {
        (answer, Some(field)) if field.kind == Kind::Struct => {
            Map::from_iter([(field.wire_name.clone(), answer)])
        }
        (Value::Object(members), _) => members,
        (array, Some(field)) => Map::from_iter([(field.wire_name.clone(), array)]),
        (other, None) => panic!("{other} was read"),
    };
    for name in &operation.envelope {
        members.remove(name);
    }
    match operation.unwrap.as_ref().and_then(|name| members.remove_entry(name)) {
        Some((_, Value::Object(inner))) => members.extend(inner),
        Some((name, other)) => drop(members.insert(name, other)),
        None => {}
    }
    Value::Object(members)
}

/// Whether a value that was sent is found again, in the spelling of its field.
fn is_kept(sent: &Value, read: Option<&Value>) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.trim_end_matches('=').to_owned(),
        value => value.to_string(),
    };
    match (sent, read) {
        // Absence, where a field does not tell it from its zero value.
        (sent, None) => ["0", "-0", "0.0", "-0.0", "false", "", "[]", "{}"].contains(&&*text(sent)),
        (Value::Object(sent), Some(Value::Object(read))) => {
            sent.iter().all(|(name, value)| is_kept(value, read.get(name)))
        }
        (Value::Array(sent), Some(Value::Array(read))) => {
            sent.len() == read.len() && sent.iter().zip(read).all(|(s, r)| is_kept(s, Some(r)))
        }
        (Value::Number(sent), Some(Value::Number(read))) => is_rounded(sent, read),
        (sent, Some(read)) => text(sent) == text(read),
    }
}

/// Equal, or what a double or a float field makes of a number.
#[allow(clippy::as_conversions, reason = "a float field rounds")]
fn is_rounded(sent: &Number, read: &Number) -> bool {
    let (a, b) = (sent.as_f64().unwrap(), read.as_f64().unwrap());
    sent == read || (read.is_f64() && (a == b || a as f32 == b as f32)) || (sent.is_f64() && a == b)
}

/// Puts other values in the place of some.
fn drift(value: &mut Value, source: &mut Source<'_>) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| drift(element, source)),
        Value::Object(members) => members.values_mut().for_each(|member| drift(member, source)),
        _ => {}
    }
    if source.chance(15) {
        *value = match source.below(10) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(source.i64()),
            3 => json!(source.f64()),
            4 => json!(source.text()),
            5 => json!([]),
            6 => json!([source.i64(), source.text(), null, { "a": 1 }]),
            7 => json!({}),
            8 => json!({ "id": [source.text()], "x": source.text() }),
            _ => json!("2024-05-17T09:30:00Z"),
        };
    }
}

/// The answer that holds `message`, wrapped as the operation allows.
fn answer(message: &DynamicMessage, operation: &Operation, source: &mut Source<'_>) -> Value {
    let mut answer = oracle::partner_json(message);
    let whole = operation.response_body.map(|index| &operation.reply().fields[index]);
    if let Some(field) = whole.filter(|field| field.kind == Kind::Struct) {
        return answer[&field.wire_name].take();
    }
    if let (Some(index), false) = (operation.response_body, source.chance(50)) {
        let name = &operation.reply().fields[index].wire_name;
        let members = answer.as_object().unwrap();
        if members.len() == 1 && members.contains_key(name) {
            return members[name].clone();
        }
    }
    if let (Some(name), true) = (&operation.unwrap, source.chance(50)) {
        answer = json!({ name: answer });
    }
    for name in &operation.envelope {
        if source.chance(50) {
            let envelope = json!({ "pages": [source.i64()], "text": source.text() });
            answer.as_object_mut().unwrap().insert(name.clone(), envelope);
        }
    }
    answer
}

fn check_request(
    method: &MethodDescriptor,
    operation: &Operation,
    message: &DynamicMessage,
    sent: &Request,
) {
    let http = options::method(method).http.unwrap();
    let Value::Object(mut members) = oracle::partner_json(message) else { unreachable!() };
    let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
    let mut expected_path = http.path.clone();
    let mut expected_query = Vec::new();
    let text = |field: &FieldDescriptor| match message.get_field(field).into_owned() {
        Proto::String(text) => text,
        Proto::I64(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    for field in message.descriptor().fields().filter(|f| f.name() != "additional_fields") {
        let variable = format!("{{{}}}", field.name());
        let name = oracle::wire_name(&field);
        match options::field(&field).place {
            Place::Default if http.path.contains(&variable) => {
                expected_path = expected_path.replace(&variable, &encoded(&text(&field)));
                members.remove(&name);
            }
            Place::Default if http.body == "*" || http.body == field.name() => {}
            Place::Default | Place::Query => {
                let mut value = members.remove(&name);
                if oracle::is_comma_list(&field) {
                    value = value.map(|list| joined(&list));
                }
                expected_query.extend(pairs(&name, value));
            }
            Place::Header => {
                let expected = members.remove(&name);
                assert_eq!(header_of(&field, sent), expected.as_ref().map(text_of));
            }
            Place::User => {
                let expected = members.remove(&name);
                let user = expected.as_ref().map(text_of).filter(|user| !user.is_empty());
                assert_eq!((header_of(&field, sent), sent.account.as_deref()), (user, user));
            }
            Place::Account => {
                let expected = members.remove(&name);
                assert_eq!(sent.account.as_deref(), expected.as_ref().map(text_of));
            }
            Place::RequestId => {
                let expected = members.remove(&name);
                let expected = expected.as_ref().map(|id| text_of(id).to_lowercase());
                assert_eq!(sent.request_id.map(|id| id.to_string()), expected);
            }
        }
    }
    assert_eq!(path, expected_path);
    assert_pairs(query, &expected_query);
    check_body(&http.body, operation, message, members, sent);
}

/// The value of the header that a field is.
fn header_of<'a>(field: &FieldDescriptor, sent: &'a Request) -> Option<&'a str> {
    sent.headers.get(options::field(field).header).map(|value| value.to_str().unwrap())
}

fn check_body(
    binding: &str,
    operation: &Operation,
    message: &DynamicMessage,
    members: Map<String, Value>,
    sent: &Request,
) {
    let body = sent.body.as_ref().map(|body| std::str::from_utf8(&body.bytes).unwrap());
    let json = body.filter(|_| operation.encoding == Encoding::Json);
    match (binding, operation.encoding) {
        ("", _) => assert_eq!(body, None),
        (_, Encoding::Form) => {
            let expected: Vec<_> =
                members.into_iter().flat_map(|(name, value)| pairs(&name, Some(value))).collect();
            // A form's plus is a space; everything else is a query's.
            assert_pairs(&body.unwrap().replace('+', "%20"), &expected);
        }
        ("*", Encoding::Json) => assert_json(json.unwrap(), &Value::Object(members)),
        (name, Encoding::Json) => {
            let field = message.descriptor().get_field_by_name(name).unwrap();
            match members.get(&oracle::wire_name(&field)) {
                Some(value) if message.has_field(&field) => assert_json(json.unwrap(), value),
                _ => assert_eq!(json, None),
            }
        }
    }
}

fn assert_json(body: &str, expected: &Value) {
    let body_value = oracle::normal(serde_json::from_str(body).unwrap());
    let mut found = Vec::new();
    oracle::differences(&body_value, &oracle::normal(expected.clone()), "", &mut found);
    assert!(found.is_empty(), "{}\n{body}", found.join("\n"));
}

/// A list as one value.
fn joined(list: &Value) -> Value {
    let texts = list.as_array().unwrap().iter().map(|element| match element {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    texts.collect::<Vec<_>>().join(",").into()
}

/// S8: nothing but unreserved characters stands in a query, and the commas of lists; its
/// pairs are these.
fn assert_pairs(query: &str, expected: &[(String, Value)]) {
    let is_safe = |b: u8| b.is_ascii_alphanumeric() || b"-._~%&=,".contains(&b);
    assert!(query.bytes().all(is_safe), "{query}");
    let decode = |text| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map(|(n, v)| (decode(n), decode(v))).unwrap())
        .collect();
    for (name, value) in &pairs {
        let is_expected = |(other, expected): &(String, Value)| {
            other == name && (text_of(expected) == value || is_number(value, expected))
        };
        assert!(expected.iter().any(is_expected), "{name}={value} {expected:?}");
    }
    assert_eq!(pairs.len(), expected.len(), "{query} {expected:?}");
}

fn is_number(text: &str, expected: &Value) -> bool {
    expected.is_number() && text.parse::<f64>().ok() == expected.as_f64()
}

fn pairs(name: &str, value: Option<Value>) -> Vec<(String, Value)> {
    let one = |value: Value| {
        let text = match value {
            Value::Bool(flag) => json!(flag.to_string()),
            value => value,
        };
        (name.to_owned(), text)
    };
    match value {
        None => Vec::new(),
        Some(Value::Array(elements)) => elements.into_iter().map(one).collect(),
        Some(value) => vec![one(value)],
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn encoded(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

//! What a message is in a partner's JSON, found without the transcoder: prost-reflect
//! writes ProtoJSON, and reflection puts the contract's words in its place.

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _,
    Value as Proto,
};
use serde_json::{Map, Number, Value};

use super::contract::proto_json;

/// The JSON object that `message` is to a partner.
pub(super) fn partner_json(message: &DynamicMessage) -> Value {
    object(&message.descriptor(), proto_json(message))
}

/// A field's name in a partner's JSON.
pub(super) fn wire_name(field: &FieldDescriptor) -> String {
    match option(field, "wire_name") {
        Some(Proto::String(name)) if !name.is_empty() => name,
        _ if is_named_as_declared(field) => field.name().to_owned(),
        _ => field.json_name().to_owned(),
    }
}

/// Whether the field's file says `WIRE_NAMES_PROTO`.
fn is_named_as_declared(field: &FieldDescriptor) -> bool {
    let extension = field.parent_pool().get_extension_by_name("gateway.options.v1.wire_names");
    let options = field.parent_file().options();
    extension.is_some_and(|names| *options.get_extension(&names) == Proto::EnumNumber(2))
}

/// Whether a text field is a bare number on the wire.
pub(super) fn is_json_number(field: &FieldDescriptor) -> bool {
    option(field, "format") == Some(Proto::EnumNumber(1))
}

/// Whether a list is one query parameter.
pub(super) fn is_comma_list(field: &FieldDescriptor) -> bool {
    option(field, "format") == Some(Proto::EnumNumber(2))
}

/// Whether a message stands for its one field's object or for null.
fn is_nullable(descriptor: &MessageDescriptor) -> bool {
    let pool = descriptor.parent_pool();
    let extension = pool.get_extension_by_name("gateway.options.v1.nullable").unwrap();
    descriptor.options().get_extension(&extension).as_bool().unwrap()
}

/// How many members the contract does not know, at all levels.
pub(super) fn unknown_members(message: &DynamicMessage) -> u64 {
    let nested = |value: &Proto| match value {
        Proto::Message(message) => unknown_members(message),
        _ => 0,
    };
    let of_field = |(field, value): (FieldDescriptor, &Proto)| match value {
        Proto::Message(entries) if field.name() == "additional_fields" => {
            let entries = entries.get_field_by_name("fields").unwrap();
            u64::try_from(entries.as_map().unwrap().len()).unwrap()
        }
        Proto::List(list) => list.iter().map(nested).sum(),
        Proto::Map(map) => map.values().map(nested).sum(),
        value => nested(value),
    };
    message.fields().map(of_field).sum()
}

/// A message without what says nothing: an empty `additional_fields`, an enum that is
/// not said, a zero where absence is not told.
pub(super) fn canonical(message: &DynamicMessage) -> DynamicMessage {
    let nested = |value: &Proto| match value {
        Proto::Message(message) => Proto::Message(canonical(message)),
        value => value.clone(),
    };
    let mut copy = DynamicMessage::new(message.descriptor());
    for (field, value) in message.fields() {
        let is_empty = match value {
            Proto::Message(entries) if field.name() == "additional_fields" => {
                entries.fields().next().is_none()
            }
            Proto::EnumNumber(0) => !message.descriptor().full_name().starts_with("google."),
            _ => false,
        };
        let value = match value {
            Proto::List(list) => Proto::List(list.iter().map(nested).collect()),
            Proto::Map(map) => {
                Proto::Map(map.iter().map(|(key, value)| (key.clone(), nested(value))).collect())
            }
            value => nested(value),
        };
        if !is_empty {
            copy.set_field(&field, value);
        }
    }
    copy
}

/// Fails unless both messages say the same. Their own `Debug` never ends for a recursive
/// message, so what differs in their ProtoJSON is shown.
pub(super) fn assert_same(message: &DynamicMessage, expected: &DynamicMessage, what: &str) {
    let (message, expected) = (canonical(message), canonical(expected));
    if message != expected {
        let mut found = Vec::new();
        differences(&proto_json(&message), &proto_json(&expected), "", &mut found);
        panic!("{}\n{what}", found.join("\n"));
    }
}

/// Lists where two JSON values differ, but for the last bits of a double: serde_json's own
/// reading may miss them.
pub(super) fn differences(value: &Value, expected: &Value, path: &str, found: &mut Vec<String>) {
    match (value, expected) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let [value, expected] = [a, b].map(|of| of.get(name).unwrap_or(&Value::Null));
                differences(value, expected, &format!("{path}/{name}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (value, expected)) in a.iter().zip(b).enumerate() {
                differences(value, expected, &format!("{path}/{index}"), found);
            }
        }
        (Value::Number(a), Value::Number(b)) if is_close(a, b) => {}
        (value, expected) if value != expected => {
            found.push(format!("{path} is {value}, not {expected}"));
        }
        _ => {}
    }
}

fn is_close(a: &Number, b: &Number) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= a.abs() * 1e-15 || (a - b).abs() < 1e-300;
    (a.is_f64() || b.is_f64()) && a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| close(a, b))
}

/// Whole doubles as integers, so that 3 and 3.0 are equal.
pub(super) fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(normal_number(number)),
        Value::Array(elements) => elements.into_iter().map(normal).collect(),
        Value::Object(members) => members.into_iter().map(|(k, v)| (k, normal(v))).collect(),
        value => value,
    }
}

#[allow(clippy::as_conversions, reason = "guarded by the range")]
fn normal_number(number: Number) -> Number {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.trunc() == value && value.abs() < 9e15 => {
            Number::from(value as i64)
        }
        _ => number,
    }
}

fn object(descriptor: &MessageDescriptor, proto_json: Value) -> Value {
    let Value::Object(members) = proto_json else { panic!("{proto_json} is no object") };
    let (mut object, mut additional) = (Map::new(), Map::new());
    for (name, value) in members {
        let field = descriptor.get_field_by_json_name(&name).unwrap();
        match value {
            Value::Object(entries) if field.name() == "additional_fields" => additional = entries,
            value => {
                if let Some(value) = of_field(&field, value) {
                    object.insert(wire_name(&field), value);
                }
            }
        }
    }
    // Last: of a list with an element that does not fit, the whole is here.
    object.extend(additional);
    Value::Object(object)
}

fn of_field(field: &FieldDescriptor, value: Value) -> Option<Value> {
    match (value, field.kind()) {
        (Value::Array(list), _) if field.is_list() => {
            list.into_iter().map(|element| single(field, element)).collect()
        }
        (Value::Object(map), Kind::Message(entry)) if field.is_map() => {
            let of = entry.map_entry_value_field();
            map.into_iter().map(|(key, value)| Some((key, single(&of, value)?))).collect()
        }
        (value, _) => single(field, value),
    }
}

fn single(field: &FieldDescriptor, value: Value) -> Option<Value> {
    match (field.kind(), value) {
        (Kind::Enum(descriptor), Value::String(name)) => {
            wire_text(&descriptor, &name).map(Value::String)
        }
        (Kind::Message(descriptor), Value::Object(wrapper)) if is_nullable(&descriptor) => {
            let content = descriptor.fields().next().unwrap();
            match wrapper.into_iter().next() {
                None => Some(Value::Null),
                Some((_, value)) => single(&content, value),
            }
        }
        (Kind::Message(descriptor), value)
            if !descriptor.full_name().starts_with("google.protobuf.") =>
        {
            Some(object(&descriptor, value))
        }
        (Kind::Float, Value::Number(number)) => Some(shortest_float(&number)),
        (Kind::String, Value::String(text)) if is_json_number(field) => {
            Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
        }
        (_, value) => Some(value),
    }
}

/// ProtoJSON widens a float; its own shortest text names another double.
#[allow(clippy::as_conversions, reason = "a float widened before")]
fn shortest_float(number: &Number) -> Value {
    let float = number.as_f64().unwrap() as f32;
    serde_json::from_str(&serde_json::to_string(&float).unwrap()).unwrap()
}

fn wire_text(descriptor: &EnumDescriptor, name: &str) -> Option<String> {
    let value = descriptor.get_value_by_name(name).unwrap();
    let extension =
        value.parent_pool().get_extension_by_name("gateway.options.v1.wire_name").unwrap();
    let options = value.options();
    options
        .has_extension(&extension)
        .then(|| options.get_extension(&extension).as_str().unwrap().to_owned())
}

fn option(field: &FieldDescriptor, name: &str) -> Option<Proto> {
    let extension = field.parent_pool().get_extension_by_name("gateway.options.v1.field")?;
    let options = field.options();
    let value = options.get_extension(&extension);
    value.as_message()?.get_field_by_name(name).map(|value| value.into_owned())
}

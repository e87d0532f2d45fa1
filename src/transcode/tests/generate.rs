//! Random messages that keep the rules of their contract.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use crate::operation::rules::{self, Check, Rules};
use crate::operation::{Binding, Encoding, Operation};

use super::oracle;
use super::source::Source;

const MAX_DEPTH: usize = 4;

/// A request that `operation` accepts.
pub(super) fn request(
    operation: &Operation,
    descriptor: &MessageDescriptor,
    source: &mut Source<'_>,
) -> DynamicMessage {
    let mut message = message(descriptor, source, 0);
    if operation.encoding == Encoding::Form {
        flatten(&mut message);
    }
    for (field, binding) in operation.request().fields.iter().zip(&operation.bindings) {
        let descriptor = descriptor.get_field(field.number).unwrap();
        let is_text = matches!(descriptor.kind(), Kind::String);
        match binding {
            Binding::Path if is_text => {
                let text: String = source.text().chars().filter(|c| !c.is_control()).collect();
                message.set_field(&descriptor, Value::String(format!("{text}~")));
            }
            Binding::Header(_) | Binding::User(_)
                if message.has_field(&descriptor) && field.rules.checks.is_empty() =>
            {
                let text: String = source.text().chars().filter(char::is_ascii_graphic).collect();
                let least = if field.rules.required { "~" } else { "" };
                message.set_field(&descriptor, Value::String(format!("{text}{least}")));
            }
            _ => {}
        }
    }
    message
}

/// A reply of `operation` as its transcoder writes it.
pub(super) fn reply(
    operation: &Operation,
    descriptor: &MessageDescriptor,
    source: &mut Source<'_>,
) -> DynamicMessage {
    let message = message(descriptor, source, 0);
    let whole = operation.response_body.map(|index| &operation.reply().fields[index]);
    let Some(whole) = whole.filter(|field| field.kind == crate::operation::Kind::Struct) else {
        return message;
    };
    // There is nothing beside it, and an object without members is an object.
    let field = descriptor.get_field(whole.number).unwrap();
    let mut alone = DynamicMessage::new(descriptor.clone());
    alone.set_field(&field, message.get_field(&field).into_owned());
    alone
}

/// Drops the additional fields that have no form in a form.
fn flatten(message: &mut DynamicMessage) {
    let Some(mut field) = message.get_field_by_name("additional_fields") else { return };
    let additional = field.to_mut().as_message_mut().unwrap();
    let entries = additional.get_field_by_name_mut("fields").unwrap().as_map_mut().unwrap();
    entries.retain(|_, value| {
        let value = value.as_message().unwrap();
        ["number_value", "string_value", "bool_value"].iter().any(|n| value.has_field_by_name(n))
    });
    let field = field.into_owned();
    message.set_field_by_name("additional_fields", field);
}

/// A message, with its rules kept at every level.
pub(super) fn message(
    descriptor: &MessageDescriptor,
    source: &mut Source<'_>,
    depth: usize,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let rules = rules::rules(&field).unwrap();
        if field.name() == "additional_fields" {
            if source.chance(40) {
                message.set_field(&field, Value::Message(additional(&field, source)));
            }
        } else if field.is_list() {
            let count = elements(&field, &rules, source, depth);
            let list = (0..count).map(|_| value(&field, &rules, source, depth)).collect();
            message.set_field(&field, Value::List(list));
        } else if field.is_map() {
            let Kind::Message(entry) = field.kind() else { unreachable!() };
            let of = entry.map_entry_value_field();
            let count = elements(&of, &rules, source, depth);
            let entries = (0..count)
                .map(|_| (MapKey::String(source.text()), value(&of, &rules, source, depth)));
            message.set_field(&field, Value::Map(entries.collect()));
        } else if is_needed(&field, &rules) || (source.chance(35) && may_nest(&field, depth)) {
            message.set_field(&field, value(&field, &rules, source, depth));
        }
    }
    message
}

/// Whether leaving the field out would break a rule.
fn is_needed(field: &FieldDescriptor, rules: &Rules) -> bool {
    rules.required || (!field.supports_presence() && !rules.ignore_zero && !rules.checks.is_empty())
}

fn may_nest(field: &FieldDescriptor, depth: usize) -> bool {
    !matches!(field.kind(), Kind::Message(_)) || depth < MAX_DEPTH
}

fn elements(
    field: &FieldDescriptor,
    rules: &Rules,
    source: &mut Source<'_>,
    depth: usize,
) -> usize {
    let least = usize::try_from(rules.min_items).unwrap();
    let most = rules.max_items.map_or(least + 3, |most| usize::try_from(most).unwrap());
    if source.chance(35) && may_nest(field, depth) {
        least + source.below(most - least + 1)
    } else {
        least
    }
}

fn value(field: &FieldDescriptor, rules: &Rules, source: &mut Source<'_>, depth: usize) -> Value {
    match field.kind() {
        Kind::Double | Kind::Float => number(rules, source.f64(), source, field),
        Kind::Bool => Value::Bool(source.chance(50)),
        Kind::String => Value::String(text(field, rules, source)),
        Kind::Bytes => Value::Bytes(source.bytes().into()),
        Kind::Enum(descriptor) => Value::EnumNumber(enum_number(&descriptor, rules, source)),
        Kind::Message(descriptor) => Value::Message(match descriptor.full_name() {
            "google.protobuf.Timestamp" => timestamp(&descriptor, source),
            "google.protobuf.Struct" => structure(&descriptor, source, 0),
            "google.protobuf.Value" => any(&descriptor, source, 0),
            "google.protobuf.ListValue" => list(&descriptor, source, 0),
            _ => message(&descriptor, source, depth + 1),
        }),
        _ => {
            // Odd is never zero, which a rule may not take for a value.
            let any = source.i64() | i64::from(rules.required);
            integer(&field.kind(), bounded(rules, 1.0, source).map_or(any, whole))
        }
    }
}

#[allow(clippy::as_conversions, reason = "a small number of a test")]
fn whole(value: f64) -> i64 {
    value as i64
}

/// Cuts a number to what its kind can hold.
#[allow(clippy::as_conversions, reason = "any bits will do")]
fn integer(kind: &Kind, value: i64) -> Value {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(value as i32),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(value as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(value as u64),
        _ => Value::I64(value),
    }
}

#[allow(clippy::as_conversions, reason = "any float will do")]
fn number(rules: &Rules, any: f64, source: &mut Source<'_>, field: &FieldDescriptor) -> Value {
    let value = bounded(rules, any, source).unwrap_or(any);
    match field.kind() {
        Kind::Float if (value as f32).is_finite() => Value::F32(value as f32),
        Kind::Float => Value::F32(0.1),
        _ => Value::F64(value),
    }
}

/// A number within the bounds of the rules, if there are any.
fn bounded(rules: &Rules, any: f64, source: &mut Source<'_>) -> Option<f64> {
    let holds = |value: f64| {
        rules.checks.iter().all(|check| match check {
            Check::AtLeast(limit, true) => value > *limit,
            Check::AtLeast(limit, false) => value >= *limit,
            Check::AtMost(limit, true) => value < *limit,
            Check::AtMost(limit, false) => value <= *limit,
            _ => true,
        })
    };
    let has_bounds =
        rules.checks.iter().any(|c| matches!(c, Check::AtLeast(..) | Check::AtMost(..)));
    let candidates: Vec<f64> =
        [any, 1.0, 0.0, 5.0, 100.0].into_iter().filter(|n| holds(*n)).collect();
    has_bounds.then(|| source.pick(&candidates))
}

fn text(field: &FieldDescriptor, rules: &Rules, source: &mut Source<'_>) -> String {
    if oracle::is_json_number(field) {
        // Texts that survive the oracle's own doubles; exact ones are in the tables.
        return source.pick(&["0", "12.5", "-7", "0.001"]).into();
    }
    let mut lengths = (0, usize::MAX);
    for check in &rules.checks {
        match check {
            Check::Pattern(pattern) => return matching(pattern.as_str(), source),
            Check::In(texts) => return texts[source.below(texts.len())].clone(),
            Check::Length(from, to) => {
                lengths.0 = lengths.0.max(usize::try_from(*from).unwrap());
                lengths.1 = lengths.1.min(usize::try_from(*to).unwrap_or(usize::MAX));
            }
            _ => {}
        }
    }
    let mut text: String = source.text().chars().take(lengths.1).collect();
    let least = lengths.0.max(usize::from(rules.required));
    while text.chars().count() < least {
        text.push('x');
    }
    text
}

fn matching(pattern: &str, source: &mut Source<'_>) -> String {
    let inner = pattern.trim_start_matches('^').trim_end_matches('$');
    let seed: [u8; 32] = std::array::from_fn(|_| source.byte());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    proptest::string::string_regex(inner).unwrap().new_tree(&mut runner).unwrap().current()
}

/// Any value that has a text: the zero value says nothing.
fn enum_number(descriptor: &EnumDescriptor, rules: &Rules, source: &mut Source<'_>) -> i32 {
    let is_excluded = |number: i32| {
        rules.checks.iter().any(|c| matches!(c, Check::NotIn(numbers) if numbers.contains(&number)))
    };
    let numbers: Vec<i32> = descriptor
        .values()
        .map(|value| value.number())
        .filter(|number| *number != 0 && !is_excluded(*number))
        .collect();
    source.pick(&numbers)
}

fn timestamp(descriptor: &MessageDescriptor, source: &mut Source<'_>) -> DynamicMessage {
    const EDGES: [i64; 5] = [0, -1, -62_135_596_800, 253_402_300_799, 1_700_000_000];
    let mut message = DynamicMessage::new(descriptor.clone());
    let any = source.i64().rem_euclid(300_000_000_000) - 50_000_000_000;
    let seconds = if source.chance(50) { any } else { source.pick(&EDGES) };
    let nanos = source.pick(&[0, 120_000_000, 1_000, 999_999_999, 1]);
    message.set_field_by_name("seconds", Value::I64(seconds));
    message.set_field_by_name("nanos", Value::I32(nanos));
    message
}

/// Entries that no contract has a field for.
fn additional(field: &FieldDescriptor, source: &mut Source<'_>) -> DynamicMessage {
    let Kind::Message(descriptor) = field.kind() else { unreachable!() };
    structure(&descriptor, source, 0)
}

fn structure(
    descriptor: &MessageDescriptor,
    source: &mut Source<'_>,
    depth: usize,
) -> DynamicMessage {
    let fields = descriptor.get_field_by_name("fields").unwrap();
    let Kind::Message(entry) = fields.kind() else { unreachable!() };
    let Kind::Message(of) = entry.map_entry_value_field().kind() else { unreachable!() };
    let entries = (0..source.below(4)).map(|index| {
        let key = format!("x-{}-{index}", source.text());
        (MapKey::String(key), Value::Message(any(&of, source, depth + 1)))
    });
    let entries = entries.collect();
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field(&fields, Value::Map(entries));
    message
}

fn list(descriptor: &MessageDescriptor, source: &mut Source<'_>, depth: usize) -> DynamicMessage {
    let values = descriptor.get_field_by_name("values").unwrap();
    let Kind::Message(of) = values.kind() else { unreachable!() };
    let elements =
        (0..source.below(4)).map(|_| Value::Message(any(&of, source, depth + 1))).collect();
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field(&values, Value::List(elements));
    message
}

fn any(descriptor: &MessageDescriptor, source: &mut Source<'_>, depth: usize) -> DynamicMessage {
    let of = |name: &str| match descriptor.get_field_by_name(name).unwrap().kind() {
        Kind::Message(message) => message,
        kind => panic!("{kind:?}"),
    };
    let (name, value) = match source.below(if depth < 5 { 6 } else { 4 }) {
        0 => ("null_value", Value::EnumNumber(0)),
        1 => ("number_value", Value::F64(source.f64())),
        2 => ("string_value", Value::String(source.text())),
        3 => ("bool_value", Value::Bool(source.chance(50))),
        4 => ("struct_value", Value::Message(structure(&of("struct_value"), source, depth))),
        _ => ("list_value", Value::Message(list(&of("list_value"), source, depth))),
    };
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name(name, value);
    message
}

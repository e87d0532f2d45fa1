//! The contract's `buf.validate` rules, held against a request's values.

use crate::operation::rules::{Check, Rules};
use crate::operation::{Field, Kind, Schema};

use super::scalar::{approximate, enum_number};
use super::wire::Raw;

/// A rule that a value breaks: its name, and what it asks.
pub(super) type Broken = (&'static str, String);

/// The rules of its field that a value breaks.
pub(super) fn broken(schema: &Schema, field: &Field, raw: Raw<'_>) -> impl Iterator<Item = Broken> {
    field.rules.checks.iter().filter_map(move |check| broken_rule(schema, field.kind, check, raw))
}

/// The rule that a list of `count` elements breaks.
pub(super) fn broken_length(rules: &Rules, count: u64) -> Option<Broken> {
    let what = match (rules.min_items, rules.max_items) {
        (min, None) if count < min => format!("must have at least {min} elements"),
        (0, Some(max)) if count > max => format!("must have at most {max} elements"),
        (min, Some(max)) if count < min || count > max => {
            format!("must have {min} to {max} elements")
        }
        _ => return None,
    };
    Some(("LIST_LENGTH", what))
}

/// The zero value that an unset field without presence is checked as.
pub(super) fn zero(kind: Kind) -> Raw<'static> {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Raw::Fixed64(0),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Raw::Fixed32(0),
        Kind::Bool
        | Kind::Enum(_)
        | Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64 => Raw::Varint(0),
        Kind::String
        | Kind::Bytes
        | Kind::Message(_)
        | Kind::Nullable(_)
        | Kind::Timestamp
        | Kind::Struct
        | Kind::Value
        | Kind::ListValue => Raw::Bytes(&[]),
    }
}

fn broken_rule(schema: &Schema, kind: Kind, check: &Check, raw: Raw<'_>) -> Option<Broken> {
    let text = match raw {
        Raw::Bytes(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        _ => "",
    };
    let number = || approximate(schema, kind, raw).unwrap_or(f64::NAN);
    match check {
        Check::Length(from, to) => {
            let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            let holds = (*from..=*to).contains(&length);
            (!holds).then(|| ("STRING_LENGTH", length_rule(*from, *to)))
        }
        Check::Pattern(pattern) => (!pattern.is_match(text))
            .then(|| ("STRING_PATTERN", format!("must match {}", pattern.as_str()))),
        Check::In(values) => (!values.iter().any(|value| value == text))
            .then(|| ("STRING_IN", format!("must be one of {}", values.join(", ")))),
        Check::DefinedOnly => {
            let Kind::Enum(id) = kind else { return None };
            let number = enum_number(raw);
            let is_defined = number == 0 || schema.enumeration(id).text(number).is_some();
            (!is_defined).then(|| ("ENUM_DEFINED_ONLY", "must be a value of its enum".to_owned()))
        }
        Check::NotIn(numbers) => numbers
            .contains(&enum_number(raw))
            .then(|| ("ENUM_NOT_IN", format!("must not be any of {numbers:?}"))),
        Check::AtLeast(limit, true) if number() > *limit => None,
        Check::AtLeast(limit, false) if number() >= *limit => None,
        Check::AtMost(limit, true) if number() < *limit => None,
        Check::AtMost(limit, false) if number() <= *limit => None,
        Check::AtLeast(limit, true) => Some(("NUMBER_RANGE", format!("must be more than {limit}"))),
        Check::AtLeast(limit, false) => Some(("NUMBER_RANGE", format!("must be at least {limit}"))),
        Check::AtMost(limit, true) => Some(("NUMBER_RANGE", format!("must be less than {limit}"))),
        Check::AtMost(limit, false) => Some(("NUMBER_RANGE", format!("must be at most {limit}"))),
    }
}

fn length_rule(from: u64, to: u64) -> String {
    match (from, to) {
        (from, to) if from == to => format!("must have exactly {from} characters"),
        (from, u64::MAX) => format!("must have at least {from} characters"),
        (0, to) => format!("must have at most {to} characters"),
        (from, to) => format!("must have {from} to {to} characters"),
    }
}

//! The `buf.validate` rules that a request is held to.
//!
//! Only the rules in use are understood. One that is not understood is an error
//! of the contract, found by the build, never a check that silently does nothing.

use prost_reflect::{DynamicMessage, FieldDescriptor, Value};
use regex::Regex;

const FIELD_RULES: &str = "buf.validate.field";
const IGNORE_IF_ZERO_VALUE: i32 = 1;
const UUID: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

/// What a field's value must satisfy.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The field must be set: present, and without presence not its zero value.
    pub required: bool,
    /// An unset field without presence is not checked.
    pub ignore_zero: bool,
    /// Checks of the value itself, or of each element of a list or a map.
    pub checks: Vec<Check>,
    /// The least number of elements of a list.
    pub min_items: u64,
    /// The largest number of elements of a list.
    pub max_items: Option<u64>,
}

/// One check of one value.
#[derive(Clone, Debug)]
pub enum Check {
    /// A string's length in characters, from and to.
    Length(u64, u64),
    /// A string matches.
    Pattern(Regex),
    /// A string is one of these.
    In(Vec<String>),
    /// An enum's number is one that the enum defines.
    DefinedOnly,
    /// An enum's number is none of these.
    NotIn(Vec<i32>),
    /// A number is at least (`true`: more than) this.
    AtLeast(f64, bool),
    /// A number is at most (`true`: less than) this.
    AtMost(f64, bool),
}

impl Rules {
    /// Whether there is anything to check.
    pub fn is_any(&self) -> bool {
        self.required || !self.checks.is_empty() || self.min_items > 0 || self.max_items.is_some()
    }
}

/// The rules of `field`, or what in them is not understood.
pub fn rules(field: &FieldDescriptor) -> Result<Rules, String> {
    let Some(extension) = field.parent_pool().get_extension_by_name(FIELD_RULES) else {
        return Ok(Rules::default());
    };
    let options = field.options();
    if !options.has_extension(&extension) {
        return Ok(Rules::default());
    }
    let value = options.get_extension(&extension);
    let Some(message) = value.as_message() else { return Ok(Rules::default()) };
    field_rules(message)
}

fn field_rules(message: &DynamicMessage) -> Result<Rules, String> {
    let mut rules = Rules::default();
    for (field, value) in message.fields() {
        match (field.name(), value) {
            ("required", Value::Bool(required)) => rules.required = *required,
            ("ignore", Value::EnumNumber(IGNORE_IF_ZERO_VALUE)) => rules.ignore_zero = true,
            ("repeated", Value::Message(list)) => list_rules(list, &mut rules)?,
            (kind, Value::Message(of_kind)) => value_rules(kind, of_kind, &mut rules.checks)?,
            (name, _) => return Err(not_understood(name)),
        }
    }
    Ok(rules)
}

fn list_rules(message: &DynamicMessage, rules: &mut Rules) -> Result<(), String> {
    for (field, value) in message.fields() {
        match (field.name(), value) {
            ("min_items", Value::U64(n)) => rules.min_items = *n,
            ("max_items", Value::U64(n)) => rules.max_items = Some(*n),
            ("items", Value::Message(items)) => rules.checks = field_rules(items)?.checks,
            (name, _) => return Err(not_understood(&format!("repeated.{name}"))),
        }
    }
    Ok(())
}

fn value_rules(
    kind: &str,
    message: &DynamicMessage,
    checks: &mut Vec<Check>,
) -> Result<(), String> {
    for (field, value) in message.fields() {
        let check = match (kind, field.name(), value) {
            ("string", "min_len", Value::U64(n)) => Check::Length(*n, u64::MAX),
            ("string", "max_len", Value::U64(n)) => Check::Length(0, *n),
            ("string", "len", Value::U64(n)) => Check::Length(*n, *n),
            ("string", "pattern", Value::String(pattern)) => Check::Pattern(compile(pattern)?),
            ("string", "uuid", Value::Bool(true)) => Check::Pattern(compile(UUID)?),
            ("string", "in", Value::List(list)) => Check::In(strings(list)),
            ("enum", "defined_only", Value::Bool(true)) => Check::DefinedOnly,
            ("enum", "not_in", Value::List(list)) => {
                Check::NotIn(list.iter().filter_map(Value::as_i32).collect())
            }
            (_, name, value) => {
                bound(name, value).ok_or_else(|| not_understood(&format!("{kind}.{name}")))?
            }
        };
        checks.push(check);
    }
    Ok(())
}

fn bound(name: &str, value: &Value) -> Option<Check> {
    let limit = match value {
        Value::I32(n) => f64::from(*n),
        Value::U32(n) => f64::from(*n),
        Value::F32(n) => f64::from(*n),
        Value::F64(n) => *n,
        // A limit beyond 2^53 would be rounded: not understood, so the build refuses it.
        Value::I64(n) => f64::from(i32::try_from(*n).ok()?),
        Value::U64(n) => f64::from(u32::try_from(*n).ok()?),
        _ => return None,
    };
    match name {
        "gt" => Some(Check::AtLeast(limit, true)),
        "gte" => Some(Check::AtLeast(limit, false)),
        "lt" => Some(Check::AtMost(limit, true)),
        "lte" => Some(Check::AtMost(limit, false)),
        _ => None,
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|e| format!("the pattern of a rule does not compile: {e}"))
}

fn strings(list: &[Value]) -> Vec<String> {
    list.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

fn not_understood(rule: &str) -> String {
    format!("the rule `buf.validate` {rule} is not understood by the transcoder")
}

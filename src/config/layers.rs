//! From text to [`Config`]: the file's layer, the environment's over it, then types.
//!
//! serde stops at the first value that does not fit. Here such a value is put on the
//! list of faults and taken out, until the rest fits, so that one run names them all.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::environment::Environment;
use super::{Config, Faults, validate};

/// One step from a table into the value that a fault is about.
enum Step {
    Key(String),
    Index(usize),
}

/// Reads a file's layer.
pub(super) fn read(path: &Path) -> Result<Table, Faults> {
    parse(&text(path)?, &path.display().to_string())
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, Faults> {
    let fault = |error| Faults::one(path.display().to_string(), format!("cannot be read: {error}"));
    std::fs::read_to_string(path).map_err(fault)
}

/// The table in a file's text. A fault tells line and column; toml's own report would
/// print the line, and a secret may be on it.
pub(super) fn parse(text: &str, name: &str) -> Result<Table, Faults> {
    text.parse().map_err(|error: toml::de::Error| {
        let (line, column) = place(text, error.span().unwrap_or_default());
        Faults::one(format!("{name}:{line}:{column}"), error.message().replace('\n', ", "))
    })
}

/// Lays the environment over `table`, and makes the whole of it a configuration.
pub(super) fn merge(
    mut table: Table,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, Faults> {
    let mut faults = Faults::default();
    let mut environment = Environment::collect(environment, &mut faults);
    environment.apply(&mut table, &mut faults);
    let mut config = typed(table, &mut environment, &mut faults);
    validate::complete(&mut config, &mut faults);
    if faults.is_empty() {
        return Ok(config);
    }
    environment.name_sources(&mut faults);
    Err(faults)
}

fn typed(mut table: Table, environment: &mut Environment, faults: &mut Faults) -> Config {
    loop {
        let value = Value::Table(table.clone());
        let error = match serde_path_to_error::deserialize::<_, Config>(value) {
            Ok(config) => return config,
            Err(error) => error,
        };
        let steps = steps(error.path());
        let key = dotted(&steps);
        if environment.reread(&key, &mut table) {
            continue;
        }
        let mut root = Value::Table(std::mem::take(&mut table));
        faults.push(key, problem(error.inner().message(), find(&root, &steps)));
        let is_removed = remove(&mut root, &steps);
        match root {
            Value::Table(rest) if is_removed => table = rest,
            _ => return Config::default(),
        }
    }
}

/// The steps to the value. What follows an enum is the value's own text.
fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    let step = |segment: &Segment| match segment {
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(step).collect()
}

/// The key as the file has it. Odd characters, which only unknown keys have, are
/// escaped.
fn dotted(steps: &[Step]) -> String {
    let mut key = String::new();
    for step in steps {
        match step {
            Step::Index(index) => key.push_str(&format!("[{index}]")),
            Step::Key(name) => {
                key.push_str(if key.is_empty() { "" } else { "." });
                key.extend(name.escape_debug());
            }
        }
    }
    key
}

/// serde's message without the value that it quotes: a secret may be there by mistake.
fn problem(message: &str, value: Option<&Value>) -> String {
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
    if message.starts_with("unknown field") {
        let known = expected.map(|e| e.trim_start_matches("one of ").replace('`', ""));
        return format!("unknown key; known here: {}", known.unwrap_or_default());
    }
    let Some(expected) = expected else { return message.to_owned() };
    let expected = match expected {
        "usize" => "a whole number, 0 or more",
        "u32" => "a whole number from 0 to 4294967295",
        "a sequence" => "an array",
        "string or map" => "a string",
        structure if structure.starts_with("struct ") => "a section",
        other => other,
    };
    let expected = expected.replace('`', "\"");
    let found = match value {
        None => return format!("expected {expected}"),
        Some(Value::String(_)) => "a string",
        Some(Value::Integer(_)) => "an integer",
        Some(Value::Float(_)) => "a float",
        Some(Value::Boolean(_)) => "a boolean",
        Some(Value::Datetime(_)) => "a date",
        Some(Value::Array(_)) => "an array",
        Some(Value::Table(_)) => "a table",
    };
    format!("expected {expected}, found {found}")
}

fn find<'a>(root: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(root, |value, step| match step {
        Step::Key(name) => value.get(name),
        Step::Index(index) => value.get(*index),
    })
}

/// Takes the value out; an array whose element it is goes as a whole, so that the
/// indexes of the others stay true.
fn remove(value: &mut Value, steps: &[Step]) -> bool {
    match (value, steps) {
        (Value::Table(table), [Step::Key(name)] | [Step::Key(name), Step::Index(_)]) => {
            table.remove(name).is_some()
        }
        (Value::Table(table), [Step::Key(name), rest @ ..]) => {
            table.get_mut(name).is_some_and(|inner| remove(inner, rest))
        }
        (Value::Array(array), [Step::Index(index), rest @ ..]) => {
            array.get_mut(*index).is_some_and(|inner| remove(inner, rest))
        }
        _ => false,
    }
}

/// Line and column, from 1.
fn place(text: &str, span: Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

//! Operations that keep nothing of interest: their answers are made from their types. Every member is there, with a value that its name suggests, so
//! that a gateway which drops or mixes up a member is found out. What the request said under the
//! same name comes back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::json::Object;
use super::call::{Call, Document, Input, Outcome};
use super::facts::{Field, Operation, Resolved, Type, facts};

/// Some moment, since those of a typed answer mean nothing.
const MOMENT: &str = "2026-01-02T03:04:05Z";

/// A JSON value whose objects keep their members in order.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Filled {
    Scalar(Value),
    List(Vec<Self>),
    Object(Object),
}

/// Answers an operation that keeps nothing.
pub(crate) fn answer(call: &mut Call<'_>) -> Outcome {
    let Some(kind) = &call.operation.answer else { return Ok(Document::empty()) };
    let filler = Filler { undocumented: call.state.switches.undocumented_fields };
    let filled = match kind {
        // A body of free members is answered with itself.
        Type::Free if !call.input.body.is_empty() => Filled::Scalar(call.input.body.clone().into()),
        kind => filler.fill(kind, "", Some(&echo(call.operation, &call.input).into())),
    };
    Ok(Document::of(&filled))
}

/// What the request said, under the names that an answer may have for it.
fn echo(operation: &Operation, input: &Input) -> Map<String, Value> {
    let read = |fields: &[Field], given: &[(String, String)]| {
        let one = |field: &Field| {
            let (_, text) = given.iter().find(|(name, _)| *name == field.name)?;
            parsed(&field.kind, text).map(|value| (field.name.clone(), value))
        };
        fields.iter().filter_map(one).collect::<Vec<_>>()
    };
    let path = read(&operation.parameters, &input.path);
    // The last parameter of a path names the resource itself.
    let id = input.path.last().and_then(|(last, _)| path.iter().find(|(name, _)| name == last));
    let id = id.map(|(_, value)| ("id".to_owned(), value.clone()));
    let query = read(&operation.query, &input.query);
    path.iter().cloned().chain(id).chain(query).chain(input.body.clone()).collect()
}

struct Filler {
    undocumented: bool,
}

// === impl Filler ===

impl Filler {
    fn fill(&self, kind: &Type, name: &str, echo: Option<&Value>) -> Filled {
        match (kind, facts().resolved(kind)) {
            (_, Resolved::Type(Type::Object(fields))) => {
                let echo = echo.and_then(Value::as_object);
                let object = fields.iter().fold(Object::new(), |object, field| {
                    let echo = echo.and_then(|echo| echo.get(&field.name));
                    object.with(&field.name, self.fill(&field.kind, &field.name, echo))
                });
                Filled::Object(object.with_undocumented(self.undocumented))
            }
            (Type::List(element), _) => match echo.and_then(Value::as_array) {
                Some(values) => {
                    let element = |value| self.fill(element, name, Some(value));
                    Filled::List(values.iter().map(element).collect())
                }
                None => Filled::List(self.elements(element, name)),
            },
            (Type::OrNull(inner), _) => self.fill(inner, name, echo),
            _ => {
                let echo = echo.filter(|value| admits(kind, value)).cloned();
                Filled::Scalar(echo.unwrap_or_else(|| scalar(kind, name)))
            }
        }
    }

    fn elements(&self, kind: &Type, name: &str) -> Vec<Filled> {
        let element = self.fill(kind, name, None);
        match kind {
            Type::OrNull(_) => vec![element, Filled::Scalar(Value::Null)],
            _ => vec![element],
        }
    }
}

fn scalar(kind: &Type, name: &str) -> Value {
    match (kind, facts().resolved(kind)) {
        (_, Resolved::Values(values)) => values.first().map(String::as_str).into(),
        (Type::Boolean, _) => true.into(),
        (Type::Integer, _) => integer(name).into(),
        (Type::Number, _) => json!(12.5),
        (Type::Time, _) => MOMENT.into(),
        (Type::Url, _) => format!("https://trustap.example/{name}").into(),
        (Type::Free, _) => json!({"reference": "A-1", "weight": 2.5, "fragile": true}),
        _ => text(name).into(),
    }
}

/// Small where the name counts something, else as good as unlike any other member's.
fn integer(name: &str) -> i64 {
    match name {
        "day" | "month" | "page" | "quantity" | "total_pages" | "total_count" => 1,
        "year" => 1990,
        _ => name.bytes().fold(1000, |sum, byte| sum + i64::from(byte)),
    }
}

fn text(name: &str) -> String {
    match name {
        "currency" => "eur".to_owned(),
        "country" | "country_code" => "ie".to_owned(),
        "created" | "disabled" => MOMENT.to_owned(),
        "label" => STANDARD.encode("%PDF-1.4 a simulated label"),
        "status" => "created".to_owned(),
        _ if name.contains("email") => "someone@example.com".to_owned(),
        _ if name.contains("phone") => "+353870000000".to_owned(),
        _ if name.ends_with("url") => format!("https://trustap.example/{name}"),
        _ => format!("simulated {name}"),
    }
}

/// The value that a path or query gives as text.
fn parsed(kind: &Type, text: &str) -> Option<Value> {
    match kind {
        Type::Integer => text.parse::<i64>().ok().map(Value::from),
        Type::Number => text.parse::<f64>().ok().map(Value::from),
        Type::Boolean => text.parse::<bool>().ok().map(Value::from),
        Type::List(element) => text.split(',').map(|text| parsed(element, text)).collect(),
        _ => Some(text.into()),
    }
}

/// Whether what the request said can stand in the answer.
fn admits(kind: &Type, value: &Value) -> bool {
    match kind {
        Type::Boolean => value.is_boolean(),
        Type::Integer => value.is_i64(),
        Type::Number => value.is_number(),
        Type::Free => value.is_object(),
        _ => value.is_string(),
    }
}

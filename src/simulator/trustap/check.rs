//! Whether parameters and body are what the facts say. The first offence is told, by the code that
//! the operation documents for it, or else by the family of codes that those belong to.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::form;
use super::super::partner::Received;
use super::call::Input;
use super::facts::{Field, Operation, Resolved, Type, facts};
use super::refusal::Refusal;
use super::route::Parameter;
use super::settings::Switches;

/// Types whose values an operation judges itself, with a code of their own.
const JUDGED_LATER: [&str; 3] = ["Currency", "p2p.Currency", "basic.Feature"];

/// The values that a check needs beside the value.
#[derive(Clone, Copy)]
struct Check<'a> {
    operation: &'a Operation,
    switches: &'a Switches,
}

/// Parameters and body as the operation takes them.
pub(crate) fn input(
    operation: &Operation,
    path: Vec<Parameter>,
    request: &Received,
    switches: &Switches,
) -> Result<Input, Refusal> {
    let check = Check { operation, switches };
    for (name, value) in &path {
        check.path(name, value)?;
    }
    let query = form::pairs(request.query.as_deref().unwrap_or_default());
    let query = query.map_err(|_| Refusal::invalid("invalid_query"))?;
    check.query(&query)?;
    let body = match &operation.body {
        Some(kind) => check.body(kind, request)?,
        None => Map::new(),
    };
    Ok(Input { path, query, body })
}

// === impl Check ===

impl Check<'_> {
    fn path(self, name: &str, value: &str) -> Result<(), Refusal> {
        let field = self.operation.parameters.iter().find(|field| field.name == name);
        if field.is_none_or(|field| is_text(&field.kind, value)) {
            return Ok(());
        }
        Err(Refusal::invalid(self.operation.code(&["invalid_id", &format!("invalid_{name}")])))
    }

    fn query(self, pairs: &[(String, String)]) -> Result<(), Refusal> {
        let mut seen = BTreeSet::new();
        for (name, value) in pairs {
            let field = self.operation.query.iter().find(|field| field.name == *name);
            let Some(field) = field else {
                if self.switches.accept_unknown_fields {
                    continue;
                }
                return Err(Refusal::invalid(format!("unexpected_{name}")));
            };
            if !seen.insert(name) {
                return Err(Refusal::invalid(format!("multiple_{name}")));
            }
            if !is_text(&field.kind, value) {
                return Err(Refusal::invalid(format!("invalid_{name}")));
            }
        }
        let given =
            |name: &str| pairs.iter().any(|(given, value)| given == name && !value.is_empty());
        let missing =
            self.operation.query.iter().find(|field| field.required && !given(&field.name));
        let code = |field: &Field| format!("{}_missing", field.name);
        missing.map_or(Ok(()), |field| Err(Refusal::invalid(code(field))))
    }

    fn body(self, kind: &Type, request: &Received) -> Result<Map<String, Value>, Refusal> {
        let body = if request.body.is_empty() {
            Map::new()
        } else if request.has_media_type("application/json") {
            serde_json::from_slice(&request.body).map_err(|_| Refusal::invalid("invalid_json"))?
        } else {
            return Err(Refusal::invalid("invalid_content_type"));
        };
        if let Resolved::Type(Type::Object(fields)) = facts().resolved(kind) {
            self.object("", fields, &body)?;
        }
        Ok(body)
    }

    fn object(
        self,
        within: &str,
        fields: &[Field],
        object: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        let path = |name: &str| {
            if within.is_empty() { name.to_owned() } else { format!("{within}_{name}") }
        };
        for field in fields {
            let path = path(&field.name);
            match object.get(&field.name) {
                None | Some(Value::Null) if field.required => return Err(self.missing(&path)),
                None | Some(Value::Null) => {}
                Some(Value::String(text)) if text.is_empty() && field.required => {
                    self.empty(&path)?;
                }
                Some(value) => self.value(&path, &field.kind, value)?,
            }
        }
        let known = |name: &String| fields.iter().any(|field| field.name == *name);
        match object.keys().find(|name| !known(name)) {
            Some(name) if !self.switches.accept_unknown_fields => {
                Err(Refusal::invalid(format!("unexpected_{}", path(name))))
            }
            _ => Ok(()),
        }
    }

    fn value(self, path: &str, kind: &Type, value: &Value) -> Result<(), Refusal> {
        if matches!(kind, Type::Named(name) if JUDGED_LATER.contains(&name.as_str())) {
            return self.demand(path, value.is_string());
        }
        let kind = match facts().resolved(kind) {
            Resolved::Type(kind) => kind,
            Resolved::Values(known) => {
                let Value::String(text) = value else { return self.demand(path, false) };
                if known.contains(text) || self.switches.open_enums {
                    return Ok(());
                }
                let codes = [format!("unsupported_{path}"), format!("invalid_{path}")];
                let codes = codes.each_ref().map(String::as_str);
                return Err(Refusal::invalid(self.operation.code(&codes)));
            }
        };
        match (kind, value) {
            (Type::OrNull(_), Value::Null) => Ok(()),
            (Type::OrNull(inner), value) => self.value(path, inner, value),
            (Type::Object(fields), Value::Object(object)) => self.object(path, fields, object),
            (Type::List(element), Value::Array(elements)) => {
                elements.iter().try_for_each(|value| self.value(path, element, value))
            }
            (kind, value) => self.demand(path, is_of(kind, value)),
        }
    }

    fn demand(self, path: &str, fits: bool) -> Result<(), Refusal> {
        if fits {
            return Ok(());
        }
        let codes = [format!("invalid_{path}"), format!("incorrect_{path}_type")];
        Err(Refusal::invalid(self.operation.code(&codes.each_ref().map(String::as_str))))
    }

    fn missing(self, path: &str) -> Refusal {
        let codes = [
            format!("{path}_missing"),
            format!("empty_{path}"),
            format!("empty_complaint_{path}"),
            format!("missing_{path}"),
        ];
        Refusal::invalid(self.operation.code(&codes.each_ref().map(String::as_str)))
    }

    // Empty text is refused only where the operation has a code for it.
    fn empty(self, path: &str) -> Result<(), Refusal> {
        let known = ["empty_", "empty_complaint_"].map(|prefix| format!("{prefix}{path}"));
        let known = known.into_iter().chain([format!("{path}_missing")]);
        let mut known = known.filter(|code| self.operation.documents(code));
        known.next().map_or(Ok(()), |code| Err(Refusal::invalid(code)))
    }
}

// Whether text outside a body spells a value of this type.
fn is_text(kind: &Type, text: &str) -> bool {
    match kind {
        Type::Integer => text.parse::<i64>().is_ok(),
        Type::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
        Type::Boolean => matches!(text, "true" | "false"),
        // Lists are read by their operations, which have codes for what is wrong with them.
        _ => true,
    }
}

fn is_of(kind: &Type, value: &Value) -> bool {
    match kind {
        Type::Text => value.is_string(),
        Type::Boolean => value.is_boolean(),
        Type::Integer => value.is_i64(),
        Type::Number => value.is_number(),
        Type::Time => value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok()),
        Type::Url => value.as_str().is_some_and(is_url),
        Type::Free => value.is_object(),
        _ => false,
    }
}

fn is_url(text: &str) -> bool {
    text.parse().is_ok_and(|url: http::Uri| url.scheme().is_some() && url.host().is_some())
}

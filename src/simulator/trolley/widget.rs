//! The recipient widget's colours. The document shows no answer; later clients of this API also
//! read the configuration back.

use http::StatusCode;
use serde_json::{Map, Value};

use super::super::json::Object;
use super::check;
use super::refusal::{Offence, Refusal};
use super::{Context, Outcome, schema};

/// `GET /v1/iframe/config`.
pub(crate) fn get(context: &mut Context<'_>) -> Outcome {
    let absent = || Refusal::of(StatusCode::NOT_FOUND);
    let merchant = context.state.merchant(&context.merchant).ok_or_else(absent)?;
    Ok(Object::new().with("ok", true).with("colors", &merchant.colors))
}

/// `POST /v1/iframe/config`: the colours that are given change.
pub(crate) fn set(context: &mut Context<'_>) -> Outcome {
    let switches = &context.state.switches;
    let mut offences: Vec<_> = context
        .body
        .keys()
        .filter(|name| *name != "colors" && !switches.accept_unknown_fields)
        .map(|name| Offence::invalid(name.clone()))
        .collect();
    let fields = schema::all(schema::COLORS, switches.require_all_colors);
    let colors: Map<String, Value> = match context.body.get("colors") {
        Some(Value::Object(colors)) => {
            offences.extend(check::check("colors", colors, &fields, switches));
            colors.clone()
        }
        Some(_) => {
            offences.push(Offence::invalid("colors".to_owned()));
            Map::new()
        }
        // Clients of this API may send an empty object.
        None => Map::new(),
    };
    Refusal::unless_clean(offences)?;
    let absent = || Refusal::of(StatusCode::NOT_FOUND);
    let merchant = context.state.merchant(&context.merchant).ok_or_else(absent)?;
    merchant.colors.extend(colors);
    get(context)
}

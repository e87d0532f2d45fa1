//! Sub-merchants and sandboxes: made by the parent, with keys that are shown this once.

use http::StatusCode;
use serde_json::{Map, Value};

use super::super::json::Object;
use super::check::{self, Field, Shape};
use super::refusal::{Offence, Refusal};
use super::settings::UnknownSandbox;
use super::state::Merchant;
use super::{Context, Outcome, schema};

/// `POST /v1/profile/submerchant`.
pub(crate) fn create_submerchant(context: &mut Context<'_>) -> Outcome {
    let mut offences = unknown_parts(context, &["merchant", "onboarding"]);
    let required = context.state.switches.require_all_onboarding_fields;
    let onboarding_fields: Vec<_> = schema::ONBOARDING
        .iter()
        .map(|field| Field { required: required && is_required(field), ..*field })
        .collect();
    let profile = part(context, "merchant", schema::MERCHANT, true, &mut offences);
    let onboarding = part(context, "onboarding", &onboarding_fields, required, &mut offences);
    Refusal::unless_clean(offences)?;

    let merchant = Merchant { profile, onboarding, ..Merchant::generated() };
    let shown = shown(context, &merchant, true);
    context.state.merchants.push(merchant);
    Ok(Object::new().with("ok", true).with("merchant", shown))
}

/// `POST /v1/profile/sandbox`: keys only when asked for.
pub(crate) fn create_sandbox(context: &mut Context<'_>) -> Outcome {
    let mut offences = unknown_parts(context, &["apikey", "merchant", "onboarding"]);
    let profile = part(context, "merchant", schema::SANDBOX_MERCHANT, false, &mut offences);
    // The text says that this works as creating a sub-merchant does, so onboarding is let through.
    let onboarding = part(context, "onboarding", schema::ONBOARDING, false, &mut offences);
    let with_keys = match context.body.get("apikey") {
        None => false,
        Some(Value::Bool(wanted)) => *wanted,
        Some(_) => {
            offences.push(Offence::invalid("apikey".to_owned()));
            false
        }
    };
    Refusal::unless_clean(offences)?;

    let parent = context.state.merchants.first().map(|parent| parent.profile.clone());
    let mut inherited = parent.unwrap_or_default();
    inherited.extend(profile);
    let merchant =
        Merchant { profile: inherited, onboarding, is_sandbox: true, ..Merchant::generated() };
    let shown = shown(context, &merchant, with_keys);
    context.state.merchants.push(merchant);
    Ok(Object::new().with("ok", true).with("merchant", shown))
}

/// `DELETE /v1/profile/sandbox`: whatever is wrong with the id is 403, as documented.
pub(crate) fn delete_sandbox(context: &mut Context<'_>) -> Outcome {
    let forbidden = || Refusal::field(StatusCode::FORBIDDEN, "id");
    let field = [Field::required("id", Shape::Text)];
    if !check::check("", &context.body, &field, &context.state.switches).is_empty() {
        return Err(forbidden());
    }
    let id = context.body.get("id").and_then(Value::as_str).unwrap_or_default();
    let merchants = &mut context.state.merchants;
    let Some(place) = merchants.iter().position(|m| m.is_sandbox && m.id == id) else {
        return Err(match context.state.switches.unknown_sandbox {
            UnknownSandbox::Forbidden => forbidden(),
            UnknownSandbox::NotFound => Refusal::of(StatusCode::NOT_FOUND),
        });
    };
    merchants.remove(place);
    Ok(Object::new().with("ok", true))
}

fn is_required(field: &Field) -> bool {
    schema::ONBOARDING_REQUIRED.contains(&field.name)
}

/// An object within the body, checked. What is wrong with it is added to `offences`.
fn part(
    context: &Context<'_>,
    name: &str,
    fields: &[Field],
    required: bool,
    offences: &mut Vec<Offence>,
) -> Map<String, Value> {
    match context.body.get(name) {
        Some(Value::Object(part)) => {
            offences.extend(check::check(name, part, fields, &context.state.switches));
            return part.clone();
        }
        Some(_) => offences.push(Offence::invalid(name.to_owned())),
        None if required => offences.push(Offence::empty(name.to_owned())),
        None => {}
    }
    Map::new()
}

fn unknown_parts(context: &Context<'_>, known: &[&str]) -> Vec<Offence> {
    let unknown = context.body.keys().filter(|name| !known.contains(&name.as_str()));
    let accepted = context.state.switches.accept_unknown_fields;
    unknown.filter(|_| !accepted).map(|name| Offence::invalid(name.clone())).collect()
}

fn shown(context: &Context<'_>, merchant: &Merchant, with_keys: bool) -> Object {
    let mut object = Object::new().with("id", &merchant.id);
    if with_keys {
        object =
            object.with("accessKey", &merchant.access_key).with("secretKey", &merchant.secret_key);
    }
    object.with_undocumented(context.state.switches.undocumented_fields)
}

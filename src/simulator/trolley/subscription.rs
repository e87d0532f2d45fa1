//! Subscriptions: where a merchant's webhooks are sent. Each merchant sees its own only.

use http::StatusCode;
use serde_json::Value;

use super::super::json::Object;
use super::super::random;
use super::super::webhook::Delivery;
use super::check;
use super::refusal::Refusal;
use super::settings::Switches;
use super::state::{Merchant, Subscription};
use super::{Context, Outcome, schema};

/// `POST /v1/subscriptions`.
pub(crate) fn create(context: &mut Context<'_>) -> Outcome {
    let switches = context.state.switches.clone();
    let offences = check::check("", &context.body, schema::SUBSCRIPTION, &switches);
    Refusal::unless_clean(offences)?;
    // No document shows a subscription's id; callers may not read anything into it.
    let id = format!("WH-{}", random::base58(22));
    let subscription = Subscription { id, fields: std::mem::take(&mut context.body) };
    if switches.probe_new_subscriptions {
        context.probe = Some(probe(&subscription));
    }
    let answer = nested(&subscription, &switches);
    owner(context)?.subscriptions.push(subscription);
    Ok(answer)
}

/// `GET /v1/subscriptions`: one page, whatever the query says.
pub(crate) fn list(context: &mut Context<'_>) -> Outcome {
    let switches = context.state.switches.clone();
    let subscriptions = &owner(context)?.subscriptions;
    let shown: Vec<_> = subscriptions.iter().map(|one| shown(one, &switches)).collect();
    let object = if switches.ok_in_lists { Object::new().with("ok", true) } else { Object::new() };
    Ok(object.with("subscriptions", shown))
}

/// `GET /v1/subscriptions/{id}`.
pub(crate) fn get(context: &mut Context<'_>, id: &str) -> Outcome {
    let switches = context.state.switches.clone();
    Ok(nested(find(context, id)?, &switches))
}

/// `PATCH /v1/subscriptions/{id}`, partial: the document does not show the request.
pub(crate) fn update(context: &mut Context<'_>, id: &str) -> Outcome {
    let switches = context.state.switches.clone();
    find(context, id)?;
    let fields = schema::all(schema::SUBSCRIPTION, false);
    Refusal::unless_clean(check::check("", &context.body, &fields, &switches))?;
    let changes = std::mem::take(&mut context.body);
    let subscription = find(context, id)?;
    subscription.fields.extend(changes);
    if switches.nested_subscription_update {
        return Ok(nested(subscription, &switches));
    }
    Ok(Object::new().with("ok", true).with_all(documented(subscription)))
}

/// `DELETE /v1/subscriptions/{id}`: a second time it is not found.
pub(crate) fn delete(context: &mut Context<'_>, id: &str) -> Outcome {
    find(context, id)?;
    owner(context)?.subscriptions.retain(|subscription| subscription.id != id);
    Ok(Object::new().with("ok", true))
}

fn owner<'a>(context: &'a mut Context<'_>) -> Result<&'a mut Merchant, Refusal> {
    let merchant = context.state.merchant(&context.merchant);
    merchant.ok_or_else(|| Refusal::of(StatusCode::NOT_FOUND))
}

fn find<'a>(context: &'a mut Context<'_>, id: &str) -> Result<&'a mut Subscription, Refusal> {
    let mut subscriptions = owner(context)?.subscriptions.iter_mut();
    let found = subscriptions.find(|subscription| subscription.id == id);
    found.ok_or_else(|| Refusal::of(StatusCode::NOT_FOUND))
}

fn nested(subscription: &Subscription, switches: &Switches) -> Object {
    Object::new().with("ok", true).with("subscription", shown(subscription, switches))
}

fn shown(subscription: &Subscription, switches: &Switches) -> Object {
    let object = Object::new().with("id", &subscription.id).with_all(documented(subscription));
    object.with_undocumented(switches.undocumented_fields)
}

fn documented(subscription: &Subscription) -> Object {
    ["action", "model", "target"]
        .into_iter()
        .fold(Object::new(), |object, name| object.with(name, subscription.fields.get(name)))
}

fn probe(subscription: &Subscription) -> Delivery {
    let target = subscription.fields.get("target").and_then(Value::as_str).unwrap_or_default();
    Delivery {
        id: random::guid(),
        url: target.to_owned(),
        headers: Vec::new(),
        body: b"{}".to_vec(),
    }
}

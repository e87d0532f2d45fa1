//! The control requests of this double alone: logging a user in, what happens to transactions
//! outside the API, what a user lets the client do, and the versions of the charge calculators.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::json::Object;
use super::super::partner::Controlled;
use super::state::State;
use super::{f2f, online};

/// Carries out a control request, given the segments of its path.
type Order = fn(&mut State, Timestamp, &[&str], &[u8]) -> Controlled;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    user: String,
    redirect_uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consent {
    connected: Option<bool>,
    withheld_scopes: Option<BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Versions {
    online: Option<i64>,
    f2f: Option<i64>,
}

/// Answers a control request below this double's mount; `None` for a path that is not one.
pub(crate) fn answer(
    state: &mut State,
    now: Timestamp,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Option<Controlled> {
    let segments: Vec<_> = path.split('/').collect();
    let order: Order = match segments.as_slice() {
        ["login"] => log_in,
        ["users", _] => consent,
        ["charge_versions"] => raise_versions,
        ["transactions", _, _] => in_online,
        ["p2p", "transactions", _, _] => in_f2f,
        _ => return None,
    };
    if method != Method::POST {
        let message = "everything here is done by POST".to_owned();
        return Some(Err((StatusCode::METHOD_NOT_ALLOWED, message)));
    }
    Some(order(state, now, &segments, body))
}

/// The code with which a browser returns after the user has logged in through the client; that is
/// also what connects the user to it.
fn log_in(state: &mut State, now: Timestamp, _: &[&str], body: &[u8]) -> Controlled {
    let order: Login = parse(body)?;
    let user = state.users.full_mut(&order.user).ok_or_else(|| no_user(&order.user))?;
    user.is_connected = true;
    let code = state.sso.log_in(&order.user, order.redirect_uri.as_deref(), now);
    Ok(Object::new().with("code", code))
}

fn consent(state: &mut State, _: Timestamp, segments: &[&str], body: &[u8]) -> Controlled {
    let order: Consent = parse(body)?;
    let id = segments.last().copied().unwrap_or_default();
    let user = state.users.full_mut(id).ok_or_else(|| no_user(id))?;
    user.is_connected = order.connected.unwrap_or(user.is_connected);
    if let Some(scopes) = order.withheld_scopes {
        user.withheld_scopes = scopes;
    }
    Ok(Object::new()
        .with("id", id)
        .with("connected", user.is_connected)
        .with("withheld_scopes", &user.withheld_scopes))
}

/// A new version for each calculator that is named, or the next one for both.
fn raise_versions(state: &mut State, _: Timestamp, _: &[&str], body: &[u8]) -> Controlled {
    let next = |version: i64| Some(version.saturating_add(1));
    let current = state.versions;
    let order = if body.is_empty() {
        Versions { online: next(current.online), f2f: next(current.f2f) }
    } else {
        parse(body)?
    };
    state.versions.online = order.online.unwrap_or(current.online);
    state.versions.f2f = order.f2f.unwrap_or(current.f2f);
    Ok(Object::new().with("online", state.versions.online).with("f2f", state.versions.f2f))
}

fn in_online(state: &mut State, now: Timestamp, segments: &[&str], body: &[u8]) -> Controlled {
    nothing(body)?;
    match segments {
        [_, id, action] => online::control(state, now, id, action),
        _ => Err((StatusCode::NOT_FOUND, "there is no such action".to_owned())),
    }
}

fn in_f2f(state: &mut State, now: Timestamp, segments: &[&str], body: &[u8]) -> Controlled {
    nothing(body)?;
    match segments {
        [_, _, id, action] => f2f::control(state, now, id, action),
        _ => Err((StatusCode::NOT_FOUND, "there is no such action".to_owned())),
    }
}

fn nothing(body: &[u8]) -> Result<(), (StatusCode, String)> {
    let is_nothing = body.is_empty() || body == b"{}";
    let message = || (StatusCode::BAD_REQUEST, "an action has no body".to_owned());
    is_nothing.then_some(()).ok_or_else(message)
}

fn no_user(id: &str) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, format!("there is no full user {id:?}"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

//! What the parent merchant does in its dashboard: it makes a new key pair, and takes the old one
//! away when it likes.

use http::{Method, StatusCode};
use serde::Deserialize;

use super::super::json::Object;
use super::super::partner::Controlled;
use super::state::State;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parent {
    keys: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    access_key: String,
    secret_key: String,
}

/// `PUT parent`: the key pairs that the parent may sign with from now on, the newest first.
pub(crate) fn answer(
    state: &mut State,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Option<Controlled> {
    if path != "parent" {
        return None;
    }
    if method != Method::PUT {
        let message = "the parent's keys are set by PUT".to_owned();
        return Some(Err((StatusCode::METHOD_NOT_ALLOWED, message)));
    }
    Some(set_keys(state, body))
}

fn set_keys(state: &mut State, body: &[u8]) -> Controlled {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    let order: Parent = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let mut pairs = order.keys.into_iter().map(|pair| (pair.access_key, pair.secret_key));
    let newest = pairs.next().ok_or_else(|| bad("give one key pair at least".to_owned()))?;
    if let Some(parent) = state.merchants.first_mut() {
        (parent.access_key, parent.secret_key) = newest;
        parent.other_keys = pairs.collect();
    }
    Ok(Object::new())
}

//! Moving an invitation on, as its client would by reading e-mail and filling in forms.

use http::{Method, StatusCode};
use serde::Deserialize;

use super::super::partner::Controlled;
use super::state::{State, Status};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    #[serde(default)]
    status: Option<String>,
}

/// `POST invitations/{id}/advance`: to the next status, or to the one that is named.
pub(crate) fn answer(
    state: &mut State,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Option<Controlled> {
    let id = path.strip_prefix("invitations/")?.strip_suffix("/advance")?;
    if method != Method::POST {
        let message = "an invitation is advanced by POST".to_owned();
        return Some(Err((StatusCode::METHOD_NOT_ALLOWED, message)));
    }
    Some(advance(state, id, body))
}

fn advance(state: &mut State, id: &str, body: &[u8]) -> Controlled {
    let order = if body.is_empty() { Ok(Advance::default()) } else { serde_json::from_slice(body) };
    let order = order.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let switches = state.switches.clone();
    let invitation = state
        .invitation(id)
        .ok_or_else(|| (StatusCode::NOT_FOUND, format!("there is no invitation {id:?}")))?;
    let next = match order.status {
        Some(word) => Some(Status::read(&word)),
        None => invitation.status.next(),
    };
    let refused = || (StatusCode::BAD_REQUEST, "nothing follows its status; name one".to_owned());
    invitation.status = next.ok_or_else(refused)?;
    Ok(invitation.shown(&switches))
}

//! What a partner's people and its clients do: moving an invitation on, as its client would by
//! reading e-mail and filling in forms; giving the OAuth2 client another secret; choosing how long
//! tokens live.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::json::Object;
use super::super::partner::Controlled;
use super::state::{State, Status};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    #[serde(default)]
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    secrets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    lifetime_seconds: u64,
}

/// `POST invitations/{id}/advance`: to the next status, or to the one that is named.
/// `PUT client`: the secrets that are accepted from now on; tokens stay valid.
/// `GET` and `PUT tokens`: how many have been issued, and how long new ones are valid; `DELETE`
/// makes all of them invalid.
pub(crate) fn answer(
    state: &mut State,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Option<Controlled> {
    let id = path.strip_prefix("invitations/").and_then(|rest| rest.strip_suffix("/advance"));
    Some(match (path, id, method.as_str()) {
        ("client", _, "PUT") => client(state, body),
        ("tokens", _, "PUT") => tokens(state, body),
        ("tokens", _, "GET") => Ok(shown(state)),
        ("tokens", _, "DELETE") => {
            state.tokens.clear();
            Ok(shown(state))
        }
        ("client" | "tokens", _, _) => refused("this path has other methods"),
        (_, Some(id), "POST") => advance(state, id, body),
        (_, Some(_), _) => refused("an invitation is advanced by POST"),
        _ => return None,
    })
}

fn refused(message: &str) -> Controlled {
    Err((StatusCode::METHOD_NOT_ALLOWED, message.to_owned()))
}

fn client(state: &mut State, body: &[u8]) -> Controlled {
    state.client_secrets = read::<Client>(body)?.secrets;
    Ok(Object::new())
}

fn tokens(state: &mut State, body: &[u8]) -> Controlled {
    state.token_lifetime = Duration::from_secs(read::<Tokens>(body)?.lifetime_seconds);
    Ok(shown(state))
}

fn shown(state: &State) -> Object {
    Object::new()
        .with("issued", state.tokens_issued)
        .with("lifetime_seconds", state.token_lifetime.as_secs())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn advance(state: &mut State, id: &str, body: &[u8]) -> Controlled {
    let order = if body.is_empty() { Advance::default() } else { read(body)? };
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

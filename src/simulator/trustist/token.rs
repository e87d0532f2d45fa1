//! Tokens: the client credentials grant, and the check of what it issued.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use super::super::json::Object;
use super::super::partner::{Answer, Received};
use super::super::{form, random};
use super::reply;
use super::settings::Switches;
use super::state::State;

/// `POST /token`. Refusals are in the words of RFC 6749; the document shows none.
pub(crate) fn issue(
    client_id: &str,
    state: &mut State,
    now: Timestamp,
    request: &Received,
) -> Answer {
    if let Err((status, code, description)) = check(client_id, state, request) {
        return refusal(&state.switches, status, code, description);
    }
    if state.switches.last_token_wins {
        state.tokens.clear();
    }
    state.tokens.retain(|_, expiry| *expiry > now);
    let token = random::base58(64);
    let lifetime = SignedDuration::try_from(state.token_lifetime).unwrap_or(SignedDuration::MAX);
    let expiry = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
    state.tokens.insert(token.clone(), expiry);
    state.tokens_issued += 1;
    let body = Object::new()
        .with("access_token", token)
        .with("token_type", &state.switches.token_type)
        .with("expires_in", state.token_lifetime.as_secs())
        .with_undocumented(state.switches.undocumented_fields);
    Answer::done(StatusCode::OK, &body).with_header("cache-control", "no-store")
}

/// Whether the request carries a token that is still valid.
pub(crate) fn is_authorised(state: &State, now: Timestamp, request: &Received) -> bool {
    let header = request.header("authorization").unwrap_or_default();
    let Some((scheme, token)) = header.split_once(' ') else { return false };
    scheme.eq_ignore_ascii_case("bearer")
        && state.tokens.get(token).is_some_and(|expiry| now < *expiry)
}

type Refusal = (StatusCode, &'static str, &'static str);

fn check(client_id: &str, state: &State, request: &Received) -> Result<(), Refusal> {
    let bad = |code, description| (StatusCode::BAD_REQUEST, code, description);
    let invalid = |description| bad("invalid_request", description);
    if !request.has_media_type("application/x-www-form-urlencoded") {
        return Err(invalid("the content type must be application/x-www-form-urlencoded"));
    }
    let text = std::str::from_utf8(&request.body).map_err(|_| invalid("the body is not text"))?;
    let pairs = form::pairs(text).map_err(|_| invalid("the body is not form-encoded"))?;
    let field = |name: &str| {
        let mut values = pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value.as_str()),
            (Some(_), Some(_)) => Err(invalid("a parameter is repeated")),
            _ => Err(invalid("client_id, client_secret and grant_type are required")),
        }
    };
    let (id, secret, grant) = (field("client_id")?, field("client_secret")?, field("grant_type")?);
    if grant != "client_credentials" {
        return Err(bad("unsupported_grant_type", "grant_type must be client_credentials"));
    }
    if id != client_id || !state.client_secrets.iter().any(|known| known == secret) {
        let status = StatusCode::from_u16(state.switches.invalid_client_status);
        let status = status.unwrap_or(StatusCode::UNAUTHORIZED);
        return Err((status, "invalid_client", "the client is unknown or its secret is wrong"));
    }
    Ok(())
}

fn refusal(switches: &Switches, status: StatusCode, code: &str, description: &str) -> Answer {
    let body = Object::new().with("error", code).with("error_description", description);
    reply::error_with(switches, status, description, body)
}

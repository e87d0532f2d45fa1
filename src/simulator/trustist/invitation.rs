//! The operations on invitations.

use http::StatusCode;
use serde_json::{Map, Value};

use super::super::json::Object;
use super::super::partner::{Answer, Received};
use super::super::random;
use super::reply;
use super::settings::{KeysBeforeComplete, Switches};
use super::state::{Invitation, State, Status};

/// `GET /invitations`: a bare array, without pages or filters.
pub(crate) fn list(state: &State) -> Answer {
    let shown = state.invitations.iter().map(|invitation| invitation.shown(&state.switches));
    Answer::done(StatusCode::OK, &shown.collect::<Vec<_>>())
}

/// `GET /invitations/{id}`.
pub(crate) fn get(state: &mut State, id: &str) -> Answer {
    let switches = state.switches.clone();
    match state.invitation(id) {
        Some(invitation) => Answer::done(StatusCode::OK, &invitation.shown(&switches)),
        None => reply::error(&switches, StatusCode::NOT_FOUND),
    }
}

/// `POST /invitations`: exactly the documented body.
pub(crate) fn create(state: &mut State, request: &Received) -> Answer {
    let invitation = match read(&state.switches, request) {
        Ok(invitation) => invitation,
        Err(message) => return reply::invalid(&state.switches, &message),
    };
    let known = state.invitations.iter().any(|known| known.email == invitation.email);
    if known && state.switches.refuse_duplicate_email {
        return reply::invalid(&state.switches, "this e-mail address has been invited before");
    }
    let shown = invitation.shown(&state.switches);
    state.invitations.push(invitation);
    Answer::done(StatusCode::from_u16(state.switches.create_status).unwrap_or_default(), &shown)
}

/// `GET /invitations/{id}/merchant/keys`: there is no merchant before an invitation is complete.
pub(crate) fn keys(state: &mut State, id: &str) -> Answer {
    let switches = state.switches.clone();
    let items = match state.invitation(id) {
        Some(invitation) if invitation.status == Status::Complete => {
            let key = format!("simulator-merchant-key-{}", invitation.id);
            let item = Object::new().with("apiKey", key);
            vec![item.with_undocumented(switches.undocumented_fields)]
        }
        Some(_) if switches.keys_before_complete == KeysBeforeComplete::EmptyItems => Vec::new(),
        _ => return reply::error(&switches, StatusCode::NOT_FOUND),
    };
    let body = Object::new().with("items", items);
    Answer::done(StatusCode::OK, &body.with_undocumented(switches.undocumented_fields))
}

fn read(switches: &Switches, request: &Received) -> Result<Invitation, String> {
    if !request.has_media_type("application/json") {
        return Err("the content type must be application/json".to_owned());
    }
    let body: Map<String, Value> = serde_json::from_slice(&request.body)
        .map_err(|_| "the body must be a JSON object".to_owned())?;
    let unknown =
        body.keys().find(|name| !["email", "name", "paymentTypes"].contains(&name.as_str()));
    if let Some(name) = unknown.filter(|_| !switches.accept_unknown_fields) {
        return Err(format!("the body has no field {name:?}"));
    }
    Ok(Invitation {
        id: random::guid(),
        email: text(&body, "email")?,
        name: text(&body, "name")?,
        payment_types: body.get("paymentTypes").map(payment_types).transpose()?,
        status: Status::Pending,
    })
}

fn text(body: &Map<String, Value>, name: &str) -> Result<String, String> {
    let text = body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| format!("{name} is required and must be text"))
}

// Words that no document has are accepted: the document says "currently" of those it has.
fn payment_types(value: &Value) -> Result<Vec<String>, String> {
    let words = value.as_array().and_then(|words| {
        words.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    words.ok_or_else(|| "paymentTypes must be an array of texts".to_owned())
}

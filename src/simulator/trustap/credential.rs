//! Who calls: the client by its key, alone or in the name of a user, or a user by their token. The
//! editions disagree on what an operation takes, so the choice between them is a switch; what the
//! partner's document itself shows for an operation is taken whatever an edition says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::super::partner::Received;
use super::call::Caller;
use super::facts::{Credential, Operation};
use super::refusal::Refusal;
use super::settings::{Credentials, Settings, Switches};
use super::state::State;
use super::user;

const USER_HEADER: &str = "trustap-user";

/// The paths that also have a meaning for the client alone, although the header is documented.
const FOR_CLIENT_TOO: [(&str, &str); 1] = [("GET", "/p2p/transactions/{transaction_id}")];

/// The operations that the document spells out, with the credentials that it shows for them.
const SPELT_OUT: [(&str, &str, &[Credential]); 3] = [
    ("POST", "/transactions/{transaction_id}/cancel", &[Credential::Token]),
    ("POST", "/transactions/{transaction_id}/cancel_with_guest_user", &[Credential::Token]),
    ("GET", "/transactions/{transaction_id}/charge", &[Credential::Token, Credential::Key]),
];

/// Finds the caller, who may call this operation: 401 for a bad credential or a user whom the
/// client does not know, 403 for one who has not let it do this.
pub(crate) fn identify(
    settings: &Settings,
    state: &State,
    now: Timestamp,
    operation: &Operation,
    request: &Received,
) -> Result<Caller, Refusal> {
    let header = request.header("authorization").ok_or_else(Refusal::unauthorized)?;
    let (scheme, value) = header.split_once(' ').ok_or_else(Refusal::unauthorized)?;
    if scheme.eq_ignore_ascii_case("basic") {
        let is_key = STANDARD.decode(value).is_ok_and(|given| is_key(settings, &given));
        if !is_key || !takes(operation, Credential::Key, &state.switches) {
            return Err(Refusal::unauthorized());
        }
        return on_behalf(state, operation, request);
    }
    let token = if scheme.eq_ignore_ascii_case("bearer") { value } else { "" };
    match state.sso.user_of(token, now) {
        Some(user) if takes(operation, Credential::Token, &state.switches) => {
            Ok(Caller::User(user.to_owned()))
        }
        _ => Err(Refusal::unauthorized()),
    }
}

// The password is empty; the colon after the key is not part of either.
fn is_key(settings: &Settings, given: &[u8]) -> bool {
    given.strip_suffix(b":").is_some_and(|key| key == settings.api_key.as_bytes())
}

fn takes(operation: &Operation, credential: Credential, switches: &Switches) -> bool {
    let of_edition = match switches.credentials {
        Credentials::Newest => &operation.credentials_newest,
        Credentials::Earliest => &operation.credentials_earliest,
        Credentials::AnyEdition => &operation.credentials,
        Credentials::Either => return true,
    };
    let is_shown = SPELT_OUT.iter().any(|(verb, path, shown)| {
        *verb == operation.verb && *path == operation.path && shown.contains(&credential)
    });
    is_shown || of_edition.contains(&credential)
}

fn on_behalf(state: &State, operation: &Operation, request: &Received) -> Result<Caller, Refusal> {
    // A shop plug-in sends the header empty where there is no user yet.
    let Some(id) = request.header(USER_HEADER).filter(|id| !id.is_empty()) else {
        let needed = needs_user(operation, &state.switches);
        return if needed { Err(Refusal::denied()) } else { Ok(Caller::Client) };
    };
    if user::is_guest(id) {
        let known = state.users.guest(id).is_some();
        let caller = || Caller::ClientFor(id.to_owned());
        return known.then(caller).ok_or_else(Refusal::unauthorized);
    }
    let known = state.users.full(id).filter(|user| user.is_connected);
    let known = known.ok_or_else(Refusal::unauthorized)?;
    if operation.scopes.iter().any(|scope| known.withheld_scopes.contains(scope)) {
        return Err(Refusal::denied());
    }
    Ok(Caller::ClientFor(id.to_owned()))
}

fn needs_user(operation: &Operation, switches: &Switches) -> bool {
    let at = (operation.verb.as_str(), operation.path.as_str());
    let creates_for_guests = operation.path.ends_with("/create_with_guest_user");
    operation.user_header
        && !FOR_CLIENT_TOO.contains(&at)
        && (!creates_for_guests || switches.require_user_on_guest_creation)
}

//! The double of the TrustistTransfer Partner API: OAuth2 client credentials, invitations and the
//! merchant keys of completed ones. What the TrustistTransfer Partner API document leaves open is a
//! switch in [`Switches`], so that a test can hold the gateway to both readings.

use std::sync::Mutex;

use http::{Method, StatusCode};
use serde_json::{Map, Value};

use self::state::State;
use super::partner::{Answer, Controlled, Partner, Received, merge_switches};
use super::webhook::{Delivery, Order};
use super::{Clock, form, locked};

mod control;
mod event;
mod invitation;
mod reply;
mod settings;
mod state;
mod token;

pub use self::settings::{
    CLIENT_ID, CLIENT_SECRET, COMPLETE_INVITATION, COMPLETE_MERCHANT, ErrorBody,
    KeysBeforeComplete, PaymentTypesEcho, SENT_INVITATION, Settings, StatusCase, Switches,
};

/// The partner with its state.
#[derive(Debug)]
pub(crate) struct Trustist {
    settings: Settings,
    clock: Clock,
    state: Mutex<State>,
}

/// What a path and method ask for.
enum Operation {
    Token,
    List,
    Create,
    Get(String),
    Keys(String),
}

// === impl Trustist ===

impl Trustist {
    pub(crate) fn new(settings: Settings, clock: Clock) -> Self {
        let state = Mutex::new(State::new(&settings));
        Self { settings, clock, state }
    }

    fn carry_out(&self, state: &mut State, operation: Operation, request: &Received) -> Answer {
        if let Operation::Token = operation {
            return token::issue(&self.settings.client_id, state, self.clock.now(), request);
        }
        if !token::is_authorised(state, self.clock.now(), request) {
            return reply::error(&state.switches, StatusCode::UNAUTHORIZED);
        }
        match operation {
            // Answered above; repeated only because a match names every case.
            Operation::Token => reply::error(&state.switches, StatusCode::UNAUTHORIZED),
            Operation::List => invitation::list(state),
            Operation::Create => invitation::create(state, request),
            Operation::Get(id) => invitation::get(state, &id),
            Operation::Keys(id) => invitation::keys(state, &id),
        }
    }
}

// === impl Partner for Trustist ===

impl Partner for Trustist {
    fn name(&self) -> &'static str {
        "trustist"
    }

    fn answer(&self, request: &Received) -> Answer {
        let state = &mut *locked(&self.state);
        let answer = match route(request) {
            Ok(operation) => self.carry_out(state, operation, request),
            Err(status) => reply::error(&state.switches, status),
        };
        reply::correlated(&state.switches, answer)
    }

    fn refusal(&self, _: &Received, status: StatusCode) -> Answer {
        let state = locked(&self.state);
        reply::correlated(&state.switches, reply::error(&state.switches, status))
    }

    fn expire_tokens(&self) {
        locked(&self.state).tokens.clear();
    }

    fn issues_tokens(&self) -> bool {
        true
    }

    fn reset(&self) {
        *locked(&self.state) = State::new(&self.settings);
    }

    fn switches(&self) -> Value {
        serde_json::to_value(&locked(&self.state).switches).unwrap_or_default()
    }

    fn set_switches(&self, changes: &Map<String, Value>) -> Result<(), String> {
        let mut state = locked(&self.state);
        let switches: Switches = merge_switches(&state.switches, changes)?;
        switches.check()?;
        state.switches = switches;
        Ok(())
    }

    fn control(&self, method: &Method, path: &str, body: &[u8]) -> Option<Controlled> {
        control::answer(&mut locked(&self.state), method, path, body)
    }

    fn webhook(&self, order: &Order) -> Result<Delivery, String> {
        event::delivery(order, self.clock.now())
    }
}

fn route(request: &Received) -> Result<Operation, StatusCode> {
    let path = request.path.strip_prefix('/').unwrap_or_default();
    let segments = path.split('/').map(form::segment).collect::<Result<Vec<_>, _>>();
    let segments = segments.map_err(|_| StatusCode::BAD_REQUEST)?;
    let segments: Vec<_> = segments.iter().map(String::as_str).collect();
    let (wanted, operation) = match segments.as_slice() {
        ["token"] => (Method::POST, Operation::Token),
        ["invitations"] if request.method == Method::POST => (Method::POST, Operation::Create),
        ["invitations"] => (Method::GET, Operation::List),
        ["invitations", id] if !id.is_empty() => (Method::GET, Operation::Get((*id).to_owned())),
        ["invitations", id, "merchant", "keys"] => (Method::GET, Operation::Keys((*id).to_owned())),
        _ => return Err(StatusCode::NOT_FOUND),
    };
    if request.method == wanted { Ok(operation) } else { Err(StatusCode::METHOD_NOT_ALLOWED) }
}

#[cfg(test)]
mod tests;

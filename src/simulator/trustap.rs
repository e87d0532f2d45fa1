//! The double of the Trustap API: transactions with their two life cycles, charges, users and
//! guests, the single sign-on. What the editions of its description leave open, or say in several
//! ways, is a switch in [`Switches`], so that a test can hold the gateway to every reading.
//!
//! All operations are known from `facts.json`. Those with state of interest have a handler here;
//! `typed` answers the others from their types.

use std::sync::Mutex;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value};

use self::call::{Call, Handler, Route};
use self::facts::Operation;
use self::refusal::Refusal;
use self::state::State;
use super::partner::{Answer, Controlled, Partner, Received, merge_switches};
use super::webhook::{Delivery, Order};
use super::{Clock, locked};

mod call;
mod charge;
mod check;
mod control;
mod credential;
mod f2f;
mod facts;
mod listing;
mod notification;
mod online;
mod page;
mod refusal;
mod route;
mod settings;
mod sso;
mod state;
mod typed;
mod user;

pub use self::settings::{
    API_KEY, BUYER_ID, BareErrors, CLIENT_ID, CLIENT_SECRET, Credentials, ErrorText, SELLER_ID,
    Settings, SkipAfter, Switches, UNCONNECTED_ID,
};

/// The partner with its state.
#[derive(Debug)]
pub(crate) struct Trustap {
    settings: Settings,
    clock: Clock,
    state: Mutex<State>,
}

// === impl Trustap ===

impl Trustap {
    pub(crate) fn new(settings: Settings, clock: Clock) -> Self {
        let state = Mutex::new(State::new(&settings));
        Self { settings, clock, state }
    }

    // Routed first, since what a credential may do depends on the operation; then who calls, what
    // they send, and only then what there is.
    fn carry_out(
        &self,
        state: &mut State,
        now: Timestamp,
        request: &Received,
    ) -> Result<Answer, Refusal> {
        let (operation, path) = route::find(request)?;
        let caller = credential::identify(&self.settings, state, now, operation, request)?;
        let input = check::input(operation, path, request, &state.switches)?;
        let settings = &self.settings;
        let mut call = Call { settings, state, now, operation, caller, input };
        let document = handler(operation)(&mut call)?;
        Ok(document.answer(operation.ok()))
    }
}

// === impl Partner for Trustap ===

impl Partner for Trustap {
    fn name(&self) -> &'static str {
        "trustap"
    }

    fn answer(&self, request: &Received) -> Answer {
        let (state, now) = (&mut *locked(&self.state), self.clock.now());
        if request.path == sso::TOKEN_PATH {
            return sso::handle(&self.settings, state, now, request);
        }
        state.pass_time(now);
        self.carry_out(state, now, request)
            .unwrap_or_else(|refusal| refusal.answer(&state.switches))
    }

    fn refusal(&self, _: &Received, status: StatusCode) -> Answer {
        Refusal::bare(status).answer(&locked(&self.state).switches)
    }

    fn expire_tokens(&self) {
        locked(&self.state).sso.expire_access_tokens();
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
        let (state, now) = (&mut *locked(&self.state), self.clock.now());
        state.pass_time(now);
        control::answer(state, now, method, path, body)
    }

    fn webhook(&self, _: &Order) -> Result<Delivery, String> {
        Err("this double sends no webhooks".to_owned())
    }
}

/// The handler of an operation; the typed answer where nothing is kept.
fn handler(operation: &Operation) -> Handler {
    let found = routes().find(|route| route.0 == operation.verb && route.1 == operation.path);
    found.map_or(typed::answer, |route| route.2)
}

fn routes() -> impl Iterator<Item = &'static Route> {
    let parts =
        [user::ROUTES, charge::ROUTES, online::ROUTES, notification::ROUTES, listing::ROUTES];
    parts.into_iter().flatten().chain(f2f::routes())
}

#[cfg(test)]
mod tests;

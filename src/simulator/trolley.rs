//! The double of the Trolley Partner API: signed requests, sub-merchants and their settings,
//! webhooks. What the Trolley Partner API document leaves open is a switch in [`Switches`], so that
//! a test can hold the gateway to both readings.

use std::sync::Mutex;

use http::{Method, StatusCode};
use serde_json::{Map, Value};

use self::limit::Window;
use self::refusal::Refusal;
use self::route::Key;
use self::state::State;
use super::json::Object;
use super::partner::{Answer, Controlled, Partner, Received, merge_switches};
use super::webhook::{Delivery, Order};
use super::{Clock, locked};

mod bank_account;
mod check;
mod control;
mod event;
mod funding;
mod limit;
mod onboarding;
mod profile;
mod refusal;
mod reply;
mod route;
mod schema;
mod settings;
mod signature;
mod state;
mod subscription;
mod widget;

pub use self::settings::{
    PARENT_ACCESS_KEY, PARENT_ID, PARENT_SECRET_KEY, RateLimitScope, SUBMERCHANT_ACCESS_KEY,
    SUBMERCHANT_ID, SUBMERCHANT_SECRET_KEY, Settings, Switches, UnknownSandbox, WEBHOOK_SECRET,
};

/// The partner with its state.
#[derive(Debug)]
pub(crate) struct Trolley {
    settings: Settings,
    clock: Clock,
    state: Mutex<State>,
}

/// What an operation works on.
struct Context<'a> {
    state: &'a mut State,
    /// The merchant whose key signed the request.
    merchant: String,
    body: Map<String, Value>,
    /// Sent before the answer when set.
    probe: Option<Delivery>,
}

/// The fields of a successful answer, or why there is none.
type Outcome = Result<Object, Refusal>;

// === impl Trolley ===

impl Trolley {
    pub(crate) fn new(settings: Settings, clock: Clock) -> Self {
        let state = Mutex::new(State::new(&settings));
        Self { settings, clock, state }
    }

    fn carry_out(&self, state: &mut State, merchant: String, request: &Received) -> Answer {
        match self.operate(state, merchant, request) {
            Ok((object, probe)) => {
                let object = object.with_undocumented(state.switches.undocumented_fields);
                Answer { probe, ..Answer::done(StatusCode::OK, &object) }
            }
            Err(refusal) => refusal.answer(&state.switches),
        }
    }

    fn operate(
        &self,
        state: &mut State,
        merchant: String,
        request: &Received,
    ) -> Result<(Object, Option<Delivery>), Refusal> {
        let (operation, key) = route::find(request, &state.switches)?;
        let is_parent = state.is_parent(&merchant);
        let allowed = match key {
            Key::Parent => is_parent,
            Key::Submerchant => !is_parent,
            Key::InferredSubmerchant => !is_parent || !state.switches.require_submerchant_key,
            Key::Any => true,
        };
        if !allowed {
            return Err(Refusal::of(StatusCode::FORBIDDEN));
        }
        let body = if operation.has_body() { reply::body(request)? } else { Map::new() };
        let mut context = Context { state, merchant, body, probe: None };
        let object = operation.run(&mut context)?;
        Ok((object, context.probe))
    }

    /// The window that a request counts in, with this request counted.
    fn count(&self, state: &mut State, merchant: Option<&str>) -> Window {
        let scope = match state.switches.rate_limit_scope {
            RateLimitScope::Merchant => merchant.unwrap_or_default(),
            RateLimitScope::Everyone => "",
        };
        state.limiter.count(scope, self.settings.rate_limit, self.clock.now())
    }

    fn caller(&self, state: &State, request: &Received) -> Result<String, Refusal> {
        let verified =
            signature::verify(request, self.clock.now(), self.settings.clock_window, |key| {
                state.merchants.iter().find(|merchant| !merchant.secrets_of(key).is_empty())
            });
        verified.map(|merchant| merchant.id.clone()).map_err(|why| {
            tracing::debug!(?why, path = request.path, "a signature was refused");
            let status = match why {
                signature::Refused::Malformed => state.switches.malformed_authorization_status,
                _ => 401,
            };
            Refusal::of(StatusCode::from_u16(status).unwrap_or(StatusCode::UNAUTHORIZED))
        })
    }
}

// === impl Partner for Trolley ===

impl Partner for Trolley {
    fn name(&self) -> &'static str {
        "trolley"
    }

    fn answer(&self, request: &Received) -> Answer {
        let state = &mut *locked(&self.state);
        let caller = self.caller(state, request);
        let window = self.count(state, caller.as_ref().ok().map(String::as_str));
        let answer = match caller {
            _ if window.is_exceeded => {
                reply::rate_limited(&state.switches, &window, self.clock.now())
            }
            Ok(merchant) => self.carry_out(state, merchant, request),
            Err(refusal) => refusal.answer(&state.switches),
        };
        reply::with_headers(answer, &state.switches, &window)
    }

    fn refusal(&self, request: &Received, status: StatusCode) -> Answer {
        let state = &mut *locked(&self.state);
        let caller = self.caller(state, request).ok();
        let window = self.count(state, caller.as_deref());
        let answer = Refusal::of(status).answer(&state.switches);
        reply::with_headers(answer, &state.switches, &window)
    }

    fn rate_limited(&self, request: &Received, reset_after: Option<i64>) -> Answer {
        let state = &mut *locked(&self.state);
        let now = self.clock.now();
        let caller = self.caller(state, request).ok();
        let mut window = self.count(state, caller.as_deref());
        window.remaining = 0;
        if let Some(seconds) = reset_after {
            window.reset = now.as_second().saturating_add(seconds);
        }
        let answer = reply::rate_limited(&state.switches, &window, now);
        reply::with_headers(answer, &state.switches, &window)
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
        event::delivery(order, &self.settings, self.clock.now())
    }
}

#[cfg(test)]
mod tests;

//! Full users and guests. A guest is made by the client and never becomes a full user; the two are
//! told apart by the prefix of their ids, as documented.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::json::Object;
use super::super::random;
use super::call::{Call, Document, Outcome, Route};
use super::refusal::Refusal;
use super::settings::{BUYER_ID, SELLER_ID, UNCONNECTED_ID};

const GUEST_PREFIX: &str = "1-";

pub(crate) const ROUTES: &[Route] = &[
    Route("POST", "/guest_users", create_guest),
    Route("GET", "/users", get_by_email),
    Route("POST", "/users", create),
    Route("GET", "/users/clients/{client_id}/users/{user_id}", get_as_client),
    Route("GET", "/me/balances", balances),
];

/// Everyone.
#[derive(Debug)]
pub(crate) struct Users {
    full: Vec<FullUser>,
    guests: Vec<Guest>,
}

/// Somebody with an account of their own.
#[derive(Clone, Debug)]
pub(crate) struct FullUser {
    pub(crate) id: String,
    pub(crate) email: String,
    /// Whether the user once logged in through the client and let it act for them.
    pub(crate) is_connected: bool,
    /// What the user has not granted of all that there is.
    pub(crate) withheld_scopes: BTreeSet<String>,
    created: Timestamp,
}

/// Somebody whom the client speaks for.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    id: String,
    email: String,
    first_name: String,
    last_name: String,
    country_code: Option<String>,
}

/// Whether an id has the form of a guest's.
pub(crate) fn is_guest(id: &str) -> bool {
    id.starts_with(GUEST_PREFIX)
}

// === impl Users ===

impl Users {
    pub(crate) fn full(&self, id: &str) -> Option<&FullUser> {
        self.full.iter().find(|user| user.id == id)
    }

    pub(crate) fn full_mut(&mut self, id: &str) -> Option<&mut FullUser> {
        self.full.iter_mut().find(|user| user.id == id)
    }

    pub(crate) fn guest(&self, id: &str) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.id == id)
    }

    /// What the other party of a transaction is told about a user.
    pub(crate) fn contact(&self, id: &str, undocumented: bool) -> Object {
        let object = Object::new().with("email", self.email(id));
        match self.guest(id) {
            Some(guest) => object.with("name", guest.name().with_undocumented(undocumented)),
            None => object,
        }
    }

    /// Whom a bill goes to.
    pub(crate) fn billing(&self, id: &str) -> Object {
        let object = Object::new().with("email", self.email(id));
        match self.guest(id) {
            Some(Guest { first_name, last_name, .. }) => {
                object.with("name", format!("{first_name} {last_name}"))
            }
            None => object,
        }
    }

    fn email(&self, id: &str) -> &str {
        let guest = self.guest(id).map(|guest| guest.email.as_str());
        guest.or_else(|| self.full(id).map(|user| user.email.as_str())).unwrap_or_default()
    }

    fn by_email(&self, email: &str) -> Option<&FullUser> {
        self.full.iter().find(|user| user.email == email)
    }
}

impl Default for Users {
    fn default() -> Self {
        let user = |id: &str, name: &str| FullUser::new(id, format!("{name}@example.com"));
        let unconnected = FullUser { is_connected: false, ..user(UNCONNECTED_ID, "unconnected") };
        let full = vec![user(SELLER_ID, "seller"), user(BUYER_ID, "buyer"), unconnected];
        Self { full, guests: Vec::new() }
    }
}

// === impl FullUser ===

impl FullUser {
    fn new(id: &str, email: String) -> Self {
        Self {
            id: id.to_owned(),
            email,
            is_connected: true,
            withheld_scopes: BTreeSet::new(),
            created: Timestamp::UNIX_EPOCH,
        }
    }

    fn shown(&self) -> Object {
        Object::new()
            .with("created_at", self.created.to_string())
            .with("email", &self.email)
            .with("id", &self.id)
    }
}

// === impl Guest ===

impl Guest {
    fn name(&self) -> Object {
        Object::new().with("first", &self.first_name).with("last", &self.last_name)
    }

    /// Without a country a guest can buy but not sell.
    pub(crate) fn can_sell(&self) -> bool {
        self.country_code.is_some()
    }
}

fn create_guest(call: &mut Call<'_>) -> Outcome {
    let text = |name| call.input.text(name).unwrap_or_default().to_owned();
    let email = email(call)?;
    let country_code = call.input.text("country_code").map(str::to_owned);
    if country_code.as_deref().is_some_and(|code| !is_country(code)) {
        return Err(Refusal::invalid("invalid_country_code"));
    }
    let (first_name, last_name) = (text("first_name"), text("last_name"));
    let names = [("first_name_missing", &first_name), ("last_name_missing", &last_name)];
    if call.state.switches.require_guest_names
        && let Some((code, _)) = names.into_iter().find(|(_, name)| name.is_empty())
    {
        return Err(Refusal::invalid(code));
    }
    accepted_terms(call)?;
    let id = format!("{GUEST_PREFIX}{}", random::guid());
    let created = call.now;
    let guest = Guest { id, email, first_name, last_name, country_code };
    // Seen to have a fraction of a second here, unlike in transactions.
    let shown = Object::new()
        .with("created_at", format!("{created:.9}"))
        .with("email", &guest.email)
        .with("id", &guest.id);
    call.state.users.guests.push(guest);
    call.found(shown)
}

fn email(call: &Call<'_>) -> Result<String, Refusal> {
    let email = call.input.text("email").unwrap_or_default();
    let parts = email.split_once('@');
    if parts.is_none_or(|(name, host)| name.is_empty() || host.is_empty()) {
        return Err(Refusal::invalid("invalid_email"));
    }
    Ok(email.to_owned())
}

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_alphabetic())
}

fn accepted_terms(call: &Call<'_>) -> Result<(), Refusal> {
    let Some(terms) = call.input.body.get("tos_acceptance") else { return Ok(()) };
    let accepted = terms.get("unix_timestamp").and_then(serde_json::Value::as_i64);
    let in_time = accepted.is_some_and(|second| (1..=call.now.as_second()).contains(&second));
    if in_time { Ok(()) } else { Err(Refusal::invalid("invalid_tos_acceptance_date")) }
}

fn get_by_email(call: &mut Call<'_>) -> Outcome {
    let email = call.input.query("email").unwrap_or_default();
    let user = call.state.users.by_email(email);
    let user = user.ok_or_else(|| Refusal::invalid("user_not_found"))?;
    call.found(user.shown())
}

fn create(call: &mut Call<'_>) -> Outcome {
    let email = email(call)?;
    if call.state.users.by_email(&email).is_some() {
        return Err(Refusal::invalid("email_used_for_the_client"));
    }
    accepted_terms(call)?;
    let user = FullUser { created: call.now, ..FullUser::new(&random::guid(), email) };
    let shown = user.shown();
    call.state.users.full.push(user);
    call.found(shown)
}

fn get_as_client(call: &mut Call<'_>) -> Outcome {
    if call.input.path("client_id") != Some(call.settings.client_id.as_str()) {
        return Err(Refusal::absent());
    }
    let id = call.input.path("user_id").unwrap_or_default();
    let user = call.state.users.full(id).ok_or_else(Refusal::absent)?;
    call.found(Object::new().with("email", &user.email).with("id", &user.id))
}

fn balances(call: &mut Call<'_>) -> Outcome {
    call.user()?;
    let balance = Object::new().with("amount", call.state.switches.balance).with("currency", "eur");
    let available = [call.whole(balance)];
    let shown = call.whole(Object::new().with("available", available));
    Ok(Document::of(&shown))
}

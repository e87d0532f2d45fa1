//! The three ways to make a transaction: with one party, with two full users, or with guests.

use std::collections::BTreeMap;

use super::super::super::random;
use super::super::call::{Call, Outcome};
use super::super::charge::{Kind, Quote};
use super::super::refusal::Refusal;
use super::super::user;
use super::transaction::{Moment, Payment, Pricing, Role, Status, Transaction};
use super::{announce, keep, shown};

/// The features of the description, and one that a guide adds.
const FEATURES: [&str; 4] =
    ["require_seller_acceptance", "use_hr_post", "use_shippo", "use_custom_postage_fee"];

/// `POST /me/transactions`: the other party joins by a code.
pub(crate) fn create(call: &mut Call<'_>) -> Outcome {
    let creator = call.user()?;
    let role = Role::read(call.input.text("role").unwrap_or_default())?;
    let mut transaction = drafted(call, role)?;
    *transaction.party_mut(role) = Some(creator);
    finish(call, transaction)
}

/// `POST /me/transactions/create_and_join`: both are full users.
pub(crate) fn create_and_join(call: &mut Call<'_>) -> Outcome {
    let creator = call.user()?;
    let role = Role::read(call.input.text("creator_role").unwrap_or_default())?;
    let transaction = drafted(call, role)?;
    let other = call.input.text("join_user_id").unwrap_or_default().to_owned();
    let known = call.state.users.full(&other);
    let known = known.ok_or_else(|| Refusal::invalid("invalid_join_user_id"))?;
    if !known.is_connected {
        return Err(Refusal::invalid("user_not_owned_by_client"));
    }
    join(call, transaction, creator, other)
}

/// `POST /me/transactions/create_with_guest_user`: at least one of them is a guest.
pub(crate) fn create_with_guest_user(call: &mut Call<'_>) -> Outcome {
    let role = Role::read(call.input.text("creator_role").unwrap_or_default())?;
    let transaction = drafted(call, role)?;
    let text = |name| call.input.text(name).unwrap_or_default().to_owned();
    let (buyer, seller) = (text("buyer_id"), text("seller_id"));
    if !user::is_guest(&buyer) && !user::is_guest(&seller) {
        return Err(Refusal::invalid("no_guest_user"));
    }
    known(call, &buyer)?;
    known(call, &seller)?;
    if call.state.users.guest(&seller).is_some_and(|guest| !guest.can_sell()) {
        return Err(Refusal::invalid("seller_country_code_not_set"));
    }
    let (creator, other) = match role {
        Role::Buyer => (buyer, seller),
        Role::Seller => (seller, buyer),
    };
    if call.caller.user().is_some_and(|user| user != creator) {
        return Err(Refusal::invalid("invalid_role"));
    }
    join(call, transaction, creator, other)
}

fn known(call: &Call<'_>, id: &str) -> Result<(), Refusal> {
    match call.state.users.full(id) {
        Some(user) if user.is_connected => Ok(()),
        None if call.state.users.guest(id).is_some() => Ok(()),
        None if user::is_guest(id) => Err(Refusal::invalid("guest_user_not_found")),
        _ => Err(Refusal::invalid("user_not_owned_by_client")),
    }
}

fn join(
    call: &mut Call<'_>,
    mut transaction: Transaction,
    creator: String,
    other: String,
) -> Outcome {
    if creator == other {
        return Err(Refusal::invalid("duplicate_user_id"));
    }
    let role = transaction.creator;
    *transaction.party_mut(role) = Some(creator);
    *transaction.party_mut(role.other()) = Some(other);
    transaction.status = Status::Joined;
    transaction.note(Moment::Joined, call.now);
    finish(call, transaction)
}

fn finish(call: &mut Call<'_>, mut transaction: Transaction) -> Outcome {
    transaction.id = call.state.next_id();
    keep(call.state, call.now, &transaction);
    announce(call.state, call.now, &transaction);
    shown(call, &transaction)
}

/// What all three have in common: price and charge, which must be as they were quoted, and
/// features.
fn drafted(call: &Call<'_>, creator: Role) -> Result<Transaction, Refusal> {
    let input = &call.input;
    let client_id = input.text("client_id").unwrap_or(&call.settings.client_id);
    if client_id != call.settings.client_id {
        return Err(Refusal::invalid("invalid_client_id"));
    }
    let features = input.texts("features");
    if features.iter().any(|feature| !FEATURES.contains(&feature.as_str())) {
        return Err(Refusal::invalid("feature_not_found"));
    }
    let number = |name| input.integer(name).unwrap_or_default();
    let quote = Quote::new(
        call,
        Kind::Online,
        number("price"),
        input.text("currency").unwrap_or_default(),
    )?;
    let version = number("charge_calculator_version");
    quote.verify(number("charge"), input.integer("charge_seller"), version)?;
    Ok(Transaction {
        id: 0,
        client_id: client_id.to_owned(),
        creator,
        buyer: None,
        seller: None,
        created: call.now,
        status: Status::Created,
        moments: BTreeMap::new(),
        description: input.text("description").unwrap_or_default().to_owned(),
        image_url: input.text("image_url").map(str::to_owned),
        pricing: Pricing::of(&quote),
        currency: quote.currency,
        payment: Payment::with(quote.payment_method),
        features,
        join_code: random::upper(8),
        claim_secret: random::lower(32),
        complaint: None,
        conceded: None,
        order_issue: None,
        tracking: None,
        shipping: None,
    })
}

// === impl Pricing ===

impl Pricing {
    fn of(quote: &Quote) -> Self {
        let &Quote { price, charge, charge_seller, postage, .. } = quote;
        Self { price, charge, charge_seller, postage }
    }
}

// === impl Payment ===

impl Payment {
    fn with(method: String) -> Self {
        Self { method, is_method_set: false, is_in_progress: false, with_balance: false }
    }
}

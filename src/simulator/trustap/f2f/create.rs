//! New face to face transactions: with one party, with two full users, or with any two users of
//! whom one is a guest.

use super::super::super::random;
use super::super::call::{Call, Outcome, Route};
use super::super::charge::{Kind, Quote, named_method};
use super::super::refusal::Refusal;
use super::super::user;
use super::history::{Event, History};
use super::store;
use super::transaction::{ClaimSecrets, Pricing, Role, Transaction};

pub(crate) const ROUTES: &[Route] = &[
    Route("POST", "/p2p/me/transactions", alone),
    Route("POST", "/p2p/me/transactions/create_and_join", and_join),
    Route("POST", "/p2p/me/transactions/create_with_guest_user", with_guest),
];

/// How long an image's address may be. No edition tells; the code for it is documented.
const IMAGE_URL_LIMIT: usize = 2048;

/// Who takes part from the start.
struct Parties {
    creator: String,
    buyer: Option<String>,
    seller: Option<String>,
}

fn alone(call: &mut Call<'_>) -> Outcome {
    let creator = call.user()?;
    let parties = match role(call, "role") {
        Role::Buyer => Parties { buyer: Some(creator.clone()), seller: None, creator },
        Role::Seller => Parties { seller: Some(creator.clone()), buyer: None, creator },
    };
    create(call, parties)
}

fn and_join(call: &mut Call<'_>) -> Outcome {
    let creator = call.user()?;
    let joiner = call.input.text("join_user_id").unwrap_or_default().to_owned();
    if joiner == creator {
        return Err(Refusal::invalid("duplicate_user_id"));
    }
    let known = call.state.users.full(&joiner);
    let known = known.ok_or_else(|| Refusal::invalid("invalid_join_user_id"))?;
    if !known.is_connected {
        return Err(Refusal::invalid("user_not_owned_by_client"));
    }
    let (buyer, seller) = match role(call, "creator_role") {
        Role::Buyer => (creator.clone(), joiner),
        Role::Seller => (joiner, creator.clone()),
    };
    create(call, Parties { creator, buyer: Some(buyer), seller: Some(seller) })
}

fn with_guest(call: &mut Call<'_>) -> Outcome {
    let text = |name| call.input.text(name).unwrap_or_default().to_owned();
    let (buyer, seller) = (text("buyer_id"), text("seller_id"));
    if buyer == seller {
        return Err(Refusal::invalid("duplicate_user_id"));
    }
    if !user::is_guest(&buyer) && !user::is_guest(&seller) {
        return Err(Refusal::invalid("no_guest_user"));
    }
    for id in [&buyer, &seller] {
        check_party(call, id)?;
    }
    if call.state.users.guest(&seller).is_some_and(|guest| !guest.can_sell()) {
        return Err(Refusal::invalid("seller_country_code_not_set"));
    }
    let creator = match role(call, "creator_role") {
        Role::Buyer => buyer.clone(),
        Role::Seller => seller.clone(),
    };
    if call.caller.user().is_some_and(|user| user != creator) {
        return Err(Refusal::invalid("invalid_role"));
    }
    create(call, Parties { creator, buyer: Some(buyer), seller: Some(seller) })
}

fn check_party(call: &Call<'_>, id: &str) -> Result<(), Refusal> {
    if user::is_guest(id) {
        let known = call.state.users.guest(id).is_some();
        return if known { Ok(()) } else { Err(Refusal::invalid("guest_user_not_found")) };
    }
    // A full user who never connected to the client is refused like a bad credential.
    let known = call.state.users.full(id).is_some_and(|user| user.is_connected);
    if known { Ok(()) } else { Err(Refusal::unauthorized()) }
}

fn role(call: &Call<'_>, name: &str) -> Role {
    Role::read(call.input.text(name).unwrap_or_default())
}

fn create(call: &mut Call<'_>, parties: Parties) -> Outcome {
    let (currency, deposit) = pricing(call)?;
    let image_url = call.input.text("image_url").map(str::to_owned);
    if image_url.as_ref().is_some_and(|url| url.len() > IMAGE_URL_LIMIT) {
        return Err(Refusal::invalid("image_url_too_long"));
    }
    let deposit_payment_method = named_method(&call.input, "deposit_payment_method")?;
    let id = call.state.next_id();
    let is_joined = parties.buyer.is_some() && parties.seller.is_some();
    let secret = || random::lower(32);
    call.state.f2f.add(Transaction {
        id,
        client_id: call.settings.client_id.clone(),
        creator: parties.creator,
        buyer: parties.buyer,
        seller: parties.seller,
        join_code: random::upper(8),
        description: call.input.text("description").unwrap_or_default().to_owned(),
        currency,
        image_url,
        contains_shipping: call.input.boolean("contains_shipping"),
        skip_remainder: call.input.boolean("skip_remainder").unwrap_or_default(),
        skip: None,
        deposit,
        deposit_payment_method,
        pricing: None,
        cancellation: None,
        complaint: None,
        metadata: serde_json::Map::new(),
        secrets: ClaimSecrets { buyer: secret(), seller: secret() },
        history: History::new(call.now),
    });
    if is_joined { store::happened(call, id, Event::Joined) } else { store::shown(call, id) }
}

/// The deposit with its charges, held to a quote of the calculator.
fn pricing(call: &Call<'_>) -> Result<(String, Pricing), Refusal> {
    let integer = |name| call.input.integer(name);
    let currency = call.input.text("currency").unwrap_or_default();
    let price = integer("deposit_price").unwrap_or_default();
    let quote = Quote::new(call, Kind::F2f, price, currency)?;
    let charge = integer("deposit_charge").unwrap_or_default();
    let version = integer("charge_calculator_version").unwrap_or_default();
    quote.verify(charge, integer("deposit_charge_seller"), version)?;
    let fee_multiplier = call.input.body.get("deposit_fee_multiplier");
    let fee_multiplier = fee_multiplier.or_else(|| call.input.body.get("fee_multiplier"));
    let fee_multiplier = fee_multiplier.and_then(serde_json::Value::as_f64);
    if fee_multiplier.is_some_and(|multiplier| multiplier < 0.0) {
        return Err(Refusal::invalid("fee_multiplier_too_low"));
    }
    let charge_seller = quote.charge_seller;
    Ok((quote.currency, Pricing { price, charge, charge_seller, fee_multiplier }))
}

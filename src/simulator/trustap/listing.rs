//! Listings: an offer that a transaction can be made from, once or many times, online or face to
//! face. All four groups are deprecated and differ in little but the names of their members, so
//! one store has them all. A transaction made from one is not kept.

use serde_json::json;

use super::call::{Call, Document, Outcome, Route};
use super::charge::{Kind, Quote};
use super::refusal::Refusal;
use super::typed;

mod offer;

use self::offer::{Group, Offer};

pub(crate) const ROUTES: &[Route] = &[
    Route("POST", "/me/multi_use_listings/create", create),
    Route("GET", "/multi_use_listings/{listing_id}", get),
    Route("PATCH", "/multi_use_listings/{listing_id}", update),
    Route("DELETE", "/multi_use_listings/{listing_id}", delete),
    Route("POST", "/multi_use_listings/{listing_id}/create_transaction", sell),
    Route("POST", "/multi_use_listings/{listing_id}/create_transaction_with_guest_buyer", sell),
    Route("POST", "/multi_use_listings/{listing_id}/disable", disable),
    Route("POST", "/multi_use_listings/{listing_id}/enable", enable),
    Route("POST", "/multi_use_listings/{listing_id}/set_description", set),
    Route("POST", "/multi_use_listings/{listing_id}/set_pricing", set),
    Route("POST", "/me/single_use_listings/create", create),
    Route("GET", "/single_use_listings/{listing_id}", get),
    Route("PATCH", "/single_use_listings/{listing_id}", update),
    Route("DELETE", "/single_use_listings/{listing_id}", delete),
    Route("POST", "/single_use_listings/{listing_id}/create_transaction", sell),
    Route("POST", "/single_use_listings/{listing_id}/create_transaction_with_guest_buyer", sell),
    Route("POST", "/single_use_listings/{listing_id}/disable", disable),
    Route("POST", "/single_use_listings/{listing_id}/enable", enable),
    Route("POST", "/single_use_listings/{listing_id}/set_description", set),
    Route("POST", "/single_use_listings/{listing_id}/set_pricing", set),
    Route("POST", "/p2p/me/multi_use_listings/create", create),
    Route("GET", "/p2p/multi_use_listings/{listingId}", get),
    Route("PATCH", "/p2p/multi_use_listings/{listingId}", update),
    Route("DELETE", "/p2p/multi_use_listings/{listingId}", delete),
    Route("POST", "/p2p/multi_use_listings/{listingId}/create_transaction", sell),
    Route("POST", "/p2p/multi_use_listings/{listingId}/disable", disable),
    Route("POST", "/p2p/multi_use_listings/{listingId}/enable", enable),
    Route("POST", "/p2p/multi_use_listings/{listingId}/set_deposit_pricing", set),
    Route("POST", "/p2p/multi_use_listings/{listingId}/set_description", set),
    Route("POST", "/p2p/multi_use_listings/{listingId}/set_skip_remainder", set),
    Route("POST", "/p2p/me/single_use_listings/create", create),
    Route("GET", "/p2p/single_use_listings/{listingId}", get),
    Route("PATCH", "/p2p/single_use_listings/{listingId}", update),
    Route("DELETE", "/p2p/single_use_listings/{listingId}", delete),
    Route("POST", "/p2p/single_use_listings/{listingId}/create_transaction", sell),
    Route("POST", "/p2p/single_use_listings/{listingId}/disable", disable),
    Route("POST", "/p2p/single_use_listings/{listingId}/enable", enable),
    Route("POST", "/p2p/single_use_listings/{listingId}/set_deposit_pricing", set),
    Route("POST", "/p2p/single_use_listings/{listingId}/set_description", set),
];

/// All listings, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Listings(Vec<Offer>);

fn create(call: &mut Call<'_>) -> Outcome {
    let creator = call.user()?;
    let group = Group::of(call.operation);
    let mut offer = Offer {
        group,
        id: 0,
        creator,
        role: call.input.text("role").unwrap_or_default().to_owned(),
        created: call.now,
        disabled: None,
        description: String::new(),
        currency: String::new(),
        price: 0,
        charge: 0,
        charge_seller: 0,
        skip_remainder: false,
    };
    change(call, &mut offer)?;
    offer.id = call.state.next_id();
    call.state.listings.0.push(offer.clone());
    shown(call, &offer)
}

/// Anybody who has the id may look.
fn get(call: &mut Call<'_>) -> Outcome {
    let offer = find(call)?;
    shown(call, &offer)
}

fn update(call: &mut Call<'_>) -> Outcome {
    if call.input.body.is_empty() {
        return Err(Refusal::invalid("empty_body"));
    }
    set(call)
}

fn set(call: &mut Call<'_>) -> Outcome {
    let mut offer = own(call)?;
    change(call, &mut offer)?;
    keep(call, &offer)
}

/// A second time it is not found.
fn delete(call: &mut Call<'_>) -> Outcome {
    let offer = own(call)?;
    call.state.listings.0.retain(|kept| kept.id != offer.id);
    Ok(Document::empty())
}

fn disable(call: &mut Call<'_>) -> Outcome {
    let mut offer = own(call)?;
    offer.disabled.get_or_insert(call.now);
    keep(call, &offer)
}

fn enable(call: &mut Call<'_>) -> Outcome {
    let mut offer = own(call)?;
    offer.disabled = None;
    keep(call, &offer)
}

fn sell(call: &mut Call<'_>) -> Outcome {
    let offer = find(call)?;
    if offer.creator == call.user()? {
        return Err(Refusal::invalid("is_listing_creator"));
    }
    if offer.disabled.is_some() {
        return Err(Refusal::invalid("listing_is_disabled"));
    }
    let id = call.state.next_id();
    let pricing = json!({
        "price": offer.price, "charge": offer.charge, "charge_seller": offer.charge_seller,
    });
    // What the answer repeats of a request, and in this place of the listing.
    let terms = json!({
        "id": id, "listing_id": offer.spelt_id(), "description": offer.description,
        "currency": offer.currency, "deposit_pricing": pricing, "price": offer.price,
        "charge": offer.charge, "charge_seller": offer.charge_seller,
    });
    call.input.body.extend(terms.as_object().cloned().unwrap_or_default());
    typed::answer(call)
}

/// Takes over what the body has, pricing only as a whole and as the calculator quotes it.
fn change(call: &Call<'_>, offer: &mut Offer) -> Result<(), Refusal> {
    let (price, charge) = match offer.group.kind() {
        Kind::Online => ("price", "charge"),
        Kind::F2f => ("deposit_price", "deposit_charge"),
    };
    let parts = [price, charge, "charge_calculator_version", "currency"];
    let given = parts.iter().filter(|name| call.input.body.contains_key(**name)).count();
    if given == parts.len() {
        let integer = |name| call.input.integer(name).unwrap_or_default();
        let currency = call.input.text("currency").unwrap_or_default();
        let quote = Quote::new(call, offer.group.kind(), integer(price), currency)?;
        let charge_seller = call.input.integer("charge_seller");
        quote.verify(integer(charge), charge_seller, integer("charge_calculator_version"))?;
        offer.currency = quote.currency;
        (offer.price, offer.charge) = (quote.price, quote.charge);
        offer.charge_seller = quote.charge_seller;
    } else if given > 0 {
        return Err(Refusal::invalid("partial_pricing"));
    }
    if let Some(description) = call.input.text("description") {
        description.clone_into(&mut offer.description);
    }
    offer.skip_remainder = call.input.boolean("skip_remainder").unwrap_or(offer.skip_remainder);
    Ok(())
}

fn find(call: &Call<'_>) -> Result<Offer, Refusal> {
    let group = Group::of(call.operation);
    let (_, id) = call.input.path.first().ok_or_else(Refusal::absent)?;
    let mut offers = call.state.listings.0.iter();
    let found = offers.find(|offer| offer.group == group && offer.spelt_id() == *id);
    found.cloned().ok_or_else(Refusal::absent)
}

fn own(call: &Call<'_>) -> Result<Offer, Refusal> {
    let offer = find(call)?;
    if offer.creator == call.user()? { Ok(offer) } else { Err(Refusal::denied()) }
}

fn keep(call: &mut Call<'_>, offer: &Offer) -> Outcome {
    if let Some(kept) = call.state.listings.0.iter_mut().find(|kept| kept.id == offer.id) {
        kept.clone_from(offer);
    }
    shown(call, offer)
}

fn shown(call: &Call<'_>, offer: &Offer) -> Outcome {
    call.found(offer.shown(call.state.switches.undocumented_fields))
}

//! The handover: each party says that it has taken place. What is shipped is delivered instead.

use super::super::call::{Call, Outcome, Route};
use super::super::refusal::Refusal;
use super::history::Event;
use super::store;
use super::transaction::Role;

pub(crate) const ROUTES: &[Route] = &[
    Route("POST", "/p2p/transactions/{transactionId}/confirm_handover", confirm),
    Route(
        "POST",
        "/p2p/transactions/{transactionId}/confirm_handover_with_guest_user",
        confirm_as_guest,
    ),
    Route("POST", "/p2p/transactions/{transaction_id}/confirm_delivery", deliver),
    Route(
        "POST",
        "/p2p/transactions/{transaction_id}/confirm_delivery_with_guest_buyer",
        deliver_as_guest,
    ),
];

fn confirm(call: &mut Call<'_>) -> Outcome {
    let user = call.user()?;
    let transaction = store::own(call)?;
    let id = transaction.id;
    let role = transaction.role_of(&user).ok_or_else(Refusal::denied)?;
    if transaction.is_cancelled() {
        return Err(Refusal::invalid("already_cancelled"));
    }
    if transaction.is_shipped() {
        return Err(Refusal::invalid("handover_confirmation_not_supported"));
    }
    if transaction.has(Event::Complained) {
        return Err(Refusal::invalid("already_complained"));
    }
    if !transaction.remainder_is_settled() {
        return Err(Refusal::invalid("remainder_required"));
    }
    let (event, again) = match role {
        Role::Buyer => (Event::BuyerHandoverConfirmed, "buyer_handover_already_confirmed"),
        Role::Seller => (Event::SellerHandoverConfirmed, "seller_handover_already_confirmed"),
    };
    if transaction.has(event) {
        return Err(Refusal::invalid(again));
    }
    store::happened(call, id, event)
}

fn confirm_as_guest(call: &mut Call<'_>) -> Outcome {
    store::guests_only(call)?;
    confirm(call)
}

fn deliver(call: &mut Call<'_>) -> Outcome {
    let transaction = store::own_as(call, Role::Buyer)?;
    let id = transaction.id;
    if !transaction.has(Event::Tracked) {
        return Err(Refusal::invalid("tracking_not_added"));
    }
    if transaction.has(Event::Delivered) {
        return Err(Refusal::invalid("delivery_already_set"));
    }
    store::happened(call, id, Event::Delivered)
}

fn deliver_as_guest(call: &mut Call<'_>) -> Outcome {
    store::guests_only(call)?;
    deliver(call)
}

//! Looking at face to face transactions, and editing one that nobody has joined.

use super::super::super::json::Object;
use super::super::call::{Call, Document, Outcome, Route};
use super::super::charge::{Kind, Quote};
use super::super::refusal::Refusal;
use super::super::{page, typed};
use super::store;
use super::transaction::{Pricing, Role};

pub(crate) const ROUTES: &[Route] = &[
    Route("GET", "/p2p/me/transactions", list),
    Route("GET", "/p2p/batch/transactions", batch),
    Route("GET", "/p2p/transactions/{transaction_id}", get),
    Route("PATCH", "/p2p/transactions/{transaction_id}", update),
    Route("GET", "/p2p/transactions/{transactionId}/buyer_details", buyer_details),
    Route("GET", "/p2p/transactions/{transactionId}/seller_details", seller_details),
    Route("GET", "/p2p/transactions/{transaction_id}/billing_details", typed_details),
    Route("GET", "/p2p/transactions/{transactionId}/stripe_publishable_key", typed_details),
];

const BATCH_LIMIT: usize = 50;

fn list(call: &mut Call<'_>) -> Outcome {
    let user = call.user()?;
    let page = page::read(&call.input)?;
    let own = call.state.f2f.iter().filter(|transaction| transaction.concerns(&user));
    let shown = page.of(own, |transaction| transaction.id);
    let shown = shown.into_iter().map(|transaction| transaction.shown(&call.state.switches));
    Ok(Document::of(&shown.collect::<Vec<_>>()))
}

/// In the order asked for, null for what there is not or is not the caller's.
fn batch(call: &mut Call<'_>) -> Outcome {
    let ids = call.input.query("ids").unwrap_or_default().split(',').map(str::parse::<i64>);
    let ids = ids.collect::<Result<Vec<_>, _>>().map_err(|_| Refusal::invalid("invalid_id"))?;
    if ids.len() > BATCH_LIMIT {
        return Err(Refusal::invalid("too_many_ids"));
    }
    let user = call.caller.user();
    let found = ids.into_iter().map(|id| {
        let transaction = call.state.f2f.find(id)?;
        let may_see = user.is_none_or(|user| transaction.concerns(user));
        may_see.then(|| transaction.shown(&call.state.switches))
    });
    Ok(Document::of(&found.collect::<Vec<Option<Object>>>()))
}

fn get(call: &mut Call<'_>) -> Outcome {
    let id = store::own(call)?.id;
    store::shown(call, id)
}

fn update(call: &mut Call<'_>) -> Outcome {
    let user = call.user()?;
    let transaction = store::own(call)?.clone();
    if transaction.creator != user {
        return Err(Refusal::denied());
    }
    if transaction.is_cancelled() || transaction.open_role().is_none() {
        return Err(Refusal::invalid("second_party_already_joined"));
    }
    let mut changed = transaction.clone();
    changed.deposit = new_deposit(call, &transaction.deposit);
    if let Some(description) = call.input.text("description") {
        description.clone_into(&mut changed.description);
    }
    if let Some(currency) = call.input.text("currency") {
        changed.currency = Quote::new(call, Kind::F2f, changed.deposit.price, currency)?.currency;
    }
    let values = |of: &super::transaction::Transaction| {
        (of.description.clone(), of.currency.clone(), of.deposit.clone())
    };
    if values(&changed) == values(&transaction) {
        return Err(Refusal::invalid("values_not_changed"));
    }
    let id = changed.id;
    if let Some(kept) = call.state.f2f.find_mut(id) {
        *kept = changed;
    }
    store::shown(call, id)
}

/// Amounts come without a version of the calculator here, and none is documented to be refused.
fn new_deposit(call: &Call<'_>, old: &Pricing) -> Pricing {
    let integer = |name, old| call.input.integer(name).unwrap_or(old);
    Pricing {
        price: integer("deposit_price", old.price),
        charge: integer("deposit_charge", old.charge),
        charge_seller: integer("deposit_charge_seller", old.charge_seller),
        fee_multiplier: old.fee_multiplier,
    }
}

fn buyer_details(call: &mut Call<'_>) -> Outcome {
    details(call, Role::Buyer)
}

fn seller_details(call: &mut Call<'_>) -> Outcome {
    details(call, Role::Seller)
}

fn details(call: &mut Call<'_>, role: Role) -> Outcome {
    let party = store::own(call)?.party(role).map(str::to_owned);
    let party = party.ok_or_else(Refusal::absent)?;
    let contact = call.state.users.contact(&party, call.state.switches.undocumented_fields);
    call.found(contact)
}

/// Nothing of this is kept, but the transaction must be the caller's.
fn typed_details(call: &mut Call<'_>) -> Outcome {
    store::own(call)?;
    typed::answer(call)
}

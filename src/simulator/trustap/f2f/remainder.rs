//! The rest of the price: named and paid, or waived.

use super::super::super::json::Object;
use super::super::super::random;
use super::super::call::{Call, Outcome, Route};
use super::super::charge::{Kind, Quote};
use super::super::refusal::Refusal;
use super::history::Event;
use super::store;
use super::transaction::{Pricing, Role, Transaction};

pub(crate) const ROUTES: &[Route] = &[
    Route("POST", "/p2p/transactions/{transactionId}/set_price", set_price),
    Route("POST", "/p2p/transactions/{transactionId}/skip_remainder", skip),
    Route("GET", "/p2p/transactions/{transactionId}/remainder_stripe_client_secret", client_secret),
    Route(
        "POST",
        "/p2p/transactions/{transaction_id}/pay_remainder_with_balance",
        pay_with_balance,
    ),
];

fn set_price(call: &mut Call<'_>) -> Outcome {
    let given = |name| call.input.integer(name).unwrap_or_default();
    let (price, charge) = (given("price"), given("charge"));
    let version = given("charge_calculator_version");
    let currency = call.input.text("currency").unwrap_or_default().to_owned();
    let transaction = store::own_as(call, Role::Seller)?.clone();
    accepted(&transaction)?;
    if transaction.has(Event::RemainderPaid) {
        return Err(Refusal::invalid("remainder_already_paid"));
    }
    if transaction.skip_remainder || transaction.has(Event::RemainderSkipped) {
        return Err(Refusal::invalid("remainder_already_skipped"));
    }
    if currency != transaction.currency {
        return Err(Refusal::invalid("currency_mismatch"));
    }
    if price < transaction.deposit.price {
        return Err(Refusal::invalid("remainder_too_low"));
    }
    let quote = Quote::new(call, Kind::F2f, price, &currency)?;
    quote.verify(charge, None, version)?;
    let charge_seller = quote.charge_seller;
    let pricing = Pricing { price, charge, charge_seller, fee_multiplier: None };
    if let Some(kept) = call.state.f2f.find_mut(transaction.id) {
        kept.pricing = Some(pricing);
    }
    store::happened(call, transaction.id, Event::Priced)
}

fn skip(call: &mut Call<'_>) -> Outcome {
    let transaction = store::own_as(call, Role::Seller)?;
    let id = transaction.id;
    accepted(transaction)?;
    if transaction.has(Event::RemainderSkipped) {
        return Err(Refusal::invalid("remainder_already_skipped"));
    }
    if transaction.has(Event::Priced) {
        return Err(Refusal::invalid("price_already_set"));
    }
    transaction.skip = None;
    store::happened(call, id, Event::RemainderSkipped)
}

fn client_secret(call: &mut Call<'_>) -> Outcome {
    let transaction = store::own_as(call, Role::Buyer)?;
    owed(transaction)?;
    let secret = format!("pi_{}_secret_{}", random::base58(24), random::base58(25));
    call.found(Object::new().with("client_secret", secret))
}

fn pay_with_balance(call: &mut Call<'_>) -> Outcome {
    let transaction = store::own_as(call, Role::Buyer)?;
    let id = transaction.id;
    owed(transaction)?;
    store::happened(call, id, Event::RemainderPaid)
}

/// Whether a remainder can be paid now.
pub(crate) fn owed(transaction: &Transaction) -> Result<(), Refusal> {
    if transaction.is_cancelled() {
        return Err(Refusal::invalid("already_cancelled"));
    }
    if !transaction.has(Event::Priced) {
        return Err(Refusal::invalid("missing_pricing"));
    }
    let is_paid = transaction.has(Event::RemainderPaid);
    if is_paid { Err(Refusal::invalid("remainder_already_paid")) } else { Ok(()) }
}

// No edition has a code for a deposit that is paid and not accepted.
fn accepted(transaction: &Transaction) -> Result<(), Refusal> {
    if transaction.is_cancelled() {
        return Err(Refusal::invalid("already_cancelled"));
    }
    if !transaction.has(Event::DepositPaid) {
        return Err(Refusal::invalid("deposit_not_paid"));
    }
    let is_accepted = transaction.has(Event::DepositAccepted);
    if is_accepted { Ok(()) } else { Err(Refusal::invalid("deposit_not_accepted")) }
}

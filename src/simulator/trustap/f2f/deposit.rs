//! The deposit: how it is paid, and that the seller accepts it.

use super::super::super::json::Object;
use super::super::super::random;
use super::super::call::{Call, Outcome, Route};
use super::super::charge::{self, Kind, Quote};
use super::super::refusal::Refusal;
use super::super::settings::SkipAfter;
use super::super::state::later;
use super::super::typed;
use super::history::Event;
use super::store;
use super::transaction::{Role, Skip, Transaction};

pub(crate) const ROUTES: &[Route] = &[
    Route("POST", "/p2p/transactions/{transaction_id}/set_deposit_payment_method", set_method),
    Route("GET", "/p2p/transactions/{transactionId}/deposit_stripe_client_secret", client_secret),
    Route("GET", "/p2p/transactions/{transaction_id}/bank_transfer_details", bank_transfer),
    Route("POST", "/p2p/transactions/{transaction_id}/pay_deposit_with_balance", pay_with_balance),
    Route("POST", "/p2p/transactions/{transactionId}/accept_deposit", accept),
    Route(
        "POST",
        "/p2p/transactions/{transactionId}/accept_deposit_with_guest_seller",
        accept_as_guest,
    ),
];

fn set_method(call: &mut Call<'_>) -> Outcome {
    let method = charge::payment_method(&call.input)?;
    let given = |name| call.input.integer(name).unwrap_or_default();
    let (price, charge) = (given("deposit_price"), given("deposit_charge"));
    let charge_seller = call.input.integer("deposit_charge_seller");
    let currency = call.input.text("currency").unwrap_or_default().to_owned();
    let transaction = store::own(call)?.clone();
    if transaction.has(Event::DepositPaid) {
        return Err(Refusal::invalid("deposit_already_paid"));
    }
    if transaction.deposit_payment_method.as_ref() == Some(&method) {
        return Err(Refusal::invalid("payment_method_already_set"));
    }
    if currency != transaction.currency {
        return Err(Refusal::invalid("incorrect_currency"));
    }
    if price != transaction.deposit.price {
        return Err(Refusal::invalid("incorrect_price"));
    }
    Quote::new(call, Kind::F2f, price, &currency)?.verify_amounts(charge, charge_seller)?;
    if let Some(kept) = call.state.f2f.find_mut(transaction.id) {
        kept.deposit_payment_method = Some(method);
        kept.deposit.charge = charge;
    }
    store::shown(call, transaction.id)
}

fn client_secret(call: &mut Call<'_>) -> Outcome {
    let transaction = store::own_as(call, Role::Buyer)?;
    if transaction.has(Event::DepositPaid) {
        return Err(Refusal::invalid("deposit_already_paid"));
    }
    let secret = format!("pi_{}_secret_{}", random::base58(24), random::base58(25));
    call.found(Object::new().with("client_secret", secret))
}

fn bank_transfer(call: &mut Call<'_>) -> Outcome {
    let method = &store::own(call)?.deposit_payment_method;
    if method.as_deref() != Some("bank_transfer") {
        return Err(Refusal::invalid("payment_method_not_bank_transfer"));
    }
    typed::answer(call)
}

fn pay_with_balance(call: &mut Call<'_>) -> Outcome {
    let balance = call.state.switches.balance;
    let transaction = store::own_as(call, Role::Buyer)?;
    let id = transaction.id;
    if transaction.has(Event::DepositPaid) {
        return Err(Refusal::invalid("already_paid"));
    }
    if balance < transaction.deposit.price.saturating_add(transaction.deposit.charge) {
        return Err(Refusal::invalid("insufficient_funds"));
    }
    payable(transaction)?;
    store::happened(call, id, Event::DepositPaid)
}

/// Whether a deposit can be paid now.
pub(crate) fn payable(transaction: &Transaction) -> Result<(), Refusal> {
    if transaction.is_cancelled() {
        return Err(Refusal::invalid("already_cancelled"));
    }
    if transaction.has(Event::DepositPaid) {
        return Err(Refusal::invalid("deposit_already_paid"));
    }
    let is_joined = transaction.open_role().is_none();
    if is_joined { Ok(()) } else { Err(Refusal::invalid("second_party_not_joined")) }
}

fn accept(call: &mut Call<'_>) -> Outcome {
    let transaction = store::own_as(call, Role::Seller)?;
    if transaction.is_cancelled() {
        return Err(Refusal::invalid("already_cancelled"));
    }
    if let Some(code) = unacceptable(transaction) {
        return Err(Refusal::invalid(code));
    }
    accepted(call)
}

/// The same conflicts as 403: this twin was never moved to 400.
fn accept_as_guest(call: &mut Call<'_>) -> Outcome {
    store::guests_only(call)?;
    let transaction = store::own_as(call, Role::Seller)?;
    if transaction.is_cancelled() {
        return Err(Refusal::forbidden("deposit_not_paid"));
    }
    if let Some(code) = unacceptable(transaction) {
        return Err(Refusal::forbidden(code));
    }
    accepted(call)
}

fn unacceptable(transaction: &Transaction) -> Option<&'static str> {
    if !transaction.has(Event::DepositPaid) {
        return Some("deposit_not_paid");
    }
    transaction.has(Event::DepositAccepted).then_some("deposit_already_accepted")
}

fn accepted(call: &mut Call<'_>) -> Outcome {
    let id = call.input.id()?;
    let skip = match call.state.switches.remainder_skipped {
        SkipAfter::Seconds(seconds) => Skip::At(later(call.now, seconds)),
        SkipAfter::Requests(requests) => Skip::After(requests),
    };
    if let Some(transaction) = call.state.f2f.find_mut(id) {
        transaction.skip = transaction.skip_remainder.then_some(skip);
    }
    store::happened(call, id, Event::DepositAccepted)
}

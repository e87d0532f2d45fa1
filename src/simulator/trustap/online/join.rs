//! From one party to two: looking an invitation up, joining, declining, and changing the terms
//! while nobody has joined.

use super::super::call::{Call, Outcome};
use super::super::refusal::Refusal;
use super::transaction::{Moment, Status, Transaction};
use super::{Actor, act, keep, shown};

/// `GET /transactions?join_code=`: whoever has the code may look.
pub(crate) fn get_by_join_code(call: &mut Call<'_>) -> Outcome {
    let transaction = invited(call)?;
    shown(call, &transaction)
}

/// `PUT /transactions?join_code=`
pub(crate) fn join(call: &mut Call<'_>) -> Outcome {
    let user = call.user()?;
    let mut transaction = invited(call)?;
    if transaction.concerns(&user) {
        return Err(Refusal::invalid("cannot_join_own_transaction"));
    }
    open(&transaction)?;
    let role = transaction.creator.other();
    *transaction.party_mut(role) = Some(user);
    transaction.status = Status::Joined;
    transaction.note(Moment::Joined, call.now);
    keep(call.state, call.now, &transaction);
    shown(call, &transaction)
}

/// `POST /transactions-by-join-code/{join_code}/reject`
pub(crate) fn reject(call: &mut Call<'_>) -> Outcome {
    let user = call.user()?;
    let mut transaction = invited(call)?;
    if transaction.concerns(&user) {
        return Err(Refusal::denied());
    }
    open(&transaction)?;
    transaction.status = Status::Rejected;
    keep(call.state, call.now, &transaction);
    shown(call, &transaction)
}

/// `PATCH /transactions/{id}`: only its maker, and only before anybody has joined.
pub(crate) fn update(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Party, |transaction, call| {
        open(transaction)?;
        let before = (transaction.description.clone(), transaction.pricing);
        let currency = transaction.currency.clone();
        let pricing = &mut transaction.pricing;
        let number = |name, current| call.input.integer(name).unwrap_or(current);
        pricing.price = number("price", pricing.price);
        pricing.charge = number("charge", pricing.charge);
        pricing.charge_seller = number("charge_seller", pricing.charge_seller);
        if pricing.price < 0 {
            return Err(Refusal::invalid("negative_price"));
        }
        let text = |name, current: &str| call.input.text(name).unwrap_or(current).to_owned();
        transaction.description = text("description", &transaction.description);
        transaction.currency = text("currency", &transaction.currency);
        let after = (transaction.description.clone(), transaction.pricing);
        if before == after && currency == transaction.currency {
            return Err(Refusal::invalid("values_not_changed"));
        }
        Ok(())
    })
}

/// Accepting or rejecting a transaction that came of a listing; none does here.
pub(crate) fn no_listing(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Party, |transaction, call| {
        if transaction.party(transaction.creator) != call.caller.user() {
            return Err(Refusal::forbidden("not_creator"));
        }
        Err(Refusal::invalid("no_listing"))
    })
}

fn invited(call: &Call<'_>) -> Result<Transaction, Refusal> {
    let given = call.input.query("join_code").or(call.input.path("join_code"));
    let code = given.unwrap_or_default();
    let mut all = call.state.online.0.iter();
    all.find(|transaction| transaction.join_code == code).cloned().ok_or_else(Refusal::absent)
}

fn open(transaction: &Transaction) -> Result<(), Refusal> {
    match transaction.status {
        Status::Created => Ok(()),
        Status::Cancelled | Status::Rejected => Err(Refusal::invalid("already_cancelled")),
        _ => Err(Refusal::invalid("second_party_already_joined")),
    }
}

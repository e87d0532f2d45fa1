//! The time for a complaint: a complaint and what the seller says to it, or an end before its time.

use super::super::call::{Call, Outcome};
use super::super::refusal::Refusal;
use super::transaction::{Moment, Role, Status, Transaction};
use super::{Actor, act};

/// `POST /transactions/{id}/complain_with_description` and its twin for guests.
pub(crate) fn submit(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Buyer), |transaction, call| {
        if transaction.status == Status::FundsReleased {
            return Err(Refusal::invalid("funds_already_released"));
        }
        in_period(transaction)?;
        transaction.complaint = call.input.text("description").map(str::to_owned);
        transaction.status = Status::Complained;
        transaction.note(Moment::Complained, call.now);
        Ok(())
    })
}

/// `POST /transactions/{id}/end_complaint_period`
pub(crate) fn end_period(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Buyer), |transaction, call| {
        in_period(transaction)?;
        transaction.status = Status::ComplaintPeriodEnded;
        transaction.note(Moment::ComplaintPeriodEnded, call.now);
        Ok(())
    })
}

/// `POST /transactions/{id}/accept_complaint`: the money goes back, a while later. Nothing is
/// documented for a repeat before that; it is answered like the first.
pub(crate) fn accept(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Seller), |transaction, call| {
        if !transaction.has(Moment::Paid) {
            return Err(Refusal::invalid("not_paid"));
        }
        match transaction.status {
            Status::FundsReleased => Err(Refusal::invalid("funds_already_released")),
            Status::Complained => {
                transaction.conceded.get_or_insert(call.now);
                Ok(())
            }
            _ => Err(Refusal::invalid("not_complained")),
        }
    })
}

// Delivered, not complained about, and neither ended by the buyer nor by the clock.
fn in_period(transaction: &Transaction) -> Result<(), Refusal> {
    if transaction.has(Moment::Complained) {
        return Err(Refusal::invalid("already_complained"));
    }
    let Some(deadline) = transaction.at(Moment::ComplaintPeriodDeadline) else {
        return Err(Refusal::invalid("unconfirmed_delivery"));
    };
    match transaction.at(Moment::ComplaintPeriodEnded) {
        None => Ok(()),
        Some(ended) if ended < deadline => {
            Err(Refusal::invalid("complaint_period_ended_prematurely"))
        }
        Some(_) => Err(Refusal::invalid("complaint_period_expired")),
    }
}

//! Calling a transaction off: by either party until it is paid, and where the seller must accept
//! the payment, until the parcel is tracked.

use super::super::call::{Call, Outcome};
use super::super::refusal::Refusal;
use super::transaction::{Moment, Status};
use super::{Actor, act};

/// `POST /transactions/{id}/cancel` and its twin for guests.
pub(crate) fn cancel(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Party, |transaction, call| {
        transaction.status = match transaction.status {
            Status::Created | Status::Joined => Status::Cancelled,
            Status::Paid | Status::PaymentAccepted if transaction.needs_acceptance() => {
                Status::CancelledWithPayment
            }
            Status::Paid | Status::PaymentAccepted => return Err(Refusal::invalid("already_paid")),
            Status::Cancelled | Status::Rejected | Status::CancelledWithPayment => {
                return Err(Refusal::invalid("already_cancelled"));
            }
            Status::PaymentRefunded if transaction.has(Moment::Cancelled) => {
                return Err(Refusal::invalid("already_cancelled"));
            }
            Status::PaymentRefunded
            | Status::Tracked
            | Status::Delivered
            | Status::Complained
            | Status::ComplaintPeriodEnded
            | Status::FundsReleased => return Err(Refusal::invalid("tracking_already_added")),
        };
        transaction.note(Moment::Cancelled, call.now);
        Ok(())
    })
}

//! The ways out of a transaction: a complaint, conceded or not, the end of the time for one, and a
//! cancellation.

use super::super::call::{Call, Outcome, Route};
use super::super::refusal::Refusal;
use super::history::Event;
use super::store;
use super::transaction::{Complaint, Role, Transaction};

pub(crate) const ROUTES: &[Route] = &[
    Route("POST", "/p2p/transactions/{transactionId}/complain", complain),
    Route("POST", "/p2p/transactions/{transactionId}/complain_with_guest_buyer", complain_as_guest),
    Route("POST", "/p2p/transactions/{transaction_id}/accept_complaint", accept),
    Route("POST", "/p2p/transactions/{transaction_id}/end_complaint_period", end_period),
    Route(
        "POST",
        "/p2p/transactions/{transaction_id}/end_complaint_period_with_guest_buyer",
        end_period_as_guest,
    ),
    Route("POST", "/p2p/transactions/{transactionId}/cancel_with_description", cancel),
    Route(
        "POST",
        "/p2p/transactions/{transactionId}/cancel_with_description_with_guest_user",
        cancel_as_guest,
    ),
];

/// What has changed hands, by somebody's word, is not called off.
const HANDOVER: [Event; 4] = [
    Event::BuyerHandoverConfirmed,
    Event::SellerHandoverConfirmed,
    Event::Delivered,
    Event::Complained,
];

/// The deposit has gone back, or is on its way.
const REFUND: [Event; 3] =
    [Event::DepositRefunded, Event::ComplaintAccepted, Event::CancelledWithDeposit];

fn complain(call: &mut Call<'_>) -> Outcome {
    let description = call.input.text("description").unwrap_or_default().to_owned();
    let category = call.input.text("category").map(str::to_owned);
    let transaction = store::own_as(call, Role::Buyer)?;
    let id = transaction.id;
    if transaction.has(Event::Complained) {
        return Err(Refusal::invalid("already_complained"));
    }
    if transaction.has(Event::FundsReleased) {
        return Err(Refusal::invalid("funds_already_released"));
    }
    if transaction.has(Event::ComplaintPeriodEnded) {
        return Err(Refusal::invalid("complaint_period_expired"));
    }
    // The only code for what comes too early; the time begins with the seller's word.
    if transaction.complaints_since().is_none() {
        return Err(Refusal::invalid("remainder_required"));
    }
    transaction.complaint = Some(Complaint { description, category });
    store::happened(call, id, Event::Complained)
}

fn complain_as_guest(call: &mut Call<'_>) -> Outcome {
    store::guests_only(call)?;
    complain(call)
}

fn accept(call: &mut Call<'_>) -> Outcome {
    let transaction = store::own_as(call, Role::Seller)?;
    let id = transaction.id;
    let refused = |code| Err(Refusal::invalid(code));
    if !transaction.has(Event::DepositPaid) {
        return refused("deposit_not_paid");
    }
    if transaction.has(Event::FundsReleased) {
        return refused("funds_already_released");
    }
    if transaction.history.has_any(&REFUND) {
        return refused("deposit_already_refunded");
    }
    if !transaction.has(Event::Complained) {
        return refused("not_complained");
    }
    store::happened(call, id, Event::ComplaintAccepted)
}

fn end_period(call: &mut Call<'_>) -> Outcome {
    let transaction = store::own_as(call, Role::Buyer)?;
    let id = transaction.id;
    let refused = |code| Err(Refusal::invalid(code));
    if transaction.has(Event::FundsReleased) {
        return refused("funds_already_released");
    }
    if transaction.has(Event::Complained) {
        return refused("already_complained");
    }
    if transaction.has(Event::ComplaintPeriodEnded) {
        return refused("complaint_period_expired");
    }
    if transaction.complaints_since().is_none() {
        return refused("handover_not_confirmed");
    }
    store::happened(call, id, Event::ComplaintPeriodEnded)
}

fn end_period_as_guest(call: &mut Call<'_>) -> Outcome {
    store::guests_only(call)?;
    end_period(call)
}

fn cancel(call: &mut Call<'_>) -> Outcome {
    let user = call.user()?;
    let before_join = call.state.switches.f2f_cancel_before_join;
    let reason = call.input.text("description").unwrap_or_default().to_owned();
    let transaction = store::own(call)?;
    let id = transaction.id;
    if !transaction.concerns(&user) {
        return Err(Refusal::denied());
    }
    if let Some(code) = uncancellable(transaction, before_join) {
        return Err(Refusal::invalid(code));
    }
    transaction.cancellation = Some(reason);
    transaction.skip = None;
    let has_deposit = transaction.has(Event::DepositPaid);
    let event = if has_deposit { Event::CancelledWithDeposit } else { Event::Cancelled };
    store::happened(call, id, event)
}

fn cancel_as_guest(call: &mut Call<'_>) -> Outcome {
    store::guests_only(call)?;
    cancel(call)
}

fn uncancellable(transaction: &Transaction, before_join: bool) -> Option<&'static str> {
    if transaction.is_cancelled() {
        return Some("already_cancelled");
    }
    if transaction.open_role().is_some() && !before_join {
        return Some("second_party_not_joined");
    }
    if transaction.history.has_any(&HANDOVER) {
        return Some("handover_already_confirmed");
    }
    // No edition has a code for a remainder that was waived; nothing more is owed either way.
    transaction.remainder_is_settled().then_some("remainder_already_paid")
}

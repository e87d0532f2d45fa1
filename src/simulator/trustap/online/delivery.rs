//! The parcel's way: tracking details from the seller, delivery confirmed by the buyer, and where
//! it goes.

use jiff::Timestamp;
use serde_json::Value;

use super::super::super::json::Object;
use super::super::call::{Call, Outcome};
use super::super::refusal::Refusal;
use super::super::settings::Switches;
use super::super::state::later;
use super::transaction::{Moment, Role, Status, Tracking, Transaction};
use super::{Actor, act};

/// The fields of an address, as a request spells them and as an answer does.
const ADDRESS: [(&str, &str); 6] = [
    ("city", "city"),
    ("country", "country"),
    ("address_line_1", "line1"),
    ("address_line_2", "line2"),
    ("postal_code", "postal_code"),
    ("state", "state"),
];

/// `POST /transactions/{id}/track` and its twin for guests.
pub(crate) fn track(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Seller), |transaction, call| {
        match transaction.status {
            Status::Cancelled | Status::CancelledWithPayment | Status::Rejected => {
                return Err(Refusal::invalid("already_cancelled"));
            }
            Status::PaymentRefunded if transaction.has(Moment::Cancelled) => {
                return Err(Refusal::invalid("already_cancelled"));
            }
            _ => awaits_tracking(transaction)?,
        }
        let deadline = transaction.at(Moment::TrackingDetailsDeadline);
        if deadline.is_some_and(|deadline| deadline <= call.now) {
            return Err(Refusal::invalid("tracking_details_deadline_expired"));
        }
        let text = |name| call.input.text(name).unwrap_or_default().to_owned();
        let tracking = Tracking { carrier: text("carrier"), code: text("tracking_code") };
        transaction.tracking = Some(tracking);
        transaction.status = Status::Tracked;
        transaction.note(Moment::Tracked, call.now);
        Ok(())
    })
}

/// `POST /transactions/{id}/extend_tracking_deadline`: the same time once more.
pub(crate) fn extend(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Buyer), |transaction, call| {
        if transaction.has(Moment::Paid) && !transaction.has(Moment::TrackingDetailsWindowStarted) {
            return Err(Refusal::invalid("tracking_submission_window_not_started"));
        }
        awaits_tracking(transaction)?;
        let deadline = transaction.at(Moment::TrackingDetailsDeadline).unwrap_or(call.now);
        let extended = later(deadline, call.state.switches.tracking_window_seconds);
        transaction.note(Moment::TrackingDetailsDeadline, extended);
        Ok(())
    })
}

/// `POST /transactions/{id}/confirm_delivery` and its twin for guests.
pub(crate) fn confirm(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Buyer), |transaction, call| {
        on_its_way(transaction)?;
        transaction.deliver(call.now, &call.state.switches);
        Ok(())
    })
}

/// `POST /transactions/{id}/submit_order_issue`
pub(crate) fn raise_issue(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Buyer), |transaction, call| {
        on_its_way(transaction)?;
        transaction.order_issue = call.input.text("description").map(str::to_owned);
        transaction.note(Moment::OrderIssueRaised, call.now);
        Ok(())
    })
}

/// `GET /transactions/{id}/shipping_details`: 404 until there are some.
pub(crate) fn get_address(call: &mut Call<'_>) -> Outcome {
    let id = call.input.id()?;
    let transaction = call.state.online.find(id).ok_or_else(Refusal::absent)?;
    if let Some(user) = call.caller.user() {
        transaction.require_party(user)?;
    }
    address(call, id)
}

/// `POST /transactions/{id}/shipping_details`
pub(crate) fn set_address(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Party, |transaction, call| {
        transaction.shipping = Some(call.input.body.clone());
        Ok(())
    })?;
    address(call, call.input.id()?)
}

fn address(call: &Call<'_>, id: i64) -> Outcome {
    let kept = call.state.online.find(id).and_then(|transaction| transaction.shipping.as_ref());
    let kept = kept.ok_or_else(Refusal::absent)?;
    let text = |name: &str| kept.get(name).and_then(Value::as_str).unwrap_or_default();
    let lines = ADDRESS
        .iter()
        .fold(Object::new(), |object, (given, shown)| object.with(shown, text(given)));
    let shown = Object::new()
        .with("address", call.whole(lines))
        .with("name", text("name"))
        .with("phone", text("phone"));
    call.found(shown)
}

fn awaits_tracking(transaction: &Transaction) -> Result<(), Refusal> {
    if transaction.has(Moment::Tracked) {
        return Err(Refusal::invalid("tracking_already_added"));
    }
    // Where the seller must accept the payment, it is not theirs to send for before that.
    if !transaction.has(Moment::TrackingDetailsWindowStarted) {
        return Err(Refusal::invalid("payment_details_not_added"));
    }
    Ok(())
}

pub(crate) fn on_its_way(transaction: &Transaction) -> Result<(), Refusal> {
    if transaction.has(Moment::Delivered) {
        return Err(Refusal::invalid("delivery_already_set"));
    }
    if transaction.status != Status::Tracked {
        return Err(Refusal::invalid("tracking_not_added"));
    }
    Ok(())
}

// === impl Transaction ===

impl Transaction {
    /// The parcel has arrived, and the time for a complaint begins.
    pub(crate) fn deliver(&mut self, now: Timestamp, switches: &Switches) {
        self.status = Status::Delivered;
        self.note(Moment::Delivered, now);
        let deadline = later(now, switches.complaint_window_seconds);
        self.note(Moment::ComplaintPeriodDeadline, deadline);
    }
}

//! What happens without a request, once its time has come: the end of the time for a complaint,
//! the release of the money, refunds.

use jiff::Timestamp;

use super::super::settings::Switches;
use super::super::state::{State, later};
use super::keep;
use super::transaction::{Moment, Status, Transaction};

/// Brings every transaction up to `now`.
pub(crate) fn pass_time(state: &mut State, now: Timestamp) {
    let mut due = Vec::new();
    for transaction in &state.online.0 {
        let mut next = transaction.clone();
        // Several steps may have come due since the last request.
        while let Some((at, status, moment)) = step(&next, &state.switches) {
            if now < at {
                break;
            }
            next.status = status;
            next.note(moment, at);
            due.push((at, next.clone()));
        }
    }
    for (at, transaction) in due {
        keep(state, at, &transaction);
    }
}

/// What comes next by the clock alone, and when.
fn step(transaction: &Transaction, switches: &Switches) -> Option<(Timestamp, Status, Moment)> {
    let refund = |since| {
        let at = later(since, switches.refund_delay_seconds);
        (at, Status::PaymentRefunded, Moment::PaymentRefunded)
    };
    match transaction.status {
        Status::CancelledWithPayment => transaction.at(Moment::Cancelled).map(refund),
        Status::Complained => transaction.conceded.map(refund),
        Status::Delivered => {
            let deadline = transaction.at(Moment::ComplaintPeriodDeadline)?;
            Some((deadline, Status::ComplaintPeriodEnded, Moment::ComplaintPeriodEnded))
        }
        Status::ComplaintPeriodEnded => {
            let ended = transaction.at(Moment::ComplaintPeriodEnded)?;
            let at = later(ended, switches.release_delay_seconds);
            Some((at, Status::FundsReleased, Moment::FundsReleased))
        }
        _ => None,
    }
}

//! What happens by itself as time goes by. Nothing runs in the background: whoever looks at a
//! transaction first finds done what was due, at the moment when it was due.

use jiff::Timestamp;

use super::super::settings::Switches;
use super::super::state::later;
use super::history::Event;
use super::transaction::{Skip, Transaction};

/// Brings a transaction up to `now`.
pub(crate) fn settle(transaction: &mut Transaction, now: Timestamp, switches: &Switches) {
    if let Some(Skip::At(due)) = transaction.skip {
        skip_remainder(transaction, due, now);
    }
    end_complaint_period(transaction, now, switches);
    pay_out(transaction, now, switches);
    pay_back(transaction, now, switches);
}

/// Counts a request towards the skipping of the remainder.
pub(crate) fn count_request(transaction: &mut Transaction, now: Timestamp) {
    if let Some(Skip::After(left)) = transaction.skip {
        match left.saturating_sub(1) {
            0 => skip_remainder(transaction, now, now),
            left => transaction.skip = Some(Skip::After(left)),
        }
    }
}

fn skip_remainder(transaction: &mut Transaction, due: Timestamp, now: Timestamp) {
    if now < due {
        return;
    }
    transaction.skip = None;
    if !transaction.is_cancelled() {
        transaction.history.record(Event::RemainderSkipped, due);
    }
}

fn end_complaint_period(transaction: &mut Transaction, now: Timestamp, switches: &Switches) {
    let over = [Event::Complained, Event::ComplaintPeriodEnded, Event::FundsReleased];
    if transaction.history.has_any(&over) {
        return;
    }
    let deadline = transaction.complaint_deadline(switches);
    if let Some(deadline) = deadline.filter(|deadline| *deadline <= now) {
        transaction.history.record(Event::ComplaintPeriodEnded, deadline);
    }
}

fn pay_out(transaction: &mut Transaction, now: Timestamp, switches: &Switches) {
    let ended = transaction.history.when(Event::ComplaintPeriodEnded);
    let due = ended.map(|ended| later(ended, switches.release_delay_seconds));
    if let Some(due) = due.filter(|due| *due <= now && !transaction.has(Event::FundsReleased)) {
        transaction.history.record(Event::FundsReleased, due);
    }
}

fn pay_back(transaction: &mut Transaction, now: Timestamp, switches: &Switches) {
    let history = &transaction.history;
    let owed = history.when(Event::CancelledWithDeposit);
    let owed = owed.or_else(|| history.when(Event::ComplaintAccepted));
    let due = owed.map(|owed| later(owed, switches.refund_delay_seconds));
    if let Some(due) = due.filter(|due| *due <= now && !history.has(Event::DepositRefunded)) {
        transaction.history.record(Event::DepositRefunded, due);
    }
}

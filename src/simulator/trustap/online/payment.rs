//! The buyer's payment and, where the transaction asks for it, its acceptance by the seller. Card
//! payments happen in a browser; the control interface stands in for it.

use jiff::Timestamp;

use super::super::call::{Call, Outcome};
use super::super::charge::{self, Kind, Quote};
use super::super::refusal::Refusal;
use super::super::settings::Switches;
use super::super::state::later;
use super::super::typed;
use super::transaction::{Moment, Role, Status, Transaction};
use super::{Actor, act};

/// `POST /transactions/{id}/set_payment_method`: the terms are repeated, so that both sides mean
/// the same.
pub(crate) fn set_method(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Buyer), |transaction, call| {
        let input = &call.input;
        if transaction.payment.is_method_set {
            return Err(Refusal::invalid("payment_method_already_set"));
        }
        let method = charge::payment_method(input)?;
        let currency = input.text("currency").unwrap_or_default();
        if !currency.eq_ignore_ascii_case(&transaction.currency) {
            return Err(Refusal::invalid("incorrect_currency"));
        }
        let price = input.integer("price").unwrap_or_default();
        if price != transaction.pricing.price {
            return Err(Refusal::invalid("incorrect_price"));
        }
        let quote = Quote::new(call, Kind::Online, price, currency)?;
        let charge = input.integer("charge").unwrap_or_default();
        quote.verify_amounts(charge, input.integer("charge_seller"))?;
        transaction.payment.method = method;
        transaction.payment.is_method_set = true;
        Ok(())
    })
}

/// `GET /transactions/{id}/stripe_client_secret`
pub(crate) fn client_secret(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Buyer), |transaction, _| unpaid(transaction))?;
    typed::answer(call)
}

/// `GET /transactions/{id}/stripe_publishable_key`
pub(crate) fn publishable_key(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Party, |_, _| Ok(()))?;
    typed::answer(call)
}

/// `GET /transactions/{id}/bank_transfer_details`
pub(crate) fn bank_transfer(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Party, |transaction, _| {
        if transaction.payment.with_balance {
            return Err(Refusal::invalid("paid_with_balance"));
        }
        if transaction.payment.method != "bank_transfer" {
            return Err(Refusal::invalid("payment_method_not_bank_transfer"));
        }
        Ok(())
    })?;
    typed::answer(call)
}

/// `POST /transactions/{id}/pay_with_balance`
pub(crate) fn pay_with_balance(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Buyer), |transaction, call| {
        unpaid(transaction)?;
        if transaction.total() > call.state.switches.balance {
            return Err(Refusal::invalid("insufficient_funds"));
        }
        transaction.payment.with_balance = true;
        transaction.pay(call.now, &call.state.switches);
        Ok(())
    })
}

/// `POST /transactions/{id}/accept_payment` and its twin for guests.
pub(crate) fn accept(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Only(Role::Seller), |transaction, call| {
        if !transaction.needs_acceptance() {
            return Err(Refusal::invalid("missing_required_feature"));
        }
        if transaction.has(Moment::PaymentAccepted) {
            return Err(Refusal::invalid("payment_already_accepted"));
        }
        if transaction.status != Status::Paid {
            return Err(Refusal::invalid("transaction_not_paid_yet"));
        }
        transaction.status = Status::PaymentAccepted;
        transaction.note(Moment::PaymentAccepted, call.now);
        transaction.await_tracking(call.now, &call.state.switches);
        Ok(())
    })
}

/// Whether the money can still be paid; cancelled and rejected transactions are as good as not
/// accepted.
pub(crate) fn unpaid(transaction: &Transaction) -> Result<(), Refusal> {
    match transaction.status {
        Status::Joined => Ok(()),
        Status::Created | Status::Rejected | Status::Cancelled => {
            Err(Refusal::invalid("not_accepted"))
        }
        _ => Err(Refusal::invalid("already_paid")),
    }
}

// === impl Transaction ===

impl Transaction {
    pub(crate) fn pay(&mut self, now: Timestamp, switches: &Switches) {
        self.status = Status::Paid;
        self.payment.is_in_progress = false;
        self.note(Moment::Paid, now);
        if !self.needs_acceptance() {
            self.await_tracking(now, switches);
        }
    }

    fn await_tracking(&mut self, now: Timestamp, switches: &Switches) {
        self.note(Moment::TrackingDetailsWindowStarted, now);
        let deadline = later(now, switches.tracking_window_seconds);
        self.note(Moment::TrackingDetailsDeadline, deadline);
    }
}

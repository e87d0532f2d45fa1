//! Online transactions: goods sent by registered mail, paid beforehand and released to the seller
//! when the time for a complaint is over. Each file below has a stretch of their life.

use jiff::Timestamp;

use super::call::{Call, Document, Outcome, Route};
use super::notification::notify;
use super::refusal::Refusal;
use super::state::State;

mod cancellation;
mod claim;
mod complaint;
mod control;
mod create;
mod delivery;
mod join;
mod passing;
mod payment;
mod read;
mod shippo;
mod transaction;

pub(crate) use self::control::control;
pub(crate) use self::passing::pass_time;
use self::transaction::{Role, Transaction};

pub(crate) const ROUTES: &[Route] = &[
    Route("POST", "/me/transactions", create::create),
    Route("POST", "/me/transactions/create_and_join", create::create_and_join),
    Route("POST", "/me/transactions/create_with_guest_user", create::create_with_guest_user),
    Route("GET", "/me/transactions", read::list),
    Route("GET", "/batch/transactions", read::batch),
    Route("GET", "/transactions/{transaction_id}", read::get),
    Route("GET", "/clients/{client_id}/transactions/{transaction_id}", read::get_as_client),
    Route("POST", "/clients/{client_id}/transactions", read::list_as_client),
    Route("GET", "/clients/{client_id}/timelines", read::timelines),
    Route("GET", "/transactions/{transaction_id}/buyer_details", read::buyer_details),
    Route("GET", "/transactions/{transaction_id}/seller_details", read::seller_details),
    Route("GET", "/transactions/{transaction_id}/billing_details", read::billing_details),
    Route("GET", "/transactions", join::get_by_join_code),
    Route("PUT", "/transactions", join::join),
    Route("POST", "/transactions-by-join-code/{join_code}/reject", join::reject),
    Route("PATCH", "/transactions/{transaction_id}", join::update),
    Route("POST", "/transactions/{transaction_id}/accept_listing_transaction", join::no_listing),
    Route("POST", "/transactions/{transaction_id}/reject_listing_transaction", join::no_listing),
    Route("POST", "/transactions/{transaction_id}/set_payment_method", payment::set_method),
    Route("GET", "/transactions/{transaction_id}/stripe_client_secret", payment::client_secret),
    Route("GET", "/transactions/{transaction_id}/stripe_publishable_key", payment::publishable_key),
    Route("GET", "/transactions/{transaction_id}/bank_transfer_details", payment::bank_transfer),
    Route("POST", "/transactions/{transaction_id}/pay_with_balance", payment::pay_with_balance),
    Route("POST", "/transactions/{transaction_id}/accept_payment", payment::accept),
    Route(
        "POST",
        "/transactions/{transaction_id}/accept_payment_with_guest_seller",
        payment::accept,
    ),
    Route("POST", "/transactions/{transaction_id}/cancel", cancellation::cancel),
    Route("POST", "/transactions/{transaction_id}/cancel_with_guest_user", cancellation::cancel),
    Route("POST", "/transactions/{transaction_id}/claim_for_buyer", claim::for_buyer),
    Route("POST", "/transactions/{transaction_id}/claim_for_seller", claim::for_seller),
    Route("POST", "/transactions_by_claim_secret/{secret}/claim_as_buyer", claim::as_buyer),
    Route("POST", "/transactions_by_claim_secret/{secret}/claim_as_seller", claim::as_seller),
    Route("POST", "/transactions/{transaction_id}/track", delivery::track),
    Route("POST", "/transactions/{transaction_id}/track_with_guest_seller", delivery::track),
    Route("POST", "/transactions/{transaction_id}/extend_tracking_deadline", delivery::extend),
    Route("POST", "/transactions/{transaction_id}/confirm_delivery", delivery::confirm),
    Route(
        "POST",
        "/transactions/{transaction_id}/confirm_delivery_with_guest_buyer",
        delivery::confirm,
    ),
    Route("POST", "/transactions/{transaction_id}/submit_order_issue", delivery::raise_issue),
    Route("GET", "/transactions/{transaction_id}/shipping_details", delivery::get_address),
    Route("POST", "/transactions/{transaction_id}/shipping_details", delivery::set_address),
    Route("POST", "/transactions/{transaction_id}/shippo_address", shippo::prepare),
    Route("POST", "/transactions/{transaction_id}/shippo_parcel_details", shippo::prepare),
    Route("POST", "/transactions/{transaction_id}/shippo_customs_declaration", shippo::prepare),
    Route("GET", "/transactions/{transaction_id}/shippo_shipping_rates", shippo::prepare),
    Route("POST", "/transactions/{transaction_id}/shippo_shipping_rate", shippo::prepare),
    Route("GET", "/transactions/{transaction_id}/shippo_shipping_label", shippo::label),
    Route("POST", "/transactions/{transaction_id}/complain_with_description", complaint::submit),
    Route("POST", "/transactions/{transaction_id}/complain_with_guest_buyer", complaint::submit),
    Route("POST", "/transactions/{transaction_id}/accept_complaint", complaint::accept),
    Route("POST", "/transactions/{transaction_id}/end_complaint_period", complaint::end_period),
];

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Store(Vec<Transaction>);

// === impl Store ===

impl Store {
    pub(crate) fn find(&self, id: i64) -> Option<&Transaction> {
        self.0.iter().find(|transaction| transaction.id == id)
    }

    fn find_mut(&mut self, id: i64) -> Option<&mut Transaction> {
        self.0.iter_mut().find(|transaction| transaction.id == id)
    }
}

/// Who may take an action.
#[derive(Clone, Copy)]
enum Actor {
    Party,
    Only(Role),
}

/// An action on the transaction of the path: it must exist, its actor must be a party with the
/// right role, and `change` judges the state. A refusal changes nothing.
fn act(
    call: &mut Call<'_>,
    actor: Actor,
    change: impl FnOnce(&mut Transaction, &Call<'_>) -> Result<(), Refusal>,
) -> Outcome {
    let (user, id) = (call.user()?, call.input.id()?);
    let mut transaction = call.state.online.find(id).ok_or_else(Refusal::absent)?.clone();
    transaction.require_party(&user)?;
    if let Actor::Only(role) = actor {
        transaction.require(role, &user)?;
    }
    change(&mut transaction, call)?;
    keep(call.state, call.now, &transaction);
    shown(call, &transaction)
}

/// Puts a changed transaction in the place of the old one, or a new one at the end, and tells the
/// parties if its status is another.
fn keep(state: &mut State, now: Timestamp, transaction: &Transaction) {
    let is_news = match state.online.find_mut(transaction.id) {
        Some(old) => {
            let before = std::mem::replace(old, transaction.clone()).status;
            before != transaction.status
        }
        None => {
            state.online.0.push(transaction.clone());
            false
        }
    };
    if is_news {
        announce(state, now, transaction);
    }
}

fn announce(state: &mut State, now: Timestamp, transaction: &Transaction) {
    let status = transaction.status.name().replace('_', " ");
    let description = format!("{}: {status}", transaction.description);
    let target = format!("basic/{}", transaction.id);
    notify(state, now, &transaction.parties(), &target, &description);
}

fn shown(call: &Call<'_>, transaction: &Transaction) -> Outcome {
    let object = transaction.shown(&call.state.switches);
    Ok(Document::of(&call.whole(object)))
}

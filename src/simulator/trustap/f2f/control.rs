//! What happens outside the API and a test must be able to bring about: a payment in a browser, a
//! parcel on its way, a mail with a secret.

use http::StatusCode;
use jiff::Timestamp;

use super::super::super::json::Object;
use super::super::super::partner::Controlled;
use super::super::refusal::Refusal;
use super::super::state::State;
use super::history::Event;
use super::transaction::Transaction;
use super::{deposit, remainder, store};

/// `p2p/transactions/{id}/{action}`, each a POST without a body.
pub(crate) fn control(state: &mut State, now: Timestamp, key: &str, action: &str) -> Controlled {
    let absent =
        || (StatusCode::NOT_FOUND, format!("there is no transaction {key:?} face to face"));
    let id: i64 = key.parse().map_err(|_| absent())?;
    let transaction = state.f2f.find(id).ok_or_else(absent)?;
    let step = step(transaction, action).ok_or_else(|| unknown(action))?;
    let status = transaction.history.status();
    let refused = |_| (StatusCode::CONFLICT, format!("{action} does not follow {status}"));
    if let Some(event) = step.map_err(refused)? {
        store::record(state, now, id, event);
    }
    let transaction = state.f2f.find(id).ok_or_else(absent)?;
    // Only here, since a guest is sent them by e-mail.
    let secrets = Object::new()
        .with("buyer", &transaction.secrets.buyer)
        .with("seller", &transaction.secrets.seller);
    Ok(transaction.shown(&state.switches).with("claim_secrets", secrets))
}

fn step(transaction: &Transaction, action: &str) -> Option<Result<Option<Event>, Refusal>> {
    Some(match action {
        "show" => Ok(None),
        "pay_deposit" => deposit::payable(transaction).map(|()| Some(Event::DepositPaid)),
        "pay_remainder" => remainder::owed(transaction).map(|()| Some(Event::RemainderPaid)),
        "track" => trackable(transaction).map(|()| Some(Event::Tracked)),
        _ => return None,
    })
}

fn trackable(transaction: &Transaction) -> Result<(), Refusal> {
    let is_ready = transaction.is_shipped() && transaction.remainder_is_settled();
    if is_ready && !transaction.has(Event::Tracked) {
        Ok(())
    } else {
        Err(Refusal::invalid("remainder_required"))
    }
}

fn unknown(action: &str) -> (StatusCode, String) {
    let known = "show, pay_deposit, pay_remainder and track";
    (StatusCode::NOT_FOUND, format!("there is no action {action:?}; there are {known}"))
}

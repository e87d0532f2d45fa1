//! All face to face transactions, and who may look at which.

use jiff::Timestamp;

use super::super::call::{Call, Document, Outcome};
use super::super::notification;
use super::super::refusal::Refusal;
use super::super::state::State;
use super::super::user;
use super::history::Event;
use super::settle;
use super::transaction::{Role, Transaction};

/// Oldest first.
#[derive(Debug, Default)]
pub(crate) struct Store(Vec<Transaction>);

// === impl Store ===

impl Store {
    pub(crate) fn add(&mut self, transaction: Transaction) {
        self.0.push(transaction);
    }

    pub(crate) fn find(&self, id: i64) -> Option<&Transaction> {
        self.0.iter().find(|transaction| transaction.id == id)
    }

    pub(crate) fn find_mut(&mut self, id: i64) -> Option<&mut Transaction> {
        self.0.iter_mut().find(|transaction| transaction.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Transaction> {
        self.0.iter()
    }

    /// The transaction with this code on its invitation.
    pub(crate) fn by_join_code(&self, code: &str) -> Option<i64> {
        self.iter().find(|transaction| transaction.join_code == code).map(|found| found.id)
    }
}

/// The transaction that the path names: 404 if there is none, 403 if the
/// caller has nothing to do with it.
pub(crate) fn own<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Transaction, Refusal> {
    let id = call.input.id()?;
    find(call, id)
}

/// The same by its id.
pub(crate) fn find<'a>(call: &'a mut Call<'_>, id: i64) -> Result<&'a mut Transaction, Refusal> {
    let transaction = call.state.f2f.find_mut(id).ok_or_else(Refusal::absent)?;
    settle::count_request(transaction, call.now);
    if call.caller.user().is_some_and(|user| !transaction.concerns(user)) {
        return Err(Refusal::denied());
    }
    Ok(transaction)
}

/// The transaction that the path names, for its buyer or its seller only.
pub(crate) fn own_as<'a>(
    call: &'a mut Call<'_>,
    role: Role,
) -> Result<&'a mut Transaction, Refusal> {
    let user = call.user()?;
    let transaction = own(call)?;
    if transaction.role_of(&user) == Some(role) {
        return Ok(transaction);
    }
    Err(Refusal::forbidden(match role {
        Role::Buyer => "not_buyer",
        Role::Seller => "not_seller",
    }))
}

/// Refuses a full user where only a guest can act through the client.
pub(crate) fn guests_only(call: &Call<'_>) -> Result<(), Refusal> {
    if user::is_guest(&call.user()?) {
        return Ok(());
    }
    Err(Refusal::forbidden("subject_is_not_guest_user"))
}

/// Notes what has happened to a transaction and answers with it.
pub(crate) fn happened(call: &mut Call<'_>, id: i64, event: Event) -> Outcome {
    record(call.state, call.now, id, event);
    shown(call, id)
}

/// Notes what has happened to a transaction and tells its parties.
pub(crate) fn record(state: &mut State, now: Timestamp, id: i64, event: Event) {
    if let Some(transaction) = state.f2f.find_mut(id) {
        transaction.history.record(event, now);
        tell(state, id, event, now);
    }
}

/// Lets happen what is due by now, as if it had been told at its time.
pub(crate) fn pass_time(state: &mut State, now: Timestamp) {
    let mut news = Vec::new();
    for transaction in &mut state.f2f.0 {
        let known = transaction.history.events().count();
        settle::settle(transaction, now, &state.switches);
        let new = transaction.history.events().skip(known);
        news.extend(new.map(|(event, at)| (transaction.id, event, at)));
    }
    for (id, event, at) in news {
        tell(state, id, event, at);
    }
}

fn tell(state: &mut State, id: i64, event: Event, at: Timestamp) {
    let Some(transaction) = state.f2f.find(id) else { return };
    let users = [&transaction.buyer, &transaction.seller];
    let users: Vec<_> = users.into_iter().flatten().cloned().collect();
    let what = event.field().replace('_', " ");
    let description = format!("{}: {what}", transaction.description);
    notification::notify(state, at, &users, &format!("p2p/{id}"), &description);
}

/// Answers with a transaction as it is now.
pub(crate) fn shown(call: &Call<'_>, id: i64) -> Outcome {
    let transaction = call.state.f2f.find(id).ok_or_else(Refusal::absent)?;
    let object = transaction.shown(&call.state.switches);
    Ok(Document::of(&object))
}

//! A full user takes over what a guest bought or sold: moved by the client that knows both, or
//! claimed with the secret that was e-mailed to the guest.

use super::super::call::{Call, Outcome};
use super::super::refusal::Refusal;
use super::super::user;
use super::transaction::{Moment, Role, Transaction};
use super::{keep, shown};

/// `POST /transactions/{id}/claim_for_buyer`
pub(crate) fn for_buyer(call: &mut Call<'_>) -> Outcome {
    for_role(call, Role::Buyer)
}

/// `POST /transactions/{id}/claim_for_seller`
pub(crate) fn for_seller(call: &mut Call<'_>) -> Outcome {
    for_role(call, Role::Seller)
}

/// `POST /transactions_by_claim_secret/{secret}/claim_as_buyer`
pub(crate) fn as_buyer(call: &mut Call<'_>) -> Outcome {
    as_role(call, Role::Buyer)
}

/// `POST /transactions_by_claim_secret/{secret}/claim_as_seller`
pub(crate) fn as_seller(call: &mut Call<'_>) -> Outcome {
    as_role(call, Role::Seller)
}

fn for_role(call: &mut Call<'_>, role: Role) -> Outcome {
    let id = call.input.id()?;
    let transaction = call.state.online.find(id).cloned();
    claim(call, role, transaction.ok_or_else(Refusal::absent)?)
}

fn as_role(call: &mut Call<'_>, role: Role) -> Outcome {
    let secret = call.input.path("secret").unwrap_or_default();
    let found = call.state.online.0.iter().find(|transaction| transaction.claim_secret == secret);
    let transaction = found.cloned().ok_or_else(Refusal::absent)?;
    claim(call, role, transaction)
}

fn claim(call: &mut Call<'_>, role: Role, mut transaction: Transaction) -> Outcome {
    let user = call.user()?;
    if user::is_guest(&user) {
        return Err(Refusal::denied());
    }
    if transaction.party(role.other()) == Some(user.as_str()) {
        return Err(Refusal::invalid("cannot_claim_own_transaction"));
    }
    if !transaction.party(role).is_some_and(user::is_guest) {
        return Err(Refusal::invalid("already_claimed"));
    }
    *transaction.party_mut(role) = Some(user);
    // There is no such time for the seller.
    if role == Role::Buyer {
        transaction.note(Moment::ClaimedByBuyer, call.now);
    }
    keep(call.state, call.now, &transaction);
    shown(call, &transaction)
}

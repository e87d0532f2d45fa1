//! A guest's part goes over to a full user: because the client says so, or because the full user
//! shows the secret from the guest's mail.

use super::super::call::{Call, Outcome, Route};
use super::super::refusal::Refusal;
use super::super::user;
use super::history::Event;
use super::store;
use super::transaction::{Role, Transaction};

pub(crate) const ROUTES: &[Route] = &[
    Route("POST", "/p2p/transactions/{transaction_id}/claim_for_buyer", for_buyer),
    Route("POST", "/p2p/transactions/{transaction_id}/claim_for_seller", for_seller),
    Route("POST", "/p2p/transactions_by_claim_secret/{secret}/claim_as_buyer", as_buyer),
    Route("POST", "/p2p/transactions_by_claim_secret/{secret}/claim_as_seller", as_seller),
];

fn for_buyer(call: &mut Call<'_>) -> Outcome {
    let id = call.input.id()?;
    claim(call, id, Role::Buyer)
}

fn for_seller(call: &mut Call<'_>) -> Outcome {
    let id = call.input.id()?;
    claim(call, id, Role::Seller)
}

fn as_buyer(call: &mut Call<'_>) -> Outcome {
    let id = by_secret(call, |transaction| &transaction.secrets.buyer)?;
    claim(call, id, Role::Buyer)
}

fn as_seller(call: &mut Call<'_>) -> Outcome {
    let id = by_secret(call, |transaction| &transaction.secrets.seller)?;
    claim(call, id, Role::Seller)
}

fn by_secret(call: &Call<'_>, secret: impl Fn(&Transaction) -> &String) -> Result<i64, Refusal> {
    let given = call.input.path("secret").unwrap_or_default();
    let found = call.state.f2f.iter().find(|transaction| secret(transaction) == given);
    found.map(|transaction| transaction.id).ok_or_else(Refusal::absent)
}

fn claim(call: &mut Call<'_>, id: i64, role: Role) -> Outcome {
    let claimer = call.user()?;
    if user::is_guest(&claimer) {
        return Err(Refusal::denied());
    }
    let transaction = call.state.f2f.find_mut(id).ok_or_else(Refusal::absent)?;
    let (other, event) = match role {
        Role::Buyer => (Role::Seller, Event::ClaimedByBuyer),
        Role::Seller => (Role::Buyer, Event::ClaimedBySeller),
    };
    if transaction.party(other) == Some(&claimer) {
        return Err(Refusal::invalid("cannot_claim_own_transaction"));
    }
    let guest = transaction.party(role).filter(|party| user::is_guest(party)).map(str::to_owned);
    let guest = guest.ok_or_else(|| Refusal::invalid("already_claimed"))?;
    if transaction.creator == guest {
        transaction.creator.clone_from(&claimer);
    }
    transaction.seat(role, claimer);
    store::happened(call, id, event)
}

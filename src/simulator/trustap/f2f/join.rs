//! How the second party comes in, or does not.

use super::super::call::{Call, Outcome, Route};
use super::super::refusal::Refusal;
use super::history::Event;
use super::store;

pub(crate) const ROUTES: &[Route] = &[
    Route("GET", "/p2p/transactions_by_join_code/{joinCode}", get),
    Route("POST", "/p2p/transactions_by_join_code/{joinCode}/join", join_by_code),
    Route("POST", "/p2p/transactions_by_join_code/{joinCode}/reject", reject),
    Route("POST", "/p2p/transactions/{transaction_id}/join_with_guest", join_by_id),
];

/// Whoever has the code may look.
fn get(call: &mut Call<'_>) -> Outcome {
    let id = by_code(call)?;
    store::shown(call, id)
}

fn join_by_code(call: &mut Call<'_>) -> Outcome {
    let id = by_code(call)?;
    join(call, id)
}

fn join_by_id(call: &mut Call<'_>) -> Outcome {
    store::guests_only(call)?;
    let id = call.input.id()?;
    join(call, id)
}

fn join(call: &mut Call<'_>, id: i64) -> Outcome {
    let user = call.user()?;
    let transaction = call.state.f2f.find_mut(id).ok_or_else(Refusal::absent)?;
    if transaction.is_cancelled() {
        return Err(Refusal::invalid("already_cancelled"));
    }
    if transaction.creator == user {
        return Err(Refusal::invalid("cannot_join_own_transaction"));
    }
    let role = transaction.open_role();
    let role = role.ok_or_else(|| Refusal::invalid("second_party_already_joined"))?;
    transaction.seat(role, user);
    store::happened(call, id, Event::Joined)
}

fn reject(call: &mut Call<'_>) -> Outcome {
    let user = call.user()?;
    let id = by_code(call)?;
    let transaction = call.state.f2f.find(id).ok_or_else(Refusal::absent)?;
    if transaction.creator == user {
        return Err(Refusal::invalid("cannot_reject_own_transaction"));
    }
    // An invitation that is no longer open cannot be found by its code.
    if transaction.is_cancelled() || transaction.open_role().is_none() {
        return Err(Refusal::absent());
    }
    store::happened(call, id, Event::Rejected)
}

fn by_code(call: &mut Call<'_>) -> Result<i64, Refusal> {
    let code = call.input.path("joinCode").unwrap_or_default();
    call.state.f2f.by_join_code(code).ok_or_else(Refusal::absent)
}

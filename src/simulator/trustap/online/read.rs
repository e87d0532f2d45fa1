//! Reading: one, several by their ids, page by page, and what a client is told.

use super::super::super::json::Object;
use super::super::call::{Call, Document, Outcome};
use super::super::page;
use super::super::refusal::Refusal;
use super::shown;
use super::transaction::{Role, Transaction};

const MOST_IDS: usize = 50;
const USUAL_PAGE: i64 = 25;
const LARGEST_PAGE: i64 = 100;

/// `GET /transactions/{id}`: a party, or the client with its key alone.
pub(crate) fn get(call: &mut Call<'_>) -> Outcome {
    let transaction = readable(call)?;
    shown(call, transaction)
}

/// `GET /me/transactions`
pub(crate) fn list(call: &mut Call<'_>) -> Outcome {
    let user = call.user()?;
    let own = call.state.online.0.iter().filter(|transaction| transaction.concerns(&user));
    let page = page::read(&call.input)?.of(own, |transaction| transaction.id);
    Ok(Document::of(&all_shown(call, page.into_iter())))
}

/// `GET /batch/transactions?ids=`: order and repetitions are kept, and null stands for what is not
/// there or not the caller's.
pub(crate) fn batch(call: &mut Call<'_>) -> Outcome {
    let ids = call.input.query("ids").unwrap_or_default();
    let ids: Result<Vec<i64>, _> = ids.split(',').map(str::parse).collect();
    let ids = ids.map_err(|_| Refusal::invalid("invalid_id"))?;
    if ids.len() > MOST_IDS {
        return Err(Refusal::invalid("too_many_ids"));
    }
    let one = |id| {
        let found = call.state.online.find(id).filter(|found| may_read(call, found));
        found.map(|found| call.whole(found.shown(&call.state.switches)))
    };
    let found: Vec<Option<Object>> = ids.into_iter().map(one).collect();
    Ok(Document::of(&found))
}

/// `GET /clients/{client_id}/transactions/{id}`
pub(crate) fn get_as_client(call: &mut Call<'_>) -> Outcome {
    own_client(call)?;
    let id = call.input.path("transaction_id").and_then(|id| id.parse().ok());
    let transaction = id.and_then(|id| call.state.online.find(id));
    shown(call, transaction.ok_or_else(Refusal::absent)?)
}

/// `POST /clients/{client_id}/transactions`: pages by number, newest first. The filters of the
/// body are checked and have no effect.
pub(crate) fn list_as_client(call: &mut Call<'_>) -> Outcome {
    own_client(call)?;
    let page = call.input.integer("page").unwrap_or(1);
    let size = call.input.integer("page_size").unwrap_or(USUAL_PAGE);
    let too_low = [(page, "page_value_too_low"), (size, "page_size_value_too_low")];
    if let Some((_, code)) = too_low.into_iter().find(|(number, _)| *number < 1) {
        return Err(Refusal::invalid(code));
    }
    if size > LARGEST_PAGE {
        return Err(Refusal::invalid("excessive_page_size"));
    }
    let total = call.state.online.0.len();
    let count = usize::try_from(size).unwrap_or(total);
    let skipped = usize::try_from(page.saturating_sub(1)).unwrap_or(total).saturating_mul(count);
    let found = call.state.online.0.iter().rev().skip(skipped).take(count);
    let object = Object::new()
        .with("data", all_shown(call, found))
        .with("page", page)
        .with("page_size", size)
        .with("total_count", total)
        .with("total_pages", total.div_ceil(count));
    call.found(object)
}

/// `GET /clients/{client_id}/timelines`
pub(crate) fn timelines(call: &mut Call<'_>) -> Outcome {
    own_client(call)?;
    let switches = &call.state.switches;
    let object = Object::new()
        .with("complaint_period_seconds", switches.complaint_window_seconds)
        .with("tracking_details_allowance_seconds", switches.tracking_window_seconds);
    call.found(object)
}

/// `GET /transactions/{id}/buyer_details`
pub(crate) fn buyer_details(call: &mut Call<'_>) -> Outcome {
    contact(call, Role::Buyer)
}

/// `GET /transactions/{id}/seller_details`
pub(crate) fn seller_details(call: &mut Call<'_>) -> Outcome {
    contact(call, Role::Seller)
}

/// `GET /transactions/{id}/billing_details`
pub(crate) fn billing_details(call: &mut Call<'_>) -> Outcome {
    let party = party(call, Role::Buyer)?;
    let details = call.state.users.billing(&party);
    call.found(details)
}

fn contact(call: &Call<'_>, role: Role) -> Outcome {
    let party = party(call, role)?;
    let undocumented = call.state.switches.undocumented_fields;
    call.found(call.state.users.contact(&party, undocumented))
}

// 404 while nobody has that role.
fn party(call: &Call<'_>, role: Role) -> Result<String, Refusal> {
    let party = readable(call)?.party(role);
    party.map(str::to_owned).ok_or_else(Refusal::absent)
}

fn all_shown<'a>(
    call: &Call<'_>,
    transactions: impl Iterator<Item = &'a Transaction>,
) -> Vec<Object> {
    let switches = &call.state.switches;
    transactions.map(|transaction| call.whole(transaction.shown(switches))).collect()
}

fn readable<'a>(call: &'a Call<'_>) -> Result<&'a Transaction, Refusal> {
    let transaction = call.state.online.find(call.input.id()?).ok_or_else(Refusal::absent)?;
    if may_read(call, transaction) { Ok(transaction) } else { Err(Refusal::denied()) }
}

fn may_read(call: &Call<'_>, transaction: &Transaction) -> bool {
    call.caller.user().is_none_or(|user| transaction.concerns(user))
}

fn own_client(call: &Call<'_>) -> Result<(), Refusal> {
    let is_own = call.input.path("client_id") == Some(call.settings.client_id.as_str());
    if is_own { Ok(()) } else { Err(Refusal::absent()) }
}

//! All transactions of the client, as its staff sees them: in pages that are numbered from 1.

use super::super::super::json::Object;
use super::super::call::{Call, Outcome, Route};
use super::super::refusal::Refusal;
use super::store;

pub(crate) const ROUTES: &[Route] = &[
    Route("GET", "/p2p/clients/{client_id}/transactions/{transaction_id}", get),
    Route("POST", "/p2p/clients/{client_id}/transactions", list),
    Route("GET", "/p2p/clients/{client_id}/timelines", timelines),
];

// Assumed: only the codes for what is out of bounds are documented.
const USUAL_PAGE: i64 = 25;
const LARGEST_PAGE: i64 = 100;

fn get(call: &mut Call<'_>) -> Outcome {
    own_client(call)?;
    let id = call.input.path("transaction_id").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Refusal::invalid("invalid_id"))?;
    store::shown(call, id)
}

/// The body's filters narrow by status and text; the others are taken and not applied.
fn list(call: &mut Call<'_>) -> Outcome {
    own_client(call)?;
    let page = at_least_one(call, "page", 1, "page_value_too_low")?;
    let size = at_least_one(call, "page_size", USUAL_PAGE, "page_size_value_too_low")?;
    if size > LARGEST_PAGE {
        return Err(Refusal::invalid("excessive_page_size"));
    }
    let (statuses, words) = (call.input.texts("statuses"), call.input.text("descr"));
    let found = call.state.f2f.iter().filter(|transaction| {
        let status = transaction.history.status();
        (statuses.is_empty() || statuses.iter().any(|wanted| wanted == status))
            && words.is_none_or(|words| transaction.description.contains(words))
    });
    let found: Vec<_> = found.collect();
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let count = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let skipped = count(page.saturating_sub(1).saturating_mul(size));
    let data = found.into_iter().rev().skip(skipped).take(count(size));
    let data: Vec<_> = data.map(|found| found.shown(&call.state.switches)).collect();
    let object = Object::new()
        .with("data", data)
        .with("page", page)
        .with("page_size", size)
        .with("total_count", total)
        .with("total_pages", total.saturating_add(size - 1) / size);
    call.found(object)
}

fn timelines(call: &mut Call<'_>) -> Outcome {
    own_client(call)?;
    let seconds = call.state.switches.complaint_window_seconds;
    call.found(Object::new().with("complaint_period_seconds", seconds))
}

fn at_least_one(
    call: &Call<'_>,
    name: &str,
    usual: i64,
    code: &'static str,
) -> Result<i64, Refusal> {
    let number = call.input.integer(name).unwrap_or(usual);
    if number < 1 { Err(Refusal::invalid(code)) } else { Ok(number) }
}

fn own_client(call: &Call<'_>) -> Result<(), Refusal> {
    let is_own = call.input.path("client_id") == Some(call.settings.client_id.as_str());
    if is_own { Ok(()) } else { Err(Refusal::denied()) }
}

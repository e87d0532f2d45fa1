//! What a face to face price costs in the context of a transaction.

use super::super::call::{Call, Outcome, Route};
use super::super::charge::{Kind, Quote};
use super::store;

pub(crate) const ROUTES: &[Route] =
    &[Route("GET", "/p2p/transactions/{transaction_id}/charge", in_transaction)];

/// The currency is the transaction's unless the query names one.
fn in_transaction(call: &mut Call<'_>) -> Outcome {
    let own = store::own(call)?.currency.clone();
    let currency = call.input.query("currency").map_or(own, str::to_owned);
    let price = call.input.integer("price").unwrap_or_default();
    let quote = Quote::new(call, Kind::F2f, price, &currency)?;
    call.found(quote.shown())
}

//! Parcels that a carrier is found for through Shippo. What is said about one is not kept: it is
//! asked only whether the transaction is there, is the caller's, and is of the kind.

use super::super::call::{Call, Outcome};
use super::super::refusal::Refusal;
use super::super::typed;
use super::transaction::Moment;
use super::{Actor, act};

const FEATURE: &str = "use_shippo";

/// Everything from the address to the choice of a rate.
pub(crate) fn prepare(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Party, |transaction, _| {
        let has_feature = transaction.features.iter().any(|feature| feature == FEATURE);
        has_feature.then_some(()).ok_or_else(|| Refusal::invalid("missing_tx_feature"))
    })?;
    typed::answer(call)
}

/// `GET /transactions/{id}/shippo_shipping_label`: no edition asks for the feature here.
pub(crate) fn label(call: &mut Call<'_>) -> Outcome {
    act(call, Actor::Party, |transaction, _| {
        let is_tracked = transaction.has(Moment::Tracked);
        is_tracked.then_some(()).ok_or_else(|| Refusal::invalid("transaction_not_tracked"))
    })?;
    typed::answer(call)
}

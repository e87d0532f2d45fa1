//! A read of the gateway's own, where a partner that has failed waits for one.
//!
//! It is read from and written to again when a read has succeeded, and callers' reads do
//! that by the way. Where nobody reads, the gateway makes the harmless read that
//! `check --online` proves credentials with. It goes through the partner's stack as every
//! call does, so it takes its turn and is counted.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::grpc::PartnerSide;
use crate::operation::Catalogue;

use super::partners::{harmless, read};

/// Reads from the partner `name` when it has to be tried and nobody does, until `stop` is cancelled.
pub(super) async fn watch(
    catalogue: &'static Catalogue,
    name: String,
    side: PartnerSide,
    stop: CancellationToken,
) {
    let Some(operation) = harmless(catalogue, &name) else { return };
    let probing = async {
        let mut pause = Duration::ZERO;
        loop {
            // A read that did not help is not made again at once.
            let is_wanted_still = side.state.breakers.wants_read().now_or_never().is_some();
            if !is_wanted_still {
                side.state.breakers.wants_read().await;
            }
            let rules = side.state.limits.get().breaker;
            pause = if is_wanted_still { (pause * 2).min(rules.max_open) } else { rules.open };
            let result = read(side.stack.clone(), operation, None).await;
            let is_answered = result.is_ok();
            tracing::info!(
                partner = name,
                rpc = operation.rpc(),
                is_answered,
                "read to see whether it is back"
            );
            tokio::time::sleep(pause).await;
        }
    };
    stop.run_until_cancelled(probing).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A write that waits for a read would wait forever without one.
    #[test]
    fn r17_every_partner_has_a_harmless_read() {
        let catalogue = Catalogue::embedded().unwrap();
        for partner in catalogue.partners() {
            assert!(harmless(catalogue, partner).is_some(), "{partner}");
        }
    }
}

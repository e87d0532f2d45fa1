//! What is counted of tokens, and of what the store keeps.

use super::family::{Counter, Declare, Gauge};

/// The metrics of tokens and of the store.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) key_intents: Gauge,
    pub(super) credentials: Gauge,
    pub(super) store_up: Gauge,
    pub(super) journalled_keys: Gauge,
    pub(super) keyring_refused: Gauge,
    pub(super) token_requests: Counter,
    pub(super) drift: Counter,
    pub(super) request_ids: Gauge,
}

// === impl Kept ===

impl Kept {
    pub(super) fn declare(it: &mut Declare<'_>) -> Self {
        Self {
            key_intents: it.gauge(
                "partner_gateway.key_intents",
                "",
                &["state"],
                "Calls that may have made a key which is not kept, of all replicas; a flagged one needs a person",
            ),
            credentials: it.gauge(
                "partner_gateway.credentials",
                "",
                &["partner", "kind"],
                "Credentials that are kept, of all replicas",
            ),
            store_up: it.gauge(
                "partner_gateway.store_up",
                "",
                &[],
                "Whether the store took a write when it was last asked",
            ),
            journalled_keys: it.gauge(
                "partner_gateway.journalled_keys",
                "",
                &[],
                "Keys that are in this replica's emergency journal and not in the database",
            ),
            keyring_refused: it.gauge(
                "partner_gateway.keyring_refused",
                "",
                &[],
                "Whether the encryption keys that were last read are not used: they are none, or lack one that is in use",
            ),
            token_requests: it.counter(
                "partner_gateway.token_requests",
                &["partner", "outcome"],
                "Requests for an access token, those by users' grants among them, by how they ended",
            ),
            drift: it.counter(
                "partner_gateway.drift",
                &["partner"],
                "Members of partners' answers that the contract did not know or could not hold",
            ),
            request_ids: it.gauge(
                "partner_gateway.request_ids",
                "",
                &["partner", "state"],
                "Records of calls that are done once, of all replicas; an unknown outcome is for its caller to look up",
            ),
        }
    }
}

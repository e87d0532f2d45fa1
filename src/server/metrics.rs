//! `/metrics`: what the process and its store count, looked up when it is asked for.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use crate::grpc::Gateway;
use crate::store::{Counts, Store};
use crate::telemetry::metrics::{CONTENT_TYPE, Metrics};

/// However often it is asked for: the store counts no more than once in this time.
const FRESH: Duration = Duration::from_secs(1);

/// What the page is made of.
#[derive(Debug)]
pub(super) struct Observed {
    metrics: Metrics,
    gateway: Arc<Gateway>,
    store: Store,
    looked: Mutex<Option<Instant>>,
}

// === impl Observed ===

impl Observed {
    pub(super) fn new(gateway: Arc<Gateway>, store: Store) -> Self {
        Self { metrics: Metrics::default(), gateway, store, looked: Mutex::default() }
    }

    async fn look(&self) {
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let counts = self.store.counts().await;
        self.metrics.set_store_up(counts.is_ok());
        self.metrics.set_journalled_keys(self.store.journalled());
        self.metrics.set_keyring_refused(self.store.is_keyring_refused());
        if let Ok(counts) = counts {
            self.note(&counts);
        }
        for (partner, side) in self.gateway.partners() {
            let Some(requests) = side.status.token_requests() else { continue };
            for (outcome, count) in [
                ("issued", requests.issued),
                ("failed", requests.failed),
                ("refused", requests.refused),
            ] {
                self.metrics.set_token_requests(partner, outcome, count);
            }
        }
        *looked = Some(Instant::now());
    }

    fn note(&self, counts: &Counts) {
        let open = counts.intents.iter().map(|(_, open, _)| open).sum();
        let flagged = counts.intents.iter().map(|(_, _, flagged)| flagged).sum();
        self.metrics.set_key_intents(open, flagged);
        let credentials = counts.credentials.iter();
        self.metrics.set_credentials(
            credentials.map(|(partner, kind, count)| (partner.as_str(), kind.as_str(), *count)),
        );
    }
}

/// Answers with the page.
pub(super) async fn page(State(observed): State<Arc<Observed>>) -> Response {
    observed.look().await;
    match observed.metrics.page() {
        Ok(page) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

//! Every metric of the gateway, declared in one place.
//!
//! Labels have values of the contract's and the gateway's own only, never a caller's or
//! an account's: their number is bounded.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The type of the page that [`Metrics::page`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;
type Counters = Family<Labels, Counter<u64, AtomicU64>>;

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    key_intents: Gauges,
    credentials: Gauges,
    store_up: Gauge,
    journalled_keys: Gauge,
    keyring_refused: Gauge,
    token_requests: Counters,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("partner_gateway");
        Self {
            key_intents: registered(
                &mut registry,
                "key_intents",
                "Calls that may have made a key which is not kept, of all replicas; a flagged one needs a person",
            ),
            credentials: registered(
                &mut registry,
                "credentials",
                "Credentials that are kept, of all replicas",
            ),
            store_up: registered(
                &mut registry,
                "store_up",
                "Whether the store answered when it was last asked",
            ),
            journalled_keys: registered(
                &mut registry,
                "journalled_keys",
                "Keys that are in this replica's emergency journal and not in the database",
            ),
            keyring_refused: registered(
                &mut registry,
                "keyring_refused",
                "Whether the encryption keys that were last read lack one that is in use, and are not used",
            ),
            token_requests: registered(
                &mut registry,
                "token_requests",
                "Requests for an access token, by how they ended",
            ),
            registry,
        }
    }
}

impl Metrics {
    /// Notes whether the store answers.
    pub fn set_store_up(&self, is_up: bool) {
        self.store_up.set(i64::from(is_up));
    }

    /// Notes how many keys are in the emergency journal.
    pub fn set_journalled_keys(&self, count: usize) {
        self.journalled_keys.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Notes whether encryption keys were refused.
    pub fn set_keyring_refused(&self, is_refused: bool) {
        self.keyring_refused.set(i64::from(is_refused));
    }

    /// Notes how many intents are open, and how many flagged.
    pub fn set_key_intents(&self, open: u64, flagged: u64) {
        for (state, count) in [("open", open), ("flagged", flagged)] {
            set(&self.key_intents, &vec![("state", state.to_owned())], count);
        }
    }

    /// Notes how many credentials there are of each partner and kind.
    pub fn set_credentials<'a>(
        &self,
        counts: impl IntoIterator<Item = (&'a str, &'static str, u64)>,
    ) {
        // What is not counted any more is gone.
        self.credentials.clear();
        for (partner, kind, count) in counts {
            let labels = vec![("partner", partner.to_owned()), ("kind", kind.to_owned())];
            set(&self.credentials, &labels, count);
        }
    }

    /// Notes how many requests for a token ended in `outcome` since the start.
    pub fn set_token_requests(&self, partner: &str, outcome: &'static str, count: u64) {
        let labels = vec![("partner", partner.to_owned()), ("outcome", outcome.to_owned())];
        // The count that is taken over only grows.
        self.token_requests.get_or_create(&labels).inner().store(count, Ordering::Relaxed);
    }

    /// All metrics as text.
    ///
    /// # Errors
    /// Never but for a fault of this file.
    pub fn page(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

fn registered<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: prometheus_client::registry::Metric + Clone + Default,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn set(gauges: &Gauges, labels: &Labels, count: u64) {
    gauges.get_or_create(labels).set(i64::try_from(count).unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_metric() {
        let metrics = Metrics::default();
        metrics.set_store_up(true);
        metrics.set_journalled_keys(2);
        metrics.set_keyring_refused(true);
        metrics.set_key_intents(1, 3);
        metrics.set_credentials([("gone", "key_pair", 7)]);
        metrics.set_credentials([("example", "key_pair", 4)]);
        metrics.set_token_requests("example", "issued", 5);
        let page = metrics.page().unwrap();
        let mut lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                r#"partner_gateway_credentials{partner="example",kind="key_pair"} 4"#,
                "partner_gateway_journalled_keys 2",
                r#"partner_gateway_key_intents{state="flagged"} 3"#,
                r#"partner_gateway_key_intents{state="open"} 1"#,
                "partner_gateway_keyring_refused 1",
                "partner_gateway_store_up 1",
                r#"partner_gateway_token_requests_total{partner="example",outcome="issued"} 5"#,
            ]
        );
    }
}

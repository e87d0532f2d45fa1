//! What the store tells whoever watches the gateway: whether it can be used, and how much it
//! holds.
//!
//! Each is asked for by itself. What takes too long to count must not hide a flagged intent,
//! which somebody is called for.

use std::sync::{Mutex, PoisonError};

use super::Outage;
use crate::store::{Error, Store};
use crate::telemetry::metrics::Metrics;

/// The store as it is watched.
#[derive(Debug)]
pub(in crate::server) struct Watched {
    store: Store,
    outages: Mutex<Outages>,
}

/// What cannot be counted at the moment.
#[derive(Debug, Default)]
struct Outages {
    credentials: Outage,
    intents: Outage,
    requests: Outage,
}

// === impl Watched ===

impl Watched {
    pub(in crate::server) fn new(store: Store) -> Self {
        Self { store, outages: Mutex::default() }
    }

    /// Looks at the store, and notes what there is. A store that only reads is not up: what
    /// it is there for, it does not do. What cannot be counted stays what it was.
    pub(in crate::server) async fn look(&self, metrics: &Metrics) {
        let store = &self.store;
        metrics.set_journalled_keys(store.journalled());
        metrics.set_keyring_refused(store.is_keyring_refused());
        // At once: a store that is away costs the time of one operation and not of four.
        let (proof, credentials, intents, requests) = tokio::join!(
            store.prove_writable(),
            store.count_credentials(),
            store.count_intents(),
            store.count_requests(),
        );
        metrics.set_store_up(proof.is_ok());
        let mut outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = told(credentials, "credentials", &mut outages.credentials) {
            let counts = counts.iter();
            let counts = counts.map(|(partner, kind, it)| (partner.as_str(), kind.as_str(), *it));
            metrics.set_credentials(counts);
        }
        if let Some(counts) = told(intents, "key intents", &mut outages.intents) {
            let open = counts.iter().map(|(_, open, _)| open).sum();
            let flagged = counts.iter().map(|(_, _, flagged)| flagged).sum();
            metrics.set_key_intents(open, flagged);
        }
        if let Some(counts) = told(requests, "request ids", &mut outages.requests) {
            let counts = counts.iter();
            let counts = counts.map(|(partner, state, it)| (partner.as_str(), state.as_str(), *it));
            metrics.set_request_ids(counts);
        }
    }
}

/// What was counted. That it cannot be is logged once for each outage.
fn told<T>(counts: Result<T, Error>, what: &str, outage: &mut Outage) -> Option<T> {
    let is_news = outage.begins(&counts);
    match counts {
        Ok(counts) => Some(counts),
        Err(error) => {
            if is_news {
                let error = error.chain();
                tracing::warn!(error, what, "what the store holds cannot be counted");
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;
    use std::time::Duration;

    use sqlx::{Connection as _, Executor as _, SqliteConnection};
    use tempfile::TempDir;

    use super::*;
    use crate::clock::Clock;
    use crate::seal::Keyring;
    use crate::store::{NewIntent, Settings};
    use crate::telemetry::metrics::Format;

    /// A store in a file that a test changes behind its back.
    struct Place {
        folder: TempDir,
        watched: Watched,
        metrics: Metrics,
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Place {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = Settings {
                url: url(&folder).into(),
                keyring: Keyring::generate().unwrap(),
                journal: None,
                timeout: Duration::from_secs(2),
                max_connections: 2,
            };
            let store = Store::open(settings, Clock::system()).await.unwrap();
            Self { folder, watched: Watched::new(store), metrics: Metrics::default() }
        }

        async fn connect(&self) -> SqliteConnection {
            SqliteConnection::connect(&url(&self.folder)).await.unwrap()
        }

        async fn execute(&self, sql: &'static str) {
            let mut connection = self.connect().await;
            connection.execute(sql).await.unwrap();
            connection.close().await.unwrap();
        }

        async fn flag(&self) {
            let intent = NewIntent {
                partner: "acme".to_owned(),
                rpc: "acme.v1.Accounts/Create".to_owned(),
                call_id: uuid::Uuid::nil(),
                settles_by: jiff::Timestamp::MAX,
            };
            let id = self.watched.store.begin_intent(intent).await.unwrap();
            self.watched.store.flag_intent(id, "A_REASON").await.unwrap();
        }

        /// Asserts what is on the page after another look.
        async fn assert_told(&self, samples: &[&str]) {
            self.watched.look(&self.metrics).await;
            let page = self.metrics.page(Format::OpenMetrics).unwrap();
            for sample in samples {
                assert!(page.lines().any(|line| line == *sample), "{sample} is not in\n{page}");
            }
        }
    }

    fn url(folder: &TempDir) -> String {
        format!("sqlite://{}", folder.path().join("store.db").display())
    }

    /// S14: the alert of it calls a person.
    #[tokio::test]
    async fn s14_a_flagged_intent_is_told_though_other_counts_fail_which_is_logged_once() {
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let _logging = tracing::subscriber::set_default(lines);
        let place = Place::new().await;
        for outage in 1..=2 {
            place.execute("ALTER TABLE credentials RENAME TO no_credentials").await;
            place.execute("ALTER TABLE requests RENAME TO no_requests").await;
            place.flag().await;
            let flagged = format!(r#"partner_gateway_key_intents{{state="flagged"}} {outage}"#);
            for _ in 0..3 {
                place.assert_told(&[&flagged, "partner_gateway_store_up 1"]).await;
            }
            place.execute("ALTER TABLE no_credentials RENAME TO credentials").await;
            place.execute("ALTER TABLE no_requests RENAME TO requests").await;
            place.assert_told(&[]).await;
        }
        let told = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(told.matches("cannot be counted").count(), 2 * 2, "{told}");
    }

    /// G29: as with a full disk, or a server that became a standby.
    #[tokio::test]
    async fn g29_a_store_that_only_reads_is_not_up() {
        let place = Place::new().await;
        place.flag().await;
        place.assert_told(&["partner_gateway_store_up 1"]).await;
        let mut other = place.connect().await;
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let reads = r#"partner_gateway_key_intents{state="flagged"} 1"#;
        place.assert_told(&["partner_gateway_store_up 0", reads]).await;
        other.execute("ROLLBACK").await.unwrap();
        place.assert_told(&["partner_gateway_store_up 1"]).await;
    }
}

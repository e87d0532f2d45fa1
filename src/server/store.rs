//! The gateway's store: opened at the start, and looked after while it is used.

mod watched;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::credentials::Vault;
use crate::seal::{InvalidKey, Keyring};
use crate::store::{self, Location, Retention, Settings, Store};

pub(super) use watched::Watched;

/// How often the store is looked after: overdue intents and calls, records whose time is
/// over, the emergency journal, and which keys were used.
const ROUND: Duration = Duration::from_secs(10);
/// How often it is asked whether anything is under another key than the first.
const ROTATION: Duration = Duration::from_secs(10 * 60);
/// How many records are wrapped anew at a time.
const BATCH: u32 = 100;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unopened {
    /// What it is encrypted with cannot be read.
    #[error("store.encryption_key cannot be used")]
    Key(#[from] InvalidKey),
    /// The store itself.
    #[error("store: it cannot be opened")]
    Store(#[from] store::Error),
}

/// Opens the store that is configured, or one in memory.
pub(super) async fn open(
    config: &Config,
    simulate: bool,
    clock: &Clock,
) -> Result<Store, Unopened> {
    let Some(settings) = settings(config)? else {
        const TEXT: &str =
            "credentials and request ids are kept in memory only: a restart forgets them";
        match simulate {
            true => tracing::info!("{TEXT}"),
            false => tracing::warn!("{TEXT}; see store.url and store.encryption_key"),
        }
        return Ok(Store::in_memory(clock.clone()).await?);
    };
    if settings.journal.is_none() {
        tracing::warn!(
            "there is no emergency journal: a key that is issued while the database is away is \
             in memory only until it is back, and a restart loses it; see store.journal_file"
        );
    }
    let store = Store::open(settings, clock.clone()).await?;
    if let Some(file) = store.journal_held_elsewhere() {
        let file = file.display();
        tracing::warn!(%file, "another process holds the emergency journal: it is taken when that ends");
    }
    Ok(store)
}

/// What the configured store is opened with; `None` for one in memory.
///
/// # Errors
/// A key that cannot be used.
pub(crate) fn settings(config: &Config) -> Result<Option<Settings>, InvalidKey> {
    let Some(url) = config.store.database() else { return Ok(None) };
    Ok(Some(Settings {
        url: SecretString::from(url),
        keyring: Keyring::parse(&config.store.encryption_key)?,
        journal: config.store.journal_file.clone().or_else(|| beside(url)),
        timeout: config.store.timeout,
        max_connections: config.store.max_connections,
    }))
}

/// The journal's place beside an SQLite file; a server has no place beside it.
fn beside(url: &str) -> Option<PathBuf> {
    match Location::of(url) {
        Ok(Location::File(path)) => Some(path.with_added_extension("journal")),
        _ => None,
    }
}

/// Looks after the store until `stop`.
pub(super) async fn look_after(
    store: Store,
    retention: Retention,
    vaults: Vec<Vault>,
    stop: CancellationToken,
) {
    let (mut rounds, mut expiry) = (unhurried(ROUND), Outage::default());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = rounds.tick() => {
                round(&store, &vaults).await;
                requests(&store, &retention, &mut expiry).await;
            }
        }
    }
    note_uses(&vaults).await;
}

/// What the machine slept through is not made up for.
fn unhurried(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn round(store: &Store, vaults: &[Vault]) {
    if store.journal_held_elsewhere().is_some() {
        match store.take_over_journal().await {
            Ok(true) => tracing::info!("the emergency journal was taken over"),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(error = error.chain(), "the emergency journal is not ours")
            }
        }
    }
    match store.flag_overdue().await {
        Ok(0) => {}
        Ok(count) => tracing::warn!(count, "calls that may have made a key did not end in time"),
        Err(error) => return tracing::warn!(error = error.chain(), "the store does not answer"),
    }
    if store.journalled() > 0 {
        match store.replay_journal().await {
            Ok(count) => tracing::info!(count, "keys of the emergency journal are in the store"),
            Err(error) => {
                tracing::error!(error = error.chain(), "keys stay in the emergency journal");
            }
        }
    }
    note_uses(vaults).await;
}

/// Whether something fails that is tried in every round.
#[derive(Debug, Default)]
struct Outage {
    is_on: bool,
}

impl Outage {
    /// Notes how it went this time. Whether the log is to be told: once for each outage.
    fn begins<T, E>(&mut self, result: &Result<T, E>) -> bool {
        !std::mem::replace(&mut self.is_on, result.is_err()) && self.is_on
    }
}

/// Looks after the records of calls that are done once.
async fn requests(store: &Store, retention: &Retention, expiry: &mut Outage) {
    match store.give_up_overdue().await {
        Ok(0) | Err(_) => {}
        Ok(count) => tracing::warn!(count, "calls with a request id did not end in time"),
    }
    let expired = store.expire_requests(retention).await;
    let is_news = expiry.begins(&expired);
    match expired {
        Ok(count) => tracing::debug!(count, "records of calls with a request id have expired"),
        Err(error) if is_news => {
            let error = error.chain();
            tracing::warn!(
                error,
                "records of calls with a request id are not deleted: they pile up"
            );
        }
        Err(_) => {}
    }
}

async fn note_uses(vaults: &[Vault]) {
    for vault in vaults {
        vault.note_uses().await;
    }
}

/// Has the store use the keys that are offered, and brings everything under the first of
/// them (S16), until `stop`.
pub(super) async fn look_after_keys(
    store: Store,
    mut offered: watch::Receiver<Option<Keyring>>,
    stop: CancellationToken,
) {
    let (mut rotations, mut retries) = (unhurried(ROTATION), unhurried(ROUND));
    let mut pending = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = offered.changed() => {
                pending = offered.borrow_and_update().clone().map(Offer::new);
            }
            _ = retries.tick(), if pending.is_some() => {}
            _ = rotations.tick() => rotate(&store, &offered, &stop).await,
        }
        if let Some(offer) = &mut pending
            && offer.is_taken_by(&store).await
        {
            pending = None;
            rotate(&store, &offered, &stop).await;
        }
    }
}

/// Keys that the store does not use yet.
struct Offer {
    keyring: Keyring,
    /// Whether the log has been told why not.
    is_told: bool,
}

impl Offer {
    fn new(keyring: Keyring) -> Self {
        Self { keyring, is_told: false }
    }

    /// Offers them. What is refused now may be taken when other replicas have rotated.
    async fn is_taken_by(&mut self, store: &Store) -> bool {
        let Err(error) = store.change_keyring(self.keyring.clone()).await else {
            tracing::info!("the store uses the encryption keys that were read");
            return true;
        };
        if !self.is_told {
            let error = error.chain();
            tracing::error!(
                error,
                "the encryption keys that were read are not used: those before are"
            );
        }
        self.is_told = true;
        false
    }
}

/// What is cut short, by other keys too, is taken up the next time.
async fn rotate(
    store: &Store,
    offered: &watch::Receiver<Option<Keyring>>,
    stop: &CancellationToken,
) {
    let mut total = 0;
    while !stop.is_cancelled() && !offered.has_changed().unwrap_or(false) {
        match store.rotate(BATCH).await {
            Ok(done) if done.rewrapped > 0 => total += done.rewrapped,
            Ok(done) => {
                if total > 0 || done.left > 0 {
                    tracing::info!(rewrapped = total, left = done.left, "encryption keys rotated");
                }
                return;
            }
            Err(error) => {
                return tracing::warn!(error = error.chain(), "encryption keys are not rotated");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once() {
        let (mut outage, came) = (Outage::default(), [Ok(()), Err(()), Err(()), Ok(()), Err(())]);
        assert_eq!(came.map(|it| outage.begins(&it)), [false, true, false, false, true]);
    }

    #[test]
    fn the_journal_is_beside_an_sqlite_file() {
        let place = |url| beside(url).map(|path| path.display().to_string());
        assert_eq!(place("sqlite://gateway.db").as_deref(), Some("gateway.db.journal"));
        assert_eq!(
            place("sqlite:///var/a%20b.db?mode=rwc").as_deref(),
            Some("/var/a b.db.journal")
        );
        assert_eq!(place("sqlite:relative.db").as_deref(), Some("relative.db.journal"));
        assert_eq!(place("postgres://user@host/db"), None);
    }
}

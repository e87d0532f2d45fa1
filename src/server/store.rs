//! The gateway's store: opened at the start, and looked after while it is used.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::credentials::Vault;
use crate::seal::{InvalidKey, Keyring};
use crate::store::{self, Settings, Store};

/// How often the store is looked after: overdue intents, the emergency journal, and
/// which keys were used.
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
        const TEXT: &str = "credentials are kept in memory only: a restart forgets them";
        match simulate {
            true => tracing::info!("{TEXT}"),
            false => tracing::warn!("{TEXT}; see store.url and store.encryption_key"),
        }
        return Ok(Store::in_memory(clock.clone()).await?);
    };
    Ok(Store::open(settings, clock.clone()).await?)
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
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    let path = percent_decode_str(path).decode_utf8().ok()?;
    Some(PathBuf::from(format!("{path}.journal")))
}

/// Looks after the store until `stop`. `changed` tells that it has other keys.
pub(super) async fn look_after(
    store: Store,
    vaults: Vec<Vault>,
    changed: Arc<Notify>,
    stop: CancellationToken,
) {
    let (mut rounds, mut rotations) = (interval(ROUND), interval(ROTATION));
    // What the machine slept through is not made up for.
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    rotations.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = rounds.tick() => round(&store, &vaults).await,
            _ = rotations.tick() => rotate(&store, &stop).await,
            () = changed.notified() => rotate(&store, &stop).await,
        }
    }
    note_uses(&vaults).await;
}

async fn round(store: &Store, vaults: &[Vault]) {
    match store.flag_overdue().await {
        Ok(0) => {}
        Ok(count) => tracing::warn!(count, "calls that may have made a key did not end in time"),
        Err(error) => return tracing::warn!(error = %error, "the store does not answer"),
    }
    if store.journalled() > 0 {
        match store.replay_journal().await {
            Ok(count) => tracing::info!(count, "keys of the emergency journal are in the store"),
            Err(error) => tracing::error!(error = %error, "keys stay in the emergency journal"),
        }
    }
    note_uses(vaults).await;
}

async fn note_uses(vaults: &[Vault]) {
    for vault in vaults {
        vault.note_uses().await;
    }
}

/// Brings everything under the first key (S16). What is cut short is taken up the next time.
async fn rotate(store: &Store, stop: &CancellationToken) {
    let mut total = 0;
    while !stop.is_cancelled() {
        match store.rotate(BATCH).await {
            Ok(done) if done.rewrapped > 0 => total += done.rewrapped,
            Ok(done) => {
                if total > 0 || done.left > 0 {
                    tracing::info!(rewrapped = total, left = done.left, "encryption keys rotated");
                }
                return;
            }
            Err(error) => {
                return tracing::warn!(error = %error, "encryption keys are not rotated");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

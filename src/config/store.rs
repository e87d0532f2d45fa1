//! The sections of what outlives the process, and of what several of them share. What
//! each key does is said in `config.default.toml`.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::value;
use crate::store::Location;

/// Where the store is when only its key is given.
const DEFAULT_URL: &str = "sqlite://partner-gateway.db";

/// `[store]`: where the gateway keeps what must outlive it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The database; it may hold a password.
    #[serde(with = "value::optional_secret")]
    pub url: SecretString,
    /// The file that the URL was read from, if any.
    #[serde(with = "value::path")]
    pub url_file: Option<PathBuf>,
    /// The keys that secrets are encrypted with at rest, the one in force first.
    #[serde(with = "value::optional_secret")]
    pub encryption_key: SecretString,
    /// The file that the keys were read from, if any.
    #[serde(with = "value::path")]
    pub encryption_key_file: Option<PathBuf>,
    /// Where keys are written when the database takes none.
    #[serde(with = "value::path")]
    pub journal_file: Option<PathBuf>,
    /// How long one operation of the database may take.
    #[serde(with = "value::duration")]
    pub timeout: Duration,
    /// Connections to the database.
    pub max_connections: u32,
}

/// `[shared_limits]`: what replicas share besides the store.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharedLimits {
    /// The Redis server; it may hold a password. None if it is empty.
    #[serde(with = "value::optional_secret")]
    pub redis_url: SecretString,
    /// The file that the URL was read from, if any.
    #[serde(with = "value::path")]
    pub redis_url_file: Option<PathBuf>,
    /// How many replicas there are.
    pub replicas: u32,
}

/// `[credentials]`: how credentials are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// Whether callers may read a kept secret back.
    pub reveal: bool,
    /// How often files that hold secrets are looked at for changes.
    #[serde(with = "value::duration")]
    pub reload_interval: Duration,
}

// === impl Store ===

impl Store {
    /// The database's URL; `None` for a store in memory, which is what a gateway has
    /// that was given neither a URL nor a key.
    pub fn database(&self) -> Option<&str> {
        match self.url.expose_secret() {
            "" if self.encryption_key.expose_secret().is_empty() => None,
            "" => Some(DEFAULT_URL),
            url if Location::of(url) == Ok(Location::Memory) => None,
            url => Some(url),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: SecretString::default(),
            url_file: None,
            encryption_key: SecretString::default(),
            encryption_key_file: None,
            journal_file: None,
            timeout: Duration::from_secs(2),
            max_connections: 8,
        }
    }
}

// === impl SharedLimits ===

impl Default for SharedLimits {
    fn default() -> Self {
        Self { redis_url: SecretString::default(), redis_url_file: None, replicas: 1 }
    }
}

// === impl Credentials ===

impl Default for Credentials {
    fn default() -> Self {
        Self { reveal: false, reload_interval: Duration::from_secs(10) }
    }
}

//! The settings of the gateway: typed, loaded in layers, judged as a whole.
//!
//! An operator who starts a gateway learns everything that is wrong with its
//! configuration at once, before anything listens; and nothing that this module
//! prints, a fault or the effective configuration, holds a secret. So a fault names
//! the key and never quotes the value: a secret may be in the wrong place.
//!
//! Layers, the later over the earlier: the defaults of the structs, one TOML file,
//! the environment (`PARTNER_GATEWAY__SECTION__KEY`). Then secrets that are given as
//! files are read, and the whole is checked. `config.default.toml` is the reference
//! of all keys; tests hold it and the structs together.

mod callers;
mod connection;
mod environment;
mod fault;
mod idempotency;
mod in_force;
mod layers;
mod partners;
mod sections;
mod source;
mod store;
mod tuning;
mod url;
mod validate;
mod value;
mod wiring;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use callers::Caller;
pub use connection::{Connection, Limits, Timeouts};
pub use fault::{Fault, Faults};
pub use idempotency::Idempotency;
pub use in_force::InForce;
pub use partners::{Account, Partners, Trolley, Trustap, Trustist};
pub use sections::{Configuration, Grpc, LogFormat, Operations, Simulators, Telemetry};
pub use source::Source;
pub(crate) use source::changed;
pub use store::{Credentials, SharedLimits, Store};
pub use tuning::{Breaker, Concurrency, RateLimit, Retry, Tuning};
pub use url::{BaseUrl, InvalidUrl};
pub use wiring::PartnerSettings;

/// Every setting with its default and a comment, itself a valid configuration.
pub const REFERENCE: &str = include_str!("../config.default.toml");

/// The settings of one gateway. Its `Display` is the effective configuration as TOML,
/// without the secrets.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The port that callers use.
    pub grpc: Grpc,
    /// The port of probes and metrics.
    pub operations: Operations,
    /// The embedded simulators.
    pub simulators: Simulators,
    /// What is logged, and how.
    pub telemetry: Telemetry,
    /// Where the gateway keeps what must outlive it.
    pub store: Store,
    /// For how long a request id is remembered.
    pub idempotency: Idempotency,
    /// How the configuration itself is kept.
    pub configuration: Configuration,
    /// What replicas share besides the store.
    pub shared_limits: SharedLimits,
    /// How credentials are kept.
    pub credentials: Credentials,
    /// The partners that are configured.
    pub partners: Partners,
    /// The services that may call; empty for whoever does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub callers: Vec<Caller>,
}

/// The environment of the process, to be passed to [`Config::load`]: a test passes
/// its own instead.
pub fn process_environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

// === impl Config ===

impl Config {
    /// The defaults, overridden by `file` if there is one, overridden by those
    /// variables of `environment` whose names begin with `PARTNER_GATEWAY__`.
    ///
    /// # Errors
    /// With everything that is wrong, each fault naming its key. Only a file that
    /// cannot be read, or is not TOML, hides other faults.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Faults> {
        let table = match file {
            Some(path) => layers::read(path)?,
            None => toml::Table::new(),
        };
        layers::merge(table, environment)
    }
}

impl FromStr for Config {
    type Err = Faults;

    /// The configuration that a file with this text gives, without an environment.
    fn from_str(text: &str) -> Result<Self, Faults> {
        layers::merge(layers::parse(text, "configuration")?, [])
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&toml::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests;

//! `rotate-keys`: everything in the store under the first key, so that the others can go.

use std::io::{self, Write};
use std::path::PathBuf;

use super::Result;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::server;
use crate::store::{self, Settings, Store};
use crate::telemetry;

/// How many records are wrapped anew between two lines of progress.
const BATCH: u32 = 500;

/// Bring everything in the store under the first encryption key.
///
/// Put a new key before the old one in store.encryption_key, run this, and take the old
/// one out when it ends with 0: nothing needs it any more. It may run beside a gateway,
/// be stopped and be started again. A running gateway does the same by itself, at its
/// start and when the file of the keys changes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partner-gateway rotate-keys --config gateway.toml")]
pub(super) struct Args {
    /// The configuration, a TOML file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result {
    let config = Config::load(args.config.as_deref(), config::process_environment())?;
    telemetry::init(&config.telemetry)?;
    let Some(settings) = server::store_settings(&config)? else {
        return Err("store.url and store.encryption_key are not set: nothing is kept".into());
    };
    let store = open(settings).await?;
    rotate(&store, BATCH, &mut io::stdout().lock()).await
}

/// The store, with its emergency journal unless a running gateway holds that.
async fn open(settings: Settings) -> std::result::Result<Store, store::Error> {
    let without = Settings { journal: None, ..settings.clone() };
    match Store::open(settings, Clock::system()).await {
        Err(store::Error::Journal(error)) => {
            tracing::warn!(error = %error, "the emergency journal is left to the gateway that holds it");
            Store::open(without, Clock::system()).await
        }
        opened => opened,
    }
}

async fn rotate(store: &Store, batch: u32, out: &mut impl Write) -> Result {
    loop {
        let done = store.rotate(batch).await?;
        writeln!(out, "{} rewrapped, {} left", done.rewrapped, done.left)?;
        match (done.rewrapped, done.left) {
            (_, 0) => return Ok(()),
            (0, left) => {
                return Err(format!("{left} are left that no key opens: see the log").into());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Keyring;
    use crate::store::{CredentialKind, Name, New, Origin};

    async fn filled(count: usize) -> Store {
        let store = Store::in_memory(Clock::system()).await.unwrap();
        for number in 0..count {
            let account = number.to_string();
            let name = Name { partner: "example".into(), kind: CredentialKind::KeyPair, account };
            let (secret, origin) = ("canary".into(), Origin::Imported);
            let new = New { name, secret, expires: None, renews: None, origin };
            store.put(new).await.unwrap();
        }
        store
    }

    #[tokio::test]
    async fn s16_progress_is_told_until_nothing_is_left() {
        let store = filled(5).await;
        let mut out = Vec::new();
        rotate(&store, 2, &mut out).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "0 rewrapped, 0 left\n");
    }

    #[tokio::test]
    async fn what_no_key_opens_is_a_failure() {
        let store = filled(1).await;
        store.set_keyring(Keyring::generate().unwrap());
        let error = rotate(&store, 2, &mut Vec::new()).await.unwrap_err().to_string();
        assert!(error.contains("1 are left"), "{error}");
    }
}

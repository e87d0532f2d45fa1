//! `rotate-keys`: everything in the store under the first key, so that the others can go.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
/// First add the new key as the last one to store.encryption_key of every gateway, then
/// put it first everywhere: a gateway that does not have it could not read what is under it,
/// and one that has it second would still write under the old one. Then run this, and take
/// the old key out when it ends with 0: nothing that can be seen from here needs it any
/// more. It may run beside a gateway, be stopped and be started again. A running gateway
/// does the same by itself, at its start and when the file of the keys changes.
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
    telemetry::init_log(&config.telemetry)?;
    let Some(settings) = server::store_settings(&config)? else {
        return Err("store.url and store.encryption_key are not set: nothing is kept".into());
    };
    let (store, unseen) = open(settings).await?;
    rotate(&store, BATCH, &mut io::stdout().lock()).await?;
    match unseen {
        Some(unseen) => Err(unseen.into()),
        None => Ok(()),
    }
}

/// A journal that may hold keys under another key than the first.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database is done, but the emergency journal {} was not read ({why}): wait until \
     partner_gateway_journalled_keys is 0, and run this again", path.display()
)]
struct Unseen {
    path: PathBuf,
    why: &'static str,
}

/// The store, with its emergency journal if there is one that nobody holds.
async fn open(
    mut settings: Settings,
) -> std::result::Result<(Store, Option<Unseen>), store::Error> {
    // One that is made here might belong to another user than the gateway's.
    settings.journal = settings.journal.filter(|path| is_there(path));
    let without = Settings { journal: None, ..settings.clone() };
    let journal = settings.journal.clone();
    match Store::open_beside(settings, Clock::system()).await {
        Err(store::Error::Journal(error)) => {
            tracing::warn!(%error, "the emergency journal cannot be opened");
            let unseen = journal.map(|path| Unseen { path, why: "it cannot be opened" });
            Ok((Store::open_beside(without, Clock::system()).await?, unseen))
        }
        Ok(store) => {
            let held = store.journal_held_elsewhere().filter(|path| !is_empty(path));
            let why = "a gateway holds it";
            let unseen = held.map(|path| Unseen { path: path.to_owned(), why });
            Ok((store, unseen))
        }
        Err(error) => Err(error),
    }
}

/// One that cannot be looked at is there.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

fn is_empty(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.len() == 0)
}

/// Ends when a look at everything has found nothing to do: what others write meanwhile is
/// looked at, too.
async fn rotate(store: &Store, batch: u32, out: &mut impl Write) -> Result {
    let mut is_first = true;
    loop {
        let done = store.rotate(batch).await?;
        let is_done = done.rewrapped == 0 && done.left == 0;
        if is_first || !is_done {
            writeln!(out, "{} rewrapped, {} left", done.rewrapped, done.left)?;
        }
        if is_done {
            return Ok(());
        }
        if done.rewrapped == 0 {
            let left = done.left;
            let problem = "that no key opens or that are in the emergency journal: see the log";
            return Err(format!("{left} are left {problem}").into());
        }
        is_first = false;
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

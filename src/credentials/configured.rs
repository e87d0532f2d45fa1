//! The secrets of the configuration, each of which its file may replace.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

use super::rotating::Rotating;
use super::secret_file::{self, SecretFiles, Source};
use super::{Client, Files, KeyPair, KeyPairFiles, Settings};

/// What is configured for one partner.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) client: Option<Rotating<Client>>,
    pub(super) key_pair: Option<Rotating<KeyPair>>,
    /// By the sub-account's id.
    pub(super) accounts: BTreeMap<String, Rotating<KeyPair>>,
    pub(super) api_key: Option<Rotating<SecretString>>,
}

// === impl Configured ===

impl Configured {
    /// What `settings` hold for `partner`.
    pub(super) fn new(partner: &str, settings: &Settings) -> Self {
        let Settings { client, key_pair, accounts, api_key, .. } = settings;
        let account = |(id, pair): (&String, &KeyPair)| {
            let what = format!("the key pair of a sub-account of {partner}");
            (id.clone(), Rotating::new(what, pair.clone()))
        };
        Self {
            client: client
                .clone()
                .map(|client| Rotating::new(format!("the client secret for {partner}"), client)),
            key_pair: key_pair
                .clone()
                .map(|pair| Rotating::new(format!("the key pair for {partner}"), pair)),
            accounts: accounts.iter().map(account).collect(),
            api_key: api_key
                .clone()
                .map(|key| Rotating::new(format!("the API key for {partner}"), key)),
        }
    }

    /// Has the secrets replaced when their files change; `client_changed` is called after
    /// the client's.
    pub(super) fn watch(
        &self,
        files: &Files,
        watch: &SecretFiles,
        client_changed: impl Fn() + Send + Sync + 'static,
    ) {
        if let Some(client) = &self.client {
            watch_client(client, files.client_secret.clone(), watch, client_changed);
        }
        if let Some(pair) = &self.key_pair {
            watch_key_pair(pair, &files.key_pair, watch);
        }
        for (id, pair) in &self.accounts {
            if let Some(files) = files.accounts.get(id) {
                watch_key_pair(pair, files, watch);
            }
        }
        if let Some(key) = self.api_key.clone() {
            let source = Source { text: key.held().get().clone(), file: files.api_key.clone() };
            watch.add(key.what().to_owned(), [source], move |texts| {
                let [text] = texts else { return Err(MISCOUNTED.to_owned()) };
                key.replace(secret_file::one_line(text)?.clone());
                Ok(())
            });
        }
    }
}

const MISCOUNTED: &str = "another number of texts than of files";

/// Has the secret of `client` replaced when `file` changes, and `changed` called then.
pub(super) fn watch_client(
    client: &Rotating<Client>,
    file: Option<PathBuf>,
    watch: &SecretFiles,
    changed: impl Fn() + Send + Sync + 'static,
) {
    let client = client.clone();
    let source = Source { text: client.held().get().secret.clone(), file };
    watch.add(client.what().to_owned(), [source], move |texts| {
        let [text] = texts else { return Err(MISCOUNTED.to_owned()) };
        let secret = secret_file::one_line(text)?.clone();
        let id = client.held().get().id.clone();
        client.replace(Client { id, secret });
        changed();
        Ok(())
    });
}

fn watch_key_pair(pair: &Rotating<KeyPair>, files: &KeyPairFiles, watch: &SecretFiles) {
    let (pair, held) = (pair.clone(), pair.held());
    let KeyPair { access_key, secret_key } = held.get();
    let access_key = Source { text: access_key.as_str().into(), file: files.access_key.clone() };
    let secret_key = Source { text: secret_key.clone(), file: files.secret_key.clone() };
    watch.add(pair.what().to_owned(), [access_key, secret_key], move |texts| {
        let [access_key, secret_key] = texts else { return Err(MISCOUNTED.to_owned()) };
        let access_key = secret_file::access_key(access_key)?;
        let secret_key = secret_file::one_line(secret_key)?.clone();
        pair.replace(KeyPair { access_key, secret_key });
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use secrecy::ExposeSecret;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;

    const NAMES: [&str; 6] = ["client", "access", "secret", "sub-access", "sub-secret", "api"];

    fn write(folder: &Path, version: &str) {
        for name in NAMES {
            std::fs::write(folder.join(name), format!("{name}-{version}")).unwrap();
        }
    }

    /// Every secret of version 1, each in the file of its name.
    fn settings(folder: &Path) -> Settings {
        let file = |name: &str| Some(folder.join(name));
        let pair = |access: &str, secret: &str| KeyPair {
            access_key: format!("{access}-1"),
            secret_key: format!("{secret}-1").into(),
        };
        let files =
            |access, secret| KeyPairFiles { access_key: file(access), secret_key: file(secret) };
        Settings {
            client: Some(Client { id: "id".into(), secret: "client-1".into() }),
            key_pair: Some(pair("access", "secret")),
            accounts: [("S-1".to_owned(), pair("sub-access", "sub-secret"))].into(),
            api_key: Some("api-1".into()),
            files: Files {
                client_secret: file("client"),
                key_pair: files("access", "secret"),
                accounts: [("S-1".to_owned(), files("sub-access", "sub-secret"))].into(),
                api_key: file("api"),
                grant_secret: None,
            },
            ..Settings::default()
        }
    }

    fn current(configured: &Configured) -> Vec<String> {
        let pair = |pair: &Rotating<KeyPair>| {
            let held = pair.held();
            let KeyPair { access_key, secret_key } = held.get();
            [access_key.clone(), secret_key.expose_secret().to_owned()]
        };
        let client = configured.client.as_ref().unwrap().held();
        let mut all = vec![client.get().secret.expose_secret().to_owned()];
        all.extend(pair(configured.key_pair.as_ref().unwrap()));
        all.extend(pair(&configured.accounts["S-1"]));
        let key = configured.api_key.as_ref().unwrap().held();
        all.push(key.get().expose_secret().to_owned());
        all
    }

    #[tokio::test(start_paused = true)]
    async fn s19_every_kind_of_secret_is_replaced_when_its_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "1");
        let settings = settings(folder.path());
        let configured = Configured::new("example", &settings);
        let (watch, changes) = (SecretFiles::default(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&changes);
        configured.watch(&settings.files, &watch, move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        TaskTracker::new().spawn(watch.watch(Duration::from_secs(10), CancellationToken::new()));

        write(folder.path(), "2");
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(current(&configured), NAMES.map(|name| format!("{name}-2")));
        assert_eq!(changes.load(Ordering::SeqCst), 1, "the source of tokens is told");
        assert!(configured.api_key.as_ref().unwrap().held().refused());
        assert_eq!(current(&configured)[5], "api-1", "the one before");

        // An access key that no header can hold, and a secret of two lines.
        std::fs::write(folder.path().join("access"), "a b").unwrap();
        std::fs::write(folder.path().join("client"), "a\nb").unwrap();
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(current(&configured)[..3], ["client-2", "access-2", "secret-2"]);
    }
}

//! The secrets of one partner as its configuration gives them, and the files they are in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

/// The secrets that a partner's configuration holds. What is not set is not supported,
/// and an operation that needs it answers which one is missing.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The OAuth2 client.
    pub client: Option<Client>,
    /// The partner account's own key pair.
    pub key_pair: Option<KeyPair>,
    /// The key pairs of sub-accounts, by the sub-account's id.
    pub accounts: BTreeMap<String, KeyPair>,
    /// The API key that is the user name of HTTP Basic.
    pub api_key: Option<SecretString>,
    /// The OAuth2 client that end users have given their grants to.
    pub grants: Option<GrantClient>,
    /// Whether replicas share one token of the client.
    pub shared_token: bool,
    /// The files that they were read from.
    pub files: Files,
}

/// The files that secrets of [`Settings`] were read from.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// That of the client's secret.
    pub client_secret: Option<PathBuf>,
    /// Those of the partner account's own key pair.
    pub key_pair: KeyPairFiles,
    /// Those of the sub-accounts' key pairs, by the sub-account's id.
    pub accounts: BTreeMap<String, KeyPairFiles>,
    /// That of the API key.
    pub api_key: Option<PathBuf>,
    /// That of the grants' client's secret.
    pub grant_secret: Option<PathBuf>,
}

/// The files of a key pair.
#[derive(Clone, Debug, Default)]
pub struct KeyPairFiles {
    /// That of the access key.
    pub access_key: Option<PathBuf>,
    /// That of the secret key.
    pub secret_key: Option<PathBuf>,
}

/// The OAuth2 client of end users' grants, and where it renews them.
#[derive(Clone, Debug)]
pub struct GrantClient {
    /// The client.
    pub client: Client,
    /// The token endpoint's URL, which need not be at the partner's own host.
    pub token_url: String,
}

/// An OAuth2 client.
#[derive(Clone, Debug)]
pub struct Client {
    /// The client's id.
    pub id: String,
    /// The client's secret.
    pub secret: SecretString,
}

/// A key pair for signing.
#[derive(Clone)]
pub struct KeyPair {
    /// The public half: visible ASCII.
    pub access_key: String,
    /// The secret half, used as it was typed.
    pub secret_key: SecretString,
}

// === impl KeyPair ===

// The access key is half a secret: it names the account and is in every request.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair([REDACTED])")
    }
}

//! What the gateway proves with that it is the gateway.
//!
//! The `Authenticator` of a partner holds all its secrets and puts the one that an
//! operation asks for on each attempt, anew every time: a signature is over the bytes
//! and the moment, a token may have been replaced since. Nothing else reads a secret.

mod api_key;
mod oauth2;
mod signed;
mod token;
mod vault;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio_util::task::TaskTracker;

pub(crate) use oauth2::Post;
pub(crate) use token::Token;
use token::TokenSource;
use vault::Vault;

use crate::call::Call;
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome};
use crate::operation::{Credential, Operation};
use crate::partner::{Partner, Status, Unkeepable};

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

/// Puts credentials on the calls of one partner.
#[derive(Debug)]
pub(crate) struct Authenticator {
    partner: Arc<dyn Partner>,
    clock: Clock,
    client: Option<Client>,
    tokens: Option<TokenSource>,
    key_pair: Option<KeyPair>,
    vault: Vault,
    api_key: Option<SecretString>,
}

/// What the authenticator works with.
pub(crate) struct Means {
    pub(crate) clock: Clock,
    pub(crate) tasks: TaskTracker,
    pub(crate) status: Arc<Status>,
    /// Sends a form to the partner, without a credential of its own.
    pub(crate) post: Post,
}

/// The credential that an attempt carries.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    /// What to renew when the partner refuses it.
    pub(crate) used: Used,
    /// Every secret in it, in each form that it is sent in.
    pub(crate) secrets: Vec<SecretString>,
}

/// Which credential was used.
#[derive(Clone, Debug)]
pub(crate) enum Used {
    /// One that is the same every time.
    Fixed,
    /// A signature, made for the attempt.
    Signature,
    /// That very token.
    Token(Arc<Token>),
}

// === impl KeyPair ===

// The access key is half a secret: it names the account and is in every request.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair([REDACTED])")
    }
}

// === impl Authenticator ===

impl Authenticator {
    /// The authenticator of `partner` with what is configured for it.
    pub(crate) fn new(partner: Arc<dyn Partner>, settings: Settings, means: Means) -> Self {
        let Means { clock, tasks, status, post } = means;
        let client = settings.client.clone();
        let tokens = client.clone().zip(partner.token_path()).map(|(client, path)| {
            let fetch = oauth2::fetch(Arc::clone(&partner), clock.clone(), client, path, post);
            status.set_token(None);
            TokenSource::new(fetch, tasks, report(clock.clone(), status))
        });
        Self {
            partner,
            clock,
            client,
            tokens,
            key_pair: settings.key_pair,
            vault: Vault::new(settings.accounts),
            api_key: settings.api_key,
        }
    }

    /// Puts on `call` the first credential that its operation takes and that is
    /// configured. Waits for a token if there is none; dropping it stops the waiting
    /// only.
    ///
    /// # Errors
    /// [`Kind::CredentialMissing`] and [`Kind::TokenUnavailable`], both before anything
    /// of the call is sent.
    pub(crate) async fn authorize(&self, call: &mut Call) -> Result<Carried, Error> {
        let credentials = &call.operation.credentials;
        for credential in credentials {
            let carried = match credential {
                Credential::ClientToken => self.client_token(call).await,
                Credential::ClientSecret => self.client_secret(call),
                Credential::Signature => self.signature(call),
                Credential::AccountSignature => Some(self.account_signature(call)),
                Credential::ApiKey => self.api_key(call),
                // No call brings one.
                Credential::UserToken => None,
            };
            if let Some(carried) = carried {
                return carried;
            }
        }
        Err(match credentials.first() {
            Some(credential) => missing(credential, call),
            None => Error::internal("the operation names no credential"),
        })
    }

    /// Drops the credential that the partner refused, if it is still the current one.
    /// Says whether another attempt would carry another credential.
    pub(crate) fn renew(&self, refused: &Used) -> bool {
        match (refused, &self.tokens) {
            (Used::Signature, _) => true,
            (Used::Token(token), Some(tokens)) => tokens.invalidate(token),
            (Used::Fixed | Used::Token(_), _) => false,
        }
    }

    /// Keeps the key that a successful call made, and drops one that it deleted.
    pub(crate) fn learn(&self, operation: &Operation, request: &[u8], reply: &[u8]) {
        let Some(kind) = operation.account_key else { return };
        match self.partner.key_change(kind, request, reply) {
            Ok(Some(change)) => self.vault.apply(change),
            Ok(None) => {}
            Err(Unkeepable) => tracing::warn!(
                rpc = operation.rpc(),
                "a key that is shown once cannot be kept: add it to the configuration"
            ),
        }
    }

    // One for each kind of credential; `None` if it is not configured.

    async fn client_token(&self, call: &mut Call) -> Option<Result<Carried, Error>> {
        let token = self.tokens.as_ref()?.token().await.map_err(Error::from);
        Some(token.and_then(|token| oauth2::put_token(token, call)))
    }

    fn client_secret(&self, call: &mut Call) -> Option<Result<Carried, Error>> {
        let client = self.client.as_ref()?;
        Some(Ok(oauth2::put_client(client, call)))
    }

    fn signature(&self, call: &mut Call) -> Option<Result<Carried, Error>> {
        let key_pair = self.key_pair.as_ref()?;
        Some(self.sign(key_pair, call))
    }

    /// The only one that no other credential stands in for: that would act for another
    /// account than the one that is named.
    fn account_signature(&self, call: &mut Call) -> Result<Carried, Error> {
        let key_pair = match &call.account {
            Some(account) => self.vault.get(account),
            None => self.key_pair.clone(),
        };
        let missing = || missing(&Credential::AccountSignature, call);
        let key_pair = key_pair.ok_or_else(missing)?;
        self.sign(&key_pair, call)
    }

    fn api_key(&self, call: &mut Call) -> Option<Result<Carried, Error>> {
        let key = self.api_key.as_ref()?;
        Some(api_key::put(key, call))
    }

    fn sign(&self, key_pair: &KeyPair, call: &mut Call) -> Result<Carried, Error> {
        signed::put(self.partner.as_ref(), key_pair, self.clock.now(), call)
    }
}

/// Tells the operators' view of each change of the token, in wall time.
fn report(clock: Clock, status: Arc<Status>) -> token::Report {
    Box::new(move |left| {
        let expiry = |left| {
            let left = SignedDuration::try_from(left).unwrap_or_default();
            clock.now().checked_add(left).unwrap_or(Timestamp::MAX)
        };
        status.set_token(left.map(expiry));
    })
}

/// Says what has to be configured; the caller's own words are not repeated.
fn missing(credential: &Credential, call: &Call) -> Error {
    let what = match credential {
        Credential::ClientSecret | Credential::ClientToken => "the client id and secret",
        Credential::Signature => "the access key and secret key",
        Credential::AccountSignature if call.account.is_none() => "the access key and secret key",
        Credential::AccountSignature => "the key pair of the sub-account that the request names",
        Credential::ApiKey => "the API key",
        Credential::UserToken => "a user's own token",
    };
    let partner = &call.operation.partner;
    let help = format!("no credential for this call: add {what} to the configuration of {partner}");
    Error::new(Kind::CredentialMissing { help }, Outcome::NotSent)
}

#[cfg(test)]
mod tests;

//! What the gateway proves with that it is the gateway.
//!
//! The `Authenticator` of a partner holds all its secrets and puts the one that an
//! operation asks for on each attempt, anew every time: a signature is over the bytes
//! and the moment, a token may have been replaced since. Nothing else reads a secret.

mod api_key;
mod configured;
mod grant;
mod oauth2;
mod rotating;
pub(crate) mod secret_file;
mod settings;
mod shared;
mod signed;
pub(crate) mod subject;
mod token;
mod user;
pub(crate) mod vault;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use configured::Configured;
pub use grant::Grant;
use grant::Grants;
pub(crate) use grant::PostForm;
pub(crate) use oauth2::Post;
use rotating::{Held, Rotating};
pub use secret_file::SecretFiles;
pub(crate) use secret_file::Source;
pub use settings::{Client, Files, GrantClient, KeyPair, KeyPairFiles, Settings};
pub(crate) use token::Token;
use token::{Event, TokenSource};
pub(crate) use vault::{Intent, Vault, of_store, read as read_key_pair};

use crate::call::Call;
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome, Refused};
use crate::operation::{Credential, Operation};
use crate::partner::{Partner, Status};
use crate::redis::Redis;
use crate::store::{CredentialKind, Name, Record, Store};

/// Puts credentials on the calls of one partner.
#[derive(Debug)]
pub(crate) struct Authenticator {
    partner: Arc<dyn Partner>,
    clock: Clock,
    configured: Configured,
    tokens: Option<TokenSource>,
    grants: Option<Grants>,
    vault: Vault,
}

/// What the authenticator works with.
pub(crate) struct Means {
    /// Is told which secrets are in files.
    pub(crate) secret_files: SecretFiles,
    pub(crate) clock: Clock,
    pub(crate) tasks: TaskTracker,
    /// When it is cancelled, the process is about to end.
    pub(crate) stopping: CancellationToken,
    pub(crate) status: Arc<Status>,
    pub(crate) store: Store,
    /// Sends a form to the partner, without a credential of its own.
    pub(crate) post: Post,
    /// Sends a form to the token endpoint of users' grants, if there is one.
    pub(crate) post_form: Option<PostForm>,
    /// What replicas share tokens over.
    pub(crate) redis: Option<Redis>,
    /// Where the partner's API is: tokens are shared for the same place only.
    pub(crate) base_url: String,
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
    /// The client's own secret.
    Client(Held<Client>),
    /// A signature with that key pair, made for the attempt.
    Signature(Held<KeyPair>),
    /// A signature with the key pair that is kept for this account.
    KeptSignature(String),
    /// The API key.
    ApiKey(Held<SecretString>),
    /// That very token.
    Token(Arc<Token>),
    /// That very token of a user, and where another is had.
    UserToken(TokenSource, Arc<Token>),
    /// The caller's own token.
    Brought,
}

// === impl Used ===

impl Used {
    /// What callers are told that the partner refused.
    pub(crate) fn refused(&self) -> Refused {
        match self {
            Used::Brought => Refused::CallersToken,
            Used::UserToken(..) => Refused::UsersGrant,
            Used::ApiKey(_) => Refused::ApiKey,
            Used::Client(_) | Used::Signature(_) | Used::KeptSignature(_) | Used::Token(_) => {
                Refused::Gateways
            }
        }
    }
}

/// What another attempt can be made with, after a credential was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The same kind of credential, another one by now.
    Renewed,
    /// The partner account's own credential, for a user's token.
    StandIn,
}

// === impl Authenticator ===

impl Authenticator {
    /// The authenticator of `partner` with what is configured for it.
    pub(crate) fn new(partner: Arc<dyn Partner>, settings: Settings, means: Means) -> Self {
        let Means { secret_files, clock, tasks, stopping, status, store, post, .. } = means;
        let configured = Configured::new(partner.name(), &settings);
        let client = configured.client.clone();
        let tokens = client.zip(partner.token_path()).map(|(client, path)| {
            let id = client.held().get().id.clone();
            let fetch = oauth2::fetch(Arc::clone(&partner), clock.clone(), client, path, post);
            let (partner, base_url) = (partner.name(), &*means.base_url);
            let owner = shared::Owner { partner, base_url, client_id: &id };
            let fetch = match means.redis.filter(|_| settings.shared_token) {
                Some(redis) => shared::fetch(fetch, owner, redis, store.clone()),
                None => fetch,
            };
            status.use_tokens();
            TokenSource::new(fetch, tasks.clone(), report(clock.clone(), Arc::clone(&status)))
        });
        let grants = settings.grants.zip(means.post_form).map(|(settings, post)| {
            let what = format!("the secret of the grants' client for {}", partner.name());
            let client = Rotating::new(what, settings.client);
            let (partner, store) = (Arc::clone(&partner), store.clone());
            let (clock, tasks) = (clock.clone(), tasks.clone());
            Grants::new(grant::Means { partner, client, post, store, clock, tasks, status })
        });
        let vault = vault::Means { store, clock: clock.clone(), tasks, stopping };
        let vault = Vault::new(partner.name(), vault);
        let source = tokens.clone();
        configured.watch(&settings.files, &secret_files, move || {
            source.iter().for_each(TokenSource::secret_changed);
        });
        if let Some(grants) = &grants {
            grants.watch(settings.files.grant_secret, &secret_files);
        }
        Self { partner, clock, configured, tokens, grants, vault }
    }

    /// Does what has to be done without a call, in tasks, until `stop`: users' grants that
    /// nobody uses are renewed.
    pub(crate) fn start(&self, stop: &CancellationToken) {
        if let Some(grants) = &self.grants {
            grants.keep_alive(stop.clone());
        }
    }

    /// Puts on `call` the first credential that its operation takes and that is
    /// configured, or before all others a user's access token, if the operation takes one
    /// and there is one. Waits for a token if there is none; dropping it stops the waiting
    /// only.
    ///
    /// # Errors
    /// [`Kind::CredentialMissing`], [`Kind::TokenUnavailable`] and
    /// [`Kind::StoreUnavailable`], all before anything of the call is sent.
    pub(crate) async fn authorize(&self, call: &mut Call) -> Result<Carried, Error> {
        let grants = self.grants.as_ref();
        match call.operation.credentials.as_slice() {
            [Credential::UserToken] => user::put(grants, call).await,
            kinds if kinds.contains(&Credential::UserToken) => {
                let missing = match user::put_if_soon(grants, call).await {
                    Ok(carried) => return Ok(carried),
                    Err(error) => error,
                };
                // No grant fails a call that can be made without one.
                match self.stand_in(call).await {
                    Err(error) if error.is_credential_missing() => Err(missing),
                    result => result,
                }
            }
            _ => self.stand_in(call).await,
        }
    }

    /// Puts on `call` the first credential that its operation takes and that is
    /// configured, users' tokens left out.
    ///
    /// # Errors
    /// As [`Authenticator::authorize`].
    pub(crate) async fn stand_in(&self, call: &mut Call) -> Result<Carried, Error> {
        let credentials = &call.operation.credentials;
        for credential in credentials {
            let carried = match credential {
                Credential::ClientToken => self.client_token(call).await,
                Credential::ClientSecret => self.client_secret(call),
                Credential::Signature => self.signature(call),
                Credential::AccountSignature => Some(self.account_signature(call).await),
                Credential::ApiKey => self.api_key(call),
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

    /// What another attempt at `operation` can be made with. A credential that is refused
    /// is dropped, if it is still the current one.
    pub(crate) fn remedy(&self, operation: &Operation, refused: &Used) -> Option<Remedy> {
        // Whether it is the user's token or any user's token that is not taken here only
        // the partner knows; the key tells in one more attempt, and the token stays.
        let takes_key = operation.credentials.contains(&Credential::ApiKey);
        if matches!(refused, Used::UserToken(..)) && takes_key && self.configured.api_key.is_some()
        {
            return Some(Remedy::StandIn);
        }
        self.renew(refused).then_some(Remedy::Renewed)
    }

    fn renew(&self, refused: &Used) -> bool {
        match (refused, &self.tokens) {
            (Used::Client(held), _) => held.refused(),
            (Used::ApiKey(held), _) => held.refused(),
            (Used::Signature(held), _) => {
                // Another time of day is another signature.
                held.refused();
                true
            }
            (Used::KeptSignature(account), _) => {
                // Another replica may have been given a newer key.
                self.vault.refresh(account);
                true
            }
            (Used::Token(token), Some(tokens)) => tokens.invalidate(token),
            (Used::UserToken(source, token), _) => source.invalidate(token),
            (Used::Token(_) | Used::Brought, _) => false,
        }
    }

    /// The key pairs that are kept for sub-accounts.
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Keeps the key pair of a sub-account that was issued elsewhere.
    ///
    /// # Errors
    /// [`Kind::StoreUnavailable`], [`Kind::Internal`]: it is not kept.
    pub(crate) async fn admit_key_pair(
        &self,
        account: &str,
        pair: &KeyPair,
    ) -> Result<Record, Error> {
        self.vault.import(account, pair).await
    }

    /// Uses a user's grant for the first time and keeps it. `user` may be left out where
    /// the partner tells whose it is.
    ///
    /// # Errors
    /// [`Kind::InvalidRequest`] when the partner does not take it or tells of another user,
    /// [`Kind::CredentialMissing`] without an OAuth2 client for it,
    /// [`Kind::TokenUnavailable`] and [`Kind::StoreUnavailable`]: it is not kept.
    pub(crate) async fn admit_grant(
        &self,
        user: Option<String>,
        grant: Grant,
    ) -> Result<Record, Error> {
        let Some(grants) = &self.grants else {
            let partner = self.partner.name();
            let help = format!(
                "no grants are kept: add an OAuth2 client to the configuration of {partner}"
            );
            return Err(Error::new(Kind::CredentialMissing { help }, Outcome::NotSent));
        };
        grants.admit(user, grant).await
    }

    /// Drops what is cached of a credential that was deleted.
    pub(crate) async fn forget(&self, name: &Name) {
        match name.kind {
            CredentialKind::KeyPair => self.vault.forget(&name.account).await,
            CredentialKind::UserGrant => {
                self.grants.iter().for_each(|grants| grants.forget(&name.account));
            }
        }
    }

    // One for each kind of credential; `None` if it is not configured.

    async fn client_token(&self, call: &mut Call) -> Option<Result<Carried, Error>> {
        let token = self.tokens.as_ref()?.token().await.map_err(Error::from);
        Some(token.and_then(|token| oauth2::put_token(token, call)))
    }

    fn client_secret(&self, call: &mut Call) -> Option<Result<Carried, Error>> {
        let client = self.configured.client.as_ref()?;
        Some(Ok(oauth2::put_client(client.held(), call)))
    }

    fn signature(&self, call: &mut Call) -> Option<Result<Carried, Error>> {
        let key_pair = self.configured.key_pair.as_ref()?;
        Some(self.sign(key_pair.held(), call))
    }

    /// The only one that no other credential stands in for: that would act for another
    /// account than the one that is named.
    async fn account_signature(&self, call: &mut Call) -> Result<Carried, Error> {
        let missing = || missing(&Credential::AccountSignature, call);
        let Some(account) = call.account.clone() else {
            let key_pair = self.configured.key_pair.as_ref().ok_or_else(missing)?;
            return self.sign(key_pair.held(), call);
        };
        if let Some(key_pair) = self.configured.accounts.get(&account) {
            return self.sign(key_pair.held(), call);
        }
        let key_pair = self.vault.get(&account).await?.ok_or_else(missing)?;
        let carried = self.sign(Rotating::new("a kept key pair", key_pair).held(), call)?;
        Ok(Carried { used: Used::KeptSignature(account), ..carried })
    }

    fn api_key(&self, call: &mut Call) -> Option<Result<Carried, Error>> {
        let key = self.configured.api_key.as_ref()?;
        Some(api_key::put(key.held(), call))
    }

    fn sign(&self, key_pair: Held<KeyPair>, call: &mut Call) -> Result<Carried, Error> {
        signed::put(self.partner.as_ref(), key_pair, self.clock.now(), call)
    }
}

/// Tells the operators' view of each change of the token, in wall time.
fn report(clock: Clock, status: Arc<Status>) -> token::Report {
    Box::new(move |event| {
        let after = |left| {
            let left = SignedDuration::try_from(left).unwrap_or_default();
            clock.now().checked_add(left).unwrap_or(Timestamp::MAX)
        };
        match event {
            Event::Issued(left) => status.token_issued(left.map(after)),
            Event::Failed { permanent, pause } => status.token_refused(permanent, after(pause)),
            Event::Dropped => status.token_dropped(),
            Event::Forgiven => status.token_forgiven(),
        }
    })
}

/// Says what has to be configured; the caller's own words are not repeated.
fn missing(credential: &Credential, call: &Call) -> Error {
    let what = match credential {
        Credential::ClientSecret | Credential::ClientToken => "the client id and secret",
        Credential::Signature => "the access key and secret key",
        Credential::AccountSignature if call.account.is_none() => "the access key and secret key",
        Credential::AccountSignature => {
            let help = format!(
                "no key pair is kept for the sub-account that the request names: import it with \
                 gateway.v1.CredentialService/PutCredential, or add it to the configuration of {}",
                call.operation.partner
            );
            return Error::new(Kind::CredentialMissing { help }, Outcome::NotSent);
        }
        Credential::ApiKey => "the API key",
        Credential::UserToken => "the OAuth2 client",
    };
    let partner = &call.operation.partner;
    let help = format!("no credential for this call: add {what} to the configuration of {partner}");
    Error::new(Kind::CredentialMissing { help }, Outcome::NotSent)
}

#[cfg(test)]
mod tests;

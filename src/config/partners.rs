//! The partners' sections: their credentials, and how they are reached.
//!
//! Every section has the keys of a connection and those of its tuning. serde cannot flatten
//! them into a section and refuse unknown keys at once, so a macro writes them into each.

use std::path::PathBuf;

use reqwest::Url;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    BaseUrl, Breaker, Concurrency, Connection, Limits, RateLimit, Retry, Timeouts, Tuning, value,
};

/// `[partners]`: a section for each partner that is configured.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Partners {
    /// TrustistTransfer.
    pub trustist: Option<Trustist>,
    /// Trolley.
    pub trolley: Option<Trolley>,
    /// Trustap.
    pub trustap: Option<Trustap>,
}

/// Declares a partner's section: its own keys with their defaults, a connection's, and
/// those of its tuning.
macro_rules! section {
    (
        $(#[$about:meta])*
        $name:ident at $base_url:expr, within $rate_limit:expr;
        $($(#[$field_about:meta])* $field:ident: $type:ty = $default:expr,)*
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// Where the partner's API is.
            pub base_url: BaseUrl,
            $($(#[$field_about])* pub $field: $type,)*
            /// Time-outs of each attempt.
            pub timeouts: Timeouts,
            /// Bounds on what the partner sends.
            pub limits: Limits,
            /// The quota that the gateway keeps to.
            pub rate_limit: RateLimit,
            /// How many requests may be open at once.
            pub concurrency: Concurrency,
            /// When a failed attempt is made again.
            pub retry: Retry,
            /// When the partner is left alone.
            pub breaker: Breaker,
            /// Whether HTTP/2 is spoken without negotiating it.
            pub http2_prior_knowledge: bool,
            /// Whether the partner may be at a loopback, private or link-local address.
            pub allow_private_addresses: bool,
            /// Root certificates to trust besides the system's, PEM.
            #[serde(with = "value::path")]
            pub root_ca_file: Option<PathBuf>,
            /// The HTTP proxy in between.
            #[serde(with = "value::proxy")]
            pub proxy_url: Option<Url>,
        }

        impl $name {
            /// How the partner is reached.
            pub fn connection(&self) -> Connection<'_> {
                Connection {
                    base_url: &self.base_url,
                    timeouts: &self.timeouts,
                    limits: &self.limits,
                    http2_prior_knowledge: self.http2_prior_knowledge,
                    allow_private_addresses: self.allow_private_addresses,
                    root_ca_file: self.root_ca_file.as_deref(),
                    proxy_url: self.proxy_url.as_ref(),
                }
            }

            /// How hard the partner is used.
            pub fn tuning(&self) -> Tuning<'_> {
                Tuning {
                    rate_limit: &self.rate_limit,
                    concurrency: &self.concurrency,
                    retry: &self.retry,
                    breaker: &self.breaker,
                }
            }

            /// The same section, with the tuning of another if there is one.
            pub(super) fn tuned_as(self, other: Option<&Self>) -> Self {
                let Some(other) = other.cloned() else { return self };
                let Self { rate_limit, concurrency, retry, breaker, .. } = other;
                Self { rate_limit, concurrency, retry, breaker, ..self }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    base_url: $base_url,
                    $($field: $default,)*
                    timeouts: Timeouts::default(),
                    limits: Limits::default(),
                    rate_limit: $rate_limit,
                    concurrency: Concurrency::default(),
                    retry: Retry::default(),
                    breaker: Breaker::default(),
                    http2_prior_knowledge: false,
                    allow_private_addresses: false,
                    root_ca_file: None,
                    proxy_url: None,
                }
            }
        }
    };
}

section! {
    /// `[partners.trustist]`.
    Trustist at BaseUrl::https("partnersapi.trustist.com"), within RateLimit::default();
    /// The OAuth2 client's id.
    client_id: String = String::new(),
    /// The OAuth2 client's secret.
    #[serde(with = "value::secret")]
    client_secret: SecretString = SecretString::default(),
    /// The file that the secret was read from, if any.
    #[serde(with = "value::path")]
    client_secret_file: Option<PathBuf> = None,
    /// Whether replicas share one access token: for a partner at which a new token ends
    /// the one before.
    shared_token: bool = false,
}

section! {
    /// `[partners.trolley]`.
    Trolley at BaseUrl::https("api.trolley.com"), within RateLimit::per_minute(540, 60);
    /// The public half of the parent merchant's API key.
    #[serde(with = "value::secret")]
    access_key: SecretString = SecretString::default(),
    /// The file that the access key was read from, if any.
    #[serde(with = "value::path")]
    access_key_file: Option<PathBuf> = None,
    /// The secret half of the parent merchant's API key.
    #[serde(with = "value::secret")]
    secret_key: SecretString = SecretString::default(),
    /// The file that the secret key was read from, if any.
    #[serde(with = "value::path")]
    secret_key_file: Option<PathBuf> = None,
    /// Whether the reply that shows a sub-merchant's new key passes it on to the caller.
    return_secrets: bool = true,
    /// The API keys of sub-merchants, each id once.
    accounts: Vec<Account> = Vec::new(),
}

section! {
    /// `[partners.trustap]`.
    Trustap at BaseUrl::https("dev.trustap.com/api/v1"), within RateLimit::default();
    /// The API key.
    #[serde(with = "value::secret")]
    api_key: SecretString = SecretString::default(),
    /// The file that the API key was read from, if any.
    #[serde(with = "value::path")]
    api_key_file: Option<PathBuf> = None,
    /// The OAuth2 token endpoint that user grants are renewed at.
    token_url: BaseUrl =
        BaseUrl::https("sso.trustap.com/auth/realms/trustap/protocol/openid-connect/token"),
    /// The OAuth2 client's id; empty if no user grants are kept.
    client_id: String = String::new(),
    /// The OAuth2 client's secret.
    #[serde(with = "value::optional_secret")]
    client_secret: SecretString = SecretString::default(),
    /// The file that the secret was read from, if any.
    #[serde(with = "value::path")]
    client_secret_file: Option<PathBuf> = None,
}

/// `[[partners.trolley.accounts]]`: a sub-merchant's API key.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// The sub-merchant's id, as callers name it.
    pub id: String,
    /// The public half of its API key.
    #[serde(with = "value::secret")]
    pub access_key: SecretString,
    /// The file that the access key was read from, if any.
    #[serde(with = "value::path")]
    pub access_key_file: Option<PathBuf>,
    /// The secret half of its API key.
    #[serde(with = "value::secret")]
    pub secret_key: SecretString,
    /// The file that the secret key was read from, if any.
    #[serde(with = "value::path")]
    pub secret_key_file: Option<PathBuf>,
}

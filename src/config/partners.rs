//! The partners' sections: their credentials, and how they are reached.
//!
//! The keys of a connection are repeated in each section rather than shared by
//! flattening, which serde cannot combine with refusing unknown keys.

use std::path::PathBuf;

use reqwest::Url;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{BaseUrl, Connection, Limits, Timeouts, value};

/// `[partners]`: a section for each partner that is configured.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Partners {
    /// TrustistTransfer.
    pub trustist: Option<Trustist>,
    /// Trolley.
    pub trolley: Option<Trolley>,
}

/// `[partners.trustist]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trustist {
    /// Where the partner's API is.
    pub base_url: BaseUrl,
    /// The OAuth2 client's id.
    pub client_id: String,
    /// The OAuth2 client's secret.
    #[serde(with = "value::secret")]
    pub client_secret: SecretString,
    /// The file that the secret was read from, if any.
    #[serde(with = "value::path")]
    pub client_secret_file: Option<PathBuf>,
    /// Time-outs of each attempt.
    pub timeouts: Timeouts,
    /// Bounds on what the partner sends.
    pub limits: Limits,
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

/// `[partners.trolley]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trolley {
    /// Where the partner's API is.
    pub base_url: BaseUrl,
    /// The public half of the parent merchant's API key.
    #[serde(with = "value::secret")]
    pub access_key: SecretString,
    /// The file that the access key was read from, if any.
    #[serde(with = "value::path")]
    pub access_key_file: Option<PathBuf>,
    /// The secret half of the parent merchant's API key.
    #[serde(with = "value::secret")]
    pub secret_key: SecretString,
    /// The file that the secret key was read from, if any.
    #[serde(with = "value::path")]
    pub secret_key_file: Option<PathBuf>,
    /// Time-outs of each attempt.
    pub timeouts: Timeouts,
    /// Bounds on what the partner sends.
    pub limits: Limits,
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
    /// The API keys of sub-merchants, each id once.
    pub accounts: Vec<Account>,
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

// === impl Partners ===

impl Partners {
    /// The keys of the partners that are configured.
    pub fn configured(&self) -> Vec<&'static str> {
        let trustist = self.trustist.as_ref().map(|_| "trustist");
        let trolley = self.trolley.as_ref().map(|_| "trolley");
        [trustist, trolley].into_iter().flatten().collect()
    }
}

// === impl Trustist ===

impl Trustist {
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
}

impl Default for Trustist {
    fn default() -> Self {
        Self {
            base_url: BaseUrl::https("partnersapi.trustist.com"),
            client_id: String::new(),
            client_secret: SecretString::default(),
            client_secret_file: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            http2_prior_knowledge: false,
            allow_private_addresses: false,
            root_ca_file: None,
            proxy_url: None,
        }
    }
}

// === impl Trolley ===

impl Trolley {
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
}

impl Default for Trolley {
    fn default() -> Self {
        Self {
            base_url: BaseUrl::https("api.trolley.com"),
            access_key: SecretString::default(),
            access_key_file: None,
            secret_key: SecretString::default(),
            secret_key_file: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            http2_prior_knowledge: false,
            allow_private_addresses: false,
            root_ca_file: None,
            proxy_url: None,
            accounts: Vec::new(),
        }
    }
}

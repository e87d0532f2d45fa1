//! From a partner's section to what its stack is built of.
//!
//! The only place that knows which section has which kind of credential.

use std::net::SocketAddr;

use crate::credentials::{
    Client, Files, GrantClient, KeyPair, KeyPairFiles, Settings as Credentials,
};
use crate::simulator::{trolley, trustap, trustist};

use secrecy::ExposeSecret as _;

use super::{Account, Connection, InvalidUrl, Partners, Trolley, Trustap, Trustist, Tuning};

/// Where the simulator of Trustap gives out users' tokens.
const TRUSTAP_TOKEN_PATH: &str = "auth/realms/trustap-stage/protocol/openid-connect/token";

/// A configured partner, whichever it is.
#[derive(Debug)]
pub struct PartnerSettings<'a> {
    /// The partner's key in the configuration.
    pub name: &'static str,
    /// How it is reached.
    pub connection: Connection<'a>,
    /// How hard it is used.
    pub tuning: Tuning<'a>,
    /// The credentials that calls are made with.
    pub credentials: Credentials,
    /// Whether a reply shows its caller a key that is kept.
    pub return_secrets: bool,
}

// === impl Partners ===

impl Partners {
    /// Every partner that is configured, by name.
    pub fn settings(&self) -> Vec<PartnerSettings<'_>> {
        let trolley = self.trolley.as_ref().map(|section| PartnerSettings {
            name: "trolley",
            connection: section.connection(),
            tuning: section.tuning(),
            credentials: section.credentials(),
            return_secrets: section.return_secrets,
        });
        let trustap = self.trustap.as_ref().map(|section| PartnerSettings {
            name: "trustap",
            connection: section.connection(),
            tuning: section.tuning(),
            credentials: section.credentials(),
            return_secrets: true,
        });
        let trustist = self.trustist.as_ref().map(|section| PartnerSettings {
            name: "trustist",
            connection: section.connection(),
            tuning: section.tuning(),
            credentials: section.credentials(),
            return_secrets: true,
        });
        [trolley, trustap, trustist].into_iter().flatten().collect()
    }

    /// The keys of the partners that are configured.
    pub fn configured(&self) -> Vec<&'static str> {
        self.settings().iter().map(|settings| settings.name).collect()
    }

    /// The sections for the partner simulators at `address`, with the credentials that
    /// they take, and the tuning of these sections.
    ///
    /// # Errors
    /// Never for an address that can be listened on.
    pub fn simulated(&self, address: SocketAddr) -> Result<Self, InvalidUrl> {
        Ok(Self {
            trustist: Some(
                Trustist {
                    base_url: format!("http://{address}/trustist").parse()?,
                    client_id: trustist::CLIENT_ID.to_owned(),
                    client_secret: trustist::CLIENT_SECRET.into(),
                    allow_private_addresses: true,
                    ..Trustist::default()
                }
                .tuned_as(self.trustist.as_ref()),
            ),
            trolley: Some(
                Trolley {
                    base_url: format!("http://{address}/trolley").parse()?,
                    access_key: trolley::PARENT_ACCESS_KEY.into(),
                    secret_key: trolley::PARENT_SECRET_KEY.into(),
                    allow_private_addresses: true,
                    accounts: vec![Account {
                        id: trolley::SUBMERCHANT_ID.to_owned(),
                        access_key: trolley::SUBMERCHANT_ACCESS_KEY.into(),
                        secret_key: trolley::SUBMERCHANT_SECRET_KEY.into(),
                        ..Account::default()
                    }],
                    ..Trolley::default()
                }
                .tuned_as(self.trolley.as_ref()),
            ),
            trustap: Some(
                Trustap {
                    base_url: format!("http://{address}/trustap/api/v1").parse()?,
                    api_key: trustap::API_KEY.into(),
                    token_url: format!("http://{address}/trustap/{TRUSTAP_TOKEN_PATH}").parse()?,
                    client_id: trustap::CLIENT_ID.to_owned(),
                    client_secret: trustap::CLIENT_SECRET.into(),
                    allow_private_addresses: true,
                    ..Trustap::default()
                }
                .tuned_as(self.trustap.as_ref()),
            ),
        })
    }
}

impl Trustist {
    fn credentials(&self) -> Credentials {
        let client = Client { id: self.client_id.clone(), secret: self.client_secret.clone() };
        let files = Files { client_secret: self.client_secret_file.clone(), ..Files::default() };
        let shared_token = self.shared_token;
        Credentials { client: Some(client), shared_token, files, ..Credentials::default() }
    }
}

impl Trolley {
    fn credentials(&self) -> Credentials {
        let key_pair =
            |access_key: &secrecy::SecretString, secret_key: &secrecy::SecretString| KeyPair {
                access_key: access_key.expose_secret().to_owned(),
                secret_key: secret_key.clone(),
            };
        let accounts = self.accounts.iter();
        let files = Files {
            key_pair: KeyPairFiles {
                access_key: self.access_key_file.clone(),
                secret_key: self.secret_key_file.clone(),
            },
            accounts: accounts.clone().map(|a| (a.id.clone(), a.files())).collect(),
            ..Files::default()
        };
        Credentials {
            key_pair: Some(key_pair(&self.access_key, &self.secret_key)),
            accounts: accounts
                .map(|a| (a.id.clone(), key_pair(&a.access_key, &a.secret_key)))
                .collect(),
            files,
            ..Credentials::default()
        }
    }
}

impl Account {
    fn files(&self) -> KeyPairFiles {
        KeyPairFiles {
            access_key: self.access_key_file.clone(),
            secret_key: self.secret_key_file.clone(),
        }
    }
}

impl Trustap {
    fn credentials(&self) -> Credentials {
        let client = Client { id: self.client_id.clone(), secret: self.client_secret.clone() };
        let grants = GrantClient { client, token_url: self.token_url.as_str().to_owned() };
        Credentials {
            api_key: Some(self.api_key.clone()),
            grants: Some(grants).filter(|grants| !grants.client.id.is_empty()),
            files: Files {
                api_key: self.api_key_file.clone(),
                grant_secret: self.client_secret_file.clone(),
                ..Files::default()
            },
            ..Credentials::default()
        }
    }
}

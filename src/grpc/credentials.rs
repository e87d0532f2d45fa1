//! `gateway.v1.CredentialService`: the credentials that the gateway keeps.
//!
//! Nothing of a secret leaves it, but through RevealCredential where the configuration
//! allows that. Whatever changes or reveals something is logged under the target "audit".

mod answer;
mod request;

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::clock::Clock;
use crate::credentials::{self, KeyPair};
use crate::error::{Error, Kind, Outcome};
use crate::pb::gateway::v1 as pb;
use crate::store::{CredentialKind, Filter, IntentFilter, Record, Store};

use super::exchange::{Gateway, PartnerSide};
use super::log::Chain;
use super::reason::Reason;
use super::{Arrival, status};
use request::{Admitted, Page, Put};

/// Serves what the store keeps.
#[derive(Clone, Debug)]
pub struct KeptCredentials {
    gateway: Arc<Gateway>,
    store: Store,
    clock: Clock,
    /// Whether secrets may be read back.
    reveals: bool,
}

// === impl KeptCredentials ===

impl KeptCredentials {
    /// Serves `store`; `gateway` has the partners that its credentials are used for.
    pub fn new(gateway: Arc<Gateway>, store: Store, clock: Clock, reveals: bool) -> Self {
        Self { gateway, store, clock, reveals }
    }

    fn partner(&self, name: &str) -> Result<&PartnerSide, Error> {
        self.gateway.partner(name).ok_or_else(|| {
            let partner = name.to_owned();
            Error::new(Kind::NotConfigured { partner }, Outcome::NotSent)
        })
    }

    async fn put(&self, put: Put) -> Result<Record, Error> {
        let authenticator = &self.partner(&put.partner)?.authenticator;
        match put.admitted {
            Admitted::KeyPair { account, pair } => {
                authenticator.admit_key_pair(&account, &pair).await
            }
            Admitted::Grant { user, grant } => authenticator.admit_grant(user, grant).await,
        }
    }

    async fn delete(&self, id: Uuid) -> Result<Option<Record>, Error> {
        let deleted = self.store.delete(id).await.map_err(credentials::of_store)?;
        if let Some(record) = &deleted
            && let Some(partner) = self.gateway.partner(&record.name.partner)
        {
            partner.authenticator.forget(&record.name);
        }
        Ok(deleted)
    }

    async fn reveal(&self, id: Uuid) -> Result<Option<(Record, KeyPair)>, Error> {
        let found = self.store.get_by_id(id).await.map_err(credentials::of_store)?;
        let Some((record, secret)) = found else { return Ok(None) };
        match record.name.kind {
            CredentialKind::KeyPair => Ok(Some((record, credentials::read_key_pair(&secret)?))),
            CredentialKind::UserGrant => {
                Err(request::violation("id", "is that of a user's grant", "NOT_REVEALED"))
            }
        }
    }

    fn describe(&self, record: Record) -> pb::Credential {
        answer::credential(record, self.clock.now())
    }
}

/// One line for what was done with a credential, and by which call.
fn audit(action: &'static str, call: Uuid, record: &Record) {
    tracing::info!(
        target: "audit",
        action,
        request_id = %call,
        credential = %record.id,
        partner = record.name.partner,
        kind = record.name.kind.as_str(),
        account = record.name.account,
        "credential"
    );
}

/// What a call is told that failed, once it has been logged.
fn failing(id: Uuid) -> impl Fn(Error) -> Status + Copy {
    move |error| {
        if !matches!(error.kind(), Kind::InvalidRequest(_)) {
            let (reason, cause) = (Reason::of_own(&error).as_str(), Chain(&error));
            tracing::warn!(request_id = %id, reason, error = %cause, "call failed");
        }
        status::of_own(&error, id)
    }
}

fn absent(what: &str, id: Uuid) -> Status {
    status::of_gateway(Reason::NotFound, what, id)
}

const NO_CREDENTIAL: &str = "no credential of this id is kept";
const NO_INTENT: &str = "no intent of this id is flagged";

#[tonic::async_trait]
impl pb::credential_service_server::CredentialService for KeptCredentials {
    async fn put_credential(
        &self,
        request: Request<pb::PutCredentialRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        let id = Arrival::id_of(&request);
        let failed = failing(id);
        let put = Put::read(request.into_inner()).map_err(failed)?;
        let record = self.put(put).await.map_err(failed)?;
        audit("put", id, &record);
        Ok(Response::new(self.describe(record)))
    }

    async fn get_credential(
        &self,
        request: Request<pb::GetCredentialRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        let id = Arrival::id_of(&request);
        let failed = failing(id);
        let which = request::id(&request.into_inner().id).map_err(failed)?;
        let found = self.store.get_by_id(which).await.map_err(credentials::of_store);
        let found = found.map_err(failed)?;
        let (record, _) = found.ok_or_else(|| absent(NO_CREDENTIAL, id))?;
        Ok(Response::new(self.describe(record)))
    }

    async fn list_credentials(
        &self,
        request: Request<pb::ListCredentialsRequest>,
    ) -> Result<Response<pb::ListCredentialsResponse>, Status> {
        let id = Arrival::id_of(&request);
        let failed = failing(id);
        let request = request.into_inner();
        let filter = Filter {
            kind: request::kind(request.kind).map_err(failed)?,
            partner: Some(request.partner).filter(|partner| !partner.is_empty()),
            account_prefix: Some(request.account_prefix).filter(|prefix| !prefix.is_empty()),
        };
        let page = Page::read(request.page_size, &request.page_token, &filter);
        let page = page.map_err(failed)?;
        let found = self.store.list(&filter, page.size, page.after).await;
        let found = found.map_err(credentials::of_store).map_err(failed)?;
        Ok(Response::new(pb::ListCredentialsResponse {
            next_page_token: page.token_of(found.next),
            credentials: found.items.into_iter().map(|record| self.describe(record)).collect(),
        }))
    }

    async fn delete_credential(
        &self,
        request: Request<pb::DeleteCredentialRequest>,
    ) -> Result<Response<pb::DeleteCredentialResponse>, Status> {
        let id = Arrival::id_of(&request);
        let failed = failing(id);
        let which = request::id(&request.into_inner().id).map_err(failed)?;
        let deleted = self.delete(which).await.map_err(failed)?;
        audit("delete", id, &deleted.ok_or_else(|| absent(NO_CREDENTIAL, id))?);
        Ok(Response::new(pb::DeleteCredentialResponse {}))
    }

    async fn reveal_credential(
        &self,
        request: Request<pb::RevealCredentialRequest>,
    ) -> Result<Response<pb::RevealCredentialResponse>, Status> {
        let id = Arrival::id_of(&request);
        let failed = failing(id);
        if !self.reveals {
            let why = "credentials.reveal is off: the gateway shows no secret";
            return Err(status::of_gateway(Reason::NotAllowed, why, id));
        }
        let which = request::id(&request.into_inner().id).map_err(failed)?;
        let found = self.reveal(which).await.map_err(failed)?;
        let (record, pair) = found.ok_or_else(|| absent(NO_CREDENTIAL, id))?;
        audit("reveal", id, &record);
        let KeyPair { access_key, secret_key } = pair;
        let secret_key = secret_key.expose_secret().to_owned();
        Ok(Response::new(pb::RevealCredentialResponse {
            credential: Some(self.describe(record)),
            key_pair: Some(pb::KeyPair { access_key, secret_key }),
        }))
    }

    async fn list_key_intents(
        &self,
        request: Request<pb::ListKeyIntentsRequest>,
    ) -> Result<Response<pb::ListKeyIntentsResponse>, Status> {
        let id = Arrival::id_of(&request);
        let failed = failing(id);
        let request = request.into_inner();
        let filter = IntentFilter {
            flagged: request::flagged(request.state).map_err(failed)?,
            partner: Some(request.partner).filter(|partner| !partner.is_empty()),
        };
        let page = Page::read(request.page_size, &request.page_token, &filter);
        let page = page.map_err(failed)?;
        let found = self.store.intents(&filter, page.size, page.after).await;
        let found = found.map_err(credentials::of_store).map_err(failed)?;
        Ok(Response::new(pb::ListKeyIntentsResponse {
            next_page_token: page.token_of(found.next),
            key_intents: found.items.into_iter().map(answer::intent).collect(),
        }))
    }

    async fn dismiss_key_intent(
        &self,
        request: Request<pb::DismissKeyIntentRequest>,
    ) -> Result<Response<pb::DismissKeyIntentResponse>, Status> {
        let id = Arrival::id_of(&request);
        let failed = failing(id);
        let which = request::id(&request.into_inner().id).map_err(failed)?;
        let dismissed = self.store.dismiss_intent(which).await.map_err(credentials::of_store);
        if !dismissed.map_err(failed)? {
            return Err(absent(NO_INTENT, id));
        }
        tracing::info!(
            target: "audit", action = "dismiss", request_id = %id, intent = %which, "key intent"
        );
        Ok(Response::new(pb::DismissKeyIntentResponse {}))
    }
}

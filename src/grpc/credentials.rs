//! `gateway.v1.CredentialService`: the credentials that the gateway keeps.
//!
//! Nothing of a secret leaves it, but through RevealCredential where the configuration
//! allows that. Whatever changes or reveals something is logged under the target "audit",
//! and goes on to its end in a task when its caller goes away: what was sent to the store
//! may be done, and then the caches and the log must say so.

mod answer;
mod audit;
mod request;

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::clock::Clock;
use crate::credentials::{self, KeyPair};
use crate::error::{Error, Kind, Outcome};
use crate::pb::gateway::v1 as pb;
use crate::store::{CredentialKind, Filter, IntentFilter, Record, Store};

use super::exchange::{Gateway, PartnerSide};
use super::own_call::OwnCall;
use super::reason::Reason;
use audit::{Audit, Subject};
use request::{Admitted, Page, Put};

/// Serves what the store keeps.
#[derive(Clone, Debug)]
pub struct KeptCredentials {
    gateway: Arc<Gateway>,
    store: Store,
    clock: Clock,
    tasks: TaskTracker,
    /// Whether secrets may be read back.
    reveals: bool,
}

// === impl KeptCredentials ===

impl KeptCredentials {
    /// Serves `store`; `gateway` has the partners that its credentials are used for.
    pub fn new(
        gateway: Arc<Gateway>,
        store: Store,
        clock: Clock,
        tasks: TaskTracker,
        reveals: bool,
    ) -> Self {
        Self { gateway, store, clock, tasks, reveals }
    }

    /// Does `work` to its end, whether or not its caller waits for that.
    async fn to_the_end<T, F>(&self, work: impl FnOnce(Self) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let task = self.tasks.spawn(work(self.clone()).in_current_span());
        task.await.unwrap_or_else(|error| Err(Error::internal(error)))
    }

    fn partner(&self, name: &str) -> Result<&PartnerSide, Error> {
        self.gateway.partner(name).ok_or_else(|| {
            let partner = name.to_owned();
            Error::new(Kind::NotConfigured { partner }, Outcome::NotSent)
        })
    }

    async fn put(self, put: Put, audit: Audit) -> Result<Record, Error> {
        let subject = put.subject();
        let result = self.admit(put).await;
        match &result {
            Ok(record) => audit.done(record),
            Err(error) => audit.failed(&subject, error),
        }
        result
    }

    async fn admit(&self, put: Put) -> Result<Record, Error> {
        let authenticator = &self.partner(&put.partner)?.authenticator;
        match put.admitted {
            Admitted::KeyPair { account, pair } => {
                authenticator.admit_key_pair(&account, &pair).await
            }
            Admitted::Grant { user, grant } => authenticator.admit_grant(user, grant).await,
        }
    }

    /// Says whether there was one.
    async fn delete(self, id: Uuid, audit: Audit) -> Result<bool, Error> {
        let subject = Subject::Credential(id);
        match self.store.delete(id).await.map_err(credentials::of_store) {
            Ok(Some(record)) => {
                if let Some(partner) = self.gateway.partner(&record.name.partner) {
                    partner.authenticator.forget(&record.name).await;
                }
                audit.done(&record);
                Ok(true)
            }
            Ok(None) => {
                audit.absent(&subject);
                Ok(false)
            }
            Err(error) => {
                audit.failed(&subject, &error);
                Err(error)
            }
        }
    }

    async fn reveal(self, id: Uuid, audit: Audit) -> Result<Option<(Record, KeyPair)>, Error> {
        let subject = Subject::Credential(id);
        let result = self.read(id).await;
        match &result {
            Ok(Some((record, _))) => audit.done(record),
            Ok(None) => audit.absent(&subject),
            Err(error) => audit.failed(&subject, error),
        }
        result
    }

    async fn read(&self, id: Uuid) -> Result<Option<(Record, KeyPair)>, Error> {
        let found = self.store.get_by_id(id).await.map_err(credentials::of_store)?;
        let Some((record, secret)) = found else { return Ok(None) };
        match record.name.kind {
            CredentialKind::KeyPair => Ok(Some((record, credentials::read_key_pair(&secret)?))),
            CredentialKind::UserGrant => {
                Err(request::violation("id", "is that of a user's grant", "NOT_REVEALED"))
            }
        }
    }

    /// Says whether there was one.
    async fn dismiss(self, id: Uuid, audit: Audit) -> Result<bool, Error> {
        let result = self.store.dismiss_intent(id).await.map_err(credentials::of_store);
        match &result {
            Ok(true) => audit.dismissed(id),
            Ok(false) => audit.absent(&Subject::Intent(id)),
            Err(error) => audit.failed(&Subject::Intent(id), error),
        }
        result
    }

    fn describe(&self, record: Record) -> pb::Credential {
        answer::credential(record, self.clock.now())
    }
}

const NO_CREDENTIAL: &str = "no credential of this id is kept";
const NO_INTENT: &str = "no intent of this id is flagged";

#[tonic::async_trait]
impl pb::credential_service_server::CredentialService for KeptCredentials {
    async fn put_credential(
        &self,
        request: Request<pb::PutCredentialRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        let call = OwnCall::of(&request);
        let failed = &call.failing();
        let put = Put::read(request.into_inner()).map_err(failed)?;
        let record = self.to_the_end(|it| it.put(put, Audit::new("put", call.id))).await;
        let record = record.map_err(failed)?;
        Ok(Response::new(self.describe(record)))
    }

    async fn get_credential(
        &self,
        request: Request<pb::GetCredentialRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        let call = OwnCall::of(&request);
        let failed = &call.failing();
        let which = request::id(&request.into_inner().id).map_err(failed)?;
        let found = self.store.describe(which).await.map_err(credentials::of_store);
        let record =
            found.map_err(failed)?.ok_or_else(|| call.refused(Reason::NotFound, NO_CREDENTIAL))?;
        Ok(Response::new(self.describe(record)))
    }

    async fn list_credentials(
        &self,
        request: Request<pb::ListCredentialsRequest>,
    ) -> Result<Response<pb::ListCredentialsResponse>, Status> {
        let call = OwnCall::of(&request);
        let failed = &call.failing();
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
        let call = OwnCall::of(&request);
        let failed = &call.failing();
        let which = request::id(&request.into_inner().id).map_err(failed)?;
        let deleted = self.to_the_end(|it| it.delete(which, Audit::new("delete", call.id))).await;
        if !deleted.map_err(failed)? {
            return Err(call.refused(Reason::NotFound, NO_CREDENTIAL));
        }
        Ok(Response::new(pb::DeleteCredentialResponse {}))
    }

    async fn reveal_credential(
        &self,
        request: Request<pb::RevealCredentialRequest>,
    ) -> Result<Response<pb::RevealCredentialResponse>, Status> {
        let call = OwnCall::of(&request);
        let failed = &call.failing();
        let (audit, which) = (Audit::new("reveal", call.id), request::id(&request.into_inner().id));
        if !self.reveals {
            if let Ok(which) = which {
                audit.denied(&Subject::Credential(which));
            }
            let why = "credentials.reveal is off: the gateway shows no secret";
            return Err(call.refused(Reason::NotAllowed, why));
        }
        let which = which.map_err(failed)?;
        let found = self.to_the_end(|it| it.reveal(which, audit)).await;
        let (record, pair) =
            found.map_err(failed)?.ok_or_else(|| call.refused(Reason::NotFound, NO_CREDENTIAL))?;
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
        let call = OwnCall::of(&request);
        let failed = &call.failing();
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
        let call = OwnCall::of(&request);
        let failed = &call.failing();
        let which = request::id(&request.into_inner().id).map_err(failed)?;
        let dismissed =
            self.to_the_end(|it| it.dismiss(which, Audit::new("dismiss", call.id))).await;
        if !dismissed.map_err(failed)? {
            return Err(call.refused(Reason::NotFound, NO_INTENT));
        }
        Ok(Response::new(pb::DismissKeyIntentResponse {}))
    }
}

//! `gateway.v1.PartnerService`: how the gateway stands with each partner.

mod limits;
mod safety;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tonic::{Request, Response, Status};

use crate::clock::Clock;
use crate::config::InForce;
use crate::operation::Catalogue;
use crate::partner::{self, TokenState};
use crate::pb::gateway::v1 as pb;
use crate::store::Store;

use super::exchange::Gateway;
use super::own_call::OwnCall;
use super::reason::Reason;

/// Answers from what the partners' stacks have noted down.
#[derive(Clone, Debug)]
pub struct PartnerStates {
    catalogue: &'static Catalogue,
    gateway: Arc<Gateway>,
    store: Store,
    clock: Clock,
    in_force: InForce,
}

// === impl PartnerStates ===

impl PartnerStates {
    /// Tells of the partners that `catalogue` names, as `gateway` sees them.
    pub fn new(
        catalogue: &'static Catalogue,
        gateway: Arc<Gateway>,
        store: Store,
        clock: Clock,
        in_force: InForce,
    ) -> Self {
        Self { catalogue, gateway, store, clock, in_force }
    }

    /// How many intents are flagged, by partner; `None` while the store does not answer.
    async fn flagged(&self) -> Option<BTreeMap<String, u64>> {
        let counts = self.store.count_intents().await.ok()?;
        Some(counts.into_iter().map(|(partner, _, flagged)| (partner, flagged)).collect())
    }

    fn state(&self, name: &str, flagged: Option<&BTreeMap<String, u64>>) -> pb::Partner {
        let flagged_key_intents =
            flagged.map(|flagged| count(flagged.get(name).copied().unwrap_or_default()));
        let Some(partner) = self.gateway.partner(name) else {
            let name = name.to_owned();
            return pb::Partner { name, flagged_key_intents, ..pb::Partner::default() };
        };
        let (status, state, now) = (&partner.status, &partner.state, self.clock.now());
        pb::Partner {
            name: name.to_owned(),
            configured: true,
            host: partner.host.clone(),
            token: token(status, now),
            attempts: count(status.attempts()),
            failures: count(status.failures()),
            last_failure: status.last_failure().map(|failure| pb::Failure {
                time: Some(timestamp(failure.time)),
                rpc: failure.rpc,
                kind: failure.kind.to_owned(),
                http_status: failure.http_status.map_or(0, |status| i32::from(status.as_u16())),
            }),
            drift: count(status.drift()),
            flagged_key_intents,
            breakers: safety::breakers(state, now),
            admission: Some(safety::admission(state, now)),
            retry_budget: Some(safety::retry_budget(state)),
            limits: Some(limits::limits(&state.limits.get())),
        }
    }

    fn configuration(&self) -> pb::Configuration {
        let standing = self.in_force.get();
        let load_time = Some(timestamp(standing.since));
        pb::Configuration { load_time, file_refused: standing.is_refused }
    }
}

#[tonic::async_trait]
impl pb::partner_service_server::PartnerService for PartnerStates {
    async fn get_partner(
        &self,
        request: Request<pb::GetPartnerRequest>,
    ) -> Result<Response<pb::Partner>, Status> {
        let call = OwnCall::of(&request);
        let name = request.into_inner().name;
        match self.catalogue.partners().contains(name.as_str()) {
            true => Ok(Response::new(self.state(&name, self.flagged().await.as_ref()))),
            false => Err(call.refused(Reason::NotFound, "there is no such partner")),
        }
    }

    async fn list_partners(
        &self,
        _: Request<pb::ListPartnersRequest>,
    ) -> Result<Response<pb::ListPartnersResponse>, Status> {
        let (names, flagged) = (self.catalogue.partners(), self.flagged().await);
        let partners = names.into_iter().map(|name| self.state(name, flagged.as_ref())).collect();
        let configuration = Some(self.configuration());
        Ok(Response::new(pb::ListPartnersResponse { partners, configuration }))
    }
}

fn token(status: &partner::Status, now: Timestamp) -> Option<pb::Token> {
    let (state, expire_time) = match status.token(now)? {
        TokenState::None => (pb::token::State::None, None),
        TokenState::Valid(expiry) => (pb::token::State::Valid, Some(expiry)),
        TokenState::Expired(expiry) => (pb::token::State::Expired, Some(expiry)),
    };
    Some(pb::Token {
        state: state.into(),
        expire_time: expire_time.map(timestamp),
        pause_end_time: status.token_pause(now).map(timestamp),
    })
}

pub(super) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.as_nanosecond();
    prost_types::Timestamp {
        seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or_default(),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default(),
    }
}

/// A count, as far as the contract's integers go.
fn count(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

fn duration(duration: Duration) -> prost_types::Duration {
    duration.try_into().unwrap_or_default()
}

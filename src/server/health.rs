//! `grpc.health.v1.Health`: whether each service can be called.
//!
//! tonic-health's own service ends the watch of a service that it does not know; the
//! protocol wants it told SERVICE_UNKNOWN and kept open, so that a client that asks
//! early learns when the service appears
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>, G28).

use std::collections::BTreeMap;
use std::pin::Pin;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::grpc::reason::Reason;
use crate::grpc::{Arrival, status};

/// The status of every service, by name; `""` stands for the gateway as a whole.
#[derive(Clone, Debug)]
pub(super) struct HealthService {
    statuses: watch::Receiver<Statuses>,
}

/// Changes what a [`HealthService`] tells.
#[derive(Debug)]
pub(super) struct Reporter {
    statuses: watch::Sender<Statuses>,
}

type Statuses = BTreeMap<String, ServingStatus>;

type Watched = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

/// A health service that knows no service yet, and its reporter.
pub(super) fn health() -> (Reporter, HealthService) {
    let (sender, receiver) = watch::channel(Statuses::new());
    (Reporter { statuses: sender }, HealthService { statuses: receiver })
}

// === impl Reporter ===

impl Reporter {
    /// Sets the status of each of `services`.
    pub(super) fn set<'a>(
        &self,
        services: impl IntoIterator<Item = &'a str>,
        status: ServingStatus,
    ) {
        self.statuses.send_modify(|statuses| {
            for service in services {
                statuses.insert(service.to_owned(), status);
            }
        });
    }
}

// === impl HealthService ===

#[tonic::async_trait]
impl Health for HealthService {
    type WatchStream = Watched;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let id = Arrival::id_of(&request);
        let found = self.statuses.borrow().get(&request.get_ref().service).copied();
        let unknown = || status::of_gateway(Reason::NotFound, "there is no such service", id);
        Ok(Response::new(answer(found.ok_or_else(unknown)?)))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Watched>, Status> {
        let service = request.into_inner().service;
        let state = (self.statuses.clone(), service, None);
        Ok(Response::new(Box::pin(unfold(state, |(mut statuses, service, told)| async move {
            loop {
                let known = statuses.borrow_and_update().get(&service).copied();
                let now = known.unwrap_or(ServingStatus::ServiceUnknown);
                if told != Some(now) {
                    return Some((Ok(answer(now)), (statuses, service, Some(now))));
                }
                statuses.changed().await.ok()?;
            }
        }))))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

//! `grpc.health.v1.Health`: whether each service can be called (G28, G29).
//!
//! Its own, because tonic-health ends the watch of a service that it does not know (the
//! protocol wants it told SERVICE_UNKNOWN and kept open, so that a client that asks early
//! learns when the service appears) and has no `List` (gRFC A90).
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use std::collections::BTreeSet;
use std::pin::Pin;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::grpc::OwnCall;
use crate::grpc::reason::Reason;
use crate::pb::grpc::health::v1::health_check_response::ServingStatus;
use crate::pb::grpc::health::v1::health_server::Health;
use crate::pb::grpc::health::v1::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};

/// Whether the process works at all, whatever is around it.
const LIVENESS: &str = "liveness";
/// What a list may hold (gRFC A90).
const MAX_LISTED: usize = 100;

/// Tells the status of every service, by name.
#[derive(Clone, Debug)]
pub(super) struct HealthService {
    state: watch::Receiver<State>,
}

/// Changes what a [`HealthService`] tells.
#[derive(Debug)]
pub(super) struct Reporter {
    state: watch::Sender<State>,
}

/// What every status follows from.
#[derive(Clone, Debug, Default)]
struct State {
    services: BTreeSet<String>,
    is_ready: bool,
    /// Services that cannot be called although the gateway is ready.
    away: BTreeSet<String>,
}

type Watched = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

/// A health service that knows `liveness` and these services, and its reporter. It says
/// NOT_SERVING of them until it is told that the gateway is ready.
pub(super) fn health(services: impl IntoIterator<Item = String>) -> (Reporter, HealthService) {
    let services = services.into_iter().chain([LIVENESS.to_owned()]).collect();
    let (sender, receiver) = watch::channel(State { services, ..State::default() });
    (Reporter { state: sender }, HealthService { state: receiver })
}

// === impl State ===

impl State {
    fn status(&self, service: &str) -> Option<ServingStatus> {
        let is_up = service == LIVENESS || (self.is_ready && !self.away.contains(service));
        self.services.contains(service).then_some(match is_up {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        })
    }
}

// === impl Reporter ===

impl Reporter {
    /// Says whether the gateway takes calls.
    pub(super) fn set_ready(&self, is_ready: bool) {
        self.state.send_modify(|state| state.is_ready = is_ready);
    }

    /// Whether the gateway takes calls.
    pub(super) fn is_ready(&self) -> bool {
        self.state.borrow().is_ready
    }

    /// Says whether one service can be called. It counts while the gateway is ready.
    pub(super) fn set_away(&self, service: &str, is_away: bool) {
        self.state.send_if_modified(|state| match is_away {
            true => state.away.insert(service.to_owned()),
            false => state.away.remove(service),
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
        let call = OwnCall::of(&request);
        let found = self.state.borrow().status(&request.get_ref().service);
        let unknown = || call.refused(Reason::NotFound, "there is no such service");
        Ok(Response::new(answer(found.ok_or_else(unknown)?)))
    }

    async fn list(
        &self,
        request: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let state = self.state.borrow();
        if state.services.len() > MAX_LISTED {
            let text = "there are more services than a list may hold";
            let call = OwnCall::of(&request);
            return Err(call.refused(Reason::MessageTooLarge, text));
        }
        let statuses = state.services.iter().filter_map(|service| {
            let status = state.status(service)?;
            Some((service.clone(), answer(status)))
        });
        Ok(Response::new(HealthListResponse { statuses: statuses.collect() }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Watched>, Status> {
        let service = request.into_inner().service;
        let state = (self.state.clone(), service, None);
        Ok(Response::new(Box::pin(unfold(state, |(mut state, service, told)| async move {
            loop {
                let known = state.borrow_and_update().status(&service);
                let now = known.unwrap_or(ServingStatus::ServiceUnknown);
                if told != Some(now) {
                    return Some((Ok(answer(now)), (state, service, Some(now))));
                }
                state.changed().await.ok()?;
            }
        }))))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _};
    use tonic::Code;

    use super::*;

    const PARTNER: &str = "gateway.partner.acme";

    fn names(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|number| format!("service{number}"))
    }

    fn status(service: &HealthService, name: &str) -> Option<ServingStatus> {
        service.state.borrow().status(name)
    }

    #[test]
    fn g29_a_partner_that_is_away_makes_nothing_else_unready() {
        let names = ["", "readiness", PARTNER].map(str::to_owned);
        let (reporter, service) = health(names);
        reporter.set_ready(true);

        reporter.set_away(PARTNER, true);

        assert_eq!(status(&service, PARTNER), Some(ServingStatus::NotServing));
        for name in ["", "readiness", LIVENESS] {
            assert_eq!(status(&service, name), Some(ServingStatus::Serving), "{name:?}");
        }
        reporter.set_away(PARTNER, false);
        assert_eq!(status(&service, PARTNER), Some(ServingStatus::Serving));
    }

    #[test]
    fn g27_a_partner_that_comes_back_does_not_serve_while_the_gateway_goes() {
        let (reporter, service) = health([PARTNER.to_owned()]);
        reporter.set_ready(true);
        reporter.set_away(PARTNER, true);

        reporter.set_ready(false);
        reporter.set_away(PARTNER, false);

        assert_eq!(status(&service, PARTNER), Some(ServingStatus::NotServing));
        assert_eq!(status(&service, LIVENESS), Some(ServingStatus::Serving));
        assert_eq!(status(&service, "unknown"), None);
    }

    #[tokio::test]
    async fn g28_a_watch_tells_changes_and_nothing_else() {
        let (reporter, service) = health(["".to_owned(), PARTNER.to_owned()]);
        let request = Request::new(HealthCheckRequest { service: String::new() });
        let mut told = service.watch(request).await.unwrap().into_inner();

        let first = told.next().await.unwrap().unwrap().status();
        reporter.set_away(PARTNER, true);
        reporter.set_ready(false);
        let unchanged = told.next().now_or_never().is_none();
        reporter.set_ready(true);
        let second = told.next().await.unwrap().unwrap().status();

        assert_eq!((first, second), (ServingStatus::NotServing, ServingStatus::Serving));
        assert!(unchanged, "told what was known");
    }

    #[tokio::test]
    async fn b14_a_list_of_more_than_a_hundred_services_is_refused() {
        // `liveness` is the hundredth.
        let (_reporter, full) = health(names(99));
        let (_reporter, over) = health(names(100));
        let list = async |service: HealthService| {
            let listed = service.list(Request::new(HealthListRequest {})).await;
            listed.map(|response| response.into_inner().statuses.len())
        };

        assert_eq!(list(full).await.unwrap(), 100);
        assert_eq!(list(over).await.unwrap_err().code(), Code::ResourceExhausted);
    }
}

//! Whether the gateway can be sent calls, and its metrics: for Kubernetes, load balancers,
//! Prometheus and people.
//!
//! Its own plaintext listener, because Kubernetes' gRPC probes speak neither TLS nor
//! credentials (G30). It tells nothing else.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::clock::Clock;
use crate::grpc::Gateway;
use crate::partner::{Status, TokenState};
use crate::pb::grpc::health::v1::health_server::HealthServer;

use super::edge;
use super::health::{HealthService, Reporter, health};
use super::metrics::{self, Observed};

/// How soon it shows that a partner cannot be called.
const LOOK: Duration = Duration::from_secs(1);
/// What is over sooner is not told: watchers would be told of nothing else.
const SHORTEST_ABSENCE: Duration = Duration::from_secs(2);

/// The health of every service, and of the gateway as a whole.
#[derive(Clone, Debug)]
pub(super) struct Readiness {
    reporter: Arc<Reporter>,
    service: HealthService,
}

// === impl Readiness ===

impl Readiness {
    /// Not ready yet: `""`, `liveness`, `readiness`, each of `services`, and
    /// `gateway.partner.<name>` for each partner that is configured.
    pub(super) fn new(services: impl IntoIterator<Item = &'static str>, gateway: &Gateway) -> Self {
        let own = ["", "readiness"].into_iter().chain(services).map(str::to_owned);
        let partners = gateway.partners().map(|(name, _)| of_partner(name));
        let (reporter, service) = health(own.chain(partners));
        Self { reporter: Arc::new(reporter), service }
    }

    /// Tells everybody who asks or watches.
    pub(super) fn set(&self, is_ready: bool) {
        self.reporter.set_ready(is_ready);
    }

    /// Says whether calls of a partner's can be made. A partner that is away makes nothing
    /// but its own service NOT_SERVING: all replicas would be left out at once (G29).
    pub(super) fn set_partner(&self, name: &str, is_away: bool) {
        self.reporter.set_away(&of_partner(name), is_away);
    }

    /// The health service, for either listener.
    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(self.service.clone())
    }

    /// What the operations listener serves.
    pub(super) fn routes(&self, observed: Observed) -> Router {
        let reporter = Arc::clone(&self.reporter);
        let ready = move || async move {
            match reporter.is_ready() {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            }
        };
        Routes::new(self.service())
            .into_axum_router()
            .route("/livez", get(|| async { StatusCode::OK }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics::page).with_state(observed))
            .fallback(nothing)
    }

    /// Looks at the partners until `stop`.
    pub(super) async fn look_after_partners(
        self,
        gateway: Arc<Gateway>,
        clock: Clock,
        stop: CancellationToken,
    ) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let now = clock.now();
            for (name, side) in gateway.partners() {
                let is_left_alone = !side.state.breakers.are_closed();
                self.set_partner(name, is_left_alone || is_away(&side.status, now));
            }
        }
    }
}

/// The name of a partner's health.
fn of_partner(name: &str) -> String {
    format!("gateway.partner.{name}")
}

/// Whether it is known that calls will fail before they are sent: the token has ended, and
/// none is asked for until later. A pause that is over before anybody has looked is none.
fn is_away(status: &Status, now: Timestamp) -> bool {
    let has_token = matches!(status.token(now), Some(TokenState::Valid(_)));
    let pause = status.token_pause(now).and_then(|end| end.duration_since(now).try_into().ok());
    !has_token && pause.is_some_and(|left: Duration| left >= SHORTEST_ABSENCE)
}

/// A mistyped probe must fail: gRPC's own answer to an unknown path is an HTTP 200.
async fn nothing(request: Request) -> Response {
    match edge::is_grpc(request.headers()) {
        true => tonic::Status::unimplemented("there is no such rpc").into_http(),
        false => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_partner_is_away_while_it_gives_no_token_and_the_last_one_has_ended() {
        let status = Status::default();
        assert!(!is_away(&status, at(0)), "it uses no tokens");
        status.token_issued(Some(at(100)));
        status.token_refused(false, at(120));
        assert!(!is_away(&status, at(99)), "its token is good");
        assert!(is_away(&status, at(100)));
        assert!(!is_away(&status, at(119)), "it is asked again at once");
        assert!(!is_away(&status, at(120)), "it is asked again");
    }
}

//! Whether the gateway can be sent calls, and its metrics: for Kubernetes, load balancers,
//! Prometheus and people.
//!
//! Its own plaintext listener, because Kubernetes' gRPC probes speak neither TLS nor
//! credentials (G30). It tells nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use tonic::service::Routes;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::HealthServer;

use crate::grpc::Gateway;
use crate::operation::Catalogue;

use super::edge;
use super::health::{HealthService, Reporter, health};
use super::metrics::{self, Observed};

/// The health of every service, and of the gateway as a whole.
#[derive(Debug)]
pub(super) struct Readiness {
    reporter: Reporter,
    service: HealthService,
    services: Vec<String>,
    is_ready: Arc<AtomicBool>,
}

// === impl Readiness ===

impl Readiness {
    /// Not ready yet: `liveness`, `readiness`, every service of `catalogue`, and
    /// `gateway.partner.<name>` for each partner that is configured.
    pub(super) fn new(catalogue: &Catalogue, gateway: &Gateway) -> Self {
        let (reporter, service) = health();
        let own = ["", "readiness", "gateway.v1.CredentialService", "gateway.v1.PartnerService"];
        let mut services = own.map(str::to_owned).to_vec();
        let configured = catalogue.partners().into_iter().filter(|p| gateway.partner(p).is_some());
        services.extend(configured.map(|partner| format!("gateway.partner.{partner}")));
        services.extend(catalogue.services().into_iter().map(str::to_owned));
        reporter.set(["liveness"], ServingStatus::Serving);
        let is_ready = Arc::new(AtomicBool::new(false));
        let readiness = Self { reporter, service, services, is_ready };
        readiness.set(false);
        readiness
    }

    /// Tells everybody who asks or watches.
    pub(super) fn set(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
        let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set(self.services.iter().map(String::as_str), status);
    }

    /// The health service, for either listener.
    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(self.service.clone())
    }

    /// What the operations listener serves.
    pub(super) fn routes(&self, observed: Observed) -> Router {
        let is_ready = Arc::clone(&self.is_ready);
        let ready = move || async move {
            match is_ready.load(Ordering::Relaxed) {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            }
        };
        Routes::new(self.service())
            .into_axum_router()
            .route("/livez", get(|| async { StatusCode::OK }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics::page).with_state(Arc::new(observed)))
            .fallback(nothing)
    }
}

/// A mistyped probe must fail: gRPC's own answer to an unknown path is an HTTP 200.
async fn nothing(request: Request) -> Response {
    match edge::is_grpc(request.headers()) {
        true => tonic::Status::unimplemented("there is no such rpc").into_http(),
        false => StatusCode::NOT_FOUND.into_response(),
    }
}

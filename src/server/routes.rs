//! Every service of the gRPC listener.

use axum::Router;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::config::Grpc;
use crate::grpc::{KeptCredentials, Operations, PartnerStates};
use crate::operation::Catalogue;
use crate::pb::gateway::v1::credential_service_server::{self, CredentialServiceServer};
use crate::pb::gateway::v1::partner_service_server::{self, PartnerServiceServer};
use crate::pb::grpc::health::v1::health_server;

use super::operations::Readiness;
use super::reflection;

/// What answers calls.
#[derive(Debug)]
pub(super) struct Services {
    /// Every rpc of the partners.
    pub(super) operations: Operations,
    /// `gateway.v1.PartnerService`.
    pub(super) partners: PartnerStates,
    /// `gateway.v1.CredentialService`.
    pub(super) credentials: KeptCredentials,
}

/// The full names of all services that [`routes`] serves.
pub(super) fn names(
    catalogue: &'static Catalogue,
    settings: &Grpc,
) -> impl Iterator<Item = &'static str> + use<> {
    let own = [
        partner_service_server::SERVICE_NAME,
        credential_service_server::SERVICE_NAME,
        health_server::SERVICE_NAME,
    ];
    let reflection = settings.reflection.then_some(reflection::SERVICES);
    own.into_iter().chain(reflection.into_iter().flatten()).chain(catalogue.services())
}

/// Partner services, the gateway's own, health, and reflection where it is on.
pub(super) fn routes(services: Services, settings: &Grpc, readiness: &Readiness) -> Router {
    let Services { operations, partners, credentials } = services;
    let partners = PartnerServiceServer::new(partners)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(settings.max_message_bytes);
    let credentials = CredentialServiceServer::new(credentials)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(settings.max_message_bytes);
    let routes = Routes::new(partners).add_service(credentials);
    let mut router = routes.add_service(readiness.service()).into_axum_router();
    if settings.reflection {
        router = reflection::add_to(router);
    }
    for service in operations.services() {
        router = router.route_service(&format!("/{service}/{{method}}"), operations.clone());
    }
    router
}

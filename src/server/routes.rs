//! Every service of the gRPC listener.

use axum::Router;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::config::Grpc;
use crate::grpc::{KeptCredentials, Operations, PartnerStates};
use crate::operation::catalogue::DESCRIPTORS;
use crate::pb::gateway::v1::credential_service_server::CredentialServiceServer;
use crate::pb::gateway::v1::partner_service_server::PartnerServiceServer;

use super::BoxError;
use super::operations::Readiness;

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

/// Partner services, the gateway's own, health, and reflection where it is on.
pub(super) fn routes(
    services: Services,
    settings: &Grpc,
    readiness: &Readiness,
) -> Result<Router, BoxError> {
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
    let mut routes = routes.add_service(readiness.service());
    if settings.reflection {
        routes = routes
            .add_service(reflection()?.build_v1()?)
            .add_service(reflection()?.build_v1alpha()?);
    }
    let mut router = routes.into_axum_router();
    for service in operations.services() {
        router = router.route_service(&format!("/{service}/{{method}}"), operations.clone());
    }
    Ok(router)
}

/// The descriptors are served as the build encoded them: decoded by prost they would
/// lose their options.
fn reflection() -> Result<tonic_reflection::server::Builder<'static>, BoxError> {
    Ok(tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // The details of errors, so that grpcurl can show them.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET))
}

//! Every service of the gRPC listener.

use std::sync::Arc;

use axum::Router;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::clock::Clock;
use crate::config::Grpc;
use crate::grpc::{Gateway, Operations, PartnerStates};
use crate::operation::Catalogue;
use crate::operation::catalogue::DESCRIPTORS;
use crate::pb::gateway::v1::partner_service_server::PartnerServiceServer;

use super::BoxError;
use super::operations::Readiness;

/// Partner services, the gateway's own, health, and reflection where it is on.
pub(super) fn routes(
    catalogue: &'static Catalogue,
    gateway: &Arc<Gateway>,
    clock: &Clock,
    settings: &Grpc,
    readiness: &Readiness,
) -> Result<Router, BoxError> {
    let states = PartnerStates::new(catalogue, Arc::clone(gateway), clock.clone());
    let states = PartnerServiceServer::new(states)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(settings.max_message_bytes);
    let mut routes = Routes::new(states).add_service(readiness.service());
    if settings.reflection {
        routes = routes
            .add_service(reflection()?.build_v1()?)
            .add_service(reflection()?.build_v1alpha()?);
    }
    let operations = Operations::new(catalogue, Arc::clone(gateway), settings.max_message_bytes);
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

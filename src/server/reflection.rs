//! Reflection, v1 and v1alpha (old grpcurl uses that): what callers may find out about the
//! services (G31).
//!
//! Its tables of names take some megabytes, and a gateway in production is seldom or never
//! asked, so they are made when somebody asks for the first time.

use std::convert::Infallible;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tonic::Status;
use tonic::service::Routes;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::{Builder, Error};
use tower::{ServiceExt as _, service_fn};

use crate::operation::catalogue::DESCRIPTORS;

/// The services that [`add_to`] adds.
pub(super) const SERVICES: [&str; 2] =
    [v1::server_reflection_server::SERVICE_NAME, v1alpha::server_reflection_server::SERVICE_NAME];

static ROUTES: LazyLock<Result<Router, Error>> = LazyLock::new(|| {
    let routes = Routes::new(builder().build_v1()?).add_service(builder().build_v1alpha()?);
    Ok(routes.into_axum_router())
});

/// Serves reflection in both versions.
pub(super) fn add_to(router: Router) -> Router {
    SERVICES.into_iter().fold(router, |router, service| {
        router.route_service(&format!("/{service}/{{method}}"), service_fn(answer))
    })
}

async fn answer(request: Request) -> Result<Response, Infallible> {
    match LazyLock::force(&ROUTES) {
        Ok(routes) => routes.clone().oneshot(request).await,
        Err(error) => {
            tracing::error!(error = %error, "the contract cannot be reflected");
            Ok(Status::internal("the contract cannot be reflected").into_http())
        }
    }
}

/// The descriptors are served as the build encoded them: decoded by prost they would
/// lose their options.
fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        // The details of errors, so that grpcurl can show them.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

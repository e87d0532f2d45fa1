//! `health`: a probe for containers, which have no shell and no grpcurl.

use std::io::{self, Write};
use std::time::Duration;

use tonic::transport::Endpoint;

use super::Result;
use crate::pb::grpc::health::v1::HealthCheckRequest;
use crate::pb::grpc::health::v1::health_check_response::ServingStatus;
use crate::pb::grpc::health::v1::health_client::HealthClient;

/// Probes are asked often and have to be short: connection and answer together.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Ask a gateway for its health.
///
/// The exit code is 0 when the answer is SERVING and 1 for everything else: another
/// answer, none within two seconds, an unknown service.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partner-gateway health
  partner-gateway health --address 127.0.0.1:9090 --service acme.v1.OrderService")]
pub(super) struct Args {
    /// Host and port of the operations listener. It is asked in plaintext.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    address: String,
    /// The full name of a service; the gateway as a whole if left out.
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
}

pub(super) async fn run(args: Args) -> Result {
    let status = probe(args).await?;
    Ok(writeln!(io::stdout().lock(), "{}", status.as_str_name())?)
}

/// SERVING, or an error that says what is the case instead.
async fn probe(args: Args) -> Result<ServingStatus> {
    let asked = tokio::time::timeout(TIMEOUT, ask(&args.address, args.service)).await;
    let status = asked.map_err(|_| format!("{} gave no answer in 2 seconds", args.address))??;
    match status {
        ServingStatus::Serving => Ok(status),
        other => Err(format!("{} says {}", args.address, other.as_str_name()).into()),
    }
}

async fn ask(address: &str, service: String) -> Result<ServingStatus> {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| format!("{address:?} is not a host and a port"))?
        .connect()
        .await
        .map_err(|error| format!("{address} cannot be reached: {}", super::chain(&error)))?;
    let reply = HealthClient::new(channel).check(HealthCheckRequest { service }).await;
    let reply = reply.map_err(|status| {
        format!("{address} answered {:?}: {}", status.code(), status.message())
    })?;
    Ok(reply.into_inner().status())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures_util::stream::Empty;
    use tokio::net::TcpListener;
    use tonic::service::Routes;
    use tonic::{Request, Response, Status};

    use super::*;
    use crate::pb::grpc::health::v1::health_server::{Health, HealthServer};
    use crate::pb::grpc::health::v1::{HealthCheckResponse, HealthListRequest, HealthListResponse};

    /// Knows `up` and `down`.
    struct Scripted;

    #[tonic::async_trait]
    impl Health for Scripted {
        type WatchStream = Empty<std::result::Result<HealthCheckResponse, Status>>;

        async fn check(
            &self,
            request: Request<HealthCheckRequest>,
        ) -> std::result::Result<Response<HealthCheckResponse>, Status> {
            let status = match request.get_ref().service.as_str() {
                "up" => ServingStatus::Serving,
                "down" => ServingStatus::NotServing,
                _ => return Err(Status::not_found("there is no such service")),
            };
            Ok(Response::new(HealthCheckResponse { status: status.into() }))
        }

        async fn list(
            &self,
            _: Request<HealthListRequest>,
        ) -> std::result::Result<Response<HealthListResponse>, Status> {
            Err(Status::unimplemented("the probe does not ask"))
        }

        async fn watch(
            &self,
            _: Request<HealthCheckRequest>,
        ) -> std::result::Result<Response<Self::WatchStream>, Status> {
            Err(Status::unimplemented("the probe does not ask"))
        }
    }

    fn args(address: SocketAddr, service: &str) -> Args {
        Args { address: address.to_string(), service: service.to_owned() }
    }

    #[tokio::test]
    async fn only_a_serving_service_is_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Routes::new(HealthServer::new(Scripted)).into_axum_router();
        let serving = async { axum::serve(listener, routes).await.unwrap() };

        let probes = async {
            probe(args(address, "up")).await.unwrap();
            let down = probe(args(address, "down")).await.unwrap_err().to_string();
            assert!(down.ends_with("says NOT_SERVING"), "{down}");
            let unknown = probe(args(address, "unknown")).await.unwrap_err().to_string();
            assert!(unknown.contains("NotFound"), "{unknown}");
        };
        tokio::select! { () = serving => {}, () = probes => {} }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_unhealthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = probe(args(listener.local_addr().unwrap(), "")).await.unwrap_err();
        assert!(error.to_string().contains("no answer in 2 seconds"), "{error}");
    }

    #[tokio::test]
    async fn nobody_there_is_unhealthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = probe(args(address, "")).await.unwrap_err().to_string();
        assert!(error.contains("cannot be reached"), "{error}");
    }
}

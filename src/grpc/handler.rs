//! The one handler of every partner rpc.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Request, Response, Status};

use crate::error::{Error, Kind, Outcome};
use crate::operation::{Catalogue, Operation};

use super::codec::BytesCodec;
use super::exchange::Gateway;
use super::stream::{self, Attempts, Twin};
use super::{Arrival, status};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves the rpcs of a catalogue.
#[derive(Clone, Debug)]
pub struct Operations {
    catalogue: &'static Catalogue,
    gateway: Arc<Gateway>,
    max_message: usize,
}

/// One rpc, as tonic wants it.
struct Rpc {
    operation: &'static Operation,
    gateway: Arc<Gateway>,
    arrival: Arrival,
}

// === impl Operations ===

impl Operations {
    /// Serves `catalogue` through `gateway`; messages may have `max_message` bytes.
    pub fn new(catalogue: &'static Catalogue, gateway: Arc<Gateway>, max_message: usize) -> Self {
        Self { catalogue, gateway, max_message }
    }

    /// The names of the services that it serves.
    pub fn services(&self) -> Vec<&'static str> {
        self.catalogue.services()
    }
}

impl<B> tower::Service<http::Request<B>> for Operations
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let operation = self.catalogue.by_path(request.uri().path());
        let arrival = request.extensions().get::<Arrival>().cloned();
        let (Some(operation), Some(arrival)) = (operation, arrival) else {
            let status = Status::new(Code::Unimplemented, "there is no such rpc");
            return Box::pin(async move { Ok(status.into_http()) });
        };
        let gateway = Arc::clone(&self.gateway);
        let mut grpc = Grpc::new(BytesCodec)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(self.max_message);
        let Some(paging) = &operation.paging else {
            let rpc = Rpc { operation, gateway, arrival };
            return Box::pin(async move { Ok(grpc.unary(rpc, request).await) });
        };
        let attempts = Attempts::default();
        let twin = Twin { operation, paging, gateway, arrival, attempts: Arc::clone(&attempts) };
        Box::pin(async move {
            Ok(stream::tell_attempts(grpc.server_streaming(twin, request).await, attempts))
        })
    }
}

// === impl Rpc ===

impl UnaryService<Bytes> for Rpc {
    type Response = Bytes;
    type Future = BoxFuture<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (operation, arrival) = (self.operation, self.arrival.clone());
        let gateway = Arc::clone(&self.gateway);
        Box::pin(async move {
            let exchange = AssertUnwindSafe(gateway.exchange(operation, request, arrival.clone()));
            let result = exchange.catch_unwind().await.unwrap_or_else(|_| Err(panicked(operation)));
            result.map_err(|error| {
                let (attempts, spent) = (error.attempts(), error.spent());
                arrival.report.failed(operation, &error, attempts, spent);
                status::of_error(&error, operation, arrival.id)
            })
        })
    }
}

/// A bug must end one call, not the connection with everybody's (S25). How far the call
/// had come is not known.
pub(super) fn panicked(operation: &Operation) -> Error {
    let outcome = if operation.is_write() { Outcome::Unknown } else { Outcome::NotSent };
    Error::new(Kind::Internal, outcome).with_source("a panic")
}

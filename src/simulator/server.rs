//! The accept loop. `axum::serve` always answers; a partner that vanishes needs a connection that
//! can be closed from within, without a byte of answer.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long open connections may take to finish once shutdown has begun. Short, because a stalled
/// answer never finishes.
const GRACE: Duration = Duration::from_millis(500);
/// A pause after a failed accept, which fails again at once while file descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The connection that a request came over, found in its extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection(CancellationToken);

// === impl Connection ===

impl Connection {
    /// Closes it at once, with whatever is unsent.
    pub(crate) fn close(&self) {
        self.0.cancel();
    }
}

/// Serves until `shutdown`. Dropping the future closes everything that it opened.
pub(crate) async fn serve(
    router: Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "partner simulators are listening");
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(router.clone(), stream, &graceful));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::debug!("open connections were cut at shutdown");
    }
    connections.shutdown().await;
    Ok(())
}

fn serve_connection(
    router: Router,
    stream: TcpStream,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    let connection = Connection::default();
    let closed = connection.0.clone();
    let service = service_fn(move |request| answer(router.clone(), connection.clone(), request));
    // A pause between the segments of a fault must be the fault's own.
    let _ = stream.set_nodelay(true);
    let serving = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let serving = graceful.watch(serving);
    async move {
        tokio::select! {
            () = closed.cancelled() => {}
            served = serving => if let Err(error) = served {
                tracing::debug!(error, "a connection ended early");
            },
        }
    }
}

async fn answer(
    router: Router,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(connection);
    router.oneshot(request).await
}

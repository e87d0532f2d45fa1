//! Accepting connections and serving them, each within bounds.
//!
//! tonic's own server bounds less than this needs (no time for the preface, no cap on
//! connections, CANCELLED for a passed deadline), so connections are served by hyper
//! directly, with tonic's routes inside.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, join};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Grpc;

use super::activity::Activity;
use super::edge::Edge;

/// The first bytes of every HTTP/2 connection (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Envoy's advice for servers at an edge, and what gRPC clients expect (G20, G22).
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const MAX_HEADER_LIST: u32 = 16 * 1024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a peer may take to answer a GOAWAY.
const FAREWELL: Duration = Duration::from_millis(500);

/// Health and probes: a handful of connections, briefly.
const MAX_OPERATIONS_CONNECTIONS: usize = 256;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A pause after a failed accept: usually the process is out of file descriptors, and
/// spinning would not give it any (S23).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a connection may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    connections: usize,
    streams: u32,
    handshake: Duration,
    idle: Duration,
}

impl From<&Grpc> for Limits {
    fn from(settings: &Grpc) -> Self {
        Self {
            connections: settings.max_connections,
            streams: settings.max_concurrent_streams,
            handshake: settings.handshake_timeout,
            idle: settings.idle_timeout,
        }
    }
}

/// Serves gRPC on `listener` until `stop`, then lets calls in flight end.
pub(super) async fn serve_grpc(
    listener: TcpListener,
    edge: Edge,
    limits: Limits,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    accept(listener, limits.connections, &stop.clone(), &tasks, move |stream| {
        grpc_connection(stream, edge.clone(), limits, stop.clone())
    })
    .await;
}

/// Serves HTTP/1.1 and HTTP/2 on `listener` until `stop`.
pub(super) async fn serve_http(
    listener: TcpListener,
    routes: axum::Router,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    accept(listener, MAX_OPERATIONS_CONNECTIONS, &stop.clone(), &tasks, move |stream| {
        http_connection(stream, routes.clone(), stop.clone())
    })
    .await;
}

async fn accept<F>(
    listener: TcpListener,
    max: usize,
    stop: &CancellationToken,
    tasks: &TaskTracker,
    serve: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(max));
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = serve(stream);
                tasks.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn grpc_connection(
    mut stream: TcpStream,
    edge: Edge,
    limits: Limits,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let mut preface = [0u8; PREFACE.len()];
    // B9: hyper would wait for it for ever.
    let read = tokio::time::timeout(limits.handshake, stream.read_exact(&mut preface));
    let is_read = tokio::select! {
        read = read => matches!(read, Ok(Ok(_))),
        () = stop.cancelled() => false,
    };
    if !is_read || preface != *PREFACE {
        return;
    }
    let (reader, writer) = stream.into_split();
    let replayed = join(Cursor::new(preface).chain(reader), writer);
    let activity = Activity::default();
    let service = TowerToHyperService::new(edge.with_activity(activity.clone()));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .serve_connection(TokioIo::new(replayed), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return note(result),
        () = stop.cancelled() => {}
        () = activity.idle_for(limits.idle) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A peer that is gone never answers the farewell: when its calls have ended, and it
    // had time to make its last ones, the connection is closed without it.
    let abandoned = async {
        tokio::time::sleep(FAREWELL).await;
        activity.idle_for(FAREWELL).await;
    };
    tokio::select! {
        result = connection => note(result),
        () = abandoned => {}
    }
}

async fn http_connection(stream: TcpStream, routes: axum::Router, stop: CancellationToken) {
    // The version of HTTP is read from the first bytes; a peer that sends none would
    // hold a place of the few for ever.
    let mut first = [0u8];
    let first = tokio::time::timeout(HEADER_TIMEOUT, stream.peek(&mut first));
    let is_alive = tokio::select! {
        first = first => matches!(first, Ok(Ok(1))),
        () = stop.cancelled() => false,
    };
    if !is_alive {
        return;
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_TIMEOUT)
        .keep_alive_timeout(HEADER_TIMEOUT);
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return note(result),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // Who watches health here has been told, and must not hold up the exit.
    tokio::select! {
        result = connection => note(result),
        () = tokio::time::sleep(FAREWELL) => {}
    }
}

/// Connections break all the time; nobody needs to know at once.
fn note<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(error = %error, "a connection ended");
    }
}

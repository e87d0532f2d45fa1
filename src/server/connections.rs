//! Accepting connections and serving them, each within bounds.
//!
//! tonic's own server bounds less than this needs (no time for the preface, no cap on
//! connections, CANCELLED for a passed deadline), so connections are served by hyper
//! directly, with tonic's routes inside.

pub(super) mod streams;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Grpc;
use crate::random::Random;

use super::activity::Activity;
use super::calm::Calmed;
use super::edge::Edge;
use streams::Streams;

/// The first bytes of every HTTP/2 connection (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Envoy's advice for servers at an edge, and what gRPC clients expect (G20, G22).
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const MAX_HEADER_LIST: u32 = 16 * 1024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How far apart the ages are that connections reach: those that were opened at the same
/// moment shall not be opened again at the same moment (gRFC A9).
const AGE_JITTER: f64 = 0.1;

/// How long a peer may take to answer a GOAWAY, and to take the last of its answers: they are
/// written after their calls have ended. One that answers ends its connection with that.
const FAREWELL: Duration = Duration::from_secs(5);
/// The same where only health is asked for.
const BRIEF_FAREWELL: Duration = Duration::from_millis(500);

/// Health and probes: a handful of connections, briefly.
const MAX_OPERATIONS_CONNECTIONS: usize = 256;
/// For the preface of HTTP/2, the head of a request of HTTP/1.1, and each before it is known
/// which of the two it is.
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
    /// `None` for a life without an end.
    age: Option<Duration>,
    /// How long streams go on after that.
    age_grace: Duration,
    /// The longest that a call can take.
    call: Duration,
}

impl From<&Grpc> for Limits {
    fn from(settings: &Grpc) -> Self {
        Self {
            connections: settings.max_connections,
            streams: settings.max_concurrent_streams,
            handshake: settings.handshake_timeout,
            idle: settings.idle_timeout,
            age: Some(settings.max_connection_age).filter(|age| !age.is_zero()),
            age_grace: settings.max_connection_age_grace,
            call: settings.max_deadline,
        }
    }
}

impl Limits {
    /// These, for one connection.
    fn of_connection(self, random: &Random) -> Self {
        let factor = 1.0 - AGE_JITTER + 2.0 * AGE_JITTER * random.draw();
        Self { age: self.age.map(|age| age.mul_f64(factor)), ..self }
    }
}

/// Serves gRPC on `listener` until `stop`, then lets calls in flight end.
pub(super) async fn serve_grpc(
    listener: TcpListener,
    edge: Edge,
    limits: Limits,
    random: Random,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    accept(listener, limits.connections, &stop.clone(), &tasks, move |stream| {
        grpc_connection(stream, edge.clone(), limits.of_connection(&random), stop.clone())
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
    if !is_read || preface != PREFACE {
        return;
    }
    // Its streams end with the gateway, or at the end of their grace.
    let (activity, closing) = (Activity::default(), stop.child_token());
    let calmed = Calmed::new(stream, PREFACE);
    let edge = edge.of_connection(activity.clone(), closing.clone());
    let connection = http2::Builder::new(Streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .serve_connection(TokioIo::new(calmed), TowerToHyperService::new(edge));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return note(result),
        () = stop.cancelled() => {}
        () = activity.idle_for(limits.idle) => {}
        () = aged(limits.age) => {}
    }
    // Two GOAWAYs, a round trip apart: calls that are under way to it are still taken.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        result = connection => note(result),
        () = abandoned(&activity) => {}
        () = outlived(&closing, limits) => {}
    }
}

async fn aged(age: Option<Duration>) {
    match age {
        Some(age) => tokio::time::sleep(age).await,
        None => std::future::pending().await,
    }
}

/// A peer that is gone never answers the farewell: when its calls have ended, and it had
/// time to make its last ones, the connection is closed without it.
async fn abandoned(activity: &Activity) {
    tokio::time::sleep(FAREWELL).await;
    activity.idle_for(FAREWELL).await;
}

/// Streams are told to end when the grace is over. Calls end by their deadlines; only a
/// peer that does not read is left then.
async fn outlived(closing: &CancellationToken, limits: Limits) {
    tokio::time::sleep(limits.age_grace).await;
    closing.cancel();
    tokio::time::sleep(limits.call + FAREWELL).await;
}

async fn http_connection(mut stream: TcpStream, routes: axum::Router, stop: CancellationToken) {
    // hyper would wait for what follows for ever, and a peer that sends nothing more would
    // hold a place of the few.
    let beginning = tokio::time::timeout(HEADER_TIMEOUT, beginning(&mut stream));
    let beginning = tokio::select! {
        read = beginning => read.ok().and_then(Result::ok),
        () = stop.cancelled() => None,
    };
    let Some(beginning) = beginning else { return };
    let (reader, writer) = stream.into_split();
    let stream = tokio::io::join(io::Cursor::new(beginning).chain(reader), writer);
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
        () = tokio::time::sleep(BRIEF_FAREWELL) => {}
    }
}

/// The first bytes of a connection, as many as tell which version of HTTP it speaks. The rest
/// of a request has time-outs of hyper's.
async fn beginning(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(PREFACE.len());
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(read)
}

/// Connections break all the time; nobody needs to know at once.
fn note<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(error = %error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g21_ages_spread_over_a_tenth_either_way() {
        let settings = Grpc { max_connection_age: Duration::from_secs(600), ..Grpc::default() };
        let age = |draw: f64, settings: &Grpc| {
            Limits::from(settings).of_connection(&Random::from_fn(move || draw)).age
        };
        let near = |draw, seconds: f64| {
            let age = age(draw, &settings).unwrap().as_secs_f64();
            assert!((age - seconds).abs() < 0.001, "{age}");
        };
        near(0.0, 540.0);
        near(0.5, 600.0);
        near(1.0, 660.0);
        let never = Grpc { max_connection_age: Duration::ZERO, ..Grpc::default() };
        assert_eq!(age(0.5, &never), None);
    }
}

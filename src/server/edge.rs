//! What every gRPC call gets, whichever service answers it: an id, a caller's name, a place
//! among those that are open, a deadline that ends streams too, a line, a span and numbers of
//! it, and a status with details when tonic itself refuses it.

mod bounded;
mod explain;
mod measured;
mod places;
mod refusals;

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::Service;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::callers::{Caller, Callers};
use crate::config::Grpc;
use crate::grpc::{Arrival, Report};
use crate::random::Random;

use super::activity::{Active, Activity};
use super::{BoxError, deadline};
use bounded::{Bounded, Limits};
pub(super) use measured::Measures;
use places::Places;
use refusals::Refusals;

/// Probes are answered however many calls there are (R15).
const HEALTH: &str = "/grpc.health.";
/// How many of them one connection may have open: enough to watch each service.
const MAX_PROBES: usize = 50;
const REQUEST_ID: &str = "x-request-id";
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
/// How much earlier than its caller a service's own answer is due: the way of the request
/// and of the answer between two pods, and the writing of it.
const AHEAD: Duration = Duration::from_millis(10);
/// How much longer than the deadline the edge waits for a service's own answer. A
/// partner's stack ends its calls at the deadline by itself, and its answer says what
/// the partner may have done; on a busy machine it is a little late.
const GRACE: Duration = Duration::from_millis(100);

/// The service around the routes.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    routes: axum::Router,
    callers: Callers,
    default_timeout: Duration,
    max_timeout: Duration,
    random: Random,
    places: Places,
    measures: Measures,
}

/// The service of one connection.
#[derive(Clone, Debug)]
pub(super) struct ConnectionEdge {
    edge: Edge,
    activity: Activity,
    /// Ends the streams of the connection.
    closing: CancellationToken,
    /// Places for its health calls.
    probes: Arc<Semaphore>,
}

/// What the headers of a call say about its time.
#[derive(Clone, Copy)]
struct Time {
    timeout: Duration,
    /// Whether the caller gave it: only then does it end a stream, too.
    is_callers: bool,
}

/// A call that is let in.
struct Admitted {
    caller: Caller,
    place: OwnedSemaphorePermit,
    time: Time,
}

// === impl Edge ===

impl Edge {
    /// Answers `callers` through `routes`.
    pub(super) fn new(
        routes: axum::Router,
        callers: Callers,
        settings: &Grpc,
        random: Random,
        measures: Measures,
    ) -> Self {
        Self {
            routes,
            callers,
            default_timeout: settings.default_deadline,
            max_timeout: settings.max_deadline,
            random,
            places: Places::new(settings.max_calls, measures.catalogue),
            measures,
        }
    }

    /// The service of one connection, which notes its calls in `activity`, and whose streams
    /// end when `closing` is cancelled.
    pub(super) fn of_connection(
        &self,
        activity: Activity,
        closing: CancellationToken,
    ) -> ConnectionEdge {
        let probes = Arc::new(Semaphore::new(MAX_PROBES));
        ConnectionEdge { edge: self.clone(), activity, closing, probes }
    }

    /// Who calls; `None` for nobody who may. The token has done its work then, and goes no
    /// further: neither into a log nor to a partner.
    fn identify(&self, headers: &mut HeaderMap, is_health: bool) -> Option<Caller> {
        let caller = match is_health {
            true => Some(Caller::anonymous()),
            false => self.callers.identify(headers),
        };
        headers.remove(header::AUTHORIZATION);
        caller
    }

    /// How long the call may take.
    fn time(&self, headers: &HeaderMap) -> Result<Time, deadline::Malformed> {
        let asked = deadline::timeout(headers)?;
        Ok(Time {
            timeout: asked.unwrap_or(self.default_timeout).min(self.max_timeout),
            is_callers: asked.is_some(),
        })
    }
}

// === impl ConnectionEdge ===

impl ConnectionEdge {
    /// Lets the call of `caller` in, or says why not.
    fn admit(
        &self,
        caller: Option<Caller>,
        time: Result<Time, deadline::Malformed>,
        is_health: bool,
        refusals: &Refusals,
    ) -> Result<Admitted, Status> {
        let place = || match is_health {
            true => Arc::clone(&self.probes).try_acquire_owned().ok(),
            false => self.edge.places.take(refusals.operation),
        };
        Ok(Admitted {
            caller: caller.ok_or_else(|| refusals.unknown_caller())?,
            place: place().ok_or_else(|| refusals.overloaded())?,
            time: time.map_err(|deadline::Malformed| refusals.invalid_timeout())?,
        })
    }

    async fn answer(
        self,
        mut request: Request<Incoming>,
        refusals: Refusals,
        active: Active,
    ) -> Response<Body> {
        let id = refusals.id;
        if !is_grpc(request.headers()) {
            return unsupported_media_type(id);
        }
        let is_health = request.uri().path().starts_with(HEALTH);
        let caller = self.edge.identify(request.headers_mut(), is_health);
        let time = self.edge.time(request.headers());
        let previous_attempts = previous_attempts(request.headers());
        let known = caller.clone().unwrap_or_else(Caller::unknown);
        let report = refusals.report.clone();
        let measure = self.edge.measures.begin(&request, id, &known, previous_attempts, report);
        let (request, span) = (measure.watch(request), measure.span());
        let (response, deadline, place) = match self.admit(caller, time, is_health, &refusals) {
            Err(status) => (status.into_http(), None, None),
            Ok(Admitted { caller, place, time }) => {
                let start = Instant::now();
                let arrival = Arrival {
                    id,
                    time: start,
                    timeout: time.of_service(),
                    caller,
                    previous_attempts,
                    report: refusals.report.clone(),
                };
                let routed = route(self.edge.routes, request, arrival, time.timeout, &refusals);
                let deadline = time.is_callers.then_some(start + time.timeout);
                (routed.instrument(span).await, deadline, Some(place))
            }
        };
        let limits = Limits { deadline, closing: self.closing, random: self.edge.random };
        let bounded = |body| Body::new(Bounded::new(body, refusals, limits, (active, place)));
        tell(measure.answer(response.map(bounded)), id)
    }
}

impl Time {
    /// A service answers a little early, so that its answer arrives before the caller's
    /// own timer fires, which was started when the request was still to be sent.
    fn of_service(self) -> Duration {
        self.timeout - (self.timeout / 10).min(AHEAD)
    }
}

impl Service<Request<Incoming>> for ConnectionEdge {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let operation = self.edge.measures.operation(request.uri().path());
        let refusals = Refusals { id: Uuid::now_v7(), report: Report::default(), operation };
        let (edge, active, own) = (self.clone(), self.activity.begin(), refusals.clone());
        Box::pin(async move {
            let answer = AssertUnwindSafe(edge.answer(request, refusals, active)).catch_unwind();
            Ok(answer.await.unwrap_or_else(|_| tell(own.panicked().into_http(), own.id)))
        })
    }
}

/// The answer of the routes, which have until the call's `timeout`.
async fn route<B>(
    mut routes: axum::Router,
    mut request: Request<B>,
    arrival: Arrival,
    timeout: Duration,
    refusals: &Refusals,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let deadline = arrival.time + timeout + GRACE;
    request.extensions_mut().insert(arrival);
    let answer = AssertUnwindSafe(async move { routes.call(request).await }).catch_unwind();
    match tokio::time::timeout_at(deadline, answer).await {
        Ok(Ok(Ok(response))) => explain::response(response.map(Body::new), refusals),
        Ok(Err(_)) => refusals.panicked().into_http(),
        Err(_) => refusals.deadline_exceeded().into_http(),
    }
}

/// How many times the caller's gRPC library has made the call before; what is no number
/// is none (gRFC A6), and more than can be counted is the most that can.
fn previous_attempts(headers: &HeaderMap) -> u32 {
    let value = headers.get(PREVIOUS_ATTEMPTS).map(HeaderValue::as_bytes).unwrap_or_default();
    let digit = |count: u32, byte: &u8| {
        count.saturating_mul(10).saturating_add(u32::from(byte.saturating_sub(b'0')))
    };
    let is_count = value.iter().all(u8::is_ascii_digit);
    value.iter().filter(|_| is_count).fold(0, digit)
}

/// Whether the content type is gRPC's (G6).
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let rest = content_type.and_then(|value| value.strip_prefix("application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

fn unsupported_media_type(id: Uuid) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    tell(response, id)
}

fn tell(mut response: Response<Body>, id: Uuid) -> Response<Body> {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

#[cfg(test)]
mod tests;

//! What every gRPC call gets, whichever service answers it: an id, a deadline that
//! ends streams too, and a status with details when tonic itself refuses it.

mod bounded;
mod explain;
mod measured;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::callers::{Caller, Callers};
use crate::config::Grpc;
use crate::grpc::reason::Reason;
use crate::grpc::{Arrival, status};
use crate::random::Random;

use super::activity::Activity;
use super::deadline;
use bounded::{Bounded, Limits};
pub(super) use measured::Measures;
use measured::Received;

/// Probes are answered however many calls there are (R15).
const HEALTH: &str = "/grpc.health.";
const REQUEST_ID: &str = "x-request-id";
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
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
    /// Ends the streams of the connection.
    closing: CancellationToken,
    activity: Activity,
    /// One for each call that may be open.
    places: Arc<Semaphore>,
    measures: Measures,
}

/// What the headers of a call say about its time.
#[derive(Clone, Copy)]
struct Time {
    timeout: Duration,
    /// Whether the caller gave it: only then does it end a stream, too.
    is_callers: bool,
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
            closing: CancellationToken::new(),
            activity: Activity::default(),
            places: Arc::new(Semaphore::new(settings.max_calls)),
            measures,
        }
    }

    /// The same service for one connection, which notes its calls in `activity`, and whose
    /// streams end when `closing` is cancelled.
    pub(super) fn of_connection(&self, activity: Activity, closing: CancellationToken) -> Self {
        Self { activity, closing, ..self.clone() }
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

    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let id = Uuid::now_v7();
        let is_health = request.uri().path().starts_with(HEALTH);
        let caller = self.identify(request.headers_mut(), is_health);
        let asked = deadline::timeout(request.headers());
        let time = asked.map(|asked| Time {
            timeout: asked.unwrap_or(self.default_timeout).min(self.max_timeout),
            is_callers: asked.is_some(),
        });
        let (routes, closing, random) =
            (self.routes.clone(), self.closing.clone(), self.random.clone());
        let active = self.activity.begin();
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let measures = self.measures.clone();
        async move {
            if !is_grpc(request.headers()) {
                return unsupported_media_type(id);
            }
            let previous_attempts = previous_attempts(request.headers());
            let known = caller.clone().unwrap_or_else(Caller::unknown);
            let measure = measures.begin(&request, id, &known, previous_attempts);
            let (request, span) = (measure.watch(request), measure.span());
            let answer = match (time, caller) {
                (_, None) => (unknown_caller(id).into_http(), None),
                _ if place.is_none() && !is_health => {
                    let text = "the gateway has as many calls as it takes";
                    (status::of_gateway(Reason::Overloaded, text, id).into_http(), None)
                }
                (Ok(time), Some(caller)) => {
                    let arrival = Arrival {
                        id,
                        time: Instant::now(),
                        timeout: time.of_service(),
                        caller,
                        previous_attempts,
                        report: measure.report(),
                    };
                    route(routes, request, arrival, time).instrument(span).await
                }
                (Err(deadline::Malformed), Some(_)) => {
                    let text = "grpc-timeout must be at most eight digits and a unit";
                    (status::of_gateway(Reason::InvalidTimeout, text, id).into_http(), None)
                }
            };
            active.note_sent();
            let ((response, deadline), held) = (answer, (active, place));
            let limits = Limits { deadline, closing, random };
            let response = response.map(|body| Body::new(Bounded::new(body, id, limits, held)));
            tell(measure.answer(response), id)
        }
    }
}

impl Time {
    /// A service answers a little early, so that its answer is on its way before the
    /// caller's own timer fires.
    fn of_service(self) -> Duration {
        self.timeout - (self.timeout / 10).min(Duration::from_millis(5))
    }
}

impl Service<Request<Incoming>> for Edge {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let answer = self.answer(request);
        Box::pin(async move { Ok(answer.await) })
    }
}

/// The answer of the routes, and when its body must have ended.
async fn route(
    mut routes: axum::Router,
    mut request: Request<Received<Incoming>>,
    arrival: Arrival,
    time: Time,
) -> (Response<Body>, Option<Instant>) {
    let (id, deadline) = (arrival.id, arrival.time + time.timeout);
    request.extensions_mut().insert(arrival);
    let response = match tokio::time::timeout_at(deadline + GRACE, routes.call(request)).await {
        Ok(Ok(response)) => explain::response(response.map(Body::new), id),
        Err(_) => deadline_exceeded(id).into_http(),
    };
    (response, time.is_callers.then_some(deadline))
}

/// How many times the caller's gRPC library has made the call before; what is no number
/// is none (gRFC A6).
fn previous_attempts(headers: &HeaderMap) -> u32 {
    let value = headers.get(PREVIOUS_ATTEMPTS).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
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

fn unknown_caller(id: Uuid) -> tonic::Status {
    tracing::info!(request_id = %id, "a call of nobody who is known was refused");
    let text = "authorization must be Bearer with a token of a caller that the gateway knows";
    status::of_gateway(Reason::UnknownCaller, text, id)
}

fn deadline_exceeded(id: Uuid) -> tonic::Status {
    status::of_gateway(Reason::DeadlineExceeded, "the deadline passed", id)
}

fn tell(mut response: Response<Body>, id: Uuid) -> Response<Body> {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

//! `/metrics`: what is counted as it happens, and what is looked up when somebody asks for
//! it, or before it is sent to a collector.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::{InForce, Telemetry};
use crate::grpc::Gateway;
use crate::stack::{Standing, State as StackState};
use crate::telemetry::metrics::{Format, Metrics, Protection};

use super::partners::Shared;
use super::store::Watched;

/// However often it is asked for: the store counts no more than once in this time.
const FRESH: Duration = Duration::from_secs(1);

/// Where a breaker can be.
const POSITIONS: [&str; 3] = ["closed", "open", "half_open"];

/// What the page is made of.
#[derive(Clone, Debug)]
pub(super) struct Observed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metrics: Metrics,
    gateway: Arc<Gateway>,
    store: Watched,
    in_force: InForce,
    looked: Mutex<Option<Instant>>,
}

/// Observes a gateway that starts. What is looked up is looked up now and then where it is
/// sent to a collector, whether anybody asks for the page or not.
pub(super) fn observe(
    gateway: Arc<Gateway>,
    shared: &Shared,
    in_force: InForce,
    settings: &Telemetry,
    stop: &CancellationToken,
) -> Observed {
    let Shared { metrics, store, clock, tasks, .. } = shared;
    metrics.process_started(clock.now());
    let (metrics, store) = (metrics.clone(), Watched::new(store.clone()));
    let looked = Mutex::default();
    let observed = Observed(Arc::new(Inner { metrics, gateway, store, in_force, looked }));
    if !settings.otlp_endpoint.is_empty() {
        let (observed, interval) = (observed.clone(), settings.otlp_metrics_interval);
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                observed.0.look().await;
                sleep(interval).await;
            }
        }));
    }
    observed
}

// === impl Inner ===

impl Inner {
    async fn look(&self) {
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        self.store.look(&self.metrics).await;
        self.metrics.set_configuration_refused(self.in_force.get().is_refused);
        self.metrics.look_at_process();
        for (partner, side) in self.gateway.partners() {
            self.metrics.set_drift(partner, side.status.drift());
            self.note_protection(partner, &side.state);
            let Some(requests) = side.status.token_requests() else { continue };
            for (outcome, count) in [
                ("issued", requests.issued),
                ("failed", requests.failed),
                ("refused", requests.refused),
                ("ended", requests.ended),
            ] {
                self.metrics.set_token_requests(partner, outcome, count);
            }
        }
        *looked = Some(Instant::now());
    }

    fn note_protection(&self, partner: &str, state: &StackState) {
        let turns = state.turns.snapshot();
        let protection = Protection {
            retry_budget: state.retry_budget.balance().left,
            is_gate_closed: turns.lanes.iter().any(|lane| lane.closed_for.is_some()),
            waiting: u64::try_from(turns.waiting).unwrap_or(u64::MAX),
            in_flight: turns.in_flight.into(),
            concurrency: turns.concurrency.into(),
            rate_limited: turns.counts.rate_limited,
            overloaded: turns.counts.overloaded,
        };
        self.metrics.set_protection(partner, &protection);
        for look in state.breakers.look() {
            let state = match look.position {
                Standing::Closed => "closed",
                Standing::Open(_) => "open",
                Standing::HalfOpen => "half_open",
            };
            self.metrics.set_breaker_state(partner, look.effect.as_str(), state, &POSITIONS);
        }
    }
}

/// Answers with the page, in the form that is asked for.
pub(super) async fn page(State(observed): State<Observed>, headers: HeaderMap) -> Response {
    let Observed(observed) = observed;
    observed.look().await;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    match observed.metrics.page(format) {
        Ok(page) => ([(header::CONTENT_TYPE, format.content_type())], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

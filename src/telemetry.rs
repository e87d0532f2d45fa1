//! What the gateway tells of itself: log, traces, metrics.
//!
//! The log goes to stderr, metrics are read from the operations port, and both traces and
//! metrics are sent to a collector where one is configured. The log's level says nothing
//! of what is traced.

mod export;
mod log;
pub mod metrics;
mod propagation;
pub mod spans;

pub use propagation::{kept_trace_id, pass_on, trace_id};

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::Telemetry;
use export::Tally;
use log::{Guard, Queue};

/// The name of this instrumentation, and the beginning of the modules whose spans are
/// traces: a library's own are not.
const SCOPE: &str = "partner-gateway";
const OWN: &str = "partner_gateway";
/// How long the last spans and metrics may take to be sent, each.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// There is one log and one way to a collector in a process.
static PROCESS: OnceLock<Process> = OnceLock::new();

struct Process {
    level: reload::Handle<EnvFilter, Registry>,
    meter: Option<Meter>,
    tally: Option<Arc<Tally>>,
    queue: Option<Queue>,
}

/// What is on its way to a collector and to the log, until it is flushed. When it is dropped
/// instead, the log still is.
#[derive(Debug)]
#[must_use = "what is not flushed may be lost"]
pub struct Exports {
    traces: SdkTracerProvider,
    metrics: Option<SdkMeterProvider>,
    log: Option<Guard>,
}

/// Why there is no telemetry.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The directives cannot be read.
    #[error("telemetry.log_level cannot be read")]
    Directives(#[from] ParseError),
    /// The collector's address or certificates cannot be used.
    #[error("telemetry.otlp_endpoint cannot be used")]
    Export(#[from] ExporterBuildError),
    /// The thread that writes the log cannot be started.
    #[error("the log cannot be started")]
    Writer(#[from] io::Error),
    /// The process has a log already.
    #[error("the log is set up already")]
    Twice(#[from] TryInitError),
}

/// Why the log's level stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// The directives cannot be read.
    #[error("telemetry.log_level cannot be read")]
    Directives(#[from] ParseError),
    /// There is no log.
    #[error("there is no log")]
    NoLog,
}

/// Sets up the log of a command that is no gateway: nobody waits for an answer of it, so that
/// its lines are written at once.
///
/// # Errors
/// As [`init`].
pub fn init_log(settings: &Telemetry) -> Result<(), InitError> {
    let settings = Telemetry { otlp_endpoint: String::new(), ..settings.clone() };
    set_up(&settings, None).map(drop)
}

/// Sets up log, traces and metrics of the process. It takes a runtime, which the way to
/// the collector runs on.
///
/// # Errors
/// When they are set up already, or the settings cannot be used.
pub fn init(settings: &Telemetry) -> Result<Exports, InitError> {
    let queue = Queue::to(io::stderr())?;
    let exports = set_up(settings, Some(queue.clone()))?;
    log::tell_panics(queue);
    Ok(exports)
}

fn set_up(settings: &Telemetry, queue: Option<Queue>) -> Result<Exports, InitError> {
    let (level, handle) = reload::Layer::new(log::filter(&settings.log_level)?);
    let tally = (!settings.otlp_endpoint.is_empty()).then(Arc::<Tally>::default);
    let (traces, metrics) = match &tally {
        Some(tally) => {
            let resource = export::resource();
            let traces = export::traces(settings, resource.clone(), Arc::clone(tally))?;
            (traces, Some(export::metrics(settings, resource)?))
        }
        None => (export::no_traces(), None),
    };
    let spans = filter_fn(|it| it.is_span() && it.target().starts_with(OWN));
    let traced = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer(SCOPE))
        // They tell the build's paths and threads, which nobody asked for.
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(spans.with_max_level_hint(LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(log::lines(settings.log_format, queue.clone()).with_filter(level))
        .with(traced)
        .try_init()?;
    let meter = metrics.as_ref().map(|provider| provider.meter(SCOPE));
    // A second value is impossible: the log is set up once.
    let _ = PROCESS.set(Process { level: handle, meter, tally, queue: queue.clone() });
    Ok(Exports { traces, metrics, log: queue.map(Guard::new) })
}

/// Changes what is logged, from now on.
///
/// # Errors
/// When the directives cannot be read, or there is no log; what is logged stays.
pub fn set_log_level(directives: &str) -> Result<(), LevelError> {
    let filter = log::filter(directives)?;
    let process = PROCESS.get().ok_or(LevelError::NoLog)?;
    process.level.reload(filter).map_err(|_| LevelError::NoLog)
}

/// Where metrics are sent from, if they are.
fn meter() -> Option<Meter> {
    PROCESS.get()?.meter.clone()
}

/// What became of spans, if they are sent.
fn tally() -> Option<&'static Tally> {
    PROCESS.get()?.tally.as_deref()
}

/// How many lines of the log were lost, by what they were of.
fn dropped_lines() -> [(&'static str, u64); 2] {
    let queue = PROCESS.get().and_then(|process| process.queue.as_ref());
    queue.map_or_else(|| Queue::default().dropped(), Queue::dropped)
}

// === impl Exports ===

impl Exports {
    /// Sends and writes what has not been yet, and sends nothing any more after that. It takes
    /// at most five seconds, whatever the collector and the reader of the log do.
    pub async fn flush(self) {
        let Self { traces, metrics, log } = self;
        // The threads behind it are waited for, which no thread of the runtime may do.
        let flushed = tokio::task::spawn_blocking(move || {
            let traces = traces.shutdown_with_timeout(LAST_WORDS);
            let metrics = metrics.map(|it| it.shutdown_with_timeout(LAST_WORDS));
            traces.and(metrics.unwrap_or(Ok(())))
        });
        if let Ok(Err(error)) =
            tokio::time::timeout(LAST_WORDS * 2, flushed).await.unwrap_or(Ok(Ok(())))
        {
            tracing::warn!(%error, "the collector did not take the last spans and metrics");
        }
        // The last, so that this line is among those that are written.
        drop(log);
    }
}

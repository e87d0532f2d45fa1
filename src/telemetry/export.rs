//! Traces and metrics on their way to a collector, over OTLP.
//!
//! A call never waits for it: a span that has ended is put into a bounded queue, which a
//! thread of its own empties. What finds the queue full, or a collector that fails, is
//! counted and forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{
    Compression, ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData,
    SpanExporter as ExportSpans, SpanProcessor,
};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::config::Telemetry;

/// Spans that wait to be sent. At 1 KiB each they are 4 MiB.
const QUEUE: usize = 4096;
/// Spans that are sent at once.
const BATCH: usize = 512;
/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of the spans that ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    waiting: AtomicU64,
    sent: AtomicU64,
    overflowed: AtomicU64,
    failed: AtomicU64,
    /// Whether the log has been told that the collector fails.
    is_told: AtomicBool,
}

/// Puts spans into the queue while there is room.
#[derive(Debug)]
struct Queue<P> {
    inner: P,
    tally: Arc<Tally>,
}

/// Sends spans and counts them.
#[derive(Debug)]
struct Counted<E> {
    inner: E,
    tally: Arc<Tally>,
}

/// Spans that are sent nowhere: they still pass a caller's trace on.
pub(super) fn no_traces() -> SdkTracerProvider {
    let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    SdkTracerProvider::builder().with_sampler(sampler).build()
}

/// Spans that are sent to a collector.
///
/// # Errors
/// When the settings cannot be used.
pub(super) fn traces(
    settings: &Telemetry,
    resource: Resource,
    tally: Arc<Tally>,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = aimed(SpanExporter::builder().with_tonic(), settings);
    let exporter = Counted { inner: exporter.build()?, tally: Arc::clone(&tally) };
    let batch = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let inner = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
    let sampler = Sampler::TraceIdRatioBased(settings.trace_ratio);
    Ok(SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_resource(resource)
        .with_span_processor(Queue { inner, tally })
        .build())
}

/// Metrics that are sent to a collector.
///
/// # Errors
/// When the settings cannot be used.
pub(super) fn metrics(
    settings: &Telemetry,
    resource: Resource,
) -> Result<SdkMeterProvider, ExporterBuildError> {
    let exporter = aimed(MetricExporter::builder().with_tonic(), settings);
    let reader = PeriodicReader::builder(exporter.build()?);
    let reader = reader.with_interval(settings.otlp_metrics_interval).build();
    Ok(SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build())
}

/// What sends to the collector of `settings`.
fn aimed<B: WithExportConfig + WithTonicConfig>(exporter: B, settings: &Telemetry) -> B {
    let exporter = exporter
        .with_endpoint(&settings.otlp_endpoint)
        .with_timeout(PATIENCE)
        .with_compression(Compression::Gzip)
        .with_metadata(headers(settings));
    match tls(settings) {
        Some(tls) => exporter.with_tls_config(tls),
        None => exporter,
    }
}

/// Who it is that tells all this; OTEL_RESOURCE_ATTRIBUTES adds to it.
pub(super) fn resource() -> Resource {
    Resource::builder()
        .with_service_name("partner-gateway")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", Uuid::new_v4().to_string()))
        .build()
}

/// The settings have been validated: what could not be a header is not here.
fn headers(settings: &Telemetry) -> MetadataMap {
    let mut headers = http::HeaderMap::new();
    for pair in settings.otlp_headers.expose_secret().split(',') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let name = http::HeaderName::try_from(name.trim());
        let value = http::HeaderValue::try_from(value.trim());
        if let (Ok(name), Ok(mut value)) = (name, value) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    MetadataMap::from_headers(headers)
}

fn tls(settings: &Telemetry) -> Option<ClientTlsConfig> {
    if !settings.otlp_endpoint.starts_with("https://") {
        return None;
    }
    let tls = ClientTlsConfig::new().with_native_roots();
    let file = settings.otlp_root_ca_file.as_deref();
    // It could be read when the configuration was.
    let pem = file.and_then(|file| std::fs::read(file).ok());
    Some(match pem {
        Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
        None => tls,
    })
}

// === impl Tally ===

impl Tally {
    /// How many spans came to which end.
    pub(super) fn fates(&self) -> [(&'static str, u64); 3] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("sent", read(&self.sent)),
            ("queue_full", read(&self.overflowed)),
            ("failed", read(&self.failed)),
        ]
    }

    /// Takes a place in the queue; `false` when there is none.
    fn enter(&self) -> bool {
        let places = u64::try_from(QUEUE).unwrap_or(u64::MAX);
        let took = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < places).then_some(waiting + 1)
        });
        if took.is_err() {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
        took.is_ok()
    }

    fn leave(&self, count: usize, result: &OTelSdkResult) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let fate = if result.is_ok() { &self.sent } else { &self.failed };
        fate.fetch_add(count, Ordering::Relaxed);
        let was_told = self.is_told.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !was_told => {
                tracing::warn!(%error, "the collector takes no spans; they are lost");
            }
            Ok(()) if was_told => tracing::info!("the collector takes spans again"),
            _ => {}
        }
    }
}

// === impl Queue ===

impl<P: SpanProcessor> SpanProcessor for Queue<P> {
    fn on_start(&self, span: &mut Span, context: &opentelemetry::Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.tally.enter() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

// === impl Counted ===

impl<E: ExportSpans> ExportSpans for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.inner.export(batch).await;
        self.tally.leave(count, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    #[test]
    fn a_full_queue_takes_no_more_and_counts_what_it_does_not_take() {
        let tally = Tally::default();
        assert!((0..QUEUE).all(|_| tally.enter()));
        assert!(!tally.enter() && !tally.enter());
        tally.leave(BATCH, &Ok(()));
        assert!(tally.enter());
        tally.leave(1, &Err(OTelSdkError::Timeout(PATIENCE)));
        assert_eq!(tally.fates(), [("sent", 512), ("queue_full", 2), ("failed", 1)]);
    }
}

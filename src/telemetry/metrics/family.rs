//! A metric that is declared once and told twice: on the page that Prometheus reads, and
//! over OTLP where that is on.
//!
//! OpenTelemetry's own SDK has no exemplars, and Prometheus' client does not push; so each
//! metric here is one of either. Its name is OpenTelemetry's ("grpc.server.call.duration"),
//! of which Prometheus' follows by the rules of both ("grpc_server_call_duration_seconds").

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use opentelemetry::metrics::Meter;
use opentelemetry::trace::TraceId;
use opentelemetry::{KeyValue, metrics as push};
use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::{counter, gauge};
use prometheus_client::registry::{Metric, Registry, Unit};

/// The value of a label. An empty one is a label that is not there.
pub(super) type Value = Cow<'static, str>;

type Keys = &'static [&'static str];
type Buckets = HistogramWithExemplars<Exemplar>;
type Exemplar = [(&'static str, String); 1];

/// What is known of a metric before anything is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Declared {
    /// OpenTelemetry's name.
    pub name: &'static str,
    /// "counter", "gauge" or "histogram".
    pub kind: &'static str,
    /// "s" or "By"; "" for a count.
    pub unit: &'static str,
    /// OpenTelemetry's names of the labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// Where metrics are declared.
pub(super) struct Declare<'a> {
    pub(super) registry: &'a mut Registry,
    pub(super) meter: Option<&'a Meter>,
    pub(super) declared: &'a mut Vec<Declared>,
}

/// A number that only grows.
#[derive(Debug)]
pub(super) struct Counter {
    keys: Keys,
    page: Family<Labels, counter::Counter<u64, AtomicU64>>,
    pushed: Option<push::Counter<u64>>,
}

/// A number that goes up and down.
#[derive(Debug)]
pub(super) struct Gauge {
    keys: Keys,
    page: Family<Labels, gauge::Gauge>,
    pushed: Option<push::Gauge<i64>>,
    /// What `replace` has told last.
    told: Mutex<Vec<Labels>>,
}

/// How often a number was how large.
#[derive(Debug)]
pub(super) struct Histogram {
    keys: Keys,
    page: Family<Labels, Buckets, Bounds>,
    pushed: Option<push::Histogram<f64>>,
}

/// The upper bounds of the buckets.
#[derive(Clone, Copy, Debug)]
struct Bounds(&'static [f64]);

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Labels {
    keys: Keys,
    values: Vec<Value>,
}

// === impl Declared ===

impl Declared {
    /// Prometheus' name.
    pub fn prometheus(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let total = if self.kind == "counter" { "_total" } else { "" };
        format!("{}{unit}{total}", underscored(self.name))
    }
}

// === impl Declare ===

impl Declare<'_> {
    pub(super) fn counter(
        &mut self,
        name: &'static str,
        keys: Keys,
        help: &'static str,
    ) -> Counter {
        let page = Family::default();
        self.declare(
            Declared { name, kind: "counter", unit: "", labels: keys, help },
            page.clone(),
        );
        let pushed = self.meter.map(|it| it.u64_counter(name).with_description(help).build());
        Counter { keys, page, pushed }
    }

    pub(super) fn gauge(
        &mut self,
        name: &'static str,
        unit: &'static str,
        keys: Keys,
        help: &'static str,
    ) -> Gauge {
        let page = Family::default();
        self.declare(Declared { name, kind: "gauge", unit, labels: keys, help }, page.clone());
        let instrument =
            |it: &Meter| it.i64_gauge(name).with_unit(unit).with_description(help).build();
        Gauge { keys, page, pushed: self.meter.map(instrument), told: Mutex::default() }
    }

    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        unit: &'static str,
        bounds: &'static [f64],
        keys: Keys,
        help: &'static str,
    ) -> Histogram {
        let page = Family::new_with_constructor(Bounds(bounds));
        self.declare(Declared { name, kind: "histogram", unit, labels: keys, help }, page.clone());
        let instrument = |it: &Meter| {
            let builder = it.f64_histogram(name).with_unit(unit).with_description(help);
            builder.with_boundaries(bounds.to_vec()).build()
        };
        Histogram { keys, page, pushed: self.meter.map(instrument) }
    }

    fn declare(&mut self, declared: Declared, metric: impl Metric) {
        let (name, help) = (underscored(declared.name), declared.help);
        match declared.unit {
            "s" => self.registry.register_with_unit(name, help, Unit::Seconds, metric),
            "By" => self.registry.register_with_unit(name, help, Unit::Bytes, metric),
            _ => self.registry.register(name, help, metric),
        }
        self.declared.push(declared);
    }
}

// === impl Counter ===

impl Counter {
    /// Counts `count` more.
    pub(super) fn add<const N: usize>(&self, values: [Value; N], count: u64) {
        let labels = Labels::new(self.keys, values);
        if let Some(pushed) = &self.pushed {
            pushed.add(count, &labels.attributes());
        }
        self.page.get_or_create(&labels).inc_by(count);
    }

    /// Takes over a count that is kept elsewhere.
    pub(super) fn raise<const N: usize>(&self, values: [Value; N], total: u64) {
        let counted = self.page.get_or_create(&Labels::new(self.keys, values.clone())).get();
        self.add(values, total.saturating_sub(counted));
    }
}

// === impl Gauge ===

impl Gauge {
    pub(super) fn set<const N: usize>(&self, values: [Value; N], value: u64) {
        self.tell(&Labels::new(self.keys, values), value);
    }

    /// Sets these values. What is not among them any more is gone.
    pub(super) fn replace<const N: usize>(&self, all: impl IntoIterator<Item = ([Value; N], u64)>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in told.drain(..) {
            self.tell(&gone, 0);
        }
        self.page.clear();
        for (values, value) in all {
            let labels = Labels::new(self.keys, values);
            self.tell(&labels, value);
            told.push(labels);
        }
    }

    fn tell(&self, labels: &Labels, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        if let Some(pushed) = &self.pushed {
            pushed.record(value, &labels.attributes());
        }
        self.page.get_or_create(labels).set(value);
    }
}

// === impl Histogram ===

impl Histogram {
    /// Adds one, of the trace if that can be looked up.
    pub(super) fn observe<const N: usize>(
        &self,
        values: [Value; N],
        value: f64,
        trace: Option<TraceId>,
    ) {
        let labels = Labels::new(self.keys, values);
        if let Some(pushed) = &self.pushed {
            pushed.record(value, &labels.attributes());
        }
        let exemplar = trace.map(|id| [("trace_id", id.to_string())]);
        self.page.get_or_create(&labels).observe(value, exemplar, None);
    }
}

// === impl Bounds ===

impl MetricConstructor<Buckets> for Bounds {
    fn new_metric(&self) -> Buckets {
        HistogramWithExemplars::new(self.0.iter().copied())
    }
}

// === impl Labels ===

impl Labels {
    fn new<const N: usize>(keys: Keys, values: [Value; N]) -> Self {
        debug_assert_eq!(keys.len(), N, "{keys:?}");
        Self { keys, values: values.into() }
    }

    fn pairs(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let pairs = self.keys.iter().copied().zip(&self.values);
        pairs.filter(|(_, value)| !value.is_empty())
    }

    fn attributes(&self) -> Vec<KeyValue> {
        self.pairs().map(|(key, value)| KeyValue::new(key, value.clone())).collect()
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        for (key, value) in self.pairs() {
            (underscored(key), value.clone()).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

fn underscored(name: &str) -> String {
    name.replace('.', "_")
}

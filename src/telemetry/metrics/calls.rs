//! What is counted of calls: at the door (gRFC A66), of the whole, and of each request to
//! a partner (OpenTelemetry's conventions for HTTP).

use std::time::Duration;

use opentelemetry::trace::TraceId;

use super::family::{Counter, Declare, Histogram};
use crate::call::Spent;
use crate::operation::Operation;

/// Of time, as gRFC A66 has them, in seconds.
const SECONDS: &[f64] = &[
    0.0, 0.000_01, 0.000_05, 0.000_1, 0.000_3, 0.000_6, 0.000_8, 0.001, 0.002, 0.003, 0.004, 0.005,
    0.006, 0.008, 0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16,
    0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0,
];
/// Of sizes, as gRFC A66 has them, in bytes.
const BYTES: &[f64] = &[
    0.0,
    1024.0,
    2048.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
];
/// As the conventions for HTTP have them, and one above for a partner's slowest answers.
const REQUEST_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0];

const CALL: &[&str] = &["grpc.method", "grpc.status"];
const REQUEST: &[&str] = &[
    "http.request.method",
    "server.address",
    "url.template",
    "http.response.status_code",
    "error.type",
];

/// The metrics of calls.
#[derive(Debug)]
pub(super) struct Calls {
    door: Door,
    calls: Counter,
    phases: Histogram,
    requests: Histogram,
    attempts: Counter,
}

#[derive(Debug)]
struct Door {
    started: Counter,
    sent: Histogram,
    received: Histogram,
    duration: Histogram,
}

/// A call that has ended, as the door saw it.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// "package.Service/Method", or "other".
    pub method: &'static str,
    /// The status that it ended with ("NOT_FOUND").
    pub status: &'static str,
    /// Bytes of its requests, as they came.
    pub received: u64,
    /// Bytes of its replies, as they went.
    pub sent: u64,
    /// From its arrival to its last frame.
    pub duration: Duration,
    /// Its trace, if that is kept.
    pub trace: Option<TraceId>,
}

/// A request to a partner that has ended.
#[derive(Clone, Debug)]
pub struct Attempted<'a> {
    /// What it was made for.
    pub operation: &'static Operation,
    /// The partner's host.
    pub host: &'a str,
    /// The status of the answer, if there was one.
    pub http_status: Option<u16>,
    /// What went wrong, if anything did: the status, or a kind of failure ("TIMEOUT").
    pub error_type: Option<String>,
    /// What is known of its effect: "SUCCEEDED", or an outcome.
    pub outcome: &'static str,
    /// From the beginning to the last byte of the answer.
    pub duration: Duration,
    /// Its trace, if that is kept.
    pub trace: Option<TraceId>,
}

// === impl Door ===

impl Door {
    fn declare(it: &mut Declare<'_>) -> Self {
        Self {
            started: it.counter(
                "grpc.server.call.started",
                &["grpc.method"],
                "Calls that came in; rpcs that nobody serves are \"other\"",
            ),
            sent: it.histogram(
                "grpc.server.call.sent_total_compressed_message_size",
                "By",
                BYTES,
                CALL,
                "Bytes of all messages that a call was answered with",
            ),
            received: it.histogram(
                "grpc.server.call.rcvd_total_compressed_message_size",
                "By",
                BYTES,
                CALL,
                "Bytes of all messages that a call brought",
            ),
            duration: it.histogram(
                "grpc.server.call.duration",
                "s",
                SECONDS,
                CALL,
                "From a call's arrival to the end of its answer",
            ),
        }
    }
}

// === impl Calls ===

impl Calls {
    pub(super) fn declare(it: &mut Declare<'_>) -> Self {
        Self {
            door: Door::declare(it),
            calls: it.counter(
                "partner_gateway.calls",
                &["partner", "rpc", "outcome"],
                "Calls of partners' rpcs, by what is known of their effect",
            ),
            phases: it.histogram(
                "partner_gateway.call.phase",
                "s",
                SECONDS,
                &["partner", "phase"],
                "Where the time of calls went",
            ),
            requests: it.histogram(
                "http.client.request.duration",
                "s",
                REQUEST_SECONDS,
                REQUEST,
                "Requests to partners, each attempt of a call one",
            ),
            attempts: it.counter(
                "partner_gateway.attempts",
                &["partner", "rpc", "outcome"],
                "Requests to partners, by what is known of their effect",
            ),
        }
    }

    pub(super) fn started(&self, method: &'static str) {
        self.door.started.add([method.into()], 1);
    }

    pub(super) fn ended(&self, call: &Ended) {
        let labels = || [call.method.into(), call.status.into()];
        let Door { sent, received, duration, .. } = &self.door;
        duration.observe(labels(), call.duration.as_secs_f64(), call.trace);
        sent.observe(labels(), bytes(call.sent), call.trace);
        received.observe(labels(), bytes(call.received), call.trace);
    }

    pub(super) fn told(
        &self,
        operation: &'static Operation,
        outcome: &'static str,
        spent: &Spent,
        trace: Option<TraceId>,
    ) {
        let partner = operation.partner.as_str();
        self.calls.add([partner.into(), operation.rpc().into(), outcome.into()], 1);
        for (phase, time) in phases(spent) {
            // A phase that a call has not had would hide how long the others wait.
            if !time.is_zero() {
                self.phases.observe([partner.into(), phase.into()], time.as_secs_f64(), trace);
            }
        }
    }

    pub(super) fn attempted(&self, attempt: &Attempted<'_>) {
        let Attempted { operation, host, http_status, error_type, outcome, .. } = attempt;
        let status = http_status.map(|status| status.to_string()).unwrap_or_default();
        let labels = [
            operation.verb.as_str().into(),
            (*host).to_owned().into(),
            operation.path.as_str().into(),
            status.into(),
            error_type.clone().unwrap_or_default().into(),
        ];
        self.requests.observe(labels, attempt.duration.as_secs_f64(), attempt.trace);
        let labels = [operation.partner.as_str().into(), operation.rpc().into(), (*outcome).into()];
        self.attempts.add(labels, 1);
    }
}

/// The parts of a call's time by name.
pub(crate) fn phases(spent: &Spent) -> [(&'static str, Duration); 5] {
    [
        ("queue", spent.queue),
        ("token", spent.token),
        ("store", spent.store),
        ("attempts", spent.attempts),
        ("backoff", spent.backoff),
    ]
}

/// A call of 4 GiB is in the last bucket, however much longer it is.
fn bytes(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

//! Every span of the gateway, declared in one place.
//!
//! They are `tracing` spans; what they say is named by OpenTelemetry's conventions, and
//! `gateway.…` where these have no name. Their values are the contract's and the gateway's
//! own, an account's id excepted, and a caller's only where it names itself. `docs/telemetry.md`
//! has the tree.

use std::net::SocketAddr;

use opentelemetry::trace::TraceContextExt as _;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

use super::propagation;
use crate::call::Spent;
use crate::operation::Operation;

/// What a call brings that its span tells.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// "package.Service/Method", or "other".
    pub method: &'static str,
    /// The gateway's id of the call.
    pub id: Uuid,
    /// The name of its caller.
    pub caller: &'a str,
    /// How often its caller's library has made it before.
    pub previous_attempts: u32,
    /// Where it came in.
    pub address: SocketAddr,
}

/// The span of a call, joined to the trace that its headers name.
pub fn call(arrived: &Arrived<'_>, headers: &http::HeaderMap) -> Span {
    let (service, method) = arrived.method.rsplit_once('/').unwrap_or(("", arrived.method));
    let span = tracing::info_span!(
        parent: None,
        "call",
        otel.name = arrived.method,
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = Some(service).filter(|service| !service.is_empty()),
        rpc.method = method,
        rpc.grpc.status_code = field::Empty,
        server.address = %arrived.address.ip(),
        server.port = i64::from(arrived.address.port()),
        gateway.request_id = %arrived.id,
        gateway.caller = arrived.caller,
        gateway.previous_attempts = more_than_none(arrived.previous_attempts),
        gateway.partner = field::Empty,
        gateway.account = field::Empty,
        gateway.attempts = field::Empty,
        gateway.outcome = field::Empty,
        gateway.reason = field::Empty,
        gateway.spent.queue = field::Empty,
        gateway.spent.token = field::Empty,
        gateway.spent.store = field::Empty,
        gateway.spent.attempts = field::Empty,
        gateway.spent.backoff = field::Empty,
    );
    if let Some(parent) = propagation::parent(headers) {
        // It fails for a span that has begun already, or where there are no traces.
        let _ = span.set_parent(parent);
    }
    span
}

/// Records where the time of a call went, in seconds.
pub fn record_spent(span: &Span, spent: &Spent) {
    let [queue, token, store, attempts, backoff] =
        super::metrics::phases(spent).map(|(_, time)| time.as_secs_f64());
    span.record("gateway.spent.queue", queue);
    span.record("gateway.spent.token", token);
    span.record("gateway.spent.store", store);
    span.record("gateway.spent.attempts", attempts);
    span.record("gateway.spent.backoff", backoff);
}

/// Ends the span now. A write may go on without its caller, and its span with it, but
/// the call is over when its caller has been told.
pub fn end(span: &Span) {
    span.context().span().end();
}

/// The wait for a turn: rate limit, concurrency.
pub fn queue() -> Span {
    tracing::info_span!("queue")
}

/// The wait for a credential.
pub fn token() -> Span {
    tracing::info_span!("token")
}

/// The record of a request id.
pub fn idempotency() -> Span {
    tracing::info_span!("idempotency")
}

/// The pause before an attempt.
pub fn backoff() -> Span {
    tracing::info_span!("backoff")
}

/// From a partner's JSON to a reply.
pub fn decode() -> Span {
    tracing::info_span!("decode")
}

/// One request to a partner, the first being number 1.
pub fn attempt(operation: &Operation, number: u32, host: &str, port: Option<u16>) -> Span {
    let (verb, template) = (operation.verb.as_str(), operation.path.as_str());
    tracing::info_span!(
        "attempt",
        otel.name = format!("{verb} {template}"),
        otel.kind = "client",
        otel.status_code = field::Empty,
        gateway.attempt = i64::from(number),
        gateway.partner = operation.partner,
        gateway.outcome = field::Empty,
        gateway.partner_request_id = field::Empty,
        http.request.method = verb,
        http.request.resend_count = more_than_none(number.saturating_sub(1)),
        http.response.status_code = field::Empty,
        url.template = template,
        server.address = host,
        server.port = port.map(i64::from),
        error.r#type = field::Empty,
    )
}

/// A count as OpenTelemetry has numbers, signed; none is not worth telling.
fn more_than_none(count: u32) -> Option<i64> {
    Some(i64::from(count)).filter(|count| *count > 0)
}

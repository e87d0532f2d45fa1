//! The trace that a call is part of: taken from its caller, passed on to the partner.
//!
//! W3C trace context alone (`traceparent`, `tracestate`). Baggage is not passed on: it is
//! whatever callers put into it. `grpc-trace-bin` is another form of the same, and ignored.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// The longest `tracestate` that the specification asks to be passed on.
const LONGEST_STATE: usize = 512;

/// What a caller says of its trace.
struct Told<'a> {
    parent: &'a str,
    state: Option<String>,
}

/// Headers that are sent to a partner.
struct Sent<'a>(&'a mut HeaderMap);

/// The trace that `headers` join; `None` when they name none, or not as they should: the
/// call then begins a trace of its own.
pub(super) fn parent(headers: &HeaderMap) -> Option<Context> {
    let told = Told::in_headers(headers)?;
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &told);
    context.has_active_span().then_some(context)
}

/// Adds the trace of `span` to the headers of a request. What is in them stays.
pub fn pass_on(span: &Span, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&span.context(), &mut Sent(headers));
}

/// The trace that a span belongs to, if there are traces.
pub fn trace_id(span: &Span) -> Option<TraceId> {
    let context = span.context();
    let span = context.span();
    Some(span.span_context()).filter(|it| it.is_valid()).map(|it| it.trace_id())
}

/// The same, if the trace is kept, so that it can be looked up.
pub fn kept_trace_id(span: &Span) -> Option<TraceId> {
    let context = span.context();
    let span = context.span();
    Some(span.span_context()).filter(|it| it.is_sampled()).map(|it| it.trace_id())
}

// === impl Told ===

impl<'a> Told<'a> {
    fn in_headers(headers: &'a HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        // Of two, nobody knows which is right.
        let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
        let states = headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str);
        let state = states.collect::<Result<Vec<_>, _>>().ok().map(|states| states.join(","));
        let state = state.filter(|state| !state.is_empty() && state.len() <= LONGEST_STATE);
        Some(Self { parent: parent.to_str().ok()?, state })
    }
}

impl Extractor for Told<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => Some(self.parent),
            TRACESTATE => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

// === impl Sent ===

impl Injector for Sent<'_> {
    fn set(&mut self, key: &str, value: String) {
        if value.is_empty() {
            return;
        }
        let name = HeaderName::try_from(key).ok().filter(|name| !self.0.contains_key(name));
        if let (Some(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn joined(pairs: &[(&'static str, &str)]) -> Option<(String, bool, String)> {
        let context = parent(&headers(pairs))?;
        let span = context.span();
        let it = span.span_context();
        Some((it.trace_id().to_string(), it.is_sampled(), it.trace_state().header()))
    }

    #[test]
    fn g42_a_callers_trace_is_joined() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let joins = |state: &str| Some((TRACE.to_owned(), true, state.to_owned()));
        assert_eq!(joined(&[("traceparent", &parent)]), joins(""));
        let states = [("traceparent", &*parent), ("tracestate", "a=1"), ("tracestate", "b=2")];
        assert_eq!(joined(&states), joins("a=1,b=2"));
        let unkept = format!("00-{TRACE}-00f067aa0ba902b7-00");
        assert_eq!(joined(&[("traceparent", &unkept)]).map(|it| it.1), Some(false));
        let later = format!("cc-{TRACE}-00f067aa0ba902b7-01-what-comes-later");
        assert_eq!(joined(&[("traceparent", &later)]), joins(""));
    }

    #[test]
    fn g42_a_malformed_trace_is_none() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        for malformed in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-xbf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(joined(&[("traceparent", malformed)]), None, "{malformed}");
        }
        assert_eq!(joined(&[("traceparent", &parent), ("traceparent", &parent)]), None);
        assert_eq!(joined(&[("tracestate", "a=1")]), None);
        assert_eq!(joined(&[("grpc-trace-bin", "AAAA")]), None);
    }

    #[test]
    fn g42_a_state_that_is_none_or_too_long_is_not_passed_on() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let long = format!("a={}", "x".repeat(LONGEST_STATE));
        for state in ["no pair", &long] {
            let it = joined(&[("traceparent", &parent), ("tracestate", state)]).unwrap();
            assert_eq!(it, (TRACE.to_owned(), true, String::new()));
        }
    }

    #[test]
    fn g42_a_header_that_is_there_is_not_overwritten() {
        let mut headers = headers(&[("traceparent", "the contract's")]);
        Sent(&mut headers).set("traceparent", "ours".to_owned());
        Sent(&mut headers).set("tracestate", String::new());
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["traceparent"], "the contract's");
    }
}

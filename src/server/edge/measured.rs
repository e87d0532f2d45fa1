//! A call from its arrival to the last of its answer: its span, its line in the log, and
//! what is counted of it (gRFC A66).
//!
//! Both bodies are watched as they pass. However the call ends, by its trailers, or
//! because nobody wants the rest of it, it is told once.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;
use uuid::Uuid;

use crate::callers::Caller;
use crate::grpc::Report;
use crate::grpc::log::{self, Over};
use crate::operation::{Catalogue, Operation};
use crate::telemetry::kept_trace_id;
use crate::telemetry::metrics::{Ended, Metrics, OTHER};
use crate::telemetry::spans::{self, Arrived};

/// Services that are asked all the time, by machines, and of which no call is told.
const QUIET: [&str; 2] = ["grpc.health.", "grpc.reflection."];

/// What calls are measured with. Clones share it.
#[derive(Clone, Debug)]
pub(in crate::server) struct Measures {
    pub(super) catalogue: &'static Catalogue,
    address: SocketAddr,
    metrics: Metrics,
}

/// A call that goes on; it ends when this is dropped.
pub(super) struct Measure {
    metrics: Metrics,
    method: &'static str,
    id: Uuid,
    caller: Caller,
    previous_attempts: u32,
    start: Instant,
    span: Span,
    report: Report,
    received: Arc<AtomicU64>,
    sent: Messages,
    code: Option<Code>,
}

/// The body of a request, whose messages are counted as they come.
pub(super) struct Received<B> {
    body: B,
    messages: Messages,
    bytes: Arc<AtomicU64>,
}

/// The body of an answer, with the call that ends with it.
pub(super) struct Answered {
    body: Body,
    measure: Measure,
}

/// Where in its frames a body is: five bytes of head, then the message (gRPC over HTTP/2).
#[derive(Clone, Copy, Debug, Default)]
struct Messages {
    /// The bytes of the head that have come, and the length as far as they say it.
    head: u8,
    length: u32,
    /// What is missing of the message.
    rest: u32,
    /// Bytes of messages, without their heads.
    bytes: u64,
}

// === impl Measures ===

impl Measures {
    /// Measures the calls that come in at `address`: those of the contract by their names,
    /// and all others as one.
    pub(in crate::server) fn new(
        catalogue: &'static Catalogue,
        address: SocketAddr,
        metrics: Metrics,
    ) -> Self {
        Self { catalogue, address, metrics }
    }

    /// The name of the rpc at `path`; callers must not be able to make names (G42).
    fn method(&self, path: &str) -> &'static str {
        self.catalogue.rpc_by_path(path).unwrap_or(OTHER)
    }

    /// What a partner is asked for at `path`.
    pub(super) fn operation(&self, path: &str) -> Option<&'static Operation> {
        self.catalogue.by_path(path)
    }

    /// Begins a call, of which the inside of the gateway leaves what it knows in `report`.
    pub(super) fn begin<B>(
        &self,
        request: &Request<B>,
        id: Uuid,
        caller: &Caller,
        previous_attempts: u32,
        report: Report,
    ) -> Measure {
        let method = self.method(request.uri().path());
        self.metrics.call_started(method);
        let span = match is_quiet(method) {
            true => Span::none(),
            false => {
                let (caller, address) = (caller.name(), self.address);
                let arrived = Arrived { method, id, caller, previous_attempts, address };
                spans::call(&arrived, request.headers())
            }
        };
        Measure {
            metrics: self.metrics.clone(),
            method,
            id,
            caller: caller.clone(),
            previous_attempts,
            start: Instant::now(),
            span,
            report,
            received: Arc::default(),
            sent: Messages::default(),
            code: None,
        }
    }
}

fn is_quiet(method: &str) -> bool {
    QUIET.iter().any(|service| method.starts_with(service))
}

// === impl Measure ===

impl Measure {
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The request, whose messages are counted from now on.
    pub(super) fn watch<B>(&self, request: Request<B>) -> Request<Received<B>> {
        let bytes = Arc::clone(&self.received);
        request.map(|body| Received { body, messages: Messages::default(), bytes })
    }

    /// The answer, with whose end the call ends.
    pub(super) fn answer(mut self, response: Response<Body>) -> Response<Body> {
        self.note(response.headers());
        response.map(|body| Body::new(Answered { body, measure: self }))
    }

    fn note(&mut self, headers: &HeaderMap) {
        self.code = Status::from_header_map(headers).map(|status| status.code()).or(self.code);
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        // Without a status, it was the caller that did not wait for one, or a bug.
        let untold = if std::thread::panicking() { Code::Internal } else { Code::Cancelled };
        let (code, duration) = (self.code.unwrap_or(untold), self.start.elapsed());
        let over = Over {
            rpc: self.method,
            id: self.id,
            caller: self.caller.name(),
            previous_attempts: self.previous_attempts,
            code,
            duration,
            is_quiet: is_quiet(self.method),
        };
        self.report.conclude(&over, &self.span, &self.metrics);
        self.metrics.call_ended(&Ended {
            method: self.method,
            status: log::name(code),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.bytes,
            duration,
            trace: kept_trace_id(&self.span),
        });
        spans::end(&self.span);
    }
}

// === impl Received ===

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Received<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.messages.pass(data);
            this.bytes.store(this.messages.bytes, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Answered ===

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.measure.sent.pass(data);
                }
                if let Some(trailers) = frame.trailers_ref() {
                    this.measure.note(trailers);
                }
            }
            Poll::Ready(Some(Err(status))) => this.measure.code = Some(status.code()),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Messages ===

impl Messages {
    const HEAD: u8 = 5;

    /// Counts what passes, wherever it is cut.
    fn pass(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.rest > 0 {
                let here = u32::try_from(data.len()).unwrap_or(u32::MAX).min(self.rest);
                self.rest -= here;
                self.bytes += u64::from(here);
                data.advance(usize::try_from(here).unwrap_or(data.len()));
                continue;
            }
            let byte = data.get_u8();
            // The first says whether the message is compressed.
            self.length = if self.head == 0 { 0 } else { self.length << 8 | u32::from(byte) };
            self.head += 1;
            if self.head == Self::HEAD {
                (self.head, self.rest) = (0, self.length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn g42_messages_are_counted_wherever_their_bytes_are_cut(
            sizes in proptest::collection::vec(0_usize..700, 0..6),
            cut in 1_usize..40,
        ) {
            let mut body = Vec::new();
            for size in &sizes {
                body.push(0);
                body.extend(u32::try_from(*size).unwrap().to_be_bytes());
                body.resize(body.len() + size, 7);
            }
            let mut messages = Messages::default();
            body.chunks(cut).for_each(|chunk| messages.pass(chunk));
            prop_assert_eq!(messages.bytes, u64::try_from(sizes.iter().sum::<usize>()).unwrap());
            prop_assert_eq!((messages.head, messages.rest), (0, 0));
        }
    }
}

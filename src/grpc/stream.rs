//! A server-streaming twin: the elements of a list, page after page.
//!
//! A page is a call of the list's own rpc, through the same layers, within the one
//! deadline of the stream. The next is asked for when the last element of the one before
//! has been taken, so a caller that reads slowly, or stops, slows or stops the asking,
//! and one page at a time is held. The stream ends with the pages, or with the status of
//! the page that failed, which says where another stream takes up the rest.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use http::{HeaderValue, Response as HttpResponse};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tonic::server::ServerStreamingService;
use tonic::{Request, Response, Status};
use tracing::{Instrument as _, Span};

use crate::call::Spent;
use crate::error::Error;
use crate::operation::{Operation, Paging};
use crate::transcode::{self, Page};

use super::exchange::{Caller, Gateway, bad_response};
use super::handler::panicked;
use super::status::Progress;
use super::walk::{Next, Walk};
use super::{Arrival, status};

/// How many requests the partner was sent for a stream, as it goes on.
pub(super) type Attempts = Arc<AtomicU32>;

/// A twin, as tonic wants it.
#[derive(Clone)]
pub(super) struct Twin {
    pub(super) operation: &'static Operation,
    pub(super) paging: &'static Paging,
    pub(super) gateway: Arc<Gateway>,
    pub(super) arrival: Arrival,
    pub(super) attempts: Attempts,
}

/// The pages of one stream, as far as they have not been asked for.
struct Pages {
    twin: Twin,
    caller: Caller,
    /// The caller's encoded request.
    request: Bytes,
    walk: Walk,
    is_over: bool,
    /// Where the time of the pages went.
    spent: Spent,
    /// The call's, which pages are asked for in.
    span: Span,
}

// === impl Twin ===

impl ServerStreamingService<Bytes> for Twin {
    type Response = Bytes;
    type ResponseStream = BoxStream<'static, Result<Bytes, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let twin = self.clone();
        Box::pin(async move {
            let mut pages = twin.pages(request)?;
            // A stream that cannot begin fails as a unary call does.
            let first = pages.next().await?;
            Ok(Response::new(elements(first, pages).boxed()))
        })
    }
}

impl Twin {
    fn pages(self, request: Request<Bytes>) -> Result<Pages, Status> {
        let caller = Caller::of(self.operation, request.metadata(), self.arrival.clone())
            .map_err(|error| self.failed(&error, Progress::default(), Spent::default()))?;
        let request = request.into_inner();
        // All of it, also what is not sent as it is.
        transcode::request(self.paging.list, &request).map_err(|violations| {
            self.failed(&Error::invalid(violations), Progress::default(), Spent::default())
        })?;
        let walk = Walk::new(self.paging.walk, &request);
        let (spent, span) = (Spent::default(), Span::current());
        Ok(Pages { twin: self, caller, request, walk, is_over: false, spent, span })
    }

    fn failed(&self, error: &Error, progress: Progress, spent: Spent) -> Status {
        let attempts = self.attempts.load(Ordering::Relaxed);
        self.arrival.report.failed(self.operation, error, attempts, spent);
        status::of_stream(error, self.operation, self.arrival.id, progress)
    }
}

// === impl Pages ===

impl Pages {
    /// The next page, or none when the last has been told.
    async fn next(&mut self) -> Result<Option<Page>, Status> {
        let span = self.span.clone();
        async {
            if self.is_over {
                let attempts = self.twin.attempts.load(Ordering::Relaxed);
                self.twin.arrival.report.answered(self.twin.operation, attempts, self.spent);
                return Ok(None);
            }
            match AssertUnwindSafe(self.ask()).catch_unwind().await {
                Ok(Ok(page)) => Ok(Some(page)),
                Ok(Err(error)) => Err(self.failed(&error)),
                Err(_) => Err(self.failed(&panicked(self.twin.operation))),
            }
        }
        .instrument(span)
        .await
    }

    async fn ask(&mut self) -> Result<Page, Error> {
        let Twin { paging, gateway, attempts, .. } = &self.twin;
        let request = self.walk.request(&self.request);
        let (message, reply) = gateway.ask(paging.list, &request, self.caller.clone()).await?;
        let host = gateway.partner(&paging.list.partner).map_or("", |partner| &partner.host);
        let mut page =
            Page::new(paging, message).map_err(|problem| bad_response(&reply, host, problem))?;
        let next = self.walk.advance(&mut page);
        self.is_over = next.map_err(|problem| bad_response(&reply, host, problem))? == Next::End;
        attempts.fetch_add(reply.attempts, Ordering::Relaxed);
        self.spent += reply.spent;
        Ok(page)
    }

    fn failed(&self, error: &Error) -> Status {
        let before = self.twin.attempts.fetch_add(error.attempts(), Ordering::Relaxed);
        let progress = Progress { attempts: before, resume: self.walk.resume() };
        let mut spent = self.spent;
        spent += error.spent();
        self.twin.failed(error, progress, spent)
    }
}

/// The elements of `first` and of the pages after it.
fn elements(
    first: Option<Page>,
    pages: Pages,
) -> impl futures_util::Stream<Item = Result<Bytes, Status>> + Send {
    stream::try_unfold((first, pages), |(page, mut pages)| async move {
        let Some(mut page) = page else { return Ok(None) };
        loop {
            if let Some(element) = page.next() {
                return Ok(Some((element, (Some(page), pages))));
            }
            // Before the next is there: one page at a time is held.
            drop(page);
            match pages.next().await? {
                Some(next) => page = next,
                None => return Ok(None),
            }
        }
    })
}

/// Tells in the trailers how many requests the partner was sent.
pub(super) fn tell_attempts(
    response: HttpResponse<Body>,
    attempts: Attempts,
) -> HttpResponse<Body> {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| match frame.into_trailers() {
            Ok(mut trailers) => {
                let attempts = HeaderValue::from(attempts.load(Ordering::Relaxed));
                trailers.insert("x-gateway-attempts", attempts);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }))
    })
}

#[cfg(test)]
mod tests;

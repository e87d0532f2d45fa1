//! A response body that ends: at the caller's deadline, or with its connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use http_body::Frame;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;

use crate::random::Random;
use crate::server::activity::Active;
use crate::server::connections::streams;

use super::explain;
use super::refusals::Refusals;

/// Those whose streams end at the same moment shall not come back at the same moment.
const EARLIEST_RETRY: Duration = Duration::from_millis(100);
const RETRY_SPREAD: Duration = Duration::from_secs(2);

/// The body of a call. A stream of events has no end of its own: without this one it
/// would outlive its deadline, and hold up a connection that is to be closed.
pub(super) struct Bounded {
    body: Body,
    refusals: Refusals,
    limits: Limits,
    /// Made when the body has to be waited for: most bodies are there at once.
    ends: Option<Ends>,
    _held: Held,
}

/// What ends a body.
pub(super) struct Limits {
    pub(super) deadline: Option<Instant>,
    /// The end of streams on its connection.
    pub(super) closing: CancellationToken,
    pub(super) random: Random,
}

/// What a call holds until its body has ended.
pub(super) type Held = (Active, Option<OwnedSemaphorePermit>);

struct Ends {
    deadline: Option<Pin<Box<Sleep>>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
}

// === impl Bounded ===

impl Bounded {
    pub(super) fn new(body: Body, refusals: Refusals, limits: Limits, held: Held) -> Self {
        // While its peer does not read, nobody asks it.
        streams::answered(limits.deadline, limits.closing.clone());
        Self { body, refusals, limits, ends: None, _held: held }
    }

    /// The status that ends the body now, if any does.
    fn end(&mut self, context: &mut Context<'_>) -> Option<Status> {
        let Limits { deadline, closing, random } = &self.limits;
        let ends = self.ends.get_or_insert_with(|| Ends {
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline))),
            closing: Box::pin(closing.clone().cancelled_owned()),
        });
        let is_over =
            ends.deadline.as_mut().is_some_and(|end| end.as_mut().poll(context).is_ready());
        if is_over {
            return Some(self.refusals.deadline_exceeded());
        }
        let is_closing = ends.closing.as_mut().poll(context).is_ready();
        let retry = || EARLIEST_RETRY + RETRY_SPREAD.mul_f64(random.draw());
        is_closing.then(|| self.refusals.closing(retry()))
    }
}

impl http_body::Body for Bounded {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let this = &mut *self;
        let polled = AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(context));
        let status = match catch_unwind(polled) {
            Ok(Poll::Ready(frame)) => {
                return Poll::Ready(frame.map(|frame| {
                    Ok(match frame?.into_trailers() {
                        Ok(trailers) => {
                            Frame::trailers(explain::trailers(trailers, &this.refusals))
                        }
                        Err(frame) => frame,
                    })
                }));
            }
            Ok(Poll::Pending) => match this.end(context) {
                Some(status) => status,
                None => return Poll::Pending,
            },
            Err(_) => this.refusals.panicked(),
        };
        this.body = Body::empty();
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(match status.add_header(&mut trailers) {
            Ok(()) => Ok(Frame::trailers(trailers)),
            Err(status) => Err(status),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

//! A call, step by step, until somebody is taken away.
//!
//! A step is one poll: of the caller's future, or of the task that does the caller's work.
//! That task belongs to nobody whom a test could ask, but it carries the span of its caller
//! along, so the subscriber of that span sees each of its polls.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Waker};

use tracing::span::Id;
use tracing::{Dispatch, Metadata, Subscriber, dispatcher};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry;

use super::*;

/// Who is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// The caller: its future is dropped. All polls count.
    Caller,
    /// The task that does the work: it ends as if it had panicked. Only its polls count.
    Work,
}

/// Counts steps, and acts after the last one.
#[derive(Clone)]
struct Steps(Arc<Inner>);

struct Inner {
    who: Ends,
    last: u32,
    made: AtomicU32,
    caller: Mutex<Caller>,
}

/// The caller, between two of its polls.
#[derive(Default)]
struct Caller {
    future: Option<Answering>,
    waker: Option<Waker>,
}

/// Makes a call and takes `who` away after step number `last`; the answer, if there was one.
pub(super) async fn after(
    who: Ends,
    last: u32,
    call: impl Future<Output = Result<Reply, Error>> + Send + 'static,
) -> Option<Result<Reply, Error>> {
    let future: Answering = Box::pin(call);
    let caller = Mutex::new(Caller { future: Some(future), waker: None });
    let steps = Steps(Arc::new(Inner { who, last, made: AtomicU32::new(0), caller }));
    let dispatch = Dispatch::new(registry().with(steps.clone()));
    let span = dispatcher::with_default(&dispatch, || tracing::info_span!("caller"));
    poll_fn(|cx| {
        let Some(mut caller) = steps.caller(cx.waker()) else { return Poll::Ready(None) };
        let poll = || span.in_scope(|| caller.as_mut().poll(cx));
        let polled = dispatcher::with_default(&dispatch, poll);
        match polled {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if steps.has_lost_its_caller() => Poll::Ready(None),
            Poll::Pending => {
                steps.0.caller.lock().unwrap().future = Some(caller);
                Poll::Pending
            }
        }
    })
    .await
}

// === impl Steps ===

impl Steps {
    /// The caller, unless it is gone or is to go before its first poll.
    fn caller(&self, waker: &Waker) -> Option<Answering> {
        let mut caller = self.0.caller.lock().unwrap();
        caller.waker = Some(waker.clone());
        caller.future.take().filter(|_| !self.has_lost_its_caller())
    }

    fn has_lost_its_caller(&self) -> bool {
        let Inner { who, last, made, .. } = &*self.0;
        *who == Ends::Caller && made.load(Ordering::SeqCst) >= *last
    }

    /// Drops the caller between two polls of the work. One that is just being polled is dropped
    /// after that.
    fn drop_caller(&self) {
        let mut caller = self.0.caller.lock().unwrap();
        let (future, waker) = (caller.future.take(), caller.waker.take());
        drop(caller);
        drop(future);
        waker.inspect(Waker::wake_by_ref);
    }
}

impl<S: Subscriber> Layer<S> for Steps {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == module_path!()
    }

    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        let Inner { who, last, made, .. } = &*self.0;
        let is_work = tokio::task::try_id().is_some();
        if *who == Ends::Work && !is_work {
            return;
        }
        if made.fetch_add(1, Ordering::SeqCst) + 1 == *last {
            match who {
                Ends::Caller => self.drop_caller(),
                // Without the message of a panic.
                Ends::Work => resume_unwind(Box::new("cut off")),
            }
        }
    }
}

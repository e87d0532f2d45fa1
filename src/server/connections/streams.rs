//! The tasks of a connection's streams, of which none is left to a peer that does not read.
//!
//! While a part of an answer waits for the peer's window, hyper asks the body for nothing, so
//! that the body cannot end itself. A peer that answers PINGs could keep a call's place and
//! hold up a drain like that. So a task is dropped some time after its answer was to end,
//! and h2 resets the stream (G18, G27).

use std::cell::Cell;
use std::future::{Future, pending};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::FAREWELL;

tokio::task_local! {
    /// Tells the task of a stream when that is to end.
    static END: Cell<Option<oneshot::Sender<End>>>;
}

/// When an answer is to end, at the latest.
#[derive(Debug)]
struct End {
    deadline: Option<Instant>,
    closing: CancellationToken,
}

/// Runs the tasks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams;

/// There is an answer, which is to end at `deadline` and when `closing` is cancelled.
pub(in crate::server) fn answered(deadline: Option<Instant>, closing: CancellationToken) {
    // Outside of a stream's task there is nobody to be told.
    if let Ok(Some(tell)) = END.try_with(Cell::take) {
        // It listens as long as this runs, which is in it.
        let _ = tell.send(End { deadline, closing });
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (tell, told) = oneshot::channel();
        let stream = END.scope(Cell::new(Some(tell)), stream);
        TokioExecutor::new().execute(async move {
            tokio::select! {
                // First, so that no timer is made for an answer that goes at once.
                biased;
                () = stream => {}
                () = overdue(told) => tracing::debug!("a peer does not take its answer"),
            }
        });
    }
}

async fn overdue(told: oneshot::Receiver<End>) {
    let Ok(End { deadline, closing }) = told.await else { return pending().await };
    let deadline = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => pending().await,
        }
    };
    closing.run_until_cancelled(deadline).await;
    sleep(FAREWELL).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(60);

    /// For how many seconds the task of a stream runs that has answered and does not end.
    async fn runs(deadline: Option<Duration>, closing: &CancellationToken) -> Option<u64> {
        let (start, closing) = (Instant::now(), closing.clone());
        let (alive, dropped) = oneshot::channel::<()>();
        Streams.execute(async move {
            answered(deadline.map(|deadline| start + deadline), closing);
            pending::<()>().await;
            drop(alive);
        });
        timeout(DEADLINE * 10, dropped).await.ok().map(|_| start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn g18_a_stream_outlives_its_deadline_by_a_farewell_at_most() {
        let open = CancellationToken::new();
        assert_eq!(runs(Some(DEADLINE), &open).await, Some((DEADLINE + FAREWELL).as_secs()));
        assert_eq!(runs(None, &open).await, None, "nothing ends it");
    }

    #[tokio::test(start_paused = true)]
    async fn g27_a_stream_outlives_the_closing_of_its_connection_by_a_farewell_at_most() {
        let closing = CancellationToken::new();
        closing.cancel();
        assert_eq!(runs(Some(DEADLINE), &closing).await, Some(FAREWELL.as_secs()));
        assert_eq!(runs(None, &closing).await, Some(FAREWELL.as_secs()));
    }

    /// A call that has no answer yet is ended by whoever makes the answer.
    #[tokio::test(start_paused = true)]
    async fn a_stream_without_an_answer_goes_on() {
        let (alive, mut dropped) = oneshot::channel::<()>();
        Streams.execute(async move {
            pending::<()>().await;
            drop(alive);
        });
        assert!(timeout(DEADLINE * 10, &mut dropped).await.is_err());
    }
}

//! The shared calls that are under way, and who waits for them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::Reply;
use crate::error::{Error, Kind};
use crate::stack::exchange::Progress;

/// What tells one read from another.
pub(super) type Key = [u8; 32];

/// An answer that is told to several. An error has one source, which stays with the first.
type Answer = Result<Reply, Arc<Error>>;

/// The shared calls that are under way. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Key, Known>>>);

/// A shared call that others may join.
struct Known {
    answer: watch::Receiver<Option<Answer>>,
    /// Gone when nobody waits any more.
    waiting: Weak<Waiting>,
}

/// Those who wait for a shared call: when the last of them is gone the call is given up.
struct Waiting {
    nobody: CancellationToken,
    progress: Progress,
    /// The first caller's.
    deadline: Instant,
}

/// A place among those who wait.
pub(super) struct Place {
    answer: watch::Receiver<Option<Answer>>,
    waiting: Arc<Waiting>,
}

/// A shared call on its way. However it ends, nobody joins it any more then.
pub(super) struct Flight {
    flights: Flights,
    key: Key,
    tell: watch::Sender<Option<Answer>>,
    nobody: CancellationToken,
    deadline: Instant,
    progress: Progress,
}

// === impl Flights ===

impl Flights {
    /// A place at the shared call with this key, if there is one.
    pub(super) fn join(&self, key: &Key) -> Option<Place> {
        let flights = self.lock();
        let known = flights.get(key)?;
        Some(Place { answer: known.answer.clone(), waiting: known.waiting.upgrade()? })
    }

    /// Begins a shared call, which takes the place of another with this key.
    pub(super) fn begin(&self, key: Key, progress: Progress, deadline: Instant) -> (Place, Flight) {
        let (tell, answer) = watch::channel(None);
        let nobody = CancellationToken::new();
        let waiting = Waiting { nobody: nobody.clone(), progress: progress.clone(), deadline };
        let waiting = Arc::new(waiting);
        let known = Known { answer: answer.clone(), waiting: Arc::downgrade(&waiting) };
        self.lock().insert(key, known);
        let flights = self.clone();
        (Place { answer, waiting }, Flight { flights, key, tell, nobody, deadline, progress })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Replies may hold secrets.
impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("count", &self.lock().len()).finish()
    }
}

// === impl Flight ===

impl Flight {
    /// Makes the call, for as long as somebody waits for it.
    pub(super) async fn fly(self, call: impl Future<Output = Result<Reply, Error>>) {
        let result = tokio::select! {
            biased;
            result = call => result,
            () = self.nobody.cancelled() => return,
            () = tokio::time::sleep_until(self.deadline) => {
                Err(Error::new(Kind::Timeout, self.progress.close()))
            }
        };
        let tell = self.tell.clone();
        // First nobody may join any more, then it is told: an answer is not handed out later.
        drop(self);
        tell.send_replace(Some(result.map_err(Arc::new)));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // Another may have taken its place.
        let is_its = |known: &Known| known.answer.same_channel(&self.tell.subscribe());
        if flights.get(&self.key).is_some_and(is_its) {
            flights.remove(&self.key);
        }
    }
}

// === impl Place ===

impl Place {
    /// How far the shared call has come.
    pub(super) fn progress(&self) -> &Progress {
        &self.waiting.progress
    }

    /// Until when the shared call has time.
    pub(super) fn deadline(&self) -> Instant {
        self.waiting.deadline
    }

    /// The answer of the shared call. Whoever drops this before gives up the place; who does
    /// so at the end of their time, which is `deadline`, says so.
    pub(super) async fn wait(self, deadline: Instant) -> Result<Reply, Error> {
        let leaving = Leaving { waiting: self.waiting, deadline };
        let mut answer = self.answer;
        let answer = match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            // It panicked, or the process ends.
            Err(_) => None,
        };
        let outcome = leaving.waiting.progress.outcome();
        let ended = || Err(Arc::new(Error::new(Kind::Internal, outcome)));
        answer.unwrap_or_else(ended).map_err(|error| copy(&error))
    }
}

/// Somebody who waits, until they are gone.
struct Leaving {
    waiting: Arc<Waiting>,
    deadline: Instant,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // The partner has let them wait, rather than that they went away.
        if Arc::strong_count(&self.waiting) == 1 && Instant::now() >= self.deadline {
            self.waiting.progress.close();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.nobody.cancel();
    }
}

/// The same error without its source.
fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind().clone(), error.outcome())
        .with_attempts(error.attempts())
        .with_spent(error.spent())
        .with_partner_request_id(error.partner_request_id().map(str::to_owned));
    match error.host() {
        Some(host) => copy.with_host(host),
        None => copy,
    }
}

//! A call on its way through the layers.
//!
//! What layers tell each other beside the call travels here: inwards what an attempt
//! carries, outwards how far the call has come. The second must survive a layer that is
//! dropped in the middle of an attempt, so it is shared and not returned.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use crate::call::{Call, Spent};
use crate::credentials::Used;
use crate::error::Outcome;
use crate::partner::Quota;

/// A partner that did not answer for this long did not answer in time.
const LONG: Duration = Duration::from_secs(1);

/// A call and what the layers know of it.
#[derive(Clone)]
pub(super) struct Exchange {
    /// The call; inside of authenticate with the credential on it.
    pub(super) call: Call,
    /// How far the call has come, shared by all its attempts.
    pub(super) progress: Progress,
    /// Where authenticate leaves what it used.
    pub(super) used: Arc<OnceLock<Used>>,
    /// Where judge leaves what the partner says of its quota.
    pub(super) quota: Arc<OnceLock<Quota>>,
    /// The secrets that the attempt carries.
    pub(super) secrets: Vec<SecretString>,
}

/// How far a call has come. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    deadline: Instant,
    steps: Arc<Mutex<Steps>>,
}

/// A moment on a call's way, and what has come since.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    progress: Progress,
    /// What the call's attempts before it have come to.
    attempts: u32,
    time: Duration,
}

/// What a call's time goes into. One at a time: layers that wait do not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waiting for a turn.
    Queue,
    /// Waiting for a credential.
    Token,
    /// Keeping records and keys.
    Store,
    /// An attempt.
    Attempt,
    /// The pause between two attempts.
    Backoff,
}

/// Counts the time of a phase until it is dropped.
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub(super) struct Timed(Progress);

#[derive(Debug, Default)]
struct Steps {
    attempts: u32,
    is_in_flight: bool,
    spent: Spent,
    /// The phase that the call is in, and since when.
    phase: Option<(Phase, Instant)>,
    /// Whether the caller has been told that the waiting is over.
    is_closed: bool,
    /// The shared call that this one has become, if it has.
    followed: Option<Progress>,
    /// The worst that ended attempts have left.
    settled: Option<Outcome>,
    /// Whether a user's token was refused, so that another credential has to stand in.
    stands_in: bool,
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn new(call: Call) -> Self {
        let progress = Progress::new(call.deadline);
        Self { call, progress, used: Arc::default(), quota: Arc::default(), secrets: Vec::new() }
    }
}

// The call's headers hold the credential.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("call", &self.call)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

// === impl Progress ===

impl Progress {
    /// That of a call that has not come far yet.
    pub(super) fn new(deadline: Instant) -> Self {
        Self { deadline, steps: Arc::default() }
    }

    /// Counts an attempt that begins, and gives its number, the first being 1; `None`
    /// when none may begin any more: the deadline has passed, or the call is closed.
    pub(super) fn begin(&self) -> Option<u32> {
        self.change(|steps| {
            // The clock is read under the lock: see `close`.
            if steps.is_closed || Instant::now() >= self.deadline {
                return None;
            }
            steps.attempts += 1;
            steps.is_in_flight = true;
            Some(steps.attempts)
        })
    }

    /// Says how the attempt ended.
    pub(super) fn end(&self, outcome: Outcome) {
        self.change(|steps| {
            steps.is_in_flight = false;
            let settled = steps.settled.unwrap_or(Outcome::NotSent);
            steps.settled = Some(settled.worse(outcome));
        });
    }

    /// Ends the waiting for the call: says what is known of its effect, and lets no
    /// attempt begin any more.
    ///
    /// So a caller that is told NOT_SENT is told the truth for good. Attempts begin and
    /// callers are told under one lock: an attempt that was first is seen in flight, and
    /// one that comes later finds the call closed. At the deadline it would find its time
    /// over as well, for tokio's timer never fires early, and the clock that the attempt
    /// reads after the timer has fired is at the deadline or past it.
    pub(super) fn close(&self) -> Outcome {
        let outcome = self.change(|steps| {
            steps.is_closed = true;
            steps.outcome()
        });
        self.followed().map_or(outcome, |shared| shared.outcome())
    }

    /// Counts the time from now on as spent on `phase`, until what is returned is dropped,
    /// with the call or before.
    pub(super) fn timed(&self, phase: Phase) -> Timed {
        self.change(|steps| steps.phase = Some((phase, Instant::now())));
        Timed(self.clone())
    }

    /// Where the time of the call went until now.
    pub(super) fn spent(&self) -> Spent {
        match self.followed() {
            Some(shared) => shared.spent(),
            None => self.change(|steps| steps.spent()),
        }
    }

    /// Where the call is now.
    pub(super) fn mark(&self) -> Mark {
        let (attempts, time) = (self.attempts(), self.spent().attempts);
        Mark { progress: self.clone(), attempts, time }
    }

    /// Says that a user's token was refused and another credential has to stand in, for
    /// all attempts that follow.
    pub(super) fn stand_in(&self) {
        self.change(|steps| steps.stands_in = true);
    }

    /// Whether a credential has to stand in for a user's token.
    pub(super) fn stands_in(&self) -> bool {
        self.change(|steps| steps.stands_in)
    }

    /// Says that from now on the call is a part of another one, which others share: what
    /// becomes of that is told as what became of this.
    pub(super) fn follow(&self, shared: &Progress) {
        self.change(|steps| steps.followed = Some(shared.clone()));
    }

    /// Whether the waiting is over.
    pub(super) fn is_closed(&self) -> bool {
        self.change(|steps| steps.is_closed)
    }

    /// How many attempts have begun.
    pub(super) fn attempts(&self) -> u32 {
        match self.followed() {
            Some(shared) => shared.attempts(),
            None => self.change(|steps| steps.attempts),
        }
    }

    /// What is known of the call's effect if it stops here.
    pub(super) fn outcome(&self) -> Outcome {
        match self.followed() {
            Some(shared) => shared.outcome(),
            None => self.change(|steps| steps.outcome()),
        }
    }

    fn followed(&self) -> Option<Progress> {
        self.change(|steps| steps.followed.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Steps) -> T) -> T {
        change(&mut self.steps.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Mark ===

impl Mark {
    /// Whether an attempt has begun since.
    pub(super) fn was_sent(&self) -> bool {
        self.progress.attempts() > self.attempts
    }

    /// Whether the partner has let an attempt wait until the caller's time was over, and
    /// for so long that it tells of the partner: a caller may have had little time.
    pub(super) fn has_run_out(&self) -> bool {
        let is_over = Instant::now() >= self.progress.deadline || self.progress.is_closed();
        let waited = self.progress.spent().attempts.saturating_sub(self.time);
        is_over && waited >= LONG
    }
}

// === impl Steps ===

impl Steps {
    fn outcome(&self) -> Outcome {
        match self.is_in_flight {
            true => Outcome::Unknown,
            false => self.settled.unwrap_or(Outcome::NotSent),
        }
    }

    fn spent(&self) -> Spent {
        let mut spent = self.spent;
        if let Some((phase, since)) = self.phase {
            *part(&mut spent, phase) += since.elapsed();
        }
        spent
    }
}

fn part(spent: &mut Spent, phase: Phase) -> &mut Duration {
    match phase {
        Phase::Queue => &mut spent.queue,
        Phase::Token => &mut spent.token,
        Phase::Store => &mut spent.store,
        Phase::Attempt => &mut spent.attempts,
        Phase::Backoff => &mut spent.backoff,
    }
}

// === impl Timed ===

impl Drop for Timed {
    fn drop(&mut self) {
        self.0.change(|steps| {
            steps.spent = steps.spent();
            steps.phase = None;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress::new(Instant::now() + Duration::from_secs(10))
    }

    #[tokio::test(start_paused = true)]
    async fn g4_the_outcome_is_the_worst_of_all_attempts() {
        let progress = progress();
        assert_eq!(progress.outcome(), Outcome::NotSent);
        assert_eq!(progress.begin(), Some(1));
        assert_eq!(progress.outcome(), Outcome::Unknown);
        progress.end(Outcome::Rejected);
        assert_eq!(progress.outcome(), Outcome::Rejected);
        assert_eq!(progress.begin(), Some(2));
        progress.end(Outcome::NotSent);
        assert_eq!(progress.outcome(), Outcome::Rejected);
        progress.begin();
        progress.end(Outcome::Unknown);
        assert_eq!((progress.outcome(), progress.attempts()), (Outcome::Unknown, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn g16_the_time_of_a_call_is_counted_by_phase_the_one_it_is_in_included() {
        let (progress, second) = (progress(), Duration::from_secs(1));
        let token = progress.timed(Phase::Token);
        tokio::time::advance(second).await;
        assert_eq!(progress.spent(), Spent { token: second, ..Spent::default() });
        drop(token);
        tokio::time::advance(second).await;
        for _ in 0..2 {
            let _attempt = progress.timed(Phase::Attempt);
            tokio::time::advance(second).await;
        }
        let expected = Spent { token: second, attempts: 2 * second, ..Spent::default() };
        assert_eq!(progress.spent(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn g17_no_attempt_begins_once_the_deadline_has_passed() {
        let progress = progress();
        tokio::time::advance(Duration::from_secs(10) - Duration::from_millis(1)).await;
        assert_eq!(progress.begin(), Some(1));
        progress.end(Outcome::Rejected);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(progress.begin(), None);
        assert_eq!((progress.outcome(), progress.attempts()), (Outcome::Rejected, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn g4_what_is_told_when_the_waiting_ends_stays_true() {
        let waiting = progress();
        assert_eq!(waiting.close(), Outcome::NotSent);
        assert_eq!((waiting.begin(), waiting.outcome()), (None, Outcome::NotSent));
        let sent = progress();
        sent.begin();
        assert_eq!(sent.close(), Outcome::Unknown);
    }
}

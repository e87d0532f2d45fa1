//! The life of a cached access token, as one table of states and edges.
//!
//! Whatever the number of callers, there is one fetch, and it is a task of its own: a
//! caller that goes away stops waiting and nothing else. A failed renewal is seen by
//! nobody while the old token is good. There is no timer: every edge is a caller that
//! asks, a partner that refuses, or the end of a fetch, so an idle gateway asks for
//! nothing. Time is tokio's clock, counted from the start of the request, so neither a
//! slow answer nor a changed wall clock makes a token look younger than it is.
//!
//! States: *empty* (no token), *fetching* (no good token, callers wait for the one
//! fetch), *paused* (no good token, callers are refused at once), *valid* (callers go on
//! with the token), *renewing* (valid, with the one fetch behind their backs).
//!
//! | edge | from | event | to |
//! |---|---|---|---|
//! | `first_caller` | empty | a caller asks | fetching |
//! | `more_callers` | fetching | others ask | fetching, still once |
//! | `caller_gone` | fetching | a caller goes away | fetching |
//! | `token_came` | fetching | a token comes | valid |
//! | `token_without_life` | fetching | a token comes that must not be kept | empty, the next fetch a second after this one |
//! | `token_past_its_life` | fetching | a token comes after its own life | paused, as `failed_for_now` |
//! | `failed_for_now` | fetching | a failure that may pass | paused, 0.1 s to 0.5 s by chance, the longest doubling up to 1.5 s |
//! | `failed_for_good` | fetching | a failure that only a change can help | paused, 1 min, doubling up to 15 min |
//! | `told_to_wait` | fetching | `Retry-After` | paused as long as told, 15 min at most |
//! | `cut_off` | fetching | the fetch is lost | paused, as `failed_for_now` |
//! | `asked_in_a_pause` | paused | a caller asks | paused, the caller is refused |
//! | `pause_over` | paused | a caller asks after the pause | fetching |
//! | `secret_changed` | paused | a new secret was read | empty |
//! | `asked_early` | valid | a caller asks before 72 to 80 % of its life | valid |
//! | `asked_late` | valid | a caller asks after that | renewing |
//! | `renewed` | renewing | a token comes | valid, the next generation |
//! | `not_renewed` | renewing | a failure of any sort | valid, the next try in 10 s, doubling up to 1 min, or after the pause |
//! | `margin_reached` | renewing | 30 s or 10 % of its life are left | fetching |
//! | `woken` | valid | a caller asks when no more than that is left | fetching |
//! | `refused` | valid | the partner refuses the last token | empty |
//! | `refused_late` | valid | the partner refuses an earlier token | valid |
//! | `replacement_refused` | valid | the partner refuses the replacement too | valid for another 30 s: the refusal is final |
//! | `refused_again` | valid | a refusal after these 30 s | empty |

mod life;
mod pause;
mod refused;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub(crate) use life::Token;
use pause::Pause;
pub(super) use pause::Refusal;
use refused::{Refused, Verdict};

use crate::random::Random;

/// The least time between two fetches of tokens that must not be cached.
const UNCACHED: Duration = Duration::from_secs(1);

const CUT_OFF: &str = "the request was cut off";

/// Asks the token endpoint once, in bounded time.
pub(super) type Fetch = Box<dyn Fn() -> BoxFuture<'static, Result<Issued, Refusal>> + Send + Sync>;
/// Is told of everything that callers may want to see.
pub(super) type Report = Box<dyn Fn(Event) + Send + Sync>;

/// What happened to the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A new one is there; how long it is good, if it may be kept.
    Issued(Option<Duration>),
    /// A fetch failed.
    Failed {
        /// Whether only a change of configuration can help.
        permanent: bool,
        /// How long no other is begun: with a good token, until its next renewal.
        pause: Duration,
    },
    /// The partner refused it.
    Dropped,
    /// The pause after a failure is over before its time.
    Forgiven,
}

/// What the token endpoint gave.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) secret: SecretString,
    /// How long it is good; `None` for one that must not be kept.
    pub(super) lifetime: Option<Duration>,
}

/// Gives out the token, and fetches one when that is needed.
#[derive(Clone)]
pub(crate) struct TokenSource(Arc<Shared>);

struct Shared {
    fetch: Fetch,
    tasks: TaskTracker,
    report: Report,
    random: Random,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    fetching: Option<watch::Receiver<Fetched>>,
    pause: Pause,
    /// When the next fetch may begin, after a token that must not be cached.
    not_before: Option<Instant>,
    /// That of the last token that came.
    generation: u64,
    refused: Refused,
}

type Fetched = Option<Result<Arc<Token>, Refusal>>;

/// A fetch that has begun and must end, one way or the other.
struct Open {
    shared: Arc<Shared>,
    sender: watch::Sender<Fetched>,
    is_ended: bool,
}

/// What a caller gets.
enum Turn {
    Go(Arc<Token>),
    Wait(watch::Receiver<Fetched>),
    Refused(Refusal),
}

// === impl TokenSource ===

impl TokenSource {
    /// A source without a token; it fetches none before it is asked.
    pub(super) fn new(fetch: Fetch, tasks: TaskTracker, report: Report) -> Self {
        Self::with_random(fetch, tasks, report, Random::system())
    }

    /// The same, with the chance that its jitter is made of.
    fn with_random(fetch: Fetch, tasks: TaskTracker, report: Report, random: Random) -> Self {
        Self(Arc::new(Shared { fetch, tasks, report, random, state: Mutex::default() }))
    }

    /// Whether nobody but its owner holds the source: no caller and no fetch. An idle one
    /// may be forgotten, and another made for the same account, without two fetches
    /// meeting. Whoever hands out clones must do it under the lock that this is asked in.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// A token that is good now. Waits for a fetch if there is none, and may be dropped
    /// while it does.
    pub(super) async fn token(&self) -> Result<Arc<Token>, Refusal> {
        loop {
            let mut fetched = match self.turn(Instant::now()) {
                Turn::Go(token) => return Ok(token),
                Turn::Refused(refusal) => return Err(refusal),
                Turn::Wait(fetched) => fetched,
            };
            match fetched.wait_for(Option::is_some).await.as_deref() {
                // It came, and its time was over before this caller had its turn.
                Ok(Some(Ok(token))) if token.is_over(Instant::now()) => {}
                Ok(Some(result)) => return result.clone(),
                Ok(None) | Err(_) => return Err(Refusal::transient(CUT_OFF)),
            }
        }
    }

    /// Drops `refused` if it is still the last token. Says whether another token may be
    /// had: when its replacement is refused as well, not for half a minute (O4).
    pub(super) fn invalidate(&self, refused: &Token) -> bool {
        let mut state = self.0.state();
        // A renewal may have brought one that must not be kept, and the one before is used on.
        let used = state.token.as_ref().map(|token| token.generation);
        if used.is_some_and(|used| used != refused.generation) {
            return true;
        }
        let last = used.unwrap_or(state.generation);
        match state.refused.judge(refused.generation, last, Instant::now()) {
            // Somebody else has replaced it since, or is about to.
            Verdict::Superseded => true,
            Verdict::Final => false,
            Verdict::Replace => {
                state.token = None;
                drop(state);
                (self.0.report)(Event::Dropped);
                true
            }
        }
    }

    /// Says that the secret was replaced: what failed before may succeed now.
    pub(super) fn secret_changed(&self) {
        let pause = std::mem::take(&mut self.0.state().pause);
        if pause.is_begun() {
            (self.0.report)(Event::Forgiven);
        }
    }

    fn turn(&self, now: Instant) -> Turn {
        let mut state = self.0.state();
        let (turn, begun) = state.turn(now);
        let not_before = state.not_before;
        // Without the lock: a runtime that is shutting down drops the task at once.
        drop(state);
        if let Some(sender) = begun {
            self.fetch(Open { shared: Arc::clone(&self.0), sender, is_ended: false }, not_before);
        }
        turn
    }

    fn fetch(&self, open: Open, not_before: Option<Instant>) {
        self.0.tasks.spawn(async move {
            if let Some(moment) = not_before {
                tokio::time::sleep_until(moment).await;
            }
            let started = Instant::now();
            let result = (open.shared.fetch)().await;
            open.end(started, result);
        });
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(
        &self,
        started: Instant,
        result: Result<Issued, Refusal>,
    ) -> Result<Arc<Token>, Refusal> {
        let now = Instant::now();
        let mut state = self.state();
        state.fetching = None;
        let token = match result.and_then(|issued| state.admit(issued, started, now, &self.random))
        {
            Ok(token) => token,
            Err(refusal) => {
                let has_token = state.token.as_ref().is_some_and(|token| !token.is_over(now));
                state.pause.begin(&refusal, &self.random, now);
                let pause = state.pause.left(has_token, now);
                drop(state);
                (self.report)(Event::Failed { permanent: refusal.permanent, pause });
                return Err(refusal);
            }
        };
        state.pause = Pause::default();
        let left = token.left(now);
        match left {
            Some(_) => state.token = Some(Arc::clone(&token)),
            None => state.not_before = Some(started + UNCACHED),
        }
        drop(state);
        (self.report)(Event::Issued(left));
        Ok(token)
    }
}

// === impl State ===

impl State {
    /// What a caller gets, and where the fetch that it begins, if it does, leaves what
    /// came of it.
    fn turn(&mut self, now: Instant) -> (Turn, Option<watch::Sender<Fetched>>) {
        if let Some(token) = self.token.clone().filter(|token| !token.is_over(now)) {
            let is_due = token.is_due(now) && !self.pause.forbids_renewal(now);
            let begun = (is_due && self.fetching.is_none()).then(|| self.begin().1);
            return (Turn::Go(token), begun);
        }
        if let Some(fetched) = &self.fetching {
            return (Turn::Wait(fetched.clone()), None);
        }
        match self.pause.refusal(now) {
            Some(refusal) => (Turn::Refused(refusal), None),
            None => {
                let (fetched, begun) = self.begin();
                (Turn::Wait(fetched), Some(begun))
            }
        }
    }

    fn begin(&mut self) -> (watch::Receiver<Fetched>, watch::Sender<Fetched>) {
        let (sender, receiver) = watch::channel(None);
        self.fetching = Some(receiver.clone());
        (receiver, sender)
    }

    fn admit(
        &mut self,
        issued: Issued,
        started: Instant,
        now: Instant,
        random: &Random,
    ) -> Result<Arc<Token>, Refusal> {
        let generation = self.generation + 1;
        let token = Token::new(issued, started, generation, random);
        if token.is_over(now) {
            return Err(Refusal::transient("the token was past its life when it came"));
        }
        self.generation = generation;
        Ok(Arc::new(token))
    }
}

// === impl Open ===

impl Open {
    fn end(mut self, started: Instant, result: Result<Issued, Refusal>) {
        self.is_ended = true;
        let fetched = self.shared.finish(started, result);
        // Nobody may be waiting any more.
        self.sender.send_replace(Some(fetched));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_ended {
            let cut_off = Err(Refusal::transient(CUT_OFF));
            self.sender.send_replace(Some(self.shared.finish(Instant::now(), cut_off)));
        }
    }
}

#[cfg(test)]
mod tests;

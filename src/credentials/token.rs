//! The life of a cached access token.
//!
//! ```text
//!              a caller asks                      it answers
//!   (no token) ─────────────▶ (one fetch, callers wait) ──▶ (valid)
//!       ▲                        │ it fails                  │ 80 % of its life:
//!       │                        ▼                           │ one fetch behind the
//!       │ back-off over     (back-off: callers               │ callers' backs
//!       └────────────────── are refused at once)             ▼
//!       ◀──────────────────────── expired, or refused ── (valid, being renewed)
//! ```
//! Whatever the number of callers, there is one fetch, and it is a task of its own: a
//! caller that goes away stops waiting and nothing else. A failed renewal is seen by
//! nobody while the old token is good. Time is tokio's clock, counted from the start of
//! the request, so neither a slow answer nor a changed wall clock makes a token look
//! younger than it is.

mod life;
mod pause;

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

/// The least time between two fetches of tokens that must not be cached.
const UNCACHED: Duration = Duration::from_secs(1);
/// The least time between two refused tokens that are replaced: a partner that refuses
/// every token, if only for some of its paths, is asked for one this often at most (O4).
const REPLACEMENT: Duration = Duration::from_secs(30);

/// Asks the token endpoint once.
pub(super) type Fetch = Box<dyn Fn() -> BoxFuture<'static, Result<Issued, Refusal>> + Send + Sync>;
/// Is told of each change: how long the new token is good, or that there is none.
pub(super) type Report = Box<dyn Fn(Option<Duration>) + Send + Sync>;

/// What the token endpoint gave.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) secret: SecretString,
    /// How long it is good; `None` for one that must not be kept.
    pub(super) lifetime: Option<Duration>,
}

/// Gives out the token, and fetches one when that is needed.
#[derive(Clone)]
pub(super) struct TokenSource(Arc<Shared>);

struct Shared {
    fetch: Fetch,
    tasks: TaskTracker,
    report: Report,
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
    replaced: Option<Replaced>,
}

/// The last refused token that was dropped for another.
#[derive(Clone, Copy)]
struct Replaced {
    generation: u64,
    moment: Instant,
}

type Fetched = Option<Result<Arc<Token>, Refusal>>;

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
        Self(Arc::new(Shared { fetch, tasks, report, state: Mutex::default() }))
    }

    /// A token that is good now. Waits for a fetch if there is none, and may be dropped
    /// while it does.
    pub(super) async fn token(&self) -> Result<Arc<Token>, Refusal> {
        let mut fetched = match self.turn(Instant::now()) {
            Turn::Go(token) => return Ok(token),
            Turn::Refused(refusal) => return Err(refusal),
            Turn::Wait(fetched) => fetched,
        };
        match fetched.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            Ok(None) | Err(_) => Err(Refusal::transient("the request was cut off")),
        }
    }

    /// Drops `refused` if it is still the last token. Says whether another token may be
    /// had: within [`REPLACEMENT`] of one that was dropped before, no.
    pub(super) fn invalidate(&self, refused: &Token) -> bool {
        let mut state = self.0.state();
        // Somebody else has replaced it since, or is about to.
        let replaced = state.replaced.map_or(0, |replaced| replaced.generation);
        if refused.generation < state.generation || refused.generation <= replaced {
            return true;
        }
        let now = Instant::now();
        if state.replaced.is_some_and(|replaced| now < replaced.moment + REPLACEMENT) {
            return false;
        }
        state.replaced = Some(Replaced { generation: refused.generation, moment: now });
        state.token = None;
        drop(state);
        (self.0.report)(None);
        true
    }

    fn turn(&self, now: Instant) -> Turn {
        let mut state = self.0.state();
        if let Some(token) = state.token.clone().filter(|token| now < token.expiry) {
            let is_due = now >= token.renewal && !state.pause.forbids_renewal(now);
            if is_due && state.in_flight().is_none() {
                self.start(&mut state);
            }
            return Turn::Go(token);
        }
        if let Some(fetched) = state.in_flight() {
            return Turn::Wait(fetched);
        }
        match state.pause.refusal(now) {
            Some(refusal) => Turn::Refused(refusal),
            None => Turn::Wait(self.start(&mut state)),
        }
    }

    /// Begins the one fetch.
    fn start(&self, state: &mut State) -> watch::Receiver<Fetched> {
        let (sender, receiver) = watch::channel(None);
        state.fetching = Some(receiver.clone());
        let not_before = state.not_before;
        let shared = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            if let Some(moment) = not_before {
                tokio::time::sleep_until(moment).await;
            }
            let started = Instant::now();
            let result = (shared.fetch)().await;
            let fetched = shared.finish(started, result);
            // Nobody may be waiting any more.
            sender.send_replace(Some(fetched));
        });
        receiver
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
        let token = match result.and_then(|issued| state.admit(issued, started, now)) {
            Ok(token) => token,
            Err(refusal) => {
                state.pause.begin(&refusal, now);
                return Err(refusal);
            }
        };
        state.pause = Pause::default();
        let is_kept = now < token.expiry;
        state.not_before = (!is_kept).then(|| started + UNCACHED);
        if is_kept {
            state.token = Some(Arc::clone(&token));
        }
        drop(state);
        if is_kept {
            (self.report)(Some(token.expiry - now));
        }
        Ok(token)
    }
}

// === impl State ===

impl State {
    /// The fetch that is under way. One whose task is gone is none.
    fn in_flight(&self) -> Option<watch::Receiver<Fetched>> {
        self.fetching.clone().filter(|fetched| fetched.has_changed().is_ok())
    }

    fn admit(
        &mut self,
        issued: Issued,
        started: Instant,
        now: Instant,
    ) -> Result<Arc<Token>, Refusal> {
        let must_keep = issued.lifetime.is_some();
        let generation = self.generation + 1;
        let token = Token::new(issued, started, generation);
        if must_keep && token.expiry <= now {
            return Err(Refusal::transient("the token was past its life when it came"));
        }
        self.generation = generation;
        Ok(Arc::new(token))
    }
}

#[cfg(test)]
mod tests;

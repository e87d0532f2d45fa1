//! The waiting for a turn, and what a call holds once it has had it.
//!
//! [`Book`] decides; here calls wait for what it says, and give back what they hold
//! whenever and wherever they are dropped.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::book::{Book, Step, Told};
use super::lane::{Lane, Owner, Rules, Waiter};
use super::shared::{Asked, Shared};
use super::slots::Felt;
use super::snapshot::{LaneSnapshot, Snapshot};
use crate::error::{Error, Kind, Outcome};
use crate::random::Random;
use crate::stack::exchange::{Exchange, Phase, Progress};
use crate::stack::{Limits, Tunable};
use crate::telemetry::spans;

/// The turns of one partner's calls. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    book: Mutex<Book>,
    limits: Tunable,
    shared: Option<Shared>,
    random: Random,
    stopping: CancellationToken,
}

/// A call that has asked for its turn. When it is dropped it stands in nobody's way.
struct Ticket {
    turns: Turns,
    owner: Owner,
    waiter: Arc<Waiter>,
    /// The slot that it has while it asks other replicas.
    has_slot: bool,
}

/// The right to send one request. It ends when it is dropped.
pub(super) struct Slot {
    turns: Turns,
    owner: Owner,
    progress: Progress,
    /// The call's attempts before this one.
    attempts: u32,
    begun: Instant,
    deadline: Instant,
    is_over: bool,
}

// === impl Turns ===

impl Turns {
    pub(super) fn new(
        limits: Tunable,
        shared: Option<Shared>,
        random: Random,
        stopping: CancellationToken,
    ) -> Self {
        let book = Mutex::new(Book::new(limits.get().concurrency));
        Self(Arc::new(Inner { book, limits, shared, random, stopping }))
    }

    /// Waits until the call may be sent.
    ///
    /// # Errors
    /// [`Kind::RateLimited`], [`Kind::Overloaded`] and [`Kind::ShuttingDown`]; nothing was
    /// sent.
    pub(super) async fn turn(&self, owner: Owner, exchange: &Exchange) -> Result<Slot, Error> {
        let (progress, deadline) = (&exchange.progress, exchange.call.deadline);
        let (mut ticket, first) = self.enter(owner, exchange)?;
        match first {
            Step::Go => {}
            Step::Refused(refusal) => return Err(refusal.into()),
            Step::Ask | Step::Wait(_) => {
                let _time = progress.timed(Phase::Queue);
                ticket.wait(first).instrument(spans::queue()).await?;
            }
        }
        Ok(ticket.slot(progress, deadline))
    }

    /// How calls get their turns just now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let is_shared = self.counts_together();
        self.with(|book, rules, now| {
            let lane = |(owner, lane): (&Owner, &Lane)| LaneSnapshot {
                account: owner.clone(),
                waiting: lane.waiting(),
                in_flight: lane.in_flight,
                wait: lane.earliest(rules, now, lane.waiting()).duration_since(now),
                closed_for: lane.gate.closed_for(now),
                paced: lane.gate.interval(now),
                heard: lane.gate.heard(now),
            };
            let mut lanes: Vec<_> = book.lanes.iter().map(lane).collect();
            lanes.sort_by(|a, b| a.account.cmp(&b.account));
            Snapshot {
                waiting: book.waiting,
                in_flight: book.slots.taken(),
                concurrency: book.slots.limit(rules.limits.concurrency),
                counts: book.counts,
                is_shared,
                lanes,
            }
        })
    }

    fn enter(&self, owner: Owner, exchange: &Exchange) -> Result<(Ticket, Step), Error> {
        let call = &exchange.call;
        let (waiter, first) = self.with(|book, rules, now| {
            let min_time = rules.limits.retry.min_time;
            let last_call = call.deadline.checked_sub(min_time).unwrap_or(now);
            let waiter = book.enter(&owner, &call.caller, last_call, rules, now)?;
            let first = book.step(&owner, &waiter, rules, now);
            Ok::<_, Error>((waiter, first))
        })?;
        let turns = self.clone();
        let has_slot = first == Step::Ask;
        Ok((Ticket { turns, owner, waiter, has_slot }, first))
    }

    fn counts_together(&self) -> bool {
        self.0.shared.as_ref().is_some_and(Shared::is_there)
    }

    fn with<T>(&self, what: impl FnOnce(&mut Book, Rules<'_>, Instant) -> T) -> T {
        let limits: Arc<Limits> = self.0.limits.get();
        let rules = Rules { limits: &limits, counts_together: self.counts_together() };
        let mut book = self.0.book.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that time does not run backwards for the book.
        what(&mut book, rules, Instant::now())
    }
}

// === impl Ticket ===

impl Ticket {
    async fn wait(&mut self, first: Step) -> Result<(), Error> {
        let mut step = first;
        loop {
            match step {
                Step::Go => return Ok(()),
                Step::Refused(refusal) => return Err(refusal.into()),
                Step::Ask if self.ask().await => return Ok(()),
                Step::Ask => {}
                Step::Wait(then) => self.until(then).await?,
            }
            step = self.step();
        }
    }

    async fn until(&self, then: Instant) -> Result<(), Error> {
        tokio::select! {
            () = self.waiter.wakes.notified() => Ok(()),
            () = sleep_until(then) => Ok(()),
            () = self.turns.0.stopping.cancelled() => {
                Err(Error::new(Kind::ShuttingDown, Outcome::NotSent))
            }
        }
    }

    fn step(&mut self) -> Step {
        let Self { turns, owner, waiter, .. } = self;
        let step = turns.with(|book, rules, now| book.step(owner, waiter, rules, now));
        self.has_slot = step == Step::Ask;
        step
    }

    /// Asks what replicas count together; `true` if the request may be sent.
    async fn ask(&mut self) -> bool {
        let rate = self.turns.0.limits.get().rate;
        let asked = match (&self.turns.0.shared, rate) {
            (Some(shared), Some(rate)) => shared.take(&self.owner, rate).await,
            _ => Asked::Away,
        };
        self.has_slot = false;
        let Self { turns, owner, waiter, .. } = self;
        turns.with(|book, rules, now| match asked {
            Asked::Granted(ahead) => book.granted(owner, waiter, ahead, rules, now),
            Asked::Denied(ahead) => {
                book.denied(owner, Some(ahead), rules, now);
                false
            }
            Asked::Away => {
                book.denied(owner, None, rules, now);
                false
            }
        })
    }

    /// What it has once it may go.
    fn slot(&self, progress: &Progress, deadline: Instant) -> Slot {
        Slot {
            turns: self.turns.clone(),
            owner: self.owner.clone(),
            progress: progress.clone(),
            attempts: progress.attempts(),
            begun: Instant::now(),
            deadline,
            is_over: false,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Self { turns, owner, waiter, has_slot } = self;
        turns.with(|book, rules, now| {
            if *has_slot {
                book.denied(owner, None, rules, now);
            }
            book.leave(owner, waiter, rules);
        });
    }
}

// === impl Slot ===

impl Slot {
    /// When the request may be sent.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Ends it with what is to be learnt from the end of the request.
    pub(super) fn over(mut self, told: Told) {
        self.is_over = true;
        self.end(told);
    }

    fn end(&self, told: Told) {
        let jitter = self.turns.0.random.draw();
        self.turns.with(|book, rules, now| book.over(&self.owner, told, rules, now, jitter));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // A caller that goes away says nothing of the partner; a deadline does, if it was
        // the partner that was waited for.
        let was_sent = self.progress.attempts() > self.attempts;
        let felt =
            if was_sent && Instant::now() >= self.deadline { Felt::Weak } else { Felt::Nothing };
        let begun = self.begun;
        self.end(Told { begun, felt, refused: None, is_accepted: false, quota: None });
    }
}

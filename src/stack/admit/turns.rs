//! The waiting for a turn, and what a call holds once it has had it.
//!
//! [`Book`] decides; here calls wait for what it says, and give back what they hold
//! whenever and wherever they are dropped. Nobody waits for a partner that is left alone:
//! the turn would be spent, and counted, for a call that is refused right after.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::book::{Book, Step, Told};
use super::lane::{Lane, Owner, Rules};
use super::shared::{Asked, Shared};
use super::slots::Felt;
use super::snapshot::{LaneSnapshot, Snapshot};
use super::waiter::Waiter;
use crate::error::{Error, Kind, Outcome};
use crate::operation::Effect;
use crate::random::Random;
use crate::stack::exchange::{Exchange, Mark, Phase};
use crate::stack::{Breakers, Limits, Tunable};
use crate::telemetry::spans;

/// The turns of one partner's calls. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    book: Mutex<Book>,
    limits: Tunable,
    shared: Option<Shared>,
    breakers: Breakers,
    random: Random,
    stopping: CancellationToken,
}

/// A call that has asked for its turn. When it is dropped it stands in nobody's way.
struct Ticket {
    turns: Turns,
    waiter: Arc<Waiter>,
    effect: Effect,
    /// The slot that it has while it asks other replicas.
    has_slot: bool,
}

/// The right to send one request. It ends when it is dropped.
pub(super) struct Slot {
    turns: Turns,
    owner: Owner,
    mark: Mark,
    begun: Instant,
    is_over: bool,
}

// === impl Turns ===

impl Turns {
    pub(super) fn new(
        limits: Tunable,
        shared: Option<Shared>,
        breakers: Breakers,
        random: Random,
        stopping: CancellationToken,
    ) -> Self {
        let book = Mutex::new(Book::new(limits.get().concurrency));
        Self(Arc::new(Inner { book, limits, shared, breakers, random, stopping }))
    }

    /// Waits until the call may be sent.
    ///
    /// # Errors
    /// [`Kind::RateLimited`], [`Kind::Overloaded`], [`Kind::CircuitOpen`] and
    /// [`Kind::ShuttingDown`]; nothing was sent.
    pub(super) async fn turn(&self, owner: &Owner, exchange: &Exchange) -> Result<Slot, Error> {
        let progress = &exchange.progress;
        let (mut ticket, first) = self.enter(owner, exchange)?;
        match first {
            Step::Go => {}
            Step::Refused(refusal) => return Err(refusal.into()),
            Step::Ask | Step::Wait(_) => {
                let _time = progress.timed(Phase::Queue);
                ticket.wait(first).instrument(spans::queue()).await?;
            }
        }
        Ok(ticket.slot(progress.mark()))
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
                waiting: book.places.taken(),
                in_flight: book.slots.taken(),
                concurrency: book.slots.limit(rules.limits.concurrency),
                counts: book.counts,
                is_shared,
                lanes,
            }
        })
    }

    fn enter(&self, owner: &Owner, exchange: &Exchange) -> Result<(Ticket, Step), Error> {
        let call = &exchange.call;
        let effect = call.operation.effect;
        self.0.breakers.check(effect)?;
        let (waiter, first) = self.with(|book, rules, now| {
            let min_time = rules.limits.retry.min_time;
            let last_call = call.deadline.checked_sub(min_time).unwrap_or(now);
            let waiter = book.enter(owner, &call.caller, last_call, rules, now)?;
            let first = book.step(&waiter, rules, now);
            Ok::<_, Error>((waiter, first))
        })?;
        let turns = self.clone();
        let has_slot = first == Step::Ask;
        Ok((Ticket { turns, waiter, effect, has_slot }, first))
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
            self.turns.0.breakers.check(self.effect)?;
            step = self.step();
        }
    }

    async fn until(&self, then: Instant) -> Result<(), Error> {
        tokio::select! {
            () = self.waiter.wakes.notified() => Ok(()),
            () = sleep_until(then) => Ok(()),
            () = self.turns.0.breakers.until_refused(self.effect) => Ok(()),
            () = self.turns.0.stopping.cancelled() => {
                Err(Error::new(Kind::ShuttingDown, Outcome::NotSent))
            }
        }
    }

    fn step(&mut self) -> Step {
        let Self { turns, waiter, .. } = self;
        let step = turns.with(|book, rules, now| book.step(waiter, rules, now));
        self.has_slot = step == Step::Ask;
        step
    }

    /// Asks what replicas count together; `true` if the request may be sent.
    async fn ask(&mut self) -> bool {
        let rate = self.turns.0.limits.get().rate;
        let asked = match (&self.turns.0.shared, rate) {
            (Some(shared), Some(rate)) => shared.take(&self.waiter.owner, rate).await,
            _ => Asked::Away,
        };
        self.has_slot = false;
        let Self { turns, waiter, .. } = self;
        turns.with(|book, rules, now| match asked {
            Asked::Granted(ahead) => book.granted(waiter, ahead, rules, now),
            Asked::Denied(ahead) => {
                book.give_back(waiter, Some(ahead), rules, now);
                false
            }
            Asked::Away => {
                book.give_back(waiter, None, rules, now);
                false
            }
        })
    }

    /// What it has once it may go.
    fn slot(&self, mark: Mark) -> Slot {
        let (turns, owner) = (self.turns.clone(), self.waiter.owner.clone());
        Slot { turns, owner, mark, begun: Instant::now(), is_over: false }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Self { turns, waiter, has_slot, .. } = self;
        turns.with(|book, rules, now| {
            if *has_slot {
                book.give_back(waiter, None, rules, now);
            }
            book.leave(waiter, rules);
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
        let felt = if self.mark.has_run_out() { Felt::Weak } else { Felt::Nothing };
        let begun = self.begun;
        self.end(Told { begun, felt, refused: None, is_accepted: false, quota: None });
    }
}

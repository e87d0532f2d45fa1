//! Who may send, decided under one lock: the lanes of a partner, its slots, and the places
//! of those who wait.
//!
//! Nothing here waits. A call enters, takes steps until it is let through or refused, and
//! leaves; each step says what it is to wait for. So the rules are in one place, and a
//! call that is dropped anywhere has only to leave.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lane::{Lane, Owner, Refusal, Rules, Waiter};
use super::queue::Queue;
use super::slots::{Felt, Slots};
use super::snapshot::Counts;
use crate::callers::Caller;
use crate::partner::Quota;
use crate::stack::Concurrency;

/// How many quotas of sub-accounts are told apart at most.
const MAX_LANES: usize = 256;
/// How often the one who has the turn looks again whatever it waits for: the limits may
/// have changed.
const LOOK: Duration = Duration::from_secs(1);

/// What a call does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes: it has a slot.
    Go,
    /// It has a slot, and asks what replicas count together.
    Ask,
    /// It looks again then, or when it is told to.
    Wait(Instant),
    /// It is not let through.
    Refused(Refusal),
}

/// What the end of a request tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// When it was sent.
    pub(super) begun: Instant,
    /// What it says of the partner's strength.
    pub(super) felt: Felt,
    /// Whether the partner wants to be left alone.
    pub(super) refused: Option<Refused>,
    /// Whether the partner took it.
    pub(super) is_accepted: bool,
    /// What is left of the quota.
    pub(super) quota: Option<Quota>,
}

/// How the partner asked to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There were too many requests of this account; it may say when they may come back.
    TooMany(Option<Duration>),
    /// It serves nobody for so long.
    Unavailable(Duration),
}

/// The lanes of a partner, its slots, and the places of those who wait.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) lanes: HashMap<Owner, Lane>,
    pub(super) slots: Slots,
    /// Those who have their lane's turn and wait for a slot.
    for_slot: Queue<Arc<Waiter>>,
    /// Until when the partner serves nobody, as it said last.
    unavailable_until: Option<Instant>,
    /// How many places each caller has, by name.
    places: HashMap<String, u64>,
    pub(super) waiting: usize,
    pub(super) counts: Counts,
    last_id: u64,
}

// === impl Book ===

impl Book {
    pub(super) fn new(bounds: Concurrency) -> Self {
        Self {
            lanes: HashMap::new(),
            slots: Slots::new(bounds),
            for_slot: Queue::default(),
            unavailable_until: None,
            places: HashMap::new(),
            waiting: 0,
            counts: Counts::default(),
            last_id: 0,
        }
    }

    /// Enters a call: with the turn if nobody else is there, else in the queue.
    pub(super) fn enter(
        &mut self,
        owner: &Owner,
        caller: &Caller,
        last_call: Instant,
        rules: Rules<'_>,
        now: Instant,
    ) -> Result<Arc<Waiter>, Refusal> {
        if !self.has_lane(owner, now) {
            self.counts.overloaded += 1;
            return Err(Refusal::Overloaded);
        }
        self.last_id += 1;
        let waiter = Arc::new(Waiter {
            id: self.last_id,
            caller: caller.clone(),
            last_call,
            wakes: Notify::new(),
            is_seated: AtomicBool::new(false),
            refusal: OnceLock::new(),
        });
        let closed = self.unavailable_until;
        let lane = self.lanes.entry(owner.clone()).or_insert_with(|| Lane::new(closed));
        if lane.turn.is_none() {
            lane.turn = Some(Arc::clone(&waiter));
            return Ok(waiter);
        }
        lane.queue.push(caller, waiter.id, Arc::clone(&waiter));
        if lane.ahead_of(&waiter) < lane.queue.len() {
            self.refuse_hopeless(owner, rules, now);
        }
        Ok(waiter)
    }

    /// What a call that has entered does next.
    pub(super) fn step(
        &mut self,
        owner: &Owner,
        waiter: &Arc<Waiter>,
        rules: Rules<'_>,
        now: Instant,
    ) -> Step {
        if let Some(refusal) = waiter.refusal.get() {
            return Step::Refused(*refusal);
        }
        let Some(lane) = self.lanes.get_mut(owner) else {
            return Step::Refused(Refusal::Overloaded);
        };
        let (has_turn, ahead) = (lane.is_turn_of(waiter), lane.ahead_of(waiter));
        lane.keep_to(rules, now);
        let earliest = lane.earliest(rules, now, ahead);
        if earliest > now.max(waiter.last_call) {
            return self.refused(waiter, Refusal::RateLimited(earliest - now));
        }
        if has_turn && earliest <= now && self.take_slot(waiter, rules) {
            return self.sent(owner, waiter, rules, now);
        }
        if earliest > now {
            self.leave_slot_line(waiter, rules);
        }
        if now >= waiter.last_call || !self.seat(waiter, rules) {
            return self.refused(waiter, Refusal::Overloaded);
        }
        let look = if has_turn { now + LOOK } else { waiter.last_call };
        let then = if earliest > now { earliest } else { look };
        Step::Wait(then.min(look).min(waiter.last_call))
    }

    /// Replicas count the request: it goes, unless it may not just now any more. `ahead`
    /// is when the next request is due.
    pub(super) fn granted(
        &mut self,
        owner: &Owner,
        waiter: &Arc<Waiter>,
        ahead: Duration,
        rules: Rules<'_>,
        now: Instant,
    ) -> bool {
        let Some(lane) = self.lanes.get_mut(owner) else { return false };
        let may_go = waiter.refusal.get().is_none() && lane.gate.opens(now, 0) <= now;
        lane.told(ahead, now);
        if may_go {
            self.go(owner, waiter, rules, now)
        } else {
            self.denied(owner, None, rules, now)
        }
        may_go
    }

    /// Replicas have used up the quota, or cannot be asked: the slot is given back.
    pub(super) fn denied(
        &mut self,
        owner: &Owner,
        ahead: Option<Duration>,
        rules: Rules<'_>,
        now: Instant,
    ) {
        if let Some(lane) = self.lanes.get_mut(owner) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            if let Some(ahead) = ahead {
                lane.told(ahead, now);
            }
        }
        self.release(Felt::Nothing, rules);
    }

    /// A request is over.
    pub(super) fn over(
        &mut self,
        owner: &Owner,
        told: Told,
        rules: Rules<'_>,
        now: Instant,
        jitter: f64,
    ) {
        if let Some(lane) = self.lanes.get_mut(owner) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            lane.hear(&told, now, jitter);
        }
        if let Some(Refused::Unavailable(pause)) = told.refused {
            self.close_all(pause, rules, now, jitter);
        } else if told.refused.is_some() || told.quota.is_some() {
            self.refuse_hopeless(owner, rules, now);
        }
        self.release(told.felt, rules);
    }

    /// A call has gone or is given up: what it held is passed on.
    pub(super) fn leave(&mut self, owner: &Owner, waiter: &Arc<Waiter>, rules: Rules<'_>) {
        self.unseat(waiter);
        self.leave_slot_line(waiter, rules);
        let Some(lane) = self.lanes.get_mut(owner) else { return };
        if lane.is_turn_of(waiter) {
            lane.next_turn();
        } else {
            lane.queue.remove(&waiter.caller, waiter.id);
        }
    }

    /// The call that has the turn has a slot, and its time has come.
    fn sent(
        &mut self,
        owner: &Owner,
        waiter: &Arc<Waiter>,
        rules: Rules<'_>,
        now: Instant,
    ) -> Step {
        if let Some(lane) = self.lanes.get_mut(owner) {
            lane.in_flight += 1;
        }
        if rules.counts_together && rules.limits.rate.is_some() {
            return Step::Ask;
        }
        self.go(owner, waiter, rules, now);
        Step::Go
    }

    fn go(&mut self, owner: &Owner, waiter: &Arc<Waiter>, rules: Rules<'_>, now: Instant) {
        self.counts.admitted += 1;
        if let Some(lane) = self.lanes.get_mut(owner) {
            lane.pass(rules, now);
        }
        self.leave(owner, waiter, rules);
    }

    fn refused(&mut self, waiter: &Arc<Waiter>, refusal: Refusal) -> Step {
        self.unseat(waiter);
        if waiter.refuse(refusal) {
            self.count(refusal);
        }
        Step::Refused(refusal)
    }

    fn count(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::RateLimited(_) => self.counts.rate_limited += 1,
            Refusal::Overloaded => self.counts.overloaded += 1,
        }
    }

    /// Tells those whose turn cannot come in time any more, at once.
    fn refuse_hopeless(&mut self, owner: &Owner, rules: Rules<'_>, now: Instant) {
        let Some(lane) = self.lanes.get_mut(owner) else { return };
        for (waiter, wait) in lane.hopeless(rules, now) {
            self.refused(&waiter, Refusal::RateLimited(wait));
        }
    }

    /// A partner that serves nobody has its gate closed for every account.
    fn close_all(&mut self, pause: Duration, rules: Rules<'_>, now: Instant, jitter: f64) {
        for lane in self.lanes.values_mut() {
            let until = lane.gate.close(pause, now, jitter);
            self.unavailable_until = self.unavailable_until.max(Some(until));
        }
        let owners: Vec<_> = self.lanes.keys().cloned().collect();
        owners.iter().for_each(|owner| self.refuse_hopeless(owner, rules, now));
    }

    /// Whether there is a lane, or room for one. The partner account's own always has its.
    fn has_lane(&mut self, owner: &Owner, now: Instant) -> bool {
        let is_full = |lanes: &HashMap<Owner, _>| lanes.keys().flatten().count() >= MAX_LANES;
        if owner.is_none() || self.lanes.contains_key(owner) || !is_full(&self.lanes) {
            return true;
        }
        self.lanes.retain(|owner, lane| owner.is_none() || !lane.is_idle(now));
        !is_full(&self.lanes)
    }
}

// Slots: those who have the turn of a lane take them, by the share of their callers.
impl Book {
    fn take_slot(&mut self, waiter: &Arc<Waiter>, rules: Rules<'_>) -> bool {
        let free = self.slots.free(rules.limits.concurrency);
        if !self.for_slot.contains(&waiter.caller, waiter.id) {
            self.for_slot.push(&waiter.caller, waiter.id, Arc::clone(waiter));
        }
        let before = self.for_slot.ahead_of(&waiter.caller, waiter.id);
        let is_let = usize::try_from(free).is_ok_and(|free| before < free);
        if is_let {
            self.for_slot.take(&waiter.caller, waiter.id);
            self.slots.take();
            self.call_for_slots(rules);
        }
        is_let
    }

    fn leave_slot_line(&mut self, waiter: &Arc<Waiter>, rules: Rules<'_>) {
        self.for_slot.remove(&waiter.caller, waiter.id);
        self.call_for_slots(rules);
    }

    fn release(&mut self, felt: Felt, rules: Rules<'_>) {
        self.slots.release(felt, rules.limits.concurrency);
        self.call_for_slots(rules);
    }

    /// Calls as many as there are free slots.
    fn call_for_slots(&self, rules: Rules<'_>) {
        let free = usize::try_from(self.slots.free(rules.limits.concurrency)).unwrap_or_default();
        self.for_slot.iter().take(free).for_each(|waiter| waiter.wakes.notify_one());
    }
}

// Places: bounded, and where there are too few, whoever has the most for its share has to
// give one up.
impl Book {
    /// Gives a place to a call that has to wait; `false` if there is none for it.
    fn seat(&mut self, waiter: &Arc<Waiter>, rules: Rules<'_>) -> bool {
        if waiter.is_seated.load(Ordering::Relaxed) {
            return true;
        }
        if self.waiting >= rules.limits.max_waiting && !self.make_room(&waiter.caller) {
            return false;
        }
        waiter.is_seated.store(true, Ordering::Relaxed);
        self.waiting += 1;
        *self.places.entry(waiter.caller.name().to_owned()).or_default() += 1;
        true
    }

    fn unseat(&mut self, waiter: &Waiter) {
        if !waiter.unseat() {
            return;
        }
        self.waiting = self.waiting.saturating_sub(1);
        let name = waiter.caller.name();
        if let Some(places) = self.places.get_mut(name) {
            *places = places.saturating_sub(1);
            if *places == 0 {
                self.places.remove(name);
            }
        }
    }

    /// Refuses the newest call of the caller that has the most places for its share, unless
    /// that would be `caller` itself. Who has the turn keeps it.
    fn make_room(&mut self, caller: &Caller) -> bool {
        let weight = |caller: &Caller, more: u64| {
            let places = self.places.get(caller.name()).copied().unwrap_or_default();
            (places + more).saturating_mul(1 << 20) / u64::from(caller.share())
        };
        let own = weight(caller, 1);
        let newest = self.lanes.iter().flat_map(|(owner, lane)| {
            lane.queue.newest().map(move |waiter| (weight(&waiter.caller, 0), waiter, owner))
        });
        let heavier = newest
            .filter(|(weight, waiter, _)| *weight > own && waiter.caller.name() != caller.name())
            .max_by_key(|(weight, waiter, _)| (*weight, waiter.id));
        let Some((_, waiter, owner)) = heavier else { return false };
        let (owner, waiter) = (owner.clone(), Arc::clone(waiter));
        if let Some(lane) = self.lanes.get_mut(&owner) {
            lane.queue.remove(&waiter.caller, waiter.id);
        }
        self.refused(&waiter, Refusal::Overloaded);
        true
    }
}

#[cfg(test)]
mod tests;

//! Who may send, decided under one lock: the lanes of a partner (`lane`), its slots
//! (`slot_line`), and the places of those who wait (`places`).
//!
//! Nothing here waits. A call enters, takes steps until it is let through or refused, and
//! leaves; each step says what it is to wait for. So the rules are in one place, and a
//! call that is dropped anywhere has only to leave.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::gate::opens_after;
use super::lane::{Lane, Owner, Rules};
use super::places::Places;
use super::slot_line::SlotLine;
use super::slots::Felt;
use super::snapshot::Counts;
use super::waiter::{Refusal, Waiter};
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
    pub(super) slots: SlotLine,
    pub(super) places: Places,
    /// Until when the partner serves nobody, as it has said.
    unavailable_until: Option<Instant>,
    pub(super) counts: Counts,
    last_id: u64,
}

// === impl Book ===

impl Book {
    pub(super) fn new(bounds: Concurrency) -> Self {
        Self {
            lanes: HashMap::new(),
            slots: SlotLine::new(bounds),
            places: Places::default(),
            unavailable_until: None,
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
        let waiter = Waiter::new(self.last_id, owner, caller, last_call);
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
    pub(super) fn step(&mut self, waiter: &Arc<Waiter>, rules: Rules<'_>, now: Instant) -> Step {
        if let Some(refusal) = waiter.refusal() {
            return Step::Refused(refusal);
        }
        let Some(lane) = self.lanes.get_mut(&waiter.owner) else {
            return Step::Refused(Refusal::Overloaded);
        };
        let (has_turn, ahead) = (lane.is_turn_of(waiter), lane.ahead_of(waiter));
        lane.keep_to(rules, now);
        let earliest = lane.earliest(rules, now, ahead);
        if earliest > now.max(waiter.last_call) {
            return self.refused(waiter, Refusal::RateLimited(earliest - now));
        }
        let bounds = rules.limits.concurrency;
        if has_turn && earliest <= now && self.slots.take(waiter, bounds) {
            return self.sent(waiter, rules, now);
        }
        if earliest > now {
            self.slots.leave(waiter, bounds);
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
        waiter: &Waiter,
        ahead: Duration,
        rules: Rules<'_>,
        now: Instant,
    ) -> bool {
        let Some(lane) = self.lanes.get_mut(&waiter.owner) else { return false };
        let may_go = waiter.refusal().is_none() && lane.gate.opens(now, 0) <= now;
        lane.told(ahead, now);
        if may_go {
            self.go(waiter, rules, now)
        } else {
            self.give_back(waiter, None, rules, now)
        }
        may_go
    }

    /// The slot of a call that does not go is given back: replicas have used up the quota,
    /// with the next request due in `ahead`, or cannot be asked, or the call is gone.
    pub(super) fn give_back(
        &mut self,
        waiter: &Waiter,
        ahead: Option<Duration>,
        rules: Rules<'_>,
        now: Instant,
    ) {
        if let Some(lane) = self.lanes.get_mut(&waiter.owner) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            if let Some(ahead) = ahead {
                lane.told(ahead, now);
            }
        }
        self.slots.release(Felt::Nothing, rules.limits.concurrency);
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
        self.slots.release(told.felt, rules.limits.concurrency);
    }

    /// A call has gone or is given up: what it held is passed on.
    pub(super) fn leave(&mut self, waiter: &Waiter, rules: Rules<'_>) {
        self.places.take_back(waiter);
        self.slots.leave(waiter, rules.limits.concurrency);
        let Some(lane) = self.lanes.get_mut(&waiter.owner) else { return };
        if lane.is_turn_of(waiter) {
            lane.next_turn();
        } else {
            lane.queue.remove(&waiter.caller, waiter.id);
        }
    }

    /// The call that has the turn has a slot, and its time has come.
    fn sent(&mut self, waiter: &Waiter, rules: Rules<'_>, now: Instant) -> Step {
        if let Some(lane) = self.lanes.get_mut(&waiter.owner) {
            lane.in_flight += 1;
        }
        if rules.counts_together && rules.limits.rate.is_some() {
            return Step::Ask;
        }
        self.go(waiter, rules, now);
        Step::Go
    }

    fn go(&mut self, waiter: &Waiter, rules: Rules<'_>, now: Instant) {
        self.counts.admitted += 1;
        if let Some(lane) = self.lanes.get_mut(&waiter.owner) {
            lane.pass(rules, now);
        }
        self.leave(waiter, rules);
    }

    /// Gives a place to a call that has to wait; `false` if there is none for it.
    fn seat(&mut self, waiter: &Waiter, rules: Rules<'_>) -> bool {
        let is_full = self.places.taken() >= rules.limits.max_waiting;
        if !waiter.is_seated() && is_full && !self.make_room(&waiter.caller) {
            return false;
        }
        self.places.give(waiter);
        true
    }

    /// Refuses the newest call of a caller that has more places for its share than `caller`
    /// would. Who has the turn keeps it.
    fn make_room(&mut self, caller: &Caller) -> bool {
        let newest = self.lanes.values().flat_map(|lane| lane.queue.newest());
        let Some(waiter) = self.places.most_for_its_share(caller, newest) else { return false };
        if let Some(lane) = self.lanes.get_mut(&waiter.owner) {
            lane.queue.remove(&waiter.caller, waiter.id);
        }
        self.refused(&waiter, Refusal::Overloaded);
        true
    }

    fn refused(&mut self, waiter: &Waiter, refusal: Refusal) -> Step {
        self.places.take_back(waiter);
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
        // What an account was told of its own quota is nothing to those that come.
        let until = opens_after(pause, now, jitter);
        self.unavailable_until = self.unavailable_until.max(Some(until));
        self.lanes.values_mut().for_each(|lane| lane.gate.close_until(until));
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

#[cfg(test)]
mod tests;

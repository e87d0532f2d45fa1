//! One quota of a partner: who waits for it, who has the turn, and when the next request
//! may be sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::book::{Refused, Told};
use super::gate::Gate;
use super::gcra::{Gcra, Tempo};
use super::queue::Queue;
use super::waiter::Waiter;
use crate::stack::Limits;

/// Whose quota it is: a sub-account's, or the partner account's own.
pub(super) type Owner = Option<String>;

/// What counts just now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) limits: &'a Limits,
    /// Whether replicas count together.
    pub(super) counts_together: bool,
}

/// A quota, and those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) queue: Queue<Arc<Waiter>>,
    /// Who has the turn.
    pub(super) turn: Option<Arc<Waiter>>,
    pub(super) gate: Gate,
    /// This replica's share: what counts when it cannot ask the others.
    own: Gcra,
    /// What all replicas have sent, as far as this one was told.
    common: Gcra,
    /// Requests that are open.
    pub(super) in_flight: u32,
}

// === impl Lane ===

impl Lane {
    /// One whose gate is closed until then.
    pub(super) fn new(closed_until: Option<Instant>) -> Self {
        let mut lane = Self::default();
        if let Some(until) = closed_until {
            lane.gate.close_until(until);
        }
        lane
    }

    /// When the request after `ahead` others may be sent, as far as is known.
    pub(super) fn earliest(&self, rules: Rules<'_>, now: Instant, ahead: usize) -> Instant {
        let (opens, begins) = (self.gate.opens(now, ahead), self.gate.opens(now, 0));
        let counted = rules.tempo().map(|tempo| {
            let counted = if rules.counts_together { &self.common } else { &self.own };
            counted.earliest(tempo, now, begins, ahead)
        });
        counted.map_or(opens, |counted| counted.max(opens))
    }

    /// Takes note of the rules, before they are asked for a moment.
    pub(super) fn keep_to(&mut self, rules: Rules<'_>, now: Instant) {
        if let Some(tempo) = rules.tempo() {
            let counted = if rules.counts_together { &mut self.common } else { &mut self.own };
            counted.keep_to(tempo, now);
        }
    }

    /// Lets a request through: it is counted, and its time must have come.
    pub(super) fn pass(&mut self, rules: Rules<'_>, now: Instant) {
        self.gate.pass(now);
        if let Some(tempo) = rules.share() {
            self.own.note(tempo, now);
        }
    }

    /// Learns from the end of a request.
    pub(super) fn hear(&mut self, told: &Told, now: Instant, jitter: f64) {
        if let Some(Refused::TooMany(hint)) = told.refused {
            self.gate.refuse(hint, told.begun, now, jitter);
        }
        if told.is_accepted {
            self.gate.accept(told.begun);
        }
        match (told.quota, told.refused) {
            // It has said when it wants to be asked again: what a count says is no news.
            (Some(quota), Some(Refused::TooMany(Some(_)) | Refused::Unavailable(_))) => {
                self.gate.note(quota, now);
            }
            (Some(quota), _) => self.gate.hear(quota, self.in_flight, now, jitter),
            (None, _) => {}
        }
    }

    /// Takes over what all replicas have sent.
    pub(super) fn told(&mut self, ahead: Duration, now: Instant) {
        self.common.set(ahead, now);
    }

    /// Whether this call has the turn.
    pub(super) fn is_turn_of(&self, waiter: &Waiter) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.id == waiter.id)
    }

    /// How many have their turn before this call.
    pub(super) fn ahead_of(&self, waiter: &Waiter) -> usize {
        if self.is_turn_of(waiter) {
            return 0;
        }
        self.queue.ahead_of(&waiter.caller, waiter.id) + usize::from(self.turn.is_some())
    }

    /// How many wait, the one that has the turn among them.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.turn.is_some())
    }

    /// Gives the turn to the next.
    pub(super) fn next_turn(&mut self) {
        self.turn = self.queue.pop();
        if let Some(waiter) = &self.turn {
            waiter.wakes.notify_one();
        }
    }

    /// Takes out those whose turn cannot come in time any more; for how long each would
    /// have had to wait.
    pub(super) fn hopeless(
        &mut self,
        rules: Rules<'_>,
        now: Instant,
    ) -> Vec<(Arc<Waiter>, Duration)> {
        let (mut found, mut ahead) = (Vec::new(), usize::from(self.turn.is_some()));
        for waiter in self.queue.iter() {
            let earliest = self.earliest(rules, now, ahead);
            if earliest > now.max(waiter.last_call) {
                found.push((Arc::clone(waiter), earliest - now));
            } else {
                ahead += 1;
            }
        }
        // Who has the turn sees for itself.
        if let Some(waiter) = &self.turn {
            waiter.wakes.notify_one();
        }
        for (waiter, _) in &found {
            self.queue.remove(&waiter.caller, waiter.id);
        }
        found
    }

    /// Whether a lane that is forgotten and made anew would be the same.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let is_empty = self.turn.is_none() && self.queue.is_empty() && self.in_flight == 0;
        let is_rested = self.own.is_rested(now) && self.common.is_rested(now);
        is_empty && is_rested && self.gate.is_idle(now)
    }
}

// === impl Rules ===

impl Rules<'_> {
    /// How fast requests may follow each other, if that is bounded.
    pub(super) fn tempo(&self) -> Option<Tempo> {
        if self.counts_together { self.limits.rate.map(Tempo::whole) } else { self.share() }
    }

    /// How fast this replica may send without asking the others.
    fn share(&self) -> Option<Tempo> {
        self.limits.rate.map(|rate| Tempo::share(rate, self.limits.replicas))
    }
}

//! The circuits of one partner: one for each class of calls.
//!
//! A partner may read well and write badly, so each class is judged by its own attempts.
//! Only a read opens the way again, to all of them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::circuit::{Circuit, Kind, Position, Ticket, Verdict};
use super::left_alone;
use super::window::Counts;
use crate::error::Error;
use crate::operation::Effect;
use crate::random::Random;
use crate::stack::limits::{Breaker, Tunable};

/// How long the gateway waits for a caller's read before it makes one itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// The classes, in the order in which they are told.
const CLASSES: [Effect; 3] = [Effect::Read, Effect::Idempotent, Effect::WriteOnce];

/// Which classes of calls a partner is sent. Clones share it.
#[derive(Clone)]
pub struct Breakers(Arc<Shared>);

struct Shared {
    partner: &'static str,
    limits: Tunable,
    random: Random,
    circuits: Mutex<Circuits>,
    /// Is told whenever a circuit opens.
    opened: Notify,
}

#[derive(Clone, Debug)]
struct Circuits {
    read: Circuit,
    idempotent: Circuit,
    write_once: Circuit,
}

/// A call that was let through. It counts when it has ended; dropped before, it does not.
#[derive(Debug)]
pub(super) struct Pass {
    breakers: Breakers,
    effect: Effect,
    /// `None` when nothing is counted.
    ticket: Option<Ticket>,
}

/// How one class of calls does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The class.
    pub(crate) effect: Effect,
    /// Whether its calls pass.
    pub(crate) position: Standing,
    /// Attempts that have ended in the window.
    pub(crate) attempts: u32,
    /// How many of them have failed.
    pub(crate) failures: u32,
    /// How often its calls were stopped.
    pub(crate) opened: u64,
}

/// Whether calls of a class pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They do.
    Closed,
    /// None does, for this long.
    Open(Duration),
    /// A read decides.
    HalfOpen,
}

// === impl Breakers ===

impl Breakers {
    /// Circuits to `partner` that are closed, with the rules that `limits` has at each moment.
    pub(in crate::stack) fn new(partner: &'static str, limits: Tunable, random: Random) -> Self {
        let circuit = |kind| Circuit::new(kind, Instant::now(), &limits.get().breaker);
        let circuits = Circuits {
            read: circuit(Kind::Reads),
            idempotent: circuit(Kind::Writes),
            write_once: circuit(Kind::Writes),
        };
        let (circuits, opened) = (Mutex::new(circuits), Notify::new());
        Self(Arc::new(Shared { partner, limits, random, circuits, opened }))
    }

    /// Whether a call of this class would pass just now.
    ///
    /// # Errors
    /// What it would be told if not.
    pub(in crate::stack) fn check(&self, effect: Effect) -> Result<(), Error> {
        self.refusal(effect).map_or(Ok(()), |retry_after| Err(left_alone(retry_after)))
    }

    /// Returns as soon as calls of this class do not pass.
    pub(in crate::stack) async fn until_refused(&self, effect: Effect) {
        loop {
            let opened = self.0.opened.notified();
            if self.refusal(effect).is_some() {
                return;
            }
            opened.await;
        }
    }

    /// For how long a call of this class would be refused just now; `None` if it would pass.
    fn refusal(&self, effect: Effect) -> Option<Duration> {
        self.change(|circuits, now, rules| {
            circuits.of(effect).refusal(now).filter(|_| rules.is_enabled)
        })
    }

    /// Lets a call of this class through, or says for how long it is refused.
    pub(super) fn enter(&self, effect: Effect) -> Result<Pass, Duration> {
        let ticket = self.change(|circuits, now, rules| {
            rules.is_enabled.then(|| circuits.of(effect).enter(now)).transpose()
        })?;
        Ok(Pass { breakers: self.clone(), effect, ticket })
    }

    /// How each class does.
    pub(crate) fn look(&self) -> Vec<Look> {
        self.change(|circuits, now, _| {
            let look = |effect| {
                let circuit = circuits.of(effect);
                let Counts { attempts, failures } = circuit.counts(now);
                let position = match circuit.position(now) {
                    Position::Closed => Standing::Closed,
                    Position::Open(until) => Standing::Open(until - now),
                    Position::HalfOpen => Standing::HalfOpen,
                };
                Look { effect, position, attempts, failures, opened: circuit.opened() }
            };
            CLASSES.map(look).to_vec()
        })
    }

    /// Whether calls of all classes pass.
    pub(crate) fn are_closed(&self) -> bool {
        self.look().iter().all(|look| look.position == Standing::Closed)
    }

    /// Returns when a circuit has waited for a read and no caller has made one: the gateway
    /// has to, for writes would wait forever at a partner that is only written to, and one
    /// that nobody reads from would count as failing for as long.
    pub(crate) async fn wants_read(&self) {
        loop {
            let opened = self.0.opened.notified();
            match self.next_read() {
                None => opened.await,
                Some(at) if at <= Instant::now() => return,
                Some(at) => sleep_until(at).await,
            }
        }
    }

    /// When a read is wanted, as things are.
    fn next_read(&self) -> Option<Instant> {
        self.change(|circuits, _, _| {
            let writes = [circuits.idempotent.until(), circuits.write_once.until()];
            // While reads do not pass either there is no use in one.
            let first = circuits.read.until().or_else(|| writes.into_iter().flatten().min())?;
            Some(first + PATIENCE)
        })
    }

    fn leave(&self, effect: Effect, ticket: Ticket, verdict: Verdict) {
        let (before, after) = self.change(|circuits, now, rules| {
            let before = circuits.positions(now);
            circuits.of(effect).leave(ticket, verdict, now, rules, &self.0.random);
            if (effect, verdict) == (Effect::Read, Verdict::Alive) {
                circuits.idempotent.read_succeeded(now, rules);
                circuits.write_once.read_succeeded(now, rules);
            }
            (before, circuits.positions(now))
        });
        for ((class, before), after) in CLASSES.into_iter().zip(before).zip(after) {
            self.tell(class, before, after);
        }
    }

    /// Tells of a circuit that has changed.
    fn tell(&self, class: Effect, before: Position, after: Position) {
        let partner = self.0.partner;
        match after {
            _ if before == after => {}
            Position::Open(until) => {
                let seconds = (until - Instant::now()).as_secs_f64();
                tracing::warn!(partner, ?class, seconds, "the partner fails and is left alone");
                self.0.opened.notify_waiters();
            }
            Position::Closed => tracing::info!(partner, ?class, "the partner is back"),
            Position::HalfOpen => {}
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Circuits, Instant, &Breaker) -> T) -> T {
        let limits = self.0.limits.get();
        let rules = &limits.breaker;
        let mut circuits = self.0.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that no circuit sees its time run backwards.
        let now = Instant::now();
        if !rules.is_enabled {
            circuits.reset(now, rules);
        }
        change(&mut circuits, now, rules)
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Breakers").field(&self.look()).finish()
    }
}

// === impl Circuits ===

impl Circuits {
    fn of(&mut self, effect: Effect) -> &mut Circuit {
        match effect {
            Effect::Read => &mut self.read,
            Effect::Idempotent => &mut self.idempotent,
            Effect::WriteOnce => &mut self.write_once,
        }
    }

    fn positions(&self, now: Instant) -> [Position; 3] {
        [&self.read, &self.idempotent, &self.write_once].map(|circuit| circuit.position(now))
    }

    /// Forgets everything that is not as it would be without rules.
    fn reset(&mut self, now: Instant, rules: &Breaker) {
        for effect in CLASSES {
            let circuit = self.of(effect);
            if circuit.position(now) != Position::Closed {
                circuit.reset(now, rules);
            }
        }
    }
}

// === impl Pass ===

impl Pass {
    /// Counts how the call ended.
    pub(super) fn end(mut self, verdict: Verdict) {
        self.count(verdict);
    }

    fn count(&mut self, verdict: Verdict) {
        if let Some(ticket) = self.ticket.take() {
            self.breakers.leave(self.effect, ticket, verdict);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.count(Verdict::Neutral);
    }
}

#[cfg(test)]
mod tests;

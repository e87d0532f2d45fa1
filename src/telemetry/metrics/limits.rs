//! What keeps calls from a partner: queues, gates, budgets, breakers. A family that nothing
//! feeds is not on the page.

use super::family::{Counter, Declare, Gauge};

const PARTNER: &[&str] = &["partner"];

/// The metrics of limits.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) retries: Counter,
    pub(super) retry_budget: Gauge,
    pub(super) breaker: Gauge,
    pub(super) gate_closed: Gauge,
    pub(super) queue_waiting: Gauge,
    pub(super) in_flight: Gauge,
    pub(super) concurrency_limit: Gauge,
    pub(super) refusals: Counter,
}

/// How the layers do that protect a partner, and its callers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Protection {
    /// Retries that the budget has left.
    pub retry_budget: u64,
    /// Whether a gate is closed, of any of its accounts.
    pub is_gate_closed: bool,
    /// Calls that wait for their turn.
    pub waiting: u64,
    /// Requests that are open.
    pub in_flight: u64,
    /// How many may be.
    pub concurrency: u64,
    /// Calls that were not sent because their turn would have come too late, since the start.
    pub rate_limited: u64,
    /// Calls that were not sent for want of room, since the start.
    pub overloaded: u64,
}

// === impl Limits ===

impl Limits {
    pub(super) fn declare(it: &mut Declare<'_>) -> Self {
        Self {
            retries: it.counter(
                "partner_gateway.retries",
                &["partner", "reason"],
                "Attempts after the first of a call, by why the one before did not do",
            ),
            retry_budget: it.gauge(
                "partner_gateway.retry_budget",
                "",
                PARTNER,
                "Retries that the budget has left",
            ),
            breaker: it.gauge(
                "partner_gateway.breaker_state",
                "",
                &["partner", "effect", "state"],
                "1 for the state that the circuit breaker is in, 0 for the others",
            ),
            gate_closed: it.gauge(
                "partner_gateway.gate_closed",
                "",
                PARTNER,
                "Whether an account is sent nothing because the partner said so: a quota is used up, or it serves nobody",
            ),
            queue_waiting: it.gauge(
                "partner_gateway.queue_waiting",
                "",
                PARTNER,
                "Calls that wait for their turn",
            ),
            in_flight: it.gauge(
                "partner_gateway.in_flight",
                "",
                PARTNER,
                "Requests that are at the partner",
            ),
            concurrency_limit: it.gauge(
                "partner_gateway.concurrency_limit",
                "",
                PARTNER,
                "Requests that may be at the partner at once",
            ),
            refusals: it.counter(
                "partner_gateway.refusals",
                &["partner", "reason"],
                "Calls that were not sent to spare the partner, or the quota",
            ),
        }
    }

    pub(super) fn set(&self, partner: &str, protection: &Protection) {
        let whose = || [partner.to_owned().into()];
        self.retry_budget.set(whose(), protection.retry_budget);
        self.gate_closed.set(whose(), u64::from(protection.is_gate_closed));
        self.queue_waiting.set(whose(), protection.waiting);
        self.in_flight.set(whose(), protection.in_flight);
        self.concurrency_limit.set(whose(), protection.concurrency);
        for (reason, count) in
            [("rate_limited", protection.rate_limited), ("overloaded", protection.overloaded)]
        {
            self.refusals.raise([partner.to_owned().into(), reason.into()], count);
        }
    }
}

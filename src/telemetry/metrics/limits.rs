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
                "Whether nothing is sent because the partner's quota is used up",
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
                "Calls that are at the partner",
            ),
            concurrency_limit: it.gauge(
                "partner_gateway.concurrency_limit",
                "",
                PARTNER,
                "Calls that may be at the partner at once",
            ),
        }
    }
}

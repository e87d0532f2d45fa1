//! What operators may look at, and change, in a running stack.

use super::admit::Turns;
use super::breaker::Breakers;
use super::limits::Tunable;
use super::retry::Budget;

/// The parts of one partner's stack that tell how it does. Clones share them.
#[derive(Clone, Debug)]
pub struct State {
    /// How hard the partner is used: may be set anew while calls go on.
    pub limits: Tunable,
    /// How calls get their turns.
    pub(crate) turns: Turns,
    /// Which classes of calls it is sent.
    pub breakers: Breakers,
    /// What is left for attempts that are made again.
    pub retry_budget: Budget,
}

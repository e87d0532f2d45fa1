//! What operators may look at, and change, in a running stack.

use super::limits::Tunable;

/// The parts of one partner's stack that tell how it does. Clones share them.
#[derive(Clone, Debug)]
pub struct State {
    /// How hard the partner is used: may be set anew while calls go on.
    pub limits: Tunable,
}

//! Which refused tokens are replaced.
//!
//! A partner that refuses every token, if only for some of its paths, must not be asked
//! for a new one with every call: after a replacement, and again after the replacement is
//! refused as well, none is dropped for a while.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two refused tokens that are replaced, and between a refused
/// replacement and the next one (O4).
const COOL_DOWN: Duration = Duration::from_secs(30);

/// The tokens that were refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    last: Option<Replaced>,
}

/// The last refused token that was dropped for another.
#[derive(Debug)]
struct Replaced {
    generation: u64,
    /// Until when no other is.
    until: Instant,
    /// Whether the one after it was refused, too.
    in_vain: bool,
}

/// What becomes of a refused token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is dropped, and the next caller fetches another.
    Replace,
    /// It has been dropped already, or another has come since.
    Superseded,
    /// It is kept: another would be refused as well.
    Final,
}

impl Refused {
    /// Judges the token of generation `refused`, when that of `last` is the last that came.
    pub(super) fn judge(&mut self, refused: u64, last: u64, now: Instant) -> Verdict {
        if let Some(replaced) = &mut self.last {
            if refused <= replaced.generation {
                return Verdict::Superseded;
            }
            if refused == last && now < replaced.until {
                if !replaced.in_vain {
                    replaced.in_vain = true;
                    replaced.until = now + COOL_DOWN;
                }
                return Verdict::Final;
            }
        }
        if refused < last {
            return Verdict::Superseded;
        }
        self.last = Some(Replaced { generation: refused, until: now + COOL_DOWN, in_vain: false });
        Verdict::Replace
    }
}

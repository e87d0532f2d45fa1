//! The simulators' clock: real time plus an offset, so that a test can let a token expire or a
//! signature grow stale without waiting for it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// A source of time that can be moved. Clones share the offset.
#[derive(Clone)]
pub struct Clock {
    source: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    offset_seconds: Arc<AtomicI64>,
}

// === impl Clock ===

impl Clock {
    /// A clock over another source than the system's, such as a constant.
    pub fn from_source(source: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { source: Arc::new(source), offset_seconds: Arc::new(AtomicI64::new(0)) }
    }

    /// The source's time moved by the offset, held at the ends of the representable range.
    pub fn now(&self) -> Timestamp {
        let offset = self.offset_seconds();
        let end = if offset < 0 { Timestamp::MIN } else { Timestamp::MAX };
        (self.source)().checked_add(SignedDuration::from_secs(offset)).unwrap_or(end)
    }

    /// Moves the clock forward, or back when negative.
    pub fn advance(&self, seconds: i64) {
        let moved = self.offset_seconds().saturating_add(seconds);
        self.offset_seconds.store(moved, Ordering::Relaxed);
    }

    /// How far the clock has been moved.
    pub fn offset_seconds(&self) -> i64 {
        self.offset_seconds.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.offset_seconds.store(0, Ordering::Relaxed);
    }
}

// === impl Default for Clock ===

impl Default for Clock {
    fn default() -> Self {
        Self::from_source(Timestamp::now)
    }
}

// === impl Debug for Clock ===

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("now", &self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advances_and_resets_over_its_source() {
        let clock = Clock::from_source(|| Timestamp::UNIX_EPOCH);
        clock.advance(90);
        clock.clone().advance(-30);
        assert_eq!(clock.now().as_second(), 60);
        clock.reset();
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn an_offset_out_of_range_stops_at_the_end_of_time() {
        let clock = Clock::from_source(|| Timestamp::UNIX_EPOCH);
        clock.advance(i64::MAX);
        clock.advance(i64::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}

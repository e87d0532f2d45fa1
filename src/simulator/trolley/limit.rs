//! The rate limit: fixed windows of 60 s, each opened by its first request, as recorded answers
//! show.

use std::collections::HashMap;

use jiff::Timestamp;

const WINDOW_SECONDS: i64 = 60;

/// The open windows, by who is counted in them.
#[derive(Debug, Default)]
pub(crate) struct Limiter(HashMap<String, Open>);

#[derive(Debug)]
struct Open {
    reset: i64,
    count: u32,
}

/// How a window stands after a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// When it closes, in Unix seconds.
    pub(crate) reset: i64,
    /// Whether this request was one too many.
    pub(crate) is_exceeded: bool,
}

// === impl Limiter ===

impl Limiter {
    pub(crate) fn count(&mut self, scope: &str, limit: u32, now: Timestamp) -> Window {
        let now = now.as_second();
        let open = self.0.entry(scope.to_owned()).or_insert(Open { reset: i64::MIN, count: 0 });
        if open.reset <= now {
            *open = Open { reset: now.saturating_add(WINDOW_SECONDS), count: 0 };
        }
        open.count = open.count.saturating_add(1);
        Window {
            limit,
            remaining: limit.saturating_sub(open.count),
            reset: open.reset,
            is_exceeded: open.count > limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_opens_with_its_first_request_and_closes_after_sixty_seconds() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut limiter = Limiter::default();
        let window =
            |remaining, reset, is_exceeded| Window { limit: 2, remaining, reset, is_exceeded };
        assert_eq!(limiter.count("a", 2, at(100)), window(1, 160, false));
        assert_eq!(limiter.count("a", 2, at(159)), window(0, 160, false));
        assert_eq!(limiter.count("a", 2, at(159)), window(0, 160, true));
        assert_eq!(limiter.count("b", 2, at(159)), window(1, 219, false));
        assert_eq!(limiter.count("a", 2, at(160)), window(1, 220, false));
    }
}

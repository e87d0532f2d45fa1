//! An access token and the moments of its life.

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::Issued;
use crate::random::Random;

/// The longest time before its expiry that a token is no longer sent. It covers the time
/// from authorizing an attempt to its arrival, of which connecting is the most.
const MARGIN: Duration = Duration::from_secs(30);
/// The part of its life after which a token is renewed at the latest.
const RENEWAL: f64 = 0.8;
/// The part of that by which jitter makes it earlier, 72 % at the earliest; not later, so
/// that a token of an hour outlasts ten minutes without its endpoint.
const JITTER: f64 = 0.1;

/// An access token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(in crate::credentials) secret: SecretString,
    pub(super) generation: u64,
    /// `None` for one that must not be kept: it is good for the callers that wait for it.
    life: Option<Life>,
}

#[derive(Debug)]
struct Life {
    /// From when on a new one is fetched.
    renewal: Instant,
    /// From when on it is not sent.
    end: Instant,
}

// === impl Token ===

impl Token {
    /// What was issued by a request that began at `started`.
    pub(super) fn new(issued: Issued, started: Instant, generation: u64, random: &Random) -> Self {
        let jitter = 1.0 - JITTER * random.draw();
        let life = issued.lifetime.map(|life| Life {
            renewal: started + life.mul_f64(RENEWAL * jitter),
            end: started + life - MARGIN.min(life / 10),
        });
        Self { secret: issued.secret, generation, life }
    }

    /// Whether it must not be sent any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.life.as_ref().is_some_and(|life| now >= life.end)
    }

    /// Whether it is time to fetch another.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.life.as_ref().is_none_or(|life| now >= life.renewal)
    }

    /// How long it is still sent, if it may be kept.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.life.as_ref().map(|life| life.end.saturating_duration_since(now))
    }
}

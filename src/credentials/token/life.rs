//! An access token and the moments of its life.

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::Issued;

/// The longest time before its expiry that a token is no longer sent.
const MARGIN: Duration = Duration::from_secs(30);
/// An access token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(in crate::credentials) secret: SecretString,
    pub(super) generation: u64,
    /// From when on a new one is fetched.
    pub(super) renewal: Instant,
    /// From when on it is not sent.
    pub(super) expiry: Instant,
}

impl Token {
    /// What was issued by a request that began at `started`.
    pub(super) fn new(issued: Issued, started: Instant, generation: u64) -> Self {
        let life = issued.lifetime.unwrap_or_default();
        Self {
            secret: issued.secret,
            generation,
            renewal: started + life.mul_f64(0.8),
            expiry: started + life - MARGIN.min(life / 10),
        }
    }
}

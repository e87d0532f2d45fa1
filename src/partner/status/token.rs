//! What became of the requests for an access token, for operators.

use jiff::Timestamp;

/// Where a cached access token is in its life, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// None was needed yet, or the last one was rejected.
    None,
    /// Calls are made with it until then.
    Valid(Timestamp),
    /// It was good until then.
    Expired(Timestamp),
}

/// How many token requests ended in which way, the client's own and those by users' grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenRequests {
    /// With a token.
    pub issued: u64,
    /// With a failure that may pass.
    pub failed: u64,
    /// With a failure that only a change of configuration can help.
    pub refused: u64,
    /// With the word that a user's grant is not good: nothing that an operator can help.
    pub ended: u64,
}

/// How a token request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenRequest {
    Issued,
    Failed,
    Refused,
    Ended,
}

/// The token of a partner that uses one.
#[derive(Debug, Default)]
pub(super) struct Token {
    expiry: Option<Timestamp>,
    /// Until when the token endpoint is left alone, after a failure.
    pause: Option<Timestamp>,
}

// === impl TokenRequests ===

impl TokenRequests {
    pub(super) fn count(&mut self, end: TokenRequest) {
        let count = match end {
            TokenRequest::Issued => &mut self.issued,
            TokenRequest::Failed => &mut self.failed,
            TokenRequest::Refused => &mut self.refused,
            TokenRequest::Ended => &mut self.ended,
        };
        *count += 1;
    }
}

// === impl TokenRequest ===

impl TokenRequest {
    /// One that gave no token.
    pub(crate) fn failure(is_permanent: bool) -> Self {
        if is_permanent { Self::Refused } else { Self::Failed }
    }
}

// === impl Token ===

impl Token {
    pub(super) fn state(&self, now: Timestamp) -> TokenState {
        match self.expiry {
            None => TokenState::None,
            Some(expiry) if now < expiry => TokenState::Valid(expiry),
            Some(expiry) => TokenState::Expired(expiry),
        }
    }

    pub(super) fn pause(&self, now: Timestamp) -> Option<Timestamp> {
        self.pause.filter(|end| now < *end)
    }

    pub(super) fn issue(&mut self, expiry: Option<Timestamp>) {
        self.pause = None;
        // One that must not be kept takes no other's place.
        self.expiry = expiry.or(self.expiry);
    }

    pub(super) fn fail(&mut self, pause: Timestamp) {
        self.pause = Some(pause);
    }

    pub(super) fn discard(&mut self) {
        self.expiry = None;
    }

    pub(super) fn forgive(&mut self) {
        self.pause = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_state_follows_the_wall_clock() {
        let mut token = Token::default();
        assert_eq!(token.state(at(0)), TokenState::None);
        token.issue(Some(at(10)));
        assert_eq!(token.state(at(9)), TokenState::Valid(at(10)));
        token.issue(None);
        assert_eq!(token.state(at(10)), TokenState::Expired(at(10)));
        token.discard();
        assert_eq!(token.state(at(0)), TokenState::None);
    }

    #[test]
    fn a_pause_ends_by_itself_with_a_token_or_with_a_new_secret() {
        let mut token = Token::default();
        token.fail(at(60));
        assert_eq!((token.pause(at(59)), token.pause(at(60))), (Some(at(60)), None));
        token.forgive();
        assert_eq!(token.pause(at(0)), None);
        token.fail(at(60));
        token.issue(Some(at(100)));
        assert_eq!(token.pause(at(0)), None);
    }
}

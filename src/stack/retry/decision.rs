//! Which failures may be repeated (R6).
//!
//! | failure | READ, IDEMPOTENT | WRITE_ONCE |
//! |---|---|---|
//! | no connection, or one that proves that nothing was processed | yes | yes |
//! | the connection ended, or the attempt's time was over | yes | no |
//! | 429 | yes | yes |
//! | 503 with a hint | yes | yes, unless its code is a fault of the partner's |
//! | 408, 500, 502, other 503, 504, 52x | yes | no |
//! | any other answer, one that cannot be read among them | no | no |
//! | a credential, the store, a limit or a breaker of the gateway's own | no | no |
//!
//! A WRITE_ONCE is repeated only while nothing of the call is left open: no attempt of
//! it ended UNKNOWN. The partner's own code comes before its status.

use http::StatusCode;

use crate::error::{Error, Kind, Meaning, Outcome, PartnerFailure};
use crate::operation::Effect;

/// Whether a call with this `effect`, of which all attempts together left `outcome`, may
/// be made again after `error`.
pub(super) fn may_repeat(effect: Effect, outcome: Outcome, error: &Error) -> bool {
    let is_passing = match error.kind() {
        Kind::Unreachable => true,
        // The caller's own deadline leaves nothing to repeat in.
        Kind::Timeout => error.outcome() == Outcome::Unknown,
        Kind::Partner(failure) => is_passing(failure),
        _ => false,
    };
    match effect {
        Effect::Read | Effect::Idempotent => is_passing,
        Effect::WriteOnce => is_passing && outcome != Outcome::Unknown,
    }
}

/// Whether the same request may be answered otherwise a little later.
fn is_passing(failure: &PartnerFailure) -> bool {
    match failure.meaning {
        Some(meaning) => matches!(
            meaning,
            Meaning::RateLimited | Meaning::Internal | Meaning::Unavailable | Meaning::Timeout
        ),
        None => match failure.status {
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => true,
            // Those of proxies that stand before a partner.
            status => (520..=530).contains(&status.as_u16()),
        },
    }
}

#[cfg(test)]
mod tests;

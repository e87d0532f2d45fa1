use std::time::Duration;

use super::*;
use crate::error::Refused;
use crate::stack::outcome;

const REPEATABLE: [Effect; 2] = [Effect::Read, Effect::Idempotent];

fn failure(status: u16) -> PartnerFailure {
    PartnerFailure {
        status: StatusCode::from_u16(status).unwrap(),
        meaning: None,
        code: None,
        message: None,
        fields: Vec::new(),
        retry_after: None,
    }
}

fn hinted(status: u16) -> PartnerFailure {
    PartnerFailure { retry_after: Some(Duration::from_secs(1)), ..failure(status) }
}

fn meant(status: u16, meaning: Meaning) -> PartnerFailure {
    PartnerFailure { meaning: Some(meaning), ..failure(status) }
}

/// The error as the stack judges it.
fn judged(failure: PartnerFailure) -> Error {
    let outcome = outcome::of(&failure);
    Error::new(Kind::Partner(failure), outcome)
}

/// Whether a call with one attempt, which failed so, is repeated.
fn repeats(effect: Effect, error: &Error) -> bool {
    may_repeat(effect, error.outcome(), error)
}

#[test]
fn r6_every_status_without_a_code() {
    for status in 100..=999 {
        let passes = matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 520..=530);
        for effect in REPEATABLE {
            assert_eq!(repeats(effect, &judged(failure(status))), passes, "{effect:?} {status}");
            assert_eq!(repeats(effect, &judged(hinted(status))), passes, "{effect:?} {status}");
        }
        let once = |failure| repeats(Effect::WriteOnce, &judged(failure));
        assert_eq!(once(failure(status)), status == 429, "{status}");
        assert_eq!(once(hinted(status)), matches!(status, 429 | 503), "{status} with a hint");
    }
}

#[test]
fn r6_the_partners_code_comes_before_its_status() {
    for status in [200, 400, 404, 409, 429, 500, 503, 504] {
        for (meaning, passes) in [
            (Meaning::InvalidArgument, false),
            (Meaning::FailedPrecondition, false),
            (Meaning::Unauthenticated, false),
            (Meaning::PermissionDenied, false),
            (Meaning::NotFound, false),
            (Meaning::AlreadyExists, false),
            (Meaning::Conflict, false),
            (Meaning::RateLimited, true),
            (Meaning::Internal, true),
            (Meaning::Unavailable, true),
            (Meaning::Timeout, true),
            (Meaning::Unimplemented, false),
            (Meaning::Misdirected, false),
            (Meaning::Unknown, false),
        ] {
            let error = judged(meant(status, meaning));
            for effect in REPEATABLE {
                assert_eq!(repeats(effect, &error), passes, "{effect:?} {status} {meaning:?}");
            }
            // A rate limit that comes with another 5xx may be a proxy's, behind the partner.
            let once = meaning == Meaning::RateLimited && !matches!(status, 500 | 504);
            assert_eq!(repeats(Effect::WriteOnce, &error), once, "{status} {meaning:?}");
        }
    }
}

#[test]
fn r6_on_the_wire_only_what_was_not_sent_is_sent_again_once() {
    for (kind, outcome, repeatable, once) in [
        (Kind::Unreachable, Outcome::NotSent, true, true),
        (Kind::Unreachable, Outcome::Unknown, true, false),
        (Kind::Timeout, Outcome::Unknown, true, false),
        (Kind::Timeout, Outcome::NotSent, false, false),
    ] {
        let error = Error::new(kind.clone(), outcome);
        for effect in REPEATABLE {
            assert_eq!(repeats(effect, &error), repeatable, "{effect:?} {kind:?} {outcome:?}");
        }
        assert_eq!(repeats(Effect::WriteOnce, &error), once, "{kind:?} {outcome:?}");
    }
}

/// However harmless the last failure: what an earlier attempt left open stays open.
#[test]
fn r6_a_write_once_with_anything_left_open_is_never_repeated() {
    for error in
        [judged(failure(429)), judged(hinted(503)), Error::new(Kind::Unreachable, Outcome::NotSent)]
    {
        assert!(may_repeat(Effect::WriteOnce, Outcome::Rejected, &error), "{error:?}");
        assert!(!may_repeat(Effect::WriteOnce, Outcome::Unknown, &error), "{error:?}");
        assert!(may_repeat(Effect::Idempotent, Outcome::Unknown, &error), "{error:?}");
    }
}

#[test]
fn what_is_not_the_partners_passing_failure_is_never_repeated() {
    let retry_after = Duration::from_secs(1);
    for kind in [
        Kind::InvalidRequest(Vec::new()),
        Kind::BadResponse { status: StatusCode::OK, problem: "it is not JSON".into() },
        Kind::BadResponse { status: StatusCode::FOUND, problem: "it is a redirect".into() },
        Kind::CredentialsRejected(failure(401), Refused::Gateways),
        Kind::CredentialMissing { help: "add it".into() },
        Kind::TokenUnavailable { permanent: false },
        Kind::TokenUnavailable { permanent: true },
        Kind::StoreUnavailable,
        Kind::RequestIdReused,
        Kind::RequestInFlight,
        Kind::OutcomeUnknown,
        Kind::NotConfigured { partner: "x".into() },
        Kind::Overloaded,
        Kind::RateLimited { retry_after },
        Kind::CircuitOpen { retry_after },
        Kind::ShuttingDown,
        Kind::Internal,
    ] {
        for effect in [Effect::Read, Effect::Idempotent, Effect::WriteOnce] {
            for outcome in [Outcome::NotSent, Outcome::Rejected, Outcome::Unknown] {
                let error = Error::new(kind.clone(), outcome);
                assert!(!may_repeat(effect, outcome, &error), "{effect:?} {kind:?} {outcome:?}");
            }
        }
    }
}

//! What an answer proves about a call's effect (requirement R6).
//!
//! The meaning of the partner's own code comes first, then the status. A refusal is a
//! code for what the caller did or may not do; a code that is not known proves nothing,
//! for proxies answer in JSON too.
//!
//! | answer | outcome |
//! |---|---|
//! | any, with a code for a fault of the partner's | UNKNOWN |
//! | 503 with a hint when to come back, or with a refusal | REJECTED |
//! | any other 5xx, 408: a proxy may have given up on a partner that had not | UNKNOWN |
//! | any other 4xx, 429 among them | REJECTED |
//! | 2xx that says it failed, with a refusal | REJECTED |
//! | 2xx that says it failed, without one | UNKNOWN |
//! | anything else | UNKNOWN |
//!
//! In doubt it is UNKNOWN: a write that is repeated though it had its effect is worse
//! than one that has to be looked up.

use http::StatusCode;

use crate::error::{Meaning, Outcome, PartnerFailure};

/// What is known of the effect of a call that was answered with `failure`.
pub(super) fn of(failure: &PartnerFailure) -> Outcome {
    let is_refusal = failure.meaning.is_some_and(is_refusal);
    let is_rejected = match failure.status {
        _ if failure.meaning.is_some_and(is_partners_fault) => false,
        StatusCode::REQUEST_TIMEOUT => false,
        StatusCode::SERVICE_UNAVAILABLE => failure.retry_after.is_some() || is_refusal,
        status if status.is_client_error() => true,
        status if status.is_success() => is_refusal,
        _ => false,
    };
    if is_rejected { Outcome::Rejected } else { Outcome::Unknown }
}

/// Whether a partner that means this has looked at the request and left it undone.
fn is_refusal(meaning: Meaning) -> bool {
    match meaning {
        Meaning::InvalidArgument
        | Meaning::FailedPrecondition
        | Meaning::Unauthenticated
        | Meaning::PermissionDenied
        | Meaning::NotFound
        | Meaning::AlreadyExists
        | Meaning::Conflict
        | Meaning::RateLimited => true,
        Meaning::Internal
        | Meaning::Unavailable
        | Meaning::Timeout
        | Meaning::Unimplemented
        | Meaning::Misdirected
        | Meaning::Unknown => false,
    }
}

/// Whether a partner that means this may have begun, whatever status it comes with.
fn is_partners_fault(meaning: Meaning) -> bool {
    matches!(
        meaning,
        Meaning::Internal | Meaning::Unavailable | Meaning::Timeout | Meaning::Unknown
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;

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

    #[test]
    fn r6_every_status_has_its_outcome() {
        for status in 100..1000 {
            let expected = match status {
                408 => Outcome::Unknown,
                400..=499 => Outcome::Rejected,
                _ => Outcome::Unknown,
            };
            assert_eq!(of(&failure(status)), expected, "{status}");
        }
    }

    const REFUSALS: [Meaning; 8] = [
        Meaning::InvalidArgument,
        Meaning::FailedPrecondition,
        Meaning::Unauthenticated,
        Meaning::PermissionDenied,
        Meaning::NotFound,
        Meaning::AlreadyExists,
        Meaning::Conflict,
        Meaning::RateLimited,
    ];
    const FAULTS: [Meaning; 4] =
        [Meaning::Internal, Meaning::Unavailable, Meaning::Timeout, Meaning::Unknown];

    fn meant(meaning: Meaning, status: u16) -> PartnerFailure {
        PartnerFailure { meaning: Some(meaning), code: Some("x".into()), ..failure(status) }
    }

    #[test]
    fn r6_a_503_is_a_rejection_only_with_a_hint_or_with_a_refusal() {
        let hinted = PartnerFailure { retry_after: Some(Duration::ZERO), ..failure(503) };
        let coded = PartnerFailure { code: Some("maintenance".into()), ..failure(503) };
        let message = PartnerFailure { message: Some("no".into()), ..failure(503) };
        assert_eq!(of(&hinted), Outcome::Rejected);
        assert_eq!(of(&coded), Outcome::Unknown, "a proxy may send a code too");
        assert_eq!(of(&message), Outcome::Unknown);
        for refusal in REFUSALS {
            assert_eq!(of(&meant(refusal, 503)), Outcome::Rejected, "{refusal:?}");
        }
        for other in [Meaning::Unimplemented, Meaning::Misdirected] {
            assert_eq!(of(&meant(other, 503)), Outcome::Unknown, "{other:?}");
        }
        for status in [500, 502, 504, 520] {
            let hinted = PartnerFailure { status: failure(status).status, ..hinted.clone() };
            assert_eq!(of(&hinted), Outcome::Unknown, "{status}");
            assert_eq!(of(&meant(Meaning::InvalidArgument, status)), Outcome::Unknown, "{status}");
        }
    }

    #[test]
    fn r6_a_code_for_a_fault_of_the_partners_leaves_it_unknown_at_any_status() {
        for fault in FAULTS {
            for status in 100..1000 {
                let hinted = Some(Duration::ZERO);
                let failure = PartnerFailure { retry_after: hinted, ..meant(fault, status) };
                assert_eq!(of(&failure), Outcome::Unknown, "{fault:?} {status}");
            }
        }
    }

    /// Whichever partner it is: a gateway before it answers in JSON as well.
    #[test]
    fn r6_the_generic_json_of_a_503_proves_nothing() {
        for partner in crate::partner::all() {
            for body in [r#"{"error":"Service Unavailable"}"#, r#"{"code":503}"#, "{}", "<html>"] {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let failure = partner.failure(status, &HeaderMap::new(), body.as_bytes()).unwrap();
                assert_eq!(of(&failure), Outcome::Unknown, "{} {body}", partner.name());
            }
        }
    }

    #[test]
    fn a_failure_that_comes_as_a_success_is_judged_by_its_code() {
        for refusal in REFUSALS {
            assert_eq!(of(&meant(refusal, 200)), Outcome::Rejected, "{refusal:?}");
        }
        assert_eq!(of(&meant(Meaning::Misdirected, 200)), Outcome::Unknown);
        assert_eq!(of(&failure(200)), Outcome::Unknown);
    }
}

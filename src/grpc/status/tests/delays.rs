//! When a caller may try again, and when it must not.

use super::super::retry::{DEFAULT_RETRY, IN_FLIGHT_RETRY};
use super::*;

/// G12, G13
#[test]
fn a_rate_limit_says_when_and_both_places_agree() {
    let wait = Duration::from_millis(61_250);
    let limited = PartnerFailure { retry_after: Some(wait), ..failure(429) };
    let limited = status(&refused(limited, Outcome::Rejected), WRITE_ONCE);
    assert_eq!(limited.get_details_retry_info().unwrap().retry_delay, Some(wait));
    assert_eq!(pushback_of(&limited), Some(61_250));
    assert_eq!(
        limited.get_details_quota_failure().unwrap().violations[0].subject,
        "partner:trolley"
    );

    let silent = status(&refused(failure(429), Outcome::Rejected), READ);
    assert_eq!(silent.get_details_retry_info().unwrap().retry_delay, Some(DEFAULT_RETRY));
    assert_eq!(pushback_of(&silent), Some(1000));
}

/// G3: a client that retries by itself must not send a write twice.
#[test]
fn a_write_once_of_unknown_outcome_forbids_retries() {
    let unavailable = refused(failure(503), Outcome::Unknown);
    assert_eq!(pushback_of(&status(&unavailable, WRITE_ONCE)), Some(-1));
    assert_eq!(pushback_of(&status(&unavailable, WRITE)), None);
    assert_eq!(pushback_of(&status(&unavailable, READ)), None);
    let unreachable = Error::new(Kind::Unreachable, Outcome::NotSent);
    assert_eq!(pushback_of(&status(&unreachable, WRITE_ONCE)), None);
    let rejected =
        Error::new(Kind::CredentialsRejected(failure(401), Refused::Gateways), Outcome::Rejected);
    assert_eq!(pushback_of(&status(&rejected, READ)), Some(-1));
}

/// G13: whatever knows when to try again says it in both places, alike and not too early.
#[test]
fn g13_retry_info_and_pushback_agree_wherever_there_is_a_delay() {
    let (usual, exact) = (DEFAULT_RETRY, Duration::from_millis(1_235));
    let given = Duration::from_nanos(1_234_000_001);
    let hinted = |status| PartnerFailure { retry_after: Some(given), ..failure(status) };
    let fault = PartnerFailure { meaning: Some(Meaning::Internal), ..hinted(503) };
    let long = PartnerFailure { retry_after: Some(Duration::MAX), ..failure(503) };
    let longest = Duration::from_millis(u64::from(i32::MAX.unsigned_abs()));
    for (kind, delay) in [
        (Kind::RateLimited { retry_after: given }, Some(exact)),
        (Kind::CircuitOpen { retry_after: given }, Some(exact)),
        (Kind::CircuitOpen { retry_after: Duration::ZERO }, Some(Duration::ZERO)),
        (Kind::Partner(hinted(429)), Some(exact)),
        (Kind::Partner(hinted(503)), Some(exact)),
        (Kind::Partner(fault), Some(exact)),
        (Kind::Partner(long), Some(longest)),
        (Kind::Partner(failure(429)), Some(usual)),
        (Kind::Overloaded, Some(usual)),
        (Kind::StoreUnavailable, Some(usual)),
        (Kind::ShuttingDown, Some(usual)),
        (Kind::RequestInFlight, Some(IN_FLIGHT_RETRY)),
        (Kind::Partner(failure(503)), None),
        (Kind::Partner(failure(400)), None),
        (Kind::Unreachable, None),
        (Kind::Timeout, None),
        (Kind::TokenUnavailable { permanent: false }, None),
        (Kind::Internal, None),
    ] {
        let status = status(&Error::new(kind.clone(), Outcome::NotSent), WRITE_ONCE);
        let told = status.get_details_retry_info().map(|info| info.retry_delay.unwrap());
        assert_eq!(told, delay, "{kind:?}");
        let milliseconds = delay.map(|delay| i32::try_from(delay.as_millis()).unwrap());
        assert_eq!(pushback_of(&status), milliseconds, "{kind:?}");
    }
    let limited = Error::new(Kind::RateLimited { retry_after: given }, Outcome::NotSent);
    let quota = status(&limited, READ).get_details_quota_failure().unwrap();
    assert_eq!(quota.violations[0].subject, "partner:trolley");
}

/// G13: what an operator has to change first is not worth trying again.
#[test]
fn g13_what_is_hopeless_forbids_retries() {
    for kind in [
        Kind::CredentialsRejected(failure(401), Refused::Gateways),
        Kind::TokenUnavailable { permanent: true },
    ] {
        let status = status(&Error::new(kind.clone(), Outcome::NotSent), READ);
        assert_eq!(pushback_of(&status), Some(-1), "{kind:?}");
        assert!(status.get_details_retry_info().is_none(), "{kind:?}");
    }
}

//! `Retry-After`: when a partner wants to be asked again (RFC 9110 section 10.2.3).
//!
//! The hint is obeyed and never undercut, so a value is either understood or ignored:
//! a guess could be too early. A date is compared with the answer's own `Date`, so
//! that two clocks that differ do not matter.

use std::time::Duration;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The longest delay that is believed, in seconds.
const MAX_SECONDS: u64 = 1 << 31;
/// The three forms of an HTTP date (RFC 9110 section 5.6.7), the preferred first.
const DATE_FORMS: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// The hint of an answer to a request that was too many or came at a bad time.
pub(super) fn of_answer(
    status: StatusCode,
    headers: &HeaderMap,
    now: Timestamp,
) -> Option<Duration> {
    let tells = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let value = headers.get(RETRY_AFTER).filter(|_| tells)?.to_str().ok()?;
    parse(value, answered_at(headers).unwrap_or(now))
}

/// When an answer was made, by the partner's own clock.
pub(super) fn answered_at(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// The delay that `value` asks for, counted from `now`; `None` if it is not understood.
fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().ok()?;
        return (seconds <= MAX_SECONDS).then(|| Duration::from_secs(seconds));
    }
    Some(until(http_date(value)?, now))
}

/// The time from `now` to `date`; none if that has passed.
pub(super) fn until(date: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(date.duration_since(now)).unwrap_or_default()
}

fn http_date(text: &str) -> Option<Timestamp> {
    let date = DATE_FORMS.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        "2026-10-21T07:27:00Z".parse().unwrap()
    }

    #[test]
    fn r10_values_are_understood_or_ignored() {
        let seconds = |value| parse(value, now()).map(|delay| delay.as_secs());
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("", None),
            ("2147483648", Some(1 << 31)),
            ("2147483649", None),
            ("99999999999999999999", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", Some(60)),
            ("Wednesday, 21-Oct-26 07:28:00 GMT", Some(60)),
            ("Wed Oct 21 07:28:00 2026", Some(60)),
            ("Sun Nov  1 07:28:00 2026", Some(11 * 24 * 3600 + 60)),
            ("Wed, 21 Oct 2026 07:26:00 GMT", Some(0)),
            ("Wed, 31 Feb 2026 07:28:00 GMT", None),
            ("Wed, 21 Oct 2026 07:28:00 CET", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(value), expected, "{value:?}");
        }
    }

    #[test]
    fn r10_a_date_is_compared_with_the_answers_own_date() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT"));
        headers.insert(DATE, HeaderValue::from_static("Wed, 21 Oct 2026 07:27:50 GMT"));
        let delay = of_answer(StatusCode::TOO_MANY_REQUESTS, &headers, now());
        assert_eq!(delay, Some(Duration::from_secs(10)));
    }

    #[test]
    fn r10_only_429_and_503_are_hints() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        for (status, is_hint) in [(429, true), (503, true), (200, false), (500, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(of_answer(status, &headers, now()).is_some(), is_hint, "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(value in any::<String>()) {
            let _ = parse(&value, now());
        }

        #[test]
        fn no_near_date_panics(value in "[MTWFS][a-z]{2,8},? [0-9A-Za-z: -]{0,30}") {
            let _ = parse(&value, now());
        }
    }
}

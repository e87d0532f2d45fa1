//! `grpc-timeout`: how long a caller waits
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::time::Duration;

use http::HeaderMap;

const HEADER: &str = "grpc-timeout";
const MAX_DIGITS: usize = 8;

/// A `grpc-timeout` that is not of the form that gRPC defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The caller's own timeout, if it gave one.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Malformed);
    }
    parse(value.to_str().map_err(|_| Malformed)?).map(Some)
}

/// At most eight digits and a unit.
fn parse(text: &str) -> Result<Duration, Malformed> {
    let (digits, unit) = text.split_at_checked(text.len().wrapping_sub(1)).ok_or(Malformed)?;
    let is_count = !digits.is_empty()
        && digits.len() <= MAX_DIGITS
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| is_count).ok_or(Malformed)?;
    match unit {
        "H" => Ok(Duration::from_secs(count * 3600)),
        "M" => Ok(Duration::from_secs(count * 60)),
        "S" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_millis(count)),
        "u" => Ok(Duration::from_micros(count)),
        "n" => Ok(Duration::from_nanos(count)),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G15
    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        for (text, expected) in [
            ("1n", Ok(Duration::from_nanos(1))),
            ("20u", Ok(Duration::from_micros(20))),
            ("500m", Ok(Duration::from_millis(500))),
            ("3S", Ok(Duration::from_secs(3))),
            ("2M", Ok(Duration::from_secs(120))),
            ("99999999H", Ok(Duration::from_secs(99_999_999 * 3600))),
            ("0S", Ok(Duration::ZERO)),
            ("100000000S", Err(Malformed)),
            ("", Err(Malformed)),
            ("1", Err(Malformed)),
            ("S", Err(Malformed)),
            ("-1S", Err(Malformed)),
            ("+1S", Err(Malformed)),
            ("1.5S", Err(Malformed)),
            ("1 S", Err(Malformed)),
            ("1s", Err(Malformed)),
            ("abc", Err(Malformed)),
            ("1é", Err(Malformed)),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn two_timeouts_are_malformed() {
        let mut headers = HeaderMap::new();
        assert_eq!(timeout(&headers), Ok(None));
        headers.append(HEADER, "1S".parse().unwrap());
        assert_eq!(timeout(&headers), Ok(Some(Duration::from_secs(1))));
        headers.append(HEADER, "2S".parse().unwrap());
        assert_eq!(timeout(&headers), Err(Malformed));
    }
}

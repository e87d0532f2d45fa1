//! `google.protobuf.Timestamp` and RFC 3339.
//!
//! Both reach from the year 1 to the end of 9999, which a partner may well use for
//! "never"; jiff's own instant ends a day earlier, so its calendar is used instead.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use prost::encoding::encode_varint;

use crate::operation::Kind;
use crate::transcode::wire::{close, open, read_field};

use super::NoForm;
use super::bits::{Integer, integer};

/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, in seconds since 1970.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const START_OF_1970: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// Date and time of day in RFC 3339, before any fraction and offset.
const FORM: &[u8] = b"0000-00-00T00:00:00";

/// RFC 3339 with as many digits of the second as the value needs: none, 3, 6 or 9.
pub(super) fn timestamp_text(mut message: &[u8]) -> Result<String, NoForm> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    while !message.is_empty() {
        let (number, raw) = read_field(&mut message).map_err(|_| NoForm::Malformed)?;
        let Integer::Signed(value) = integer(Kind::Int64, raw)? else { continue };
        match number {
            1 => seconds = value,
            2 => nanos = value,
            _ => return Err(NoForm::Malformed),
        }
    }
    let nanos = i32::try_from(nanos).ok().filter(|nanos| (0..1_000_000_000).contains(nanos));
    let nanos = nanos.filter(|_| RANGE.contains(&seconds)).ok_or(NoForm::OutOfRange)?;
    let time = START_OF_1970
        .checked_add(SignedDuration::new(seconds, nanos))
        .map_err(|_| NoForm::OutOfRange)?;
    Ok(match nanos {
        0 => format!("{time:.0}Z"),
        n if n % 1_000_000 == 0 => format!("{time:.3}Z"),
        n if n % 1_000 == 0 => format!("{time:.6}Z"),
        _ => format!("{time:.9}Z"),
    })
}

/// Writes the moment that RFC 3339 `text` names; `None` when a timestamp cannot say it.
pub(super) fn put_timestamp(number: u32, text: &str, out: &mut Vec<u8>) -> Option<()> {
    let (local, offset) = split(text)?;
    let since_1970 = local.parse::<DateTime>().ok()?.duration_since(START_OF_1970);
    let since_1970 = since_1970.checked_sub(SignedDuration::from_secs(offset))?;
    // Protobuf counts nanoseconds forward from the second, also before 1970.
    let (seconds, nanos) = match (since_1970.as_secs(), since_1970.subsec_nanos()) {
        (seconds, nanos) if nanos < 0 => (seconds - 1, nanos + 1_000_000_000),
        parts => parts,
    };
    if !RANGE.contains(&seconds) {
        return None;
    }
    let start = open(number, out);
    if seconds != 0 {
        out.push(0x08);
        encode_varint(seconds.cast_unsigned(), out);
    }
    if nanos != 0 {
        out.push(0x10);
        encode_varint(u64::try_from(nanos).ok()?, out);
    }
    close(start, out);
    Some(())
}

/// Splits RFC 3339 (section 5.6) into what the clock on the wall shows and its offset
/// in seconds. jiff reads more than that: other forms of ISO 8601, and a leap second as
/// the one before it, which would be a change.
fn split(text: &str) -> Option<(&str, i64)> {
    let (start, rest) = text.as_bytes().split_at_checked(FORM.len())?;
    let is_like = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        form => byte == form,
    };
    if !start.iter().zip(FORM).all(is_like) || start.ends_with(b"60") {
        return None;
    }
    let fraction = match rest {
        [b'.', digits @ ..] => 1 + digits.iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    };
    let (local, zone) = text.split_at_checked(FORM.len() + fraction)?;
    (fraction != 1).then_some((local, offset(zone.as_bytes())?))
}

fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, digits) = match zone {
        [b'Z' | b'z'] => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let [a, b, b':', c, d] = digits else { return None };
    let two = |a: &u8, b: &u8| std::str::from_utf8(&[*a, *b]).ok()?.parse::<u8>().ok();
    let is_digits = [a, b, c, d].iter().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) = (two(a, b)?, two(c, d)?);
    let is_offset = is_digits && hours < 24 && minutes < 60;
    is_offset.then(|| sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

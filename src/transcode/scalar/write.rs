//! Protobuf's scalars, written as JSON or as the text of a path, query or header.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::operation::{Field, Format, Kind, Schema};
use crate::transcode::decimal::is_json_number;
use crate::transcode::wire::Raw;

use super::NoForm;
use super::bits::{Integer, enum_number, integer};
use super::time::timestamp_text;

/// Writes a scalar's JSON.
pub(in crate::transcode) fn write_json(
    schema: &Schema,
    field: &Field,
    raw: Raw<'_>,
    out: &mut Vec<u8>,
) -> Result<(), NoForm> {
    match (field.kind, raw) {
        (Kind::String, Raw::Bytes(bytes)) if field.format == Format::JsonNumber => {
            let text = utf8(bytes)?;
            if !is_json_number(text) {
                return Err(NoForm::NotANumber);
            }
            out.extend_from_slice(bytes);
        }
        (Kind::String, Raw::Bytes(bytes)) => write_string(utf8(bytes)?, out),
        (Kind::Double, Raw::Fixed64(bits)) => write_double(f64::from_bits(bits), out)?,
        (Kind::Float, Raw::Fixed32(bits)) => write_float(f32::from_bits(bits), out)?,
        (Kind::Bool, Raw::Varint(n)) => out.extend_from_slice(bool_text(n).as_bytes()),
        (Kind::Bytes | Kind::Enum(_) | Kind::Timestamp, _) => {
            write_string(&text(schema, field.kind, raw)?, out);
        }
        (kind, raw) => match integer(kind, raw)? {
            Integer::Signed(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Integer::Unsigned(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        },
    }
    Ok(())
}

/// The text of a scalar in a path, a query, a header or a form.
pub(in crate::transcode) fn text<'a>(
    schema: &'a Schema,
    kind: Kind,
    raw: Raw<'a>,
) -> Result<Cow<'a, str>, NoForm> {
    Ok(match (kind, raw) {
        (Kind::String, Raw::Bytes(bytes)) => Cow::Borrowed(utf8(bytes)?),
        (Kind::Bytes, Raw::Bytes(bytes)) => Cow::Owned(STANDARD.encode(bytes)),
        (Kind::Bool, Raw::Varint(n)) => Cow::Borrowed(bool_text(n)),
        (Kind::Double, Raw::Fixed64(bits)) => {
            written(|out| write_double(f64::from_bits(bits), out))?
        }
        (Kind::Float, Raw::Fixed32(bits)) => written(|out| write_float(f32::from_bits(bits), out))?,
        (Kind::Enum(id), Raw::Varint(_)) => {
            let number = enum_number(raw);
            Cow::Borrowed(schema.enumeration(id).text(number).ok_or(NoForm::UnknownEnum)?)
        }
        (Kind::Timestamp, Raw::Bytes(bytes)) => Cow::Owned(timestamp_text(bytes)?),
        (kind, raw) => match integer(kind, raw)? {
            Integer::Signed(n) => Cow::Owned(n.to_string()),
            Integer::Unsigned(n) => Cow::Owned(n.to_string()),
        },
    })
}

/// A number of any kind as a double, for rules with bounds.
pub(in crate::transcode) fn approximate(schema: &Schema, kind: Kind, raw: Raw<'_>) -> Option<f64> {
    text(schema, kind, raw).ok()?.parse().ok()
}

/// Appends a JSON string.
pub(in crate::transcode) fn write_string(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to memory cannot fail, and a string always has a JSON form.
        let _ = serde_json::to_writer(out, text);
    }
}

/// Whether nothing in a text needs an escape. Looks at all of it, for a loop that never
/// leaves early is done many bytes at a time.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, b| plain & (*b >= 0x20) & (*b != b'"') & (*b != b'\\'))
}

/// A double's JSON number: whole ones without a fraction, as partners write them.
pub(in crate::transcode) fn write_double(value: f64, out: &mut Vec<u8>) -> Result<(), NoForm> {
    if !value.is_finite() {
        return Err(NoForm::NotFinite);
    }
    match whole(value) {
        Some(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        None => serde_json::to_writer(out, &value).map_err(|_| NoForm::NotFinite)?,
    }
    Ok(())
}

fn write_float(value: f32, out: &mut Vec<u8>) -> Result<(), NoForm> {
    if !value.is_finite() {
        return Err(NoForm::NotFinite);
    }
    // A float's own seven digits, not those that its double would have.
    match whole(value.into()).filter(|n| n.abs() < 10_000_000) {
        Some(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        None => serde_json::to_writer(out, &value).map_err(|_| NoForm::NotFinite)?,
    }
    Ok(())
}

/// Below this every integer is a double (2^53).
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The integer that a double is, if it is one below 2^53; not for minus zero.
#[expect(clippy::as_conversions, reason = "an integer below 2^53 is exact as a double")]
fn whole(value: f64) -> Option<i64> {
    let is_whole = value.abs() < EXACT && value.trunc() == value;
    (is_whole && !(value == 0.0 && value.is_sign_negative())).then_some(value as i64)
}

fn written(
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), NoForm>,
) -> Result<Cow<'static, str>, NoForm> {
    let mut out = Vec::new();
    write(&mut out)?;
    String::from_utf8(out).map(Cow::Owned).map_err(|_| NoForm::Malformed)
}

fn bool_text(n: u64) -> &'static str {
    if n == 0 { "false" } else { "true" }
}

/// A string field's text.
pub(in crate::transcode) fn utf8(bytes: &[u8]) -> Result<&str, NoForm> {
    std::str::from_utf8(bytes).map_err(|_| NoForm::Malformed)
}

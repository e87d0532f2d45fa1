//! JSON's scalars, written as protobuf's.
//!
//! Partners say the same value now bare, now quoted: both are read, by their text.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::operation::{Field, Kind, Schema};
use crate::transcode::decimal::{Decimal, is_json_number};
use crate::transcode::wire::{put_bytes, put_fixed32, put_fixed64, put_varint};

use super::bits::{bits, low_half, sign_extended};
use super::time::put_timestamp;
use super::{Fit, fit, quoted};

/// With or without padding; never with bits that no byte has.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Writes a JSON scalar, given by its text in the document, as a value of `field`'s
/// type under `number`.
pub(in crate::transcode) fn put(
    schema: &Schema,
    field: &Field,
    number: u32,
    json: &str,
    out: &mut Vec<u8>,
) -> Fit {
    match (json.as_bytes().first(), field.kind) {
        (Some(b'"'), _) => match quoted(json) {
            Some(text) => put_text(schema, field, number, &text, out),
            None => Fit::Misfit,
        },
        (Some(b't' | b'f'), kind) => put_flag(kind, number, json == "true", out),
        (Some(b'-' | b'0'..=b'9'), Kind::String) => {
            put_bytes(number, json.as_bytes(), out);
            Fit::Written
        }
        (Some(b'-' | b'0'..=b'9'), kind) => fit(put_number(kind, number, json, out)),
        _ => Fit::Misfit,
    }
}

/// Writes the text of a JSON string.
pub(in crate::transcode) fn put_text(
    schema: &Schema,
    field: &Field,
    number: u32,
    text: &str,
    out: &mut Vec<u8>,
) -> Fit {
    match field.kind {
        Kind::String => {
            put_bytes(number, text.as_bytes(), out);
            Fit::Written
        }
        Kind::Enum(id) => fit(schema
            .enumeration(id)
            .number(text)
            .map(|value| put_varint(number, sign_extended(value), out))),
        Kind::Bytes => fit(decode_base64(text).map(|bytes| put_bytes(number, &bytes, out))),
        Kind::Timestamp => fit(put_timestamp(number, text, out)),
        Kind::Bool if text == "true" || text == "false" => {
            put_flag(field.kind, number, text == "true", out)
        }
        kind if is_json_number(text) => fit(put_number(kind, number, text, out)),
        _ => Fit::Misfit,
    }
}

/// Writes a JSON boolean.
pub(in crate::transcode) fn put_flag(
    kind: Kind,
    number: u32,
    flag: bool,
    out: &mut Vec<u8>,
) -> Fit {
    if kind != Kind::Bool {
        return Fit::Misfit;
    }
    put_varint(number, u64::from(flag), out);
    Fit::Written
}

/// Writes an integer to a field of one of the integer kinds.
pub(in crate::transcode) fn put_integer(
    kind: Kind,
    number: u32,
    value: i128,
    out: &mut Vec<u8>,
) -> Fit {
    fit(bits(kind, value).map(|bits| put_bits(kind, number, bits, out)))
}

/// Writes a number by its text, which is in JSON's grammar.
fn put_number(kind: Kind, number: u32, text: &str, out: &mut Vec<u8>) -> Option<()> {
    let bits = match kind {
        Kind::Double => text.parse().ok().filter(|value: &f64| value.is_finite())?.to_bits(),
        Kind::Float => {
            let value: f32 = text.parse().ok().filter(|value: &f32| value.is_finite())?;
            value.to_bits().into()
        }
        kind => bits(kind, parse_integer(text)?)?,
    };
    put_bits(kind, number, bits, out);
    Some(())
}

fn put_bits(kind: Kind, number: u32, bits: u64, out: &mut Vec<u8>) {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => put_fixed64(number, bits, out),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => put_fixed32(number, low_half(bits), out),
        _ => put_varint(number, bits, out),
    }
}

/// An integer given in any of JSON's spellings: `12`, `12.0`, `1.2e1`.
fn parse_integer(text: &str) -> Option<i128> {
    match text.parse::<i64>() {
        Ok(value) => Some(value.into()),
        Err(_) => Decimal::parse(text)?.integer_text()?.parse().ok(),
    }
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).ok()
}

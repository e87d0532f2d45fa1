//! The protobuf wire format: the few things prost does not offer for raw bytes.
//! (<https://protobuf.dev/programming-guides/encoding/>)

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// The bytes are not a protobuf message, or not one of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Raw<'a> {
    /// A varint.
    Varint(u64),
    /// A 64-bit value.
    Fixed64(u64),
    /// A 32-bit value.
    Fixed32(u32),
    /// A length-delimited value.
    Bytes(&'a [u8]),
}

/// Reads the next field of a message.
pub(super) fn read_field<'a>(rest: &mut &'a [u8]) -> Result<(u32, Raw<'a>), Malformed> {
    let (number, wire_type) = prost::encoding::decode_key(rest).map_err(|_| Malformed)?;
    let raw = match wire_type {
        WireType::Varint => Raw::Varint(read_varint(rest)?),
        WireType::SixtyFourBit => Raw::Fixed64(u64::from_le_bytes(read_array(rest)?)),
        WireType::ThirtyTwoBit => Raw::Fixed32(u32::from_le_bytes(read_array(rest)?)),
        WireType::LengthDelimited => {
            let length = usize::try_from(read_varint(rest)?).map_err(|_| Malformed)?;
            let (bytes, after) = rest.split_at_checked(length).ok_or(Malformed)?;
            *rest = after;
            Raw::Bytes(bytes)
        }
        WireType::StartGroup | WireType::EndGroup => return Err(Malformed),
    };
    Ok((number, raw))
}

pub(super) fn read_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    prost::encoding::decode_varint(rest).map_err(|_| Malformed)
}

pub(super) fn read_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or(Malformed)?;
    *rest = after;
    Ok(*bytes)
}

pub(super) fn put_varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value, out);
}

pub(super) fn put_fixed64(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(number, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_fixed32(number: u32, value: u32, out: &mut Vec<u8>) {
    encode_key(number, WireType::ThirtyTwoBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(length(value.len()), out);
    out.extend_from_slice(value);
}

/// Begins a length-delimited value of unknown length; [`close`] ends it.
pub(super) fn open(number: u32, out: &mut Vec<u8>) -> usize {
    encode_key(number, WireType::LengthDelimited, out);
    out.push(0);
    out.len()
}

/// Ends what [`open`] began: one byte was left for the length, and a longer value is
/// moved to make room. Moving is cheaper than measuring the value first.
pub(super) fn close(start: usize, out: &mut Vec<u8>) {
    let end = out.len();
    let mut prefix = [0u8; 10];
    let size = encoded_len_varint(length(end - start));
    encode_varint(length(end - start), &mut prefix.as_mut_slice());
    if size > 1 {
        out.resize(end + size - 1, 0);
        out.copy_within(start..end, start + size - 1);
    }
    let prefix = prefix.get(..size).unwrap_or_default();
    if let Some(place) = out.get_mut(start - 1..start - 1 + size) {
        place.copy_from_slice(prefix);
    }
}

/// A length in memory always fits the wire's 64 bits.
fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_any_length_gets_its_prefix() {
        for length in [0, 1, 127, 128, 300, 16_383, 16_384, 70_000] {
            let value = vec![7u8; length];
            let mut expected = Vec::new();
            put_bytes(5, &value, &mut expected);

            let mut out = Vec::new();
            let start = open(5, &mut out);
            out.extend_from_slice(&value);
            close(start, &mut out);

            assert_eq!(out, expected, "{length}");
        }
    }

    #[test]
    fn a_length_beyond_the_message_is_malformed() {
        assert_eq!(read_field(&mut &[0x0a, 5, 1][..]), Err(Malformed));
        assert_eq!(read_field(&mut &[0x0b][..]), Err(Malformed));
        assert_eq!(read_field(&mut &[0x09, 1, 2][..]), Err(Malformed));
    }
}

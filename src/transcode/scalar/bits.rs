//! Integers as the wire has them: unsigned bits, of which a field's type makes numbers.

use crate::operation::Kind;
use crate::transcode::wire::Raw;

use super::NoForm;

/// An integer of any kind.
pub(super) enum Integer {
    Signed(i64),
    Unsigned(u64),
}

/// The integer that the wire's bits are in a field of this kind.
pub(super) fn integer(kind: Kind, raw: Raw<'_>) -> Result<Integer, NoForm> {
    Ok(match (kind, raw) {
        (Kind::Int64, Raw::Varint(n)) | (Kind::Sfixed64, Raw::Fixed64(n)) => {
            Integer::Signed(n.cast_signed())
        }
        (Kind::Int32, Raw::Varint(n)) => Integer::Signed(low_half(n).cast_signed().into()),
        (Kind::Sint64, Raw::Varint(n)) => Integer::Signed(unzigzag(n)),
        (Kind::Sint32, Raw::Varint(n)) => Integer::Signed(unzigzag(low_half(n).into())),
        (Kind::Sfixed32, Raw::Fixed32(n)) => Integer::Signed(n.cast_signed().into()),
        (Kind::Uint64, Raw::Varint(n)) | (Kind::Fixed64, Raw::Fixed64(n)) => Integer::Unsigned(n),
        (Kind::Uint32, Raw::Varint(n)) => Integer::Unsigned(low_half(n).into()),
        (Kind::Fixed32, Raw::Fixed32(n)) => Integer::Unsigned(n.into()),
        _ => return Err(NoForm::Malformed),
    })
}

/// The bits that an integer is on the wire; `None` when the kind cannot hold it.
pub(super) fn bits(kind: Kind, value: i128) -> Option<u64> {
    let as_i32 = || i32::try_from(value).ok();
    Some(match kind {
        Kind::Int64 | Kind::Sfixed64 => i64::try_from(value).ok()?.cast_unsigned(),
        Kind::Int32 => sign_extended(as_i32()?),
        Kind::Sfixed32 => as_i32()?.cast_unsigned().into(),
        Kind::Sint64 => zigzag(i64::try_from(value).ok()?),
        Kind::Sint32 => zigzag(as_i32()?.into()),
        Kind::Uint64 | Kind::Fixed64 => u64::try_from(value).ok()?,
        Kind::Uint32 | Kind::Fixed32 => u32::try_from(value).ok()?.into(),
        _ => return None,
    })
}

/// Whether a scalar is its type's zero value.
pub(in crate::transcode) fn is_zero(raw: Raw<'_>) -> bool {
    match raw {
        Raw::Varint(n) | Raw::Fixed64(n) => n == 0,
        Raw::Fixed32(n) => n == 0,
        Raw::Bytes(bytes) => bytes.is_empty(),
    }
}

/// The number of an enum value: the wire has it as an `int32`.
pub(in crate::transcode) fn enum_number(raw: Raw<'_>) -> i32 {
    match raw {
        Raw::Varint(n) => low_half(n).cast_signed(),
        _ => 0,
    }
}

/// A negative `int32` has all the bits of an `int64`.
pub(super) fn sign_extended(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

pub(super) fn low_half(n: u64) -> u32 {
    let [a, b, c, d, ..] = n.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

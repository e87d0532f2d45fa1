//! One value of a request: whether it is set, and its form.

use crate::operation::{Field, Kind, Schema, Shape};
use crate::transcode::slots::{Frame, Slots};
use crate::transcode::wire::{Malformed, Raw, read_field};
use crate::transcode::{any, rules, scalar};

use super::{NoForm, Writer};

impl<'a> Writer<'a> {
    /// The last value of a field that is set: of a single field, the one that counts.
    pub(super) fn set(&self, field: &Field, frame: Frame, index: usize) -> Option<Raw<'a>> {
        self.slots.last(frame, index).filter(|raw| is_set(field, *raw))
    }
}

/// Whether a field that has this value says anything.
pub(super) fn is_set(field: &Field, raw: Raw<'_>) -> bool {
    match (field.shape, field.kind) {
        (Shape::Implicit, _) => !scalar::is_zero(raw),
        // The zero value of an enum has no text: it says that nothing is said.
        (Shape::Optional, Kind::Enum(_)) => scalar::enum_number(raw) != 0,
        _ => true,
    }
}

/// The bytes of a single field of a well-known type that came in several parts, which
/// protobuf allows: to join their bytes is to merge them.
pub(super) fn joined(
    slots: &Slots<'_>,
    field: &Field,
    frame: Frame,
    index: usize,
) -> Option<Vec<u8>> {
    let is_single = matches!(field.shape, Shape::Implicit | Shape::Optional);
    if !is_single || !is_message(field.kind) || !slots.is_repeated(frame, index) {
        return None;
    }
    let mut joined = Vec::new();
    let mut cursor = slots.values(frame, index);
    while let Some(raw) = slots.next(&mut cursor) {
        if let Raw::Bytes(part) = raw {
            joined.extend_from_slice(part);
        }
    }
    Some(joined)
}

/// Writes the JSON of a value that is no message with a table of its own.
pub(super) fn write_single(
    schema: &Schema,
    field: &Field,
    raw: Raw<'_>,
    out: &mut Vec<u8>,
) -> Result<(), NoForm> {
    let malformed = |Malformed| NoForm::Malformed;
    match (field.kind, raw) {
        (Kind::Struct, Raw::Bytes(content)) => any::write_struct(content, out).map_err(malformed),
        (Kind::Value, Raw::Bytes(content)) => any::write_value(content, out).map_err(malformed),
        (Kind::ListValue, Raw::Bytes(content)) => any::write_list(content, out).map_err(malformed),
        _ => scalar::write_json(schema, field, raw, out),
    }
}

/// Splits a map's entry; a part that is left out is its type's zero value.
pub(super) fn map_entry(kind: Kind, raw: Raw<'_>) -> Result<(&str, Raw<'_>), Malformed> {
    let Raw::Bytes(mut entry) = raw else { return Err(Malformed) };
    let (mut key, mut value) = ("", None);
    while !entry.is_empty() {
        match read_field(&mut entry)? {
            (1, Raw::Bytes(text)) => key = std::str::from_utf8(text).map_err(|_| Malformed)?,
            // A message in two parts would have to be merged; nothing writes one here.
            (2, _) if value.is_some() && is_message(kind) => return Err(Malformed),
            (2, raw) => value = Some(raw),
            _ => return Err(Malformed),
        }
    }
    Ok((key, value.unwrap_or_else(|| rules::zero(kind))))
}

fn is_message(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Message(_) | Kind::Timestamp | Kind::Struct | Kind::Value | Kind::ListValue
    )
}

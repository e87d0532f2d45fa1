//! JSON of any shape, as `google.protobuf.Struct` and `Value`, both ways.
//!
//! This is how what the contract does not know is kept, and how a caller says what the
//! contract does not know yet.

mod keep;
mod write;

use hashbrown::HashMap;

use super::wire::{Malformed, Raw, read_field};

pub(super) use keep::{put_entry, put_list, put_struct, put_text_entry, put_value};
pub(super) use write::{write_list, write_struct, write_value};

// The fields of `google.protobuf.Value`.
const NULL: u32 = 1;
const NUMBER: u32 = 2;
const STRING: u32 = 3;
const BOOL: u32 = 4;
const STRUCT: u32 = 5;
const LIST: u32 = 6;

/// Few entries are found faster by looking at each than by hashing them.
const FEW: usize = 16;

/// An entry of a request's `Struct`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// The member's name.
    pub(super) key: &'a str,
    /// The encoded `Value`.
    pub(super) value: &'a [u8],
}

/// An encoded `Value`, one level deep.
#[derive(Clone, Copy, Debug)]
pub(super) enum Any<'a> {
    Null,
    Number(f64),
    String(&'a str),
    Bool(bool),
    Struct(&'a [u8]),
    List(&'a [u8]),
}

/// Appends the entries of an encoded `Struct`; [`last_of_each`] ends the reading.
pub(super) fn read_entries<'a>(
    mut bytes: &'a [u8],
    entries: &mut Vec<Entry<'a>>,
) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let (1, Raw::Bytes(entry)) = read_field(&mut bytes)? else { return Err(Malformed) };
        entries.push(read_entry(entry)?);
    }
    Ok(())
}

fn read_entry(mut bytes: &[u8]) -> Result<Entry<'_>, Malformed> {
    let (mut key, mut value) = ("", None);
    while !bytes.is_empty() {
        match read_field(&mut bytes)? {
            (1, Raw::Bytes(text)) => key = std::str::from_utf8(text).map_err(|_| Malformed)?,
            // A value in two parts would have to be merged; nothing writes one.
            (2, Raw::Bytes(part)) if value.is_none() => value = Some(part),
            _ => return Err(Malformed),
        }
    }
    Ok(Entry { key, value: value.unwrap_or_default() })
}

/// Leaves the last of equal keys, as protobuf reads a map.
pub(super) fn last_of_each(entries: &mut Vec<Entry<'_>>) {
    if entries.len() < 2 {
        return;
    }
    if entries.len() <= FEW {
        let mut rest = entries.as_slice();
        let mut kept = Vec::with_capacity(entries.len());
        while let Some((entry, after)) = rest.split_first() {
            if !after.iter().any(|later| later.key == entry.key) {
                kept.push(*entry);
            }
            rest = after;
        }
        *entries = kept;
        return;
    }
    let last: HashMap<_, _> = entries.iter().enumerate().map(|(i, e)| (e.key, i)).collect();
    let mut index = 0;
    entries.retain(|entry| {
        index += 1;
        last.get(entry.key) == Some(&(index - 1))
    });
}

/// Reads an encoded `Value`. One that is not set at all is read as null.
pub(super) fn read_value(mut bytes: &[u8]) -> Result<Any<'_>, Malformed> {
    let mut value = None;
    while !bytes.is_empty() {
        let next = match read_field(&mut bytes)? {
            (NULL, Raw::Varint(_)) => Any::Null,
            (NUMBER, Raw::Fixed64(bits)) => Any::Number(f64::from_bits(bits)),
            (STRING, Raw::Bytes(text)) => {
                Any::String(std::str::from_utf8(text).map_err(|_| Malformed)?)
            }
            (BOOL, Raw::Varint(flag)) => Any::Bool(flag != 0),
            (STRUCT, Raw::Bytes(content)) => Any::Struct(content),
            (LIST, Raw::Bytes(content)) => Any::List(content),
            _ => return Err(Malformed),
        };
        // Two objects or two lists would have to be merged; nothing writes them.
        match (value, next) {
            (Some(Any::Struct(_)), Any::Struct(_)) | (Some(Any::List(_)), Any::List(_)) => {
                return Err(Malformed);
            }
            _ => value = Some(next),
        }
    }
    Ok(value.unwrap_or(Any::Null))
}

/// Calls with each element of an encoded `ListValue`.
pub(super) fn read_elements<'a>(
    mut bytes: &'a [u8],
    mut each: impl FnMut(&'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while !bytes.is_empty() {
        let (1, Raw::Bytes(element)) = read_field(&mut bytes)? else { return Err(Malformed) };
        each(element)?;
    }
    Ok(())
}

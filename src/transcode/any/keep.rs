//! JSON that is kept: its text becomes a `Value`.
//!
//! A `Value` holds numbers as doubles; a number that no double holds exactly is kept
//! as its text instead, so that nothing is rounded unseen.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::transcode::decimal::exact_double;
use crate::transcode::scalar::quoted;
use crate::transcode::wire::{close, open, put_bytes, put_fixed64, put_varint};

use super::{BOOL, LIST, NULL, NUMBER, STRING, STRUCT};

/// Deeper JSON is kept as its text. Each level is three messages deep on the wire, and
/// protobuf's readers stop at a hundred; the rest is left to the messages around it.
const MAX_DEPTH: usize = 24;

/// Appends an entry of a `Struct`: `key` and the JSON text of its value.
pub(in crate::transcode) fn put_entry(key: &str, json: &str, out: &mut Vec<u8>) {
    put_entry_at(key, json, 0, out);
}

/// Appends an entry of a `Struct` whose value is `text`.
pub(in crate::transcode) fn put_text_entry(key: &str, text: &str, out: &mut Vec<u8>) {
    let entry = open(1, out);
    put_bytes(1, key.as_bytes(), out);
    let value = open(2, out);
    put_bytes(STRING, text.as_bytes(), out);
    close(value, out);
    close(entry, out);
}

/// Appends the content of a `Struct`; `false` when the JSON is no object.
pub(in crate::transcode) fn put_struct(json: &str, out: &mut Vec<u8>) -> bool {
    json.starts_with('{') && put_members(json, 1, out)
}

/// Appends the content of a `ListValue`; `false` when the JSON is no array.
pub(in crate::transcode) fn put_list(json: &str, out: &mut Vec<u8>) -> bool {
    json.starts_with('[') && put_elements(json, 1, out)
}

/// Appends the content of a `Value`.
pub(in crate::transcode) fn put_value(json: &str, out: &mut Vec<u8>) {
    put_value_at(json, 0, out);
}

fn put_entry_at(key: &str, json: &str, depth: usize, out: &mut Vec<u8>) {
    let entry = open(1, out);
    put_bytes(1, key.as_bytes(), out);
    let value = open(2, out);
    put_value_at(json, depth, out);
    close(value, out);
    close(entry, out);
}

fn put_value_at(json: &str, depth: usize, out: &mut Vec<u8>) {
    match json.as_bytes().first() {
        Some(b'"') => put_bytes(STRING, quoted(json).unwrap_or_default().as_bytes(), out),
        Some(b'{' | b'[') if depth >= MAX_DEPTH => put_bytes(STRING, json.as_bytes(), out),
        Some(b'{') => {
            let start = open(STRUCT, out);
            put_members(json, depth + 1, out);
            close(start, out);
        }
        Some(b'[') => {
            let start = open(LIST, out);
            put_elements(json, depth + 1, out);
            close(start, out);
        }
        Some(b't') => put_varint(BOOL, 1, out),
        Some(b'f') => put_varint(BOOL, 0, out),
        Some(b'n') | None => put_varint(NULL, 0, out),
        Some(_) => match exact_double(json) {
            Some(value) => put_fixed64(NUMBER, value.to_bits(), out),
            None => put_bytes(STRING, json.as_bytes(), out),
        },
    }
}

fn put_members(json: &str, depth: usize, out: &mut Vec<u8>) -> bool {
    let content = Content { depth, out };
    serde_json::Deserializer::from_str(json).deserialize_map(content).is_ok()
}

fn put_elements(json: &str, depth: usize, out: &mut Vec<u8>) -> bool {
    let content = Content { depth, out };
    serde_json::Deserializer::from_str(json).deserialize_seq(content).is_ok()
}

/// What stands in an object or an array.
struct Content<'a> {
    depth: usize,
    out: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        // Keys are read raw: one with a lone surrogate is no error, it is mended.
        while let Some((key, value)) = members.next_entry::<&RawValue, &RawValue>()? {
            let key = quoted(key.get()).unwrap_or_default();
            put_entry_at(&key, value.get(), self.depth, self.out);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&RawValue>()? {
            let start = open(1, self.out);
            put_value_at(element.get(), self.depth, self.out);
            close(start, self.out);
        }
        Ok(())
    }
}

//! A value written by its JSON text: exact for numbers, and at hand when it does not
//! fit and must be kept.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::operation::{Field, Kind, Message, MessageId, Shape};
use crate::transcode::any;
use crate::transcode::scalar::{self, Fit, quoted};
use crate::transcode::wire::{close, open, put_bytes};

use super::object::{Content, Members};
use super::{MAX_NESTING, Pace, Sink};

/// Calls with the text of each element of an array.
struct Elements<F>(F);

/// Calls with the name and the text of each member of an object.
struct Pairs<F>(F);

/// Writes the value of `field`, or keeps it when it does not fit.
pub(super) fn put(field: &'static Field, json: &str, sink: &mut Sink) {
    if json == "null" && (is_null(field, json) || is_composite(field)) {
        return sink.keep_null(field);
    }
    let (written, drift) = (sink.out.len(), sink.drift);
    let fit = match field.shape {
        Shape::List => put_list(field, json, sink),
        Shape::Map => put_map(field, json, sink),
        Shape::Implicit | Shape::Optional => put_one(field, field.number, json, sink),
    };
    if fit == Fit::Misfit {
        // The elements that fit stay in a list; anything else is taken back.
        if field.shape != Shape::List {
            sink.out.truncate(written);
            sink.drift = drift;
        }
        sink.keep(&field.wire_name, json);
    }
}

/// Writes the elements of the array `json` to a list field, or keeps it as well when
/// one of them does not fit.
pub(super) fn elements<'de, A: SeqAccess<'de>>(
    field: &'static Field,
    elements: A,
    json: &str,
    sink: &mut Sink,
) -> Result<(), A::Error> {
    let mut fit = Fit::Written;
    Elements(|element: &str| put_element(field, element, &mut fit, sink)).visit_seq(elements)?;
    if fit == Fit::Misfit {
        sink.keep(&field.wire_name, json);
    }
    Ok(())
}

/// Writes the members of an object that is unwrapped, or keeps what is no object.
pub(super) fn put_members(name: &str, table: &'static Message, value: &RawValue, sink: &mut Sink) {
    let content = Members { table, sink: &mut *sink };
    let result = serde_json::Deserializer::from_str(value.get()).deserialize_map(content);
    if result.is_err() {
        sink.keep(name, value.get());
    }
}

/// Writes one value of the field's type as the field with this number.
fn put_one(field: &'static Field, number: u32, json: &str, sink: &mut Sink) -> Fit {
    let before = sink.out.len();
    let is_written = match field.kind {
        Kind::Struct => within(number, sink, |sink| any::put_struct(json, &mut sink.out)),
        Kind::ListValue => within(number, sink, |sink| any::put_list(json, &mut sink.out)),
        Kind::Value => within(number, sink, |sink| {
            any::put_value(json, &mut sink.out);
            true
        }),
        Kind::Message(id) => within(number, sink, |sink| put_message(id, json, sink)),
        Kind::Nullable(id) => within(number, sink, |sink| put_nullable(id, json, sink)),
        _ => return scalar::put(sink.schema, field, number, json, &mut sink.out),
    };
    if is_written {
        return Fit::Written;
    }
    sink.out.truncate(before);
    Fit::Misfit
}

/// Writes a length-delimited field.
fn within(number: u32, sink: &mut Sink, write: impl FnOnce(&mut Sink) -> bool) -> bool {
    let start = open(number, &mut sink.out);
    let is_written = write(sink);
    close(start, &mut sink.out);
    is_written
}

/// Writes the content of a nullable message; null leaves it empty.
fn put_nullable(id: MessageId, json: &str, sink: &mut Sink) -> bool {
    if json == "null" {
        return true;
    }
    let Some((number, id)) = sink.schema.message(id).content() else { return false };
    sink.nesting += 1;
    let is_written = within(number, sink, |sink| put_message(id, json, sink));
    sink.nesting -= 1;
    is_written
}

fn put_message(id: MessageId, json: &str, sink: &mut Sink) -> bool {
    if sink.nesting >= MAX_NESTING || !json.starts_with('{') {
        return false;
    }
    // The fast reading may be what is going on around; its errors must not reach here.
    let pace = std::mem::replace(&mut sink.pace, Pace::Careful);
    let content = Content { id, sink: &mut *sink };
    let result = serde_json::Deserializer::from_str(json).deserialize_map(content);
    sink.pace = pace;
    result.is_ok()
}

fn put_list(field: &'static Field, json: &str, sink: &mut Sink) -> Fit {
    let mut fit = Fit::Written;
    let elements = Elements(|element: &str| put_element(field, element, &mut fit, sink));
    match serde_json::Deserializer::from_str(json).deserialize_seq(elements) {
        Ok(()) => fit,
        Err(_) => Fit::Misfit,
    }
}

fn put_element(field: &'static Field, json: &str, fit: &mut Fit, sink: &mut Sink) {
    if is_null(field, json) || put_one(field, field.number, json, sink) == Fit::Misfit {
        *fit = Fit::Misfit;
    }
}

fn put_map(field: &'static Field, json: &str, sink: &mut Sink) -> Fit {
    const VALUE: u32 = 2;
    let mut fit = Fit::Written;
    let pairs = Pairs(|key: &str, value: &str| {
        let entry = open(field.number, &mut sink.out);
        put_bytes(1, key.as_bytes(), &mut sink.out);
        if is_null(field, value) || put_one(field, VALUE, value, sink) == Fit::Misfit {
            fit = Fit::Misfit;
        }
        close(entry, &mut sink.out);
    });
    match serde_json::Deserializer::from_str(json).deserialize_map(pairs) {
        Ok(()) => fit,
        Err(_) => Fit::Misfit,
    }
}

fn is_composite(field: &Field) -> bool {
    matches!(field.shape, Shape::List | Shape::Map)
}

/// Whether a value is the null that its type has no form for.
fn is_null(field: &Field, json: &str) -> bool {
    json == "null" && !matches!(field.kind, Kind::Value | Kind::Nullable(_))
}

impl<'de, F: FnMut(&str)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&RawValue>()? {
            (self.0)(element.get());
        }
        Ok(())
    }
}

impl<'de, F: FnMut(&str, &str)> Visitor<'de> for Pairs<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some((name, value)) = members.next_entry::<&RawValue, &RawValue>()? {
            (self.0)(&quoted(name.get()).unwrap_or_default(), value.get());
        }
        Ok(())
    }
}

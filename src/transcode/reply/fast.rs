//! Values that are as documented, written while they are parsed.
//!
//! A text, an integer, a flag, an object or a list of these needs no second look. All
//! else is an error here, and the careful reading answers it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::operation::{Field, Format, Kind, Shape};
use crate::transcode::scalar::{Fit, put_flag, put_integer, put_text};
use crate::transcode::wire::{close, open, put_bytes};

use super::object::Content;
use super::{MAX_NESTING, Sink};

/// The value of a known member.
pub(super) struct Member<'a> {
    pub(super) field: &'static Field,
    pub(super) sink: &'a mut Sink,
}

/// The array of a list field.
struct List<'a>(Member<'a>);

/// One value of the field's type.
struct Single<'a> {
    field: &'static Field,
    /// An element that does not fit cannot be kept by itself.
    is_element: bool,
    sink: &'a mut Sink,
}

/// Whether values of this field need no text. Floating point does: serde_json's own
/// reading of it may be off by the last bit.
pub(super) fn takes(field: &Field, sink: &Sink) -> bool {
    field.shape != Shape::Map
        && match field.kind {
            Kind::String => field.format != Format::JsonNumber,
            Kind::Message(_) | Kind::Nullable(_) => sink.nesting < MAX_NESTING,
            Kind::Double | Kind::Float | Kind::Struct | Kind::Value | Kind::ListValue => false,
            _ => true,
        }
}

/// Writes the elements of an array to a list field.
pub(super) fn elements<'de, A: SeqAccess<'de>>(
    field: &'static Field,
    mut elements: A,
    sink: &mut Sink,
) -> Result<(), A::Error> {
    if !takes(field, sink) {
        return misfit();
    }
    loop {
        let element = Single { field, is_element: true, sink: &mut *sink };
        if elements.next_element_seed(element)?.is_none() {
            return Ok(());
        }
    }
}

fn misfit<E: Error>() -> Result<(), E> {
    Err(E::custom("not as documented"))
}

fn ok_if<E: Error>(fit: Fit) -> Result<(), E> {
    if fit == Fit::Written { Ok(()) } else { misfit() }
}

// === impl Member ===

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { field, sink } = self;
        match field.shape {
            Shape::List => deserializer.deserialize_any(List(Member { field, sink })),
            _ => deserializer.deserialize_any(Single { field, is_element: false, sink }),
        }
    }
}

// === impl List ===

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.sink.keep_null(self.0.field);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<(), A::Error> {
        elements(self.0.field, array, self.0.sink)
    }
}

// === impl Single ===

impl<'de> DeserializeSeed<'de> for Single<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Single<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of its field")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let Self { field, is_element, sink } = self;
        match put_text(sink.schema, field, field.number, text, &mut sink.out) {
            Fit::Written => {}
            Fit::Misfit if is_element => return misfit(),
            Fit::Misfit => sink.keep_text(&field.wire_name, text),
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let Self { field, is_element, sink } = self;
        match field.kind {
            Kind::Nullable(_) if is_element => put_bytes(field.number, &[], &mut sink.out),
            _ if is_element => return misfit(),
            _ => sink.keep_null(field),
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        ok_if(put_flag(self.field.kind, self.field.number, flag, &mut self.sink.out))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let Self { field, sink, .. } = self;
        ok_if(put_integer(field.kind, field.number, value.into(), &mut sink.out))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let Self { field, sink, .. } = self;
        ok_if(put_integer(field.kind, field.number, value.into(), &mut sink.out))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        let Self { field, sink, .. } = self;
        let start = open(field.number, &mut sink.out);
        match field.kind {
            Kind::Message(id) => Content { id, sink: &mut *sink }.visit_map(members)?,
            Kind::Nullable(id) => {
                let content = sink.schema.message(id).content();
                let (number, id) = content.ok_or_else(|| A::Error::custom("of nothing"))?;
                let start = open(number, &mut sink.out);
                sink.nesting += 1;
                Content { id, sink: &mut *sink }.visit_map(members)?;
                sink.nesting -= 1;
                close(start, &mut sink.out);
            }
            _ => return misfit(),
        }
        close(start, &mut sink.out);
        Ok(())
    }
}

//! An object, read member by member into the fields of a message.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::operation::{Field, Message, MessageId};
use crate::transcode::scalar::quoted;

use super::{Pace, Sink, careful, fast};

/// The members of an object that is read into `table`.
pub(super) struct Object<'a> {
    pub(super) table: &'static Message,
    /// A member whose own members are read as if they stood beside it.
    pub(super) unwrap: Option<&'a str>,
    /// Members that are dropped: the partner's error rules have read them already.
    pub(super) envelope: &'a [String],
    pub(super) sink: &'a mut Sink,
}

/// An object that is the content of a message field.
pub(super) struct Content<'a> {
    pub(super) id: MessageId,
    pub(super) sink: &'a mut Sink,
}

/// An object whose members belong to the message around it.
pub(super) struct Members<'a> {
    pub(super) table: &'static Message,
    pub(super) sink: &'a mut Sink,
}

enum Key<'de> {
    Known(usize),
    Unknown(Cow<'de, str>),
}

#[derive(Clone, Copy)]
struct KeyOf {
    table: &'static Message,
    guess: usize,
    pace: Pace,
}

/// The value of a known member.
struct Member<'a> {
    field: &'static Field,
    sink: &'a mut Sink,
}

// === impl Object ===

impl Object<'_> {
    pub(super) fn read<'de, A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { table, unwrap, envelope, sink } = self;
        let mut guess = 0;
        while let Some(key) = members.next_key_seed(KeyOf { table, guess, pace: sink.pace })? {
            match key {
                Key::Known(index) => {
                    guess = index + 1;
                    sink.has_content = true;
                    if let Some(field) = table.fields.get(index) {
                        members.next_value_seed(Member { field, sink: &mut *sink })?;
                    }
                }
                Key::Unknown(name) if envelope.iter().any(|member| *member == name) => {
                    members.next_value::<IgnoredAny>()?;
                }
                Key::Unknown(name) if unwrap == Some(&*name) => match sink.pace {
                    Pace::Fast => members.next_value_seed(Members { table, sink: &mut *sink })?,
                    Pace::Careful => {
                        let (said, value) = (sink.has_content, members.next_value::<&RawValue>()?);
                        careful::put_members(&name, table, value, sink);
                        // A resource that is null is none.
                        sink.has_content = said || sink.has_content && value.get() != "null";
                    }
                },
                Key::Unknown(name) => {
                    let value = members.next_value::<&RawValue>()?;
                    sink.keep(&name, value.get());
                }
            }
        }
        Ok(())
    }
}

// === impl Content ===

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        let table = self.sink.schema.message(self.id);
        let kept_from = self.sink.extra.len();
        self.sink.nesting += 1;
        let object = Object { table, unwrap: None, envelope: &[], sink: &mut *self.sink };
        let result = object.read(members);
        self.sink.nesting -= 1;
        self.sink.finish(table, kept_from);
        result
    }
}

// === impl Members ===

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        Object { table: self.table, unwrap: None, envelope: &[], sink: self.sink }.read(members)
    }
}

// === impl KeyOf ===

impl KeyOf {
    fn find<'de>(self, name: Cow<'de, str>) -> Key<'de> {
        let known = self.table.index_of_wire_name(&name, self.guess);
        known.map_or(Key::Unknown(name), Key::Known)
    }
}

impl<'de> DeserializeSeed<'de> for KeyOf {
    type Value = Key<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key<'de>, D::Error> {
        match self.pace {
            Pace::Fast => deserializer.deserialize_str(self),
            // A name with a lone surrogate is no text to serde_json.
            Pace::Careful => {
                let name = <&RawValue>::deserialize(deserializer)?;
                Ok(self.find(quoted(name.get()).unwrap_or_default()))
            }
        }
    }
}

impl<'de> Visitor<'de> for KeyOf {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Key<'de>, E> {
        Ok(self.find(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Key<'de>, E> {
        Ok(self.find(Cow::Owned(name.to_owned())))
    }
}

// === impl Member ===

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { field, sink } = self;
        if sink.pace == Pace::Fast && fast::takes(field, sink) {
            return fast::Member { field, sink }.deserialize(deserializer);
        }
        let value = <&RawValue>::deserialize(deserializer)?;
        careful::put(field, value.get(), sink);
        Ok(())
    }
}

//! Message tables: what the transcoder needs of a message, flat and ready.
//!
//! Descriptors answer questions through several hops and locks; a table is a slice
//! that is indexed by field. They are made once, at start, and shared by all calls.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, MessageDescriptor};

use super::options::{self, Format};
use super::rules::{self, Rules};

/// The name of the field that keeps what a contract does not know.
pub const ADDITIONAL_FIELDS: &str = "additional_fields";

const NO_FIELD: u16 = u16::MAX;
const DENSE: usize = 128;

/// All message and enum tables of a contract.
#[derive(Debug, Default)]
pub struct Schema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
}

/// An index into [`Schema::message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageId(usize);

/// An index into [`Schema::enumeration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnumId(usize);

/// A message: its fields by number and by wire name.
#[derive(Debug, Default)]
pub struct Message {
    /// The full proto name.
    pub name: String,
    /// The fields in declaration order, [`ADDITIONAL_FIELDS`] left out.
    pub fields: Vec<Field>,
    /// The number of the `additional_fields` field, if the message has one.
    pub additional: Option<u32>,
    by_number: Vec<u16>,
    by_large_number: BTreeMap<u32, u16>,
    by_wire_name: HashMap<Box<str>, u16>,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// The field number.
    pub number: u32,
    /// The proto name.
    pub name: String,
    /// The member's name in the partner's JSON.
    pub wire_name: String,
    /// The same as a body has it, quoted and with its colon: `"name":`.
    pub json_key: String,
    /// The type of its value, or of each element.
    pub kind: Kind,
    /// How many values it holds and whether absence is told.
    pub shape: Shape,
    /// What a request's value must satisfy.
    pub rules: Rules,
    /// How a value is spelled when its type does not decide it.
    pub format: Format,
    /// The value is a credential.
    pub secret: bool,
    /// The value describes a person.
    pub personal: bool,
}

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "protobuf's own scalar types")]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    /// An enum, told by its values' wire names.
    Enum(EnumId),
    /// A JSON object with a table of its own.
    Message(MessageId),
    /// A message that stands for the object of its one field, or for null.
    Nullable(MessageId),
    /// `google.protobuf.Timestamp`: RFC 3339 text.
    Timestamp,
    /// `google.protobuf.Struct`: any JSON object.
    Struct,
    /// `google.protobuf.Value`: any JSON value.
    Value,
    /// `google.protobuf.ListValue`: any JSON array.
    ListValue,
}

/// How many values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One; the zero value is absence.
    Implicit,
    /// One or none; absence is told apart from the zero value.
    Optional,
    /// Any number, in order.
    List,
    /// A JSON object with string keys.
    Map,
}

/// An enum: numbers to wire texts and back.
#[derive(Debug, Default)]
pub struct Enum {
    /// The full proto name.
    pub name: String,
    by_number: BTreeMap<i32, String>,
    by_text: HashMap<Box<str>, i32>,
}

/// Builds a [`Schema`], one table for each message however often it is used.
#[derive(Debug, Default)]
pub struct SchemaBuilder {
    schema: Schema,
    messages: HashMap<String, MessageId>,
    enums: HashMap<String, EnumId>,
}

// === impl Schema ===

impl Schema {
    /// The table of a message.
    ///
    /// # Panics
    /// Never: an id is only made together with its table.
    #[expect(clippy::indexing_slicing, reason = "ids are only made by the builder of this schema")]
    pub fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    /// The table of an enum.
    ///
    /// # Panics
    /// Never: an id is only made together with its table.
    #[expect(clippy::indexing_slicing, reason = "ids are only made by the builder of this schema")]
    pub fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.0]
    }
}

// === impl Message ===

impl Message {
    /// The index of the field with this number.
    pub fn index_of_number(&self, number: u32) -> Option<usize> {
        let index = match usize::try_from(number).ok().filter(|n| *n < DENSE) {
            Some(n) => self.by_number.get(n).copied().filter(|index| *index != NO_FIELD),
            None => self.by_large_number.get(&number).copied(),
        };
        index.map(usize::from)
    }

    /// The index of the field with this wire name. `guess` is tried first: partners
    /// mostly write members in the order of their documents.
    pub fn index_of_wire_name(&self, name: &str, guess: usize) -> Option<usize> {
        if self.fields.get(guess).is_some_and(|field| field.wire_name == name) {
            return Some(guess);
        }
        self.by_wire_name.get(name).copied().map(usize::from)
    }

    /// The field with this proto name.
    pub fn field_named(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.name == name)
    }

    /// Of a nullable message: the number of its one field, and that field's message.
    pub fn content(&self) -> Option<(u32, MessageId)> {
        let field = self.fields.first()?;
        match field.kind {
            Kind::Message(id) => Some((field.number, id)),
            _ => None,
        }
    }

    fn push(&mut self, field: Field) {
        let Ok(index) = u16::try_from(self.fields.len()) else { return };
        match usize::try_from(field.number).ok().filter(|n| *n < DENSE) {
            Some(number) => {
                if self.by_number.len() <= number {
                    self.by_number.resize(number + 1, NO_FIELD);
                }
                if let Some(slot) = self.by_number.get_mut(number) {
                    *slot = index;
                }
            }
            None => {
                self.by_large_number.insert(field.number, index);
            }
        }
        self.by_wire_name.insert(field.wire_name.as_str().into(), index);
        self.fields.push(field);
    }
}

// === impl Enum ===

impl Enum {
    /// The partner's text for a number; `None` for the zero value and unknown ones.
    pub fn text(&self, number: i32) -> Option<&str> {
        self.by_number.get(&number).map(String::as_str)
    }

    /// The number for the partner's text.
    pub fn number(&self, text: &str) -> Option<i32> {
        self.by_text.get(text).copied()
    }
}

// === impl SchemaBuilder ===

impl SchemaBuilder {
    /// The table of `message`, made if it is new.
    ///
    /// # Errors
    /// Says what in the message the transcoder does not serve.
    pub fn message(&mut self, message: &MessageDescriptor) -> Result<MessageId, String> {
        if let Some(id) = self.messages.get(message.full_name()) {
            return Ok(*id);
        }
        let id = MessageId(self.schema.messages.len());
        // Entered before its fields, so that a recursive message finds itself.
        self.messages.insert(message.full_name().to_owned(), id);
        self.schema.messages.push(Message::default());
        let mut table = Message { name: message.full_name().to_owned(), ..Message::default() };
        for field in message.fields() {
            if field.name() == ADDITIONAL_FIELDS {
                table.additional = Some(field.number());
            } else {
                table.push(self.field(&field)?);
            }
        }
        if let Some(slot) = self.schema.messages.get_mut(id.0) {
            *slot = table;
        }
        Ok(id)
    }

    /// The finished schema.
    pub fn finish(self) -> Schema {
        self.schema
    }

    fn field(&mut self, field: &FieldDescriptor) -> Result<Field, String> {
        let options = options::field(field);
        Ok(Field {
            number: field.number(),
            name: field.name().to_owned(),
            json_key: json_key(&options.wire_name),
            wire_name: options.wire_name,
            kind: self.kind(field)?,
            shape: shape(field)?,
            rules: rules::rules(field)?,
            format: options.format,
            secret: options.secret.unwrap_or(false),
            personal: options.personal,
        })
    }

    fn kind(&mut self, field: &FieldDescriptor) -> Result<Kind, String> {
        use prost_reflect::Kind as Proto;
        let value = match field.kind() {
            Proto::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        Ok(match value {
            Proto::Double => Kind::Double,
            Proto::Float => Kind::Float,
            Proto::Int32 => Kind::Int32,
            Proto::Int64 => Kind::Int64,
            Proto::Uint32 => Kind::Uint32,
            Proto::Uint64 => Kind::Uint64,
            Proto::Sint32 => Kind::Sint32,
            Proto::Sint64 => Kind::Sint64,
            Proto::Fixed32 => Kind::Fixed32,
            Proto::Fixed64 => Kind::Fixed64,
            Proto::Sfixed32 => Kind::Sfixed32,
            Proto::Sfixed64 => Kind::Sfixed64,
            Proto::Bool => Kind::Bool,
            Proto::String => Kind::String,
            Proto::Bytes => Kind::Bytes,
            Proto::Enum(descriptor) => Kind::Enum(self.enumeration(&descriptor)),
            Proto::Message(message) => self.message_kind(&message)?,
        })
    }

    fn message_kind(&mut self, message: &MessageDescriptor) -> Result<Kind, String> {
        match message.full_name() {
            "google.protobuf.Timestamp" => Ok(Kind::Timestamp),
            "google.protobuf.Struct" => Ok(Kind::Struct),
            "google.protobuf.Value" => Ok(Kind::Value),
            "google.protobuf.ListValue" => Ok(Kind::ListValue),
            name if name.starts_with("google.protobuf.") => {
                Err(format!("the well-known type {name} has no form in a partner's JSON"))
            }
            _ if options::nullable(message) => self.message(message).map(Kind::Nullable),
            _ => self.message(message).map(Kind::Message),
        }
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> EnumId {
        if let Some(id) = self.enums.get(descriptor.full_name()) {
            return *id;
        }
        let mut table = Enum { name: descriptor.full_name().to_owned(), ..Enum::default() };
        for value in descriptor.values() {
            if let Some(text) = options::wire_name(&value) {
                table.by_text.insert(text.as_str().into(), value.number());
                table.by_number.insert(value.number(), text);
            }
        }
        let id = EnumId(self.schema.enums.len());
        self.enums.insert(descriptor.full_name().to_owned(), id);
        self.schema.enums.push(table);
        id
    }
}

fn json_key(name: &str) -> String {
    let mut key = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => key.extend(['\\', c]),
            c if c.is_ascii_control() => key.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => key.push(c),
        }
    }
    key.push_str("\":");
    key
}

fn shape(field: &FieldDescriptor) -> Result<Shape, String> {
    if field.is_map() {
        let prost_reflect::Kind::Message(entry) = field.kind() else {
            return Err("a map without an entry".to_owned());
        };
        return match entry.map_entry_key_field().kind() {
            prost_reflect::Kind::String => Ok(Shape::Map),
            key => Err(format!("a map with {key:?} keys has no form in a partner's JSON")),
        };
    }
    if field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
        return Err("a oneof has no form in a partner's JSON".to_owned());
    }
    Ok(match field.cardinality() {
        Cardinality::Repeated => Shape::List,
        _ if field.supports_presence() => Shape::Optional,
        _ => Shape::Implicit,
    })
}

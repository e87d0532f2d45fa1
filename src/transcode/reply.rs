//! A partner's JSON becomes the bytes of the reply message.
//!
//! serde_json reads, seeds made of tables write: known members to their field, all
//! others to `additional_fields`. A value that does not fit its field is kept there
//! too. Only JSON that is broken, or of another shape altogether, is an error.
//!
//! A member given twice is written twice: of single values the last one counts,
//! objects are merged and lists are joined, as protobuf reads repeated fields.

mod careful;
mod fast;
mod object;

use std::fmt;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::operation::{Field, Kind, Message, Operation, Schema, Shape};

use super::any;
use super::wire::put_bytes;

use object::Object;

/// Deeper messages are kept as they are. Together with what an `additional_fields` may
/// add below, a reply stays under the hundred levels that protobuf's readers allow.
const MAX_NESTING: usize = 16;

/// A reply message and what of it the contract did not foresee.
#[derive(Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The encoded message.
    pub message: Vec<u8>,
    /// How many members were unknown or did not fit their field.
    pub drift: u64,
}

/// The partner's answer is not the JSON that the operation's contract describes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// Transcodes the JSON `body` of an answer to `operation`, with the fields that its
/// request left to [echo](super::Request::echo).
///
/// # Errors
/// When the body is not JSON, or neither an object nor the array that the contract
/// describes. The text tells where, and nothing of what stands there.
pub fn reply(operation: &Operation, body: &[u8], echo: &[u8]) -> Result<Decoded, Unreadable> {
    // Checked once here, so that no string in it is checked again.
    let json = std::str::from_utf8(body)
        .map_err(|e| Unreadable(format!("it is not UTF-8 (byte {})", e.valid_up_to())))?
        .trim_ascii();
    if json.is_empty() {
        return match operation.empty_reply {
            true => Ok(Decoded { message: echo.to_vec(), drift: 0 }),
            false => Err(Unreadable("it is empty".to_owned())),
        };
    }
    read(operation, json, echo, Pace::Fast)
        .or_else(|_| read(operation, json, echo, Pace::Careful))
        .map_err(|error| unreadable(&error))
}

/// How values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Straight from the parser into the message. What is not as documented, and would
    /// have to be kept with its exact text, ends the reading with an error.
    Fast,
    /// From the text of each value, so that whatever does not fit can be kept. Only
    /// what is wrong as a whole is an error.
    Careful,
}

/// Where everything is written.
struct Sink {
    schema: &'static Schema,
    /// The reply message.
    out: Vec<u8>,
    /// The entries of the `additional_fields` of the messages being read, innermost last.
    extra: Vec<u8>,
    drift: u64,
    pace: Pace,
    /// How many messages are around the one being read.
    nesting: usize,
    /// Whether anything was said that is not the partner's envelope.
    has_content: bool,
}

/// The whole answer.
struct Root<'a> {
    operation: &'a Operation,
    json: &'a str,
    sink: &'a mut Sink,
}

pub(super) fn read(
    operation: &Operation,
    json: &str,
    echo: &[u8],
    pace: Pace,
) -> Result<Decoded, serde_json::Error> {
    let mut out = Vec::with_capacity(json.len() + echo.len());
    out.extend_from_slice(echo);
    let schema = operation.schema;
    let mut sink =
        Sink { schema, out, extra: Vec::new(), drift: 0, pace, nesting: 0, has_content: false };
    let mut reader = serde_json::Deserializer::from_str(json);
    reader.deserialize_any(Root { operation, json, sink: &mut sink })?;
    reader.end()?;
    // `{}` where a resource is documented: an answer to nothing, and for a write no
    // proof that it was done.
    if !sink.has_content && !operation.empty_reply {
        return Err(de::Error::custom("no member of what is documented"));
    }
    Ok(Decoded { message: sink.out, drift: sink.drift })
}

fn unreadable(error: &serde_json::Error) -> Unreadable {
    let what = match error.classify() {
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
        serde_json::error::Category::Eof => "its JSON ends too early",
        // An error of ours has no place in the text.
        serde_json::error::Category::Data if error.line() == 0 => {
            "it says nothing of what was asked"
        }
        serde_json::error::Category::Data => "its JSON is not an object or list as documented",
    };
    Unreadable(format!("{what} (line {}, column {})", error.line(), error.column()))
}

// === impl Unreadable ===

impl Unreadable {
    /// An answer of which this is wrong.
    pub(super) fn new(what: &str) -> Self {
        Self(what.to_owned())
    }
}

// === impl Decoded ===

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, drift {}", self.message.len(), self.drift)
    }
}

// === impl Sink ===

impl Sink {
    /// Keeps a member in the `additional_fields` of the message being read.
    fn keep(&mut self, name: &str, json: &str) {
        self.has_content = true;
        any::put_entry(name, json, &mut self.extra);
        self.drift += 1;
    }

    /// Keeps a text that its field does not know.
    fn keep_text(&mut self, name: &str, text: &str) {
        any::put_text_entry(name, text, &mut self.extra);
        self.drift += 1;
    }

    /// Keeps a null. It tells of absence, which only a field that must be there does
    /// not allow.
    fn keep_null(&mut self, field: &Field) {
        any::put_entry(&field.wire_name, "null", &mut self.extra);
        self.drift += u64::from(field.shape == Shape::Implicit);
    }

    /// Ends a message: what was kept while reading it becomes its `additional_fields`.
    fn finish(&mut self, table: &Message, kept_from: usize) {
        if let (Some(number), true) = (table.additional, self.extra.len() > kept_from) {
            put_bytes(number, self.extra.get(kept_from..).unwrap_or_default(), &mut self.out);
        }
        self.extra.truncate(kept_from);
    }
}

// === impl Root ===

impl Root<'_> {
    /// The field that the whole answer is.
    fn whole(&self) -> Option<&'static Field> {
        let fields = &self.operation.reply().fields;
        self.operation.response_body.and_then(|index| fields.get(index))
    }
}

/// Writes an object of any shape, `json`, to the field that it is.
fn whole_object<'de, A: MapAccess<'de>>(
    field: &'static Field,
    mut members: A,
    json: &str,
    sink: &mut Sink,
) -> Result<(), A::Error> {
    // Read past, so that JSON which breaks off is found.
    while members.next_entry::<&RawValue, IgnoredAny>()?.is_some() {}
    sink.has_content = true;
    careful::put(field, json, sink);
    Ok(())
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the documented object or list")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        let Operation { unwrap, envelope, .. } = self.operation;
        let table = self.operation.reply();
        if let Some(field) = self.whole().filter(|field| field.kind == Kind::Struct) {
            return whole_object(field, members, self.json, self.sink);
        }
        Object { table, unwrap: unwrap.as_deref(), envelope, sink: self.sink }.read(members)?;
        self.sink.finish(table, 0);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        let table = self.operation.reply();
        let field = self.whole().filter(|field| field.shape == Shape::List);
        let field =
            field.ok_or_else(|| de::Error::custom("a list where an object is documented"))?;
        self.sink.has_content = true;
        match self.sink.pace {
            Pace::Fast => fast::elements(field, elements, self.sink)?,
            Pace::Careful => careful::elements(field, elements, self.json, self.sink)?,
        }
        self.sink.finish(table, 0);
        Ok(())
    }
}

//! What a request adds to the contract: the entries of its `additional_fields`.
//!
//! They must not be a second way to set what the contract knows, or its rules could be
//! passed by. They may say what a field cannot.

use crate::operation::{Field, Kind, Message, Schema, Shape};
use crate::transcode::any::{self, Any, Entry};
use crate::transcode::slots::Frame;
use crate::transcode::wire::Raw;

use super::{NoForm, Writer};

impl<'a> Writer<'a> {
    /// The entries that may be merged into the object.
    pub(super) fn additional(&mut self, table: &'static Message, frame: Frame) -> Vec<Entry<'a>> {
        let mut entries = Vec::new();
        let mut cursor = self.slots.values(frame, table.fields.len());
        while let Some(raw) = self.slots.next(&mut cursor) {
            let Raw::Bytes(bytes) = raw else { continue };
            if any::read_entries(bytes, &mut entries).is_err() {
                self.report.no_form("additional_fields", NoForm::Malformed);
            }
        }
        any::last_of_each(&mut entries);
        entries.retain(|entry| self.may_add(table, frame, entry));
        entries
    }

    fn may_add(&mut self, table: &'static Message, frame: Frame, entry: &Entry<'_>) -> bool {
        if self.report.depth() == 0 && self.operation.reserved.contains(&entry.key) {
            let what = "is set by the gateway's own credential";
            self.report.entry(entry.key, "RESERVED", what);
            return false;
        }
        let named = |field: &Field| field.wire_name == entry.key || field.name == entry.key;
        let Some(index) = table.fields.iter().position(named) else { return true };
        let Some(field) = table.fields.get(index) else { return true };
        let is_unset = self.set(field, frame, index).is_none();
        if field.wire_name == entry.key && is_unset && says_more(self.schema, field, entry.value) {
            return true;
        }
        let what = "names a field of the contract: set the field itself";
        self.report.entry(entry.key, "FIELD_OF_CONTRACT", what);
        false
    }
}

/// Whether a value says what its field cannot: a text that the enum does not know, null
/// for an optional field, an empty list.
fn says_more(schema: &Schema, field: &Field, value: &[u8]) -> bool {
    let Ok(value) = any::read_value(value) else { return false };
    let is_unknown = |text: &str| match field.kind {
        Kind::Enum(id) => schema.enumeration(id).number(text).is_none(),
        _ => false,
    };
    match (field.shape, value) {
        (Shape::Optional, Any::Null) => true,
        (Shape::Optional | Shape::Implicit, Any::String(text)) => is_unknown(text),
        (Shape::List, Any::List(content)) => {
            let mut has_unknown = content.is_empty();
            let elements = any::read_elements(content, |element| {
                let value = any::read_value(element)?;
                has_unknown |= matches!(value, Any::String(text) if is_unknown(text));
                Ok(())
            });
            has_unknown && elements.is_ok()
        }
        _ => false,
    }
}

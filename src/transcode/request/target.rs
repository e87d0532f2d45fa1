//! What of a request stands outside of its body: path, query, headers, and what is
//! said to the gateway itself.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::operation::{Field, Format, Message, Piece, Shape};
use crate::transcode::percent::{is_unsafe_segment, push_encoded};
use crate::transcode::slots::Frame;
use crate::transcode::wire::Raw;
use crate::transcode::{rules, scalar};

use super::single::joined;
use super::{NoForm, Writer};

const SEGMENT: &str =
    "must be a non-empty path segment other than . and .., without control characters";

impl<'a> Writer<'a> {
    /// The operation's path, its variables filled in.
    pub(super) fn path(&mut self, table: &'static Message, frame: Frame) -> String {
        let mut path = String::with_capacity(self.operation.path.as_str().len() + 32);
        for piece in self.operation.path.pieces() {
            match piece {
                Piece::Literal(text) => path.push_str(text),
                Piece::Variable(name) => {
                    if let Some((index, field)) = table.field_named(name) {
                        self.segment(field, frame, index, &mut path);
                    }
                }
            }
        }
        path
    }

    fn segment(&mut self, field: &'static Field, frame: Frame, index: usize, path: &mut String) {
        let raw = match (self.slots.last(frame, index), field.shape) {
            (Some(raw), _) => raw,
            (None, Shape::Implicit) => rules::zero(field.kind),
            (None, _) => return self.report.field(field, "PATH_SEGMENT", SEGMENT),
        };
        match scalar::text(self.schema, field.kind, raw) {
            Ok(text) if is_unsafe_segment(&text) => {
                self.report.field(field, "PATH_SEGMENT", SEGMENT);
            }
            Ok(text) => push_encoded(&text, path),
            Err(reason) => self.report.no_form(&field.name, reason),
        }
    }

    /// The name and value pairs of a field in a query or a form: one for each element
    /// of a list, or one with all of them.
    pub(super) fn pairs(
        &mut self,
        field: &'static Field,
        frame: Frame,
        index: usize,
        out: &mut String,
    ) {
        if field.format == Format::CommaList {
            self.comma_list(field, frame, index, out);
        } else if field.shape == Shape::List {
            let mut cursor = self.slots.values(frame, index);
            while let Some(raw) = self.slots.next(&mut cursor) {
                self.pair(field, raw, out);
            }
        } else if let Some(joined) = joined(&self.slots, field, frame, index) {
            self.pair(field, Raw::Bytes(&joined), out);
        } else if let Some(raw) = self.slots.last(frame, index) {
            self.pair(field, raw, out);
        }
    }

    /// One pair whose value is all elements of a list. A comma between two of them is
    /// sent as it is, which a query allows (RFC 3986 section 3.4).
    fn comma_list(&mut self, field: &'static Field, frame: Frame, index: usize, out: &mut String) {
        let mut cursor = self.slots.values(frame, index);
        let mut is_first = true;
        while let Some(raw) = self.slots.next(&mut cursor) {
            match scalar::text(self.schema, field.kind, raw) {
                Ok(text) if is_first => push_pair(&field.wire_name, &text, out),
                Ok(text) => {
                    out.push(',');
                    push_encoded(&text, out);
                }
                Err(reason) => self.report.no_form(&field.name, reason),
            }
            is_first = false;
        }
    }

    fn pair(&mut self, field: &'static Field, raw: Raw<'_>, out: &mut String) {
        match scalar::text(self.schema, field.kind, raw) {
            Ok(text) => push_pair(&field.wire_name, &text, out),
            Err(reason) => self.report.no_form(&field.name, reason),
        }
    }

    /// Adds a header. A header ends with its line, so nothing that could end one, and
    /// nothing that a partner might read differently, may stand in its value.
    pub(super) fn header(
        &mut self,
        field: &'static Field,
        name: &HeaderName,
        raw: Raw<'a>,
        headers: &mut HeaderMap,
    ) {
        let Some(text) = self.string(field, raw) else { return };
        let is_visible = text.bytes().all(|b| (0x20..=0x7e).contains(&b));
        match HeaderValue::from_str(text) {
            Ok(value) if is_visible && text.trim() == text => {
                headers.insert(name.clone(), value);
            }
            _ => self.report.field(field, "HEADER_VALUE", "must be visible ASCII characters"),
        }
    }

    /// The sub-account or end user whose credential is used; an empty one is the partner
    /// account.
    pub(super) fn account(&mut self, field: &'static Field, raw: Raw<'a>) -> Option<String> {
        self.string(field, raw).filter(|account| !account.is_empty()).map(str::to_owned)
    }

    /// The caller's idempotency key.
    pub(super) fn uuid(&mut self, field: &'static Field, raw: Raw<'a>) -> Option<Uuid> {
        let text = self.string(field, raw)?;
        let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
        if uuid.is_none() && field.rules.checks.is_empty() {
            self.report.field(field, "UUID", "must be a UUID");
        }
        uuid
    }

    fn string(&mut self, field: &'static Field, raw: Raw<'a>) -> Option<&'a str> {
        let text = match raw {
            Raw::Bytes(bytes) => scalar::utf8(bytes).ok(),
            _ => None,
        };
        if text.is_none() {
            self.report.no_form(&field.name, NoForm::Malformed);
        }
        text
    }
}

/// Appends a pair to a query or a form.
pub(super) fn push_pair(name: &str, value: &str, out: &mut String) {
    if !out.is_empty() {
        out.push('&');
    }
    push_encoded(name, out);
    out.push('=');
    push_encoded(value, out);
}

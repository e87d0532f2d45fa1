//! A request's body as JSON, written straight from the message's slots.

use hashbrown::HashMap;
use http::HeaderValue;

use crate::call::Body;
use crate::operation::{Binding, Encoding, Field, Kind, Message, MessageId, Shape};
use crate::transcode::slots::Frame;
use crate::transcode::wire::{Malformed, Raw};
use crate::transcode::{any, scalar};

use super::report::Step;
use super::single::{is_set, joined, map_entry, write_single};
use super::{NoForm, Writer};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const MAX_DEPTH: usize = 64;

impl<'a> Writer<'a> {
    /// The body, if the operation has one. A field that is the whole body and is not
    /// set is no body.
    pub(super) fn body(
        &mut self,
        table: &'static Message,
        frame: Frame,
        size: usize,
    ) -> Option<Body> {
        let operation = self.operation;
        if !operation.has_body {
            return None;
        }
        if operation.encoding == Encoding::Form {
            let form = self.form(table, frame);
            return Some(Body { content_type: FORM, bytes: form.into() });
        }
        // Members' names come on top of the values.
        let mut out = Vec::with_capacity(3 * size + 64);
        match operation.bindings.iter().position(|binding| *binding == Binding::WholeBody) {
            None => {
                let is_member = |index| operation.bindings.get(index) == Some(&Binding::Body);
                self.object(table, frame, is_member, &mut out);
            }
            Some(index) => {
                let field = table.fields.get(index)?;
                let last = self.set(field, frame, index)?;
                self.value(field, frame, index, last, &mut out);
            }
        }
        Some(Body { content_type: JSON, bytes: out.into() })
    }

    /// Writes the members of an object, those of `additional_fields` last.
    fn object(
        &mut self,
        table: &'static Message,
        frame: Frame,
        is_member: impl Fn(usize) -> bool,
        out: &mut Vec<u8>,
    ) {
        out.push(b'{');
        let start = out.len();
        for (index, field) in table.fields.iter().enumerate() {
            let Some(last) = self.slots.last(frame, index) else { continue };
            if is_set(field, last) && is_member(index) {
                separate(start, out);
                out.extend_from_slice(field.json_key.as_bytes());
                self.value(field, frame, index, last, out);
            }
        }
        if self.slots.last(frame, table.fields.len()).is_some() {
            self.additional_members(table, frame, start, out);
        }
        out.push(b'}');
    }

    fn additional_members(
        &mut self,
        table: &'static Message,
        frame: Frame,
        start: usize,
        out: &mut Vec<u8>,
    ) {
        for entry in self.additional(table, frame) {
            separate(start, out);
            scalar::write_string(entry.key, out);
            out.push(b':');
            if any::write_value(entry.value, out).is_err() {
                let what = "must be a finite, not too deep JSON value";
                self.report.entry(entry.key, "JSON_VALUE", what);
            }
        }
    }

    /// Writes the value of a set field, whose last value on the wire is `last`.
    fn value(
        &mut self,
        field: &'static Field,
        frame: Frame,
        index: usize,
        last: Raw<'a>,
        out: &mut Vec<u8>,
    ) {
        match (field.shape, field.kind) {
            (Shape::List, _) => self.list(field, frame, index, out),
            (Shape::Map, _) => self.map(field, frame, index, out),
            (_, Kind::Message(id)) => {
                self.report.enter(Step::Field(&field.name));
                self.merged(id, frame, index, out);
                self.report.leave();
            }
            _ => {
                let joined = joined(&self.slots, field, frame, index);
                let raw = joined.as_deref().map_or(last, Raw::Bytes);
                if let Err(reason) = write_single(self.schema, field, raw, out) {
                    self.report.no_form(&field.name, reason);
                }
            }
        }
    }

    fn list(&mut self, field: &'static Field, frame: Frame, index: usize, out: &mut Vec<u8>) {
        out.push(b'[');
        let start = out.len();
        let mut cursor = self.slots.values(frame, index);
        let mut position = 0;
        self.report.enter(Step::Field(&field.name));
        while let Some(raw) = self.slots.next(&mut cursor) {
            separate(start, out);
            self.report.enter(Step::Index(position));
            self.element(field, raw, out);
            self.report.leave();
            position += 1;
        }
        self.report.leave();
        out.push(b']');
    }

    fn map(&mut self, field: &'static Field, frame: Frame, index: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        self.report.enter(Step::Field(&field.name));
        for (key, value) in self.last_entries(field, frame, index) {
            separate(start, out);
            scalar::write_string(key, out);
            out.push(b':');
            self.report.enter(Step::Key(key));
            self.element(field, value, out);
            self.report.leave();
        }
        self.report.leave();
        out.push(b'}');
    }

    /// The entries of a map, the last one of equal keys.
    fn last_entries(
        &mut self,
        field: &Field,
        frame: Frame,
        index: usize,
    ) -> Vec<(&'a str, Raw<'a>)> {
        let mut entries = Vec::new();
        let mut places = HashMap::new();
        let mut cursor = self.slots.values(frame, index);
        while let Some(raw) = self.slots.next(&mut cursor) {
            let Ok((key, value)) = map_entry(field.kind, raw) else {
                self.report.no_form("", NoForm::Malformed);
                continue;
            };
            let place = *places.entry(key).or_insert(entries.len());
            match entries.get_mut(place) {
                Some(entry) => *entry = (key, value),
                None => entries.push((key, value)),
            }
        }
        entries
    }

    /// Writes one element of a list or a map.
    fn element(&mut self, field: &'static Field, raw: Raw<'a>, out: &mut Vec<u8>) {
        let (Kind::Message(id), Raw::Bytes(bytes)) = (field.kind, raw) else {
            if let Err(reason) = write_single(self.schema, field, raw, out) {
                self.report.no_form("", reason);
            }
            return;
        };
        let table = self.schema.message(id);
        let frame = self.slots.enter(table);
        match self.slots.scan(frame, table, bytes) {
            Ok(()) => self.nested(table, frame, out),
            Err(Malformed) => self.report.no_form("", NoForm::Malformed),
        }
        self.slots.leave(frame);
    }

    /// Writes a message field, merged when it was given more than once.
    fn merged(&mut self, id: MessageId, outer: Frame, index: usize, out: &mut Vec<u8>) {
        let table = self.schema.message(id);
        let frame = self.slots.enter(table);
        let mut cursor = self.slots.values(outer, index);
        while let Some(raw) = self.slots.next(&mut cursor) {
            let Raw::Bytes(bytes) = raw else { continue };
            if self.slots.scan(frame, table, bytes).is_err() {
                self.report.no_form("", NoForm::Malformed);
                break;
            }
        }
        self.nested(table, frame, out);
        self.slots.leave(frame);
    }

    fn nested(&mut self, table: &'static Message, frame: Frame, out: &mut Vec<u8>) {
        if self.report.depth() > MAX_DEPTH {
            return self.report.no_form("", NoForm::Malformed);
        }
        self.check(table, frame);
        self.object(table, frame, |_| true, out);
    }
}

fn separate(start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b',');
    }
}

//! The rules of a message's fields, held against its slots.

use crate::operation::{Field, Message, Shape};
use crate::transcode::rules::{self, Broken};
use crate::transcode::slots::Frame;
use crate::transcode::wire::Raw;

use super::Writer;
use super::report::Step;
use super::single::{is_set, map_entry};

impl<'a> Writer<'a> {
    /// Checks every field of a message that has been read into its slots.
    pub(super) fn check(&mut self, table: &'static Message, frame: Frame) {
        for (index, field) in table.fields.iter().enumerate() {
            if field.rules.is_any() {
                self.check_field(field, frame, index);
            }
        }
    }

    fn check_field(&mut self, field: &'static Field, frame: Frame, index: usize) {
        let last = self.slots.last(frame, index);
        let is_set = last.is_some_and(|raw| is_set(field, raw));
        if field.rules.required && !is_set {
            return self.report.field(field, "REQUIRED", "must be given");
        }
        match field.shape {
            Shape::List | Shape::Map => self.check_elements(field, frame, index),
            Shape::Implicit | Shape::Optional => {
                let is_checked = is_set || !field.rules.ignore_zero;
                let zero = || (field.shape == Shape::Implicit).then(|| rules::zero(field.kind));
                if let (Some(raw), true) = (last.or_else(zero), is_checked) {
                    for (reason, description) in rules::broken(self.schema, field, raw) {
                        self.report.field(field, reason, &description);
                    }
                }
            }
        }
    }

    fn check_elements(&mut self, field: &'static Field, frame: Frame, index: usize) {
        let mut cursor = self.slots.values(frame, index);
        let (mut count, mut position) = (0u64, 0usize);
        self.report.enter(Step::Field(&field.name));
        while let Some(raw) = self.slots.next(&mut cursor) {
            if let Some((step, value)) = element(field, raw, position) {
                for broken in rules::broken(self.schema, field, value) {
                    self.report_element(step, broken);
                }
            }
            count += 1;
            position += 1;
        }
        self.report.leave();
        if let Some((reason, description)) = rules::broken_length(&field.rules, count) {
            self.report.field(field, reason, &description);
        }
    }

    fn report_element(&mut self, step: Step<'a>, (reason, description): Broken) {
        self.report.enter(step);
        self.report.here(reason, &description);
        self.report.leave();
    }
}

/// An element's place and value; `None` for a map's entry that cannot be read, which is
/// found again when it is written.
fn element<'a>(field: &Field, raw: Raw<'a>, position: usize) -> Option<(Step<'a>, Raw<'a>)> {
    match field.shape {
        Shape::Map => map_entry(field.kind, raw).ok().map(|(key, value)| (Step::Key(key), value)),
        _ => Some((Step::Index(position), raw)),
    }
}

//! A request's body as `application/x-www-form-urlencoded`.

use crate::operation::{Binding, Message};
use crate::transcode::any::{self, Any};
use crate::transcode::scalar;
use crate::transcode::slots::Frame;

use super::Writer;
use super::target::push_pair;

impl Writer<'_> {
    /// The pairs of the body's fields, those of `additional_fields` last.
    pub(super) fn form(&mut self, table: &'static Message, frame: Frame) -> String {
        let mut out = String::new();
        for (index, (field, binding)) in
            table.fields.iter().zip(&self.operation.bindings).enumerate()
        {
            if *binding == Binding::Body && self.set(field, frame, index).is_some() {
                self.pairs(field, frame, index, &mut out);
            }
        }
        for entry in self.additional(table, frame) {
            match form_text(entry.value) {
                Some(text) => push_pair(entry.key, &text, &mut out),
                None => self.report.entry(
                    entry.key,
                    "FORM_VALUE",
                    "must be a string, a number or a boolean",
                ),
            }
        }
        // A form's one difference from a query: a space is a plus (RFC 6749 appendix B).
        out.replace("%20", "+")
    }
}

fn form_text(value: &[u8]) -> Option<String> {
    match any::read_value(value).ok()? {
        Any::String(text) => Some(text.to_owned()),
        Any::Bool(flag) => Some(flag.to_string()),
        Any::Number(number) => {
            let mut text = Vec::new();
            scalar::write_double(number, &mut text).ok()?;
            String::from_utf8(text).ok()
        }
        Any::Null | Any::Struct(_) | Any::List(_) => None,
    }
}

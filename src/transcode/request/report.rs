//! What is wrong with a request: all of it, each at its place.

use crate::error::Violation;
use crate::operation::Field;
use crate::transcode::scalar::NoForm;

/// So many are enough to mend a request; more would only burden its caller.
const MAX_VIOLATIONS: usize = 100;
/// A longer key is cut in the path of a violation.
const MAX_KEY: usize = 60;

/// Collects violations while a message is walked.
#[derive(Default)]
pub(super) struct Report<'a> {
    violations: Vec<Violation>,
    /// The way from the request to the value being written.
    path: Vec<Step<'a>>,
}

/// A step into a message.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Field(&'static str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Report<'a> {
    pub(super) fn enter(&mut self, step: Step<'a>) {
        self.path.push(step);
    }

    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    pub(super) fn depth(&self) -> usize {
        self.path.len()
    }

    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.violations
    }

    /// Reports a field of the message being written.
    pub(super) fn field(&mut self, field: &Field, reason: &'static str, description: &str) {
        self.add(&field.name, reason, description);
    }

    /// Reports an entry of the `additional_fields` of the message being written.
    pub(super) fn entry(&mut self, key: &str, reason: &'static str, description: &str) {
        self.add(&format!("additional_fields{}", bracketed(key)), reason, description);
    }

    /// Reports the value that is being written itself.
    pub(super) fn here(&mut self, reason: &'static str, description: &str) {
        self.add("", reason, description);
    }

    /// Reports a value that has no form on the wire: the field `name`, or, when that is
    /// empty, the value being written itself.
    pub(super) fn no_form(&mut self, name: &str, reason: NoForm) {
        let (reason, description) = describe(reason);
        self.add(name, reason, description);
    }

    fn add(&mut self, last: &str, reason: &'static str, description: &str) {
        if self.violations.len() >= MAX_VIOLATIONS {
            return;
        }
        let violation =
            Violation { field: self.path_to(last), description: description.to_owned(), reason };
        // A rule and the writing of the value may find the same.
        if !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }

    fn path_to(&self, last: &str) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) => push_dotted(name, &mut path),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key(key) => path.push_str(&bracketed(key)),
            }
        }
        push_dotted(last, &mut path);
        path
    }
}

fn bracketed(key: &str) -> String {
    match key.char_indices().nth(MAX_KEY) {
        None => format!("[{key:?}]"),
        Some((end, _)) => format!("[{:?}…]", key.get(..end).unwrap_or_default()),
    }
}

fn push_dotted(name: &str, path: &mut String) {
    if !path.is_empty() && !name.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

fn describe(reason: NoForm) -> (&'static str, &'static str) {
    match reason {
        NoForm::Malformed => (
            "MALFORMED",
            "is not a message of its type, or has a field that this gateway's contract does not know",
        ),
        NoForm::UnknownEnum => ("ENUM_DEFINED_ONLY", "must be a value of its enum"),
        NoForm::NotFinite => ("FINITE", "must be a finite number"),
        NoForm::OutOfRange => ("TIMESTAMP_RANGE", "must be a time in the years 1 to 9999"),
        NoForm::NotANumber => ("NUMBER", "must be a JSON number"),
    }
}

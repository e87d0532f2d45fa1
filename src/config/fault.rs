//! What is wrong with a configuration, as a list: one attempt to start should tell
//! everything there is to correct.

use std::error::Error;
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The dotted key ("partners.trolley.secret_key"), the variable, or the place in
    /// the file.
    pub key: String,
    /// What is wrong with it and what to do, without its value.
    pub problem: String,
}

/// Everything that is wrong, in the order of discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

// === impl Faults ===

impl Faults {
    /// A single fault.
    pub(super) fn one(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(vec![Fault { key: key.into(), problem: problem.into() }])
    }

    /// Adds a fault, unless something is wrong with the key already: a value that was
    /// refused is not "missing" as well.
    pub(super) fn push(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        let key = key.into();
        if !self.has(&key) {
            self.0.push(Fault { key, problem: problem.into() });
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|fault| fault.key == key)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Fault> {
        self.0.iter_mut()
    }

    /// The faults.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A head line, then a line for each fault.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "the configuration has {} fault{plural}:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl Error for Faults {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

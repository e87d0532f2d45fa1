//! The environment's layer: `PARTNER_GATEWAY__SECTION__KEY`.
//!
//! A variable has no type. It is tried as the string that it is, so that a secret of
//! digits or quotes stays as it was given; where the setting takes no string, its
//! text is read as a TOML value.

use std::collections::BTreeMap;
use std::ffi::OsString;

use toml::{Table, Value};

use super::Faults;

const PREFIX: &str = "PARTNER_GATEWAY__";

/// The variables that are ours, by dotted key; a section comes before its keys.
#[derive(Default)]
pub(super) struct Environment {
    variables: BTreeMap<String, Variable>,
}

struct Variable {
    name: String,
    text: String,
    is_reread: bool,
}

// === impl Environment ===

impl Environment {
    /// Picks the gateway's own variables; all others are none of its business.
    pub(super) fn collect(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        faults: &mut Faults,
    ) -> Self {
        let mut collected = Self::default();
        for (name, value) in environment {
            if let Some(name) = name.to_str()
                && let Some(key) = dotted(name)
            {
                collected.add(name, key, value, faults);
            }
        }
        collected
    }

    fn add(&mut self, name: &str, key: String, value: OsString, faults: &mut Faults) {
        let Ok(text) = value.into_string() else {
            return faults.push(name, "is not UTF-8 text");
        };
        if key.split('.').any(str::is_empty) {
            return faults.push(name, format!("names no key: write {PREFIX}SECTION__KEY"));
        }
        if let Some(other) = self.variables.get(&key) {
            return faults.push(name, format!("sets what {} sets", other.name));
        }
        let name = name.to_owned();
        self.variables.insert(key, Variable { name, text, is_reread: false });
    }

    /// Lays the variables over `table`, as strings.
    pub(super) fn apply(&self, table: &mut Table, faults: &mut Faults) {
        for (key, Variable { name, text, .. }) in &self.variables {
            if !insert(table, key, Value::String(text.clone())) {
                faults.push(name, "names a key below something that is not a section");
            }
        }
    }

    /// Lays the variable of `key` over `table` as a TOML value, the string having
    /// been refused. Whether that made a difference: each variable has one try.
    pub(super) fn reread(&mut self, key: &str, table: &mut Table) -> bool {
        let Some(variable) = self.variables.get_mut(key).filter(|v| !v.is_reread) else {
            return false;
        };
        variable.is_reread = true;
        variable.text.parse().is_ok_and(|value: Value| insert(table, key, value))
    }

    /// Says in each fault which variable the setting came from.
    pub(super) fn name_sources(&self, faults: &mut Faults) {
        for fault in faults.iter_mut() {
            let is_source = |key: &str| {
                fault.key.strip_prefix(key).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('.') || rest.starts_with('[')
                })
            };
            if let Some((_, variable)) = self.variables.iter().rfind(|(key, _)| is_source(key)) {
                fault.problem.push_str(&format!(" (set by {})", variable.name));
            }
        }
    }
}

/// The key that a variable sets, if it is one of ours.
fn dotted(name: &str) -> Option<String> {
    let name = name.to_ascii_uppercase();
    let key = name.strip_prefix(PREFIX)?;
    Some(key.to_ascii_lowercase().replace("__", "."))
}

/// Sets a dotted key, making the sections on the way. Whether it could.
fn insert(table: &mut Table, key: &str, value: Value) -> bool {
    let Some((section, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return true;
    };
    match table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => insert(inner, rest, value),
        _ => false,
    }
}

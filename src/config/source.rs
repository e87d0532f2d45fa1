//! Where the configuration comes from, so that it can be read again.
//!
//! The environment of a process does not change, so it is remembered; the file may. What is
//! compared is its text, as it stands: secrets in it make a difference that is told by key
//! and never by value.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Config, Faults, layers};

/// A configuration's file, and the environment over it.
#[derive(Clone)]
pub struct Source {
    file: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// The text that was last found good.
    text: String,
}

// === impl Source ===

impl Source {
    /// Reads `file`, with the variables of `environment` over it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn open(
        file: PathBuf,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Config, Self), Faults> {
        let environment = environment.into_iter().collect();
        let mut source = Self { file, environment, text: String::new() };
        let text = layers::text(&source.file)?;
        let config = source.load(text)?;
        Ok((config, source))
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The text that was last found good.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The configuration that the file gives with another text, which is kept if it is good.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(&mut self, text: String) -> Result<Config, Faults> {
        let table = layers::parse(&text, &self.file.display().to_string())?;
        let config = layers::merge(table, self.environment.clone())?;
        self.text = text;
        Ok(config)
    }
}

// Its text may hold secrets.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The keys of which two files say different things. A file that cannot be read says nothing.
pub(crate) fn changed(before: &str, after: &str) -> BTreeSet<String> {
    let [before, after] = [before, after].map(|text| text.parse::<Table>().unwrap_or_default());
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", &before, &mut old);
    flatten("", &after, &mut new);
    let differs = |key: &&String| old.get(*key) != new.get(*key);
    old.keys().chain(new.keys()).filter(differs).cloned().collect()
}

fn flatten<'a>(at: &str, table: &'a Table, into: &mut BTreeMap<String, &'a Value>) {
    for (name, value) in table {
        let key = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, into),
            _ => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_told_by_key() {
        let before = "a = 1\n[b]\nc = 'secret'\nd.e = 2\n[[f]]\ng = 1";
        for (after, expected) in [
            (before, &[][..]),
            ("a = 1\n[b]\nc = 'secret'\nd = { e = 2 } # the same\n[[f]]\ng = 1", &[]),
            ("a = 1\n[b]\nc = 'other'\nd.e = 3\n[[f]]\ng = 1", &["b.c", "b.d.e"]),
            ("[b]\nc = 'secret'\nd.e = 2\nh = 0\n[[f]]\ng = 2", &["a", "b.h", "f"]),
        ] {
            let found: Vec<_> = changed(before, after).into_iter().collect();
            assert_eq!(found, expected, "{after}");
        }
    }
}

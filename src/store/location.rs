//! Where a store's URL leads. The one reading of it: what passed for a file here and for
//! memory there would lose keys at the next restart.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// SQLite in memory, gone with the process.
    Memory,
    /// SQLite in this file.
    File(PathBuf),
    /// A PostgreSQL server.
    Server,
}

const SCHEME: &str = "the URL of the store must begin with sqlite:// or postgres://";
const NO_FILE: &str = "the URL of the store must name a file, as sqlite://partner-gateway.db does";
const PARAMETERS: &str =
    "the URL of the store takes no parameters for SQLite but mode=rw and mode=rwc";

// === impl Location ===

impl Location {
    /// Reads a URL. Of SQLite's many forms the plain ones are taken: a file in memory, or
    /// one that is shared in odd ways, must not pass for one that stays.
    ///
    /// # Errors
    /// What a URL must be. It does not repeat the URL, which may hold a password.
    pub fn of(url: &str) -> Result<Self, &'static str> {
        match url.split_once(':') {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Server),
            Some(("sqlite", rest)) => Self::of_sqlite(rest.strip_prefix("//").unwrap_or(rest)),
            _ => Err(SCHEME),
        }
    }

    fn of_sqlite(rest: &str) -> Result<Self, &'static str> {
        if rest == ":memory:" {
            return Ok(Self::Memory);
        }
        let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        if !["", "mode=rw", "mode=rwc"].contains(&parameters) {
            return Err(PARAMETERS);
        }
        let path = percent_decode_str(path).decode_utf8().map_err(|_| NO_FILE)?;
        let is_odd = path.starts_with("file:") || path.contains(":memory:") || path.contains('\0');
        match path.is_empty() || is_odd {
            true => Err(NO_FILE),
            false => Ok(Self::File(PathBuf::from(&*path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_a_file_a_server_or_plainly_to_memory() {
        for (url, path) in [
            ("sqlite://gateway.db", "gateway.db"),
            ("sqlite:relative.db", "relative.db"),
            ("sqlite:///var/a%20b.db?mode=rwc", "/var/a b.db"),
        ] {
            assert_eq!(Location::of(url), Ok(Location::File(path.into())), "{url}");
        }
        for url in ["sqlite::memory:", "sqlite://:memory:"] {
            assert_eq!(Location::of(url), Ok(Location::Memory), "{url}");
        }
        for url in ["postgres://user@host/db", "postgresql://host/db?sslmode=verify-full"] {
            assert_eq!(Location::of(url), Ok(Location::Server), "{url}");
        }
    }

    #[test]
    fn what_would_be_in_memory_by_another_name_is_refused() {
        for url in [
            "sqlite://x.db?mode=memory",
            "sqlite::memory:?cache=shared",
            "sqlite://:memory:?mode=rwc",
            "sqlite:file::memory:",
            "sqlite://%3Amemory%3A",
            "sqlite:file:x.db",
            "sqlite://x.db?immutable=1",
            "sqlite://x.db?vfs=memdb",
            "sqlite://x.db?mode=ro",
            "sqlite://?mode=rwc",
            "sqlite://",
            "sqlite:",
            "mysql://host/db",
            "",
        ] {
            assert!(Location::of(url).is_err(), "{url}");
        }
    }
}

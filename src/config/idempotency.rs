//! The section of calls that are done once. What each key does is said in
//! `config.default.toml`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Faults, value};
use crate::store::Retention;

/// What the contract promises its callers.
const PROMISED: Duration = Duration::from_hours(24);

/// `[idempotency]`: for how long a request id is remembered.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Idempotency {
    /// How long a success is replayed.
    #[serde(with = "value::retention")]
    pub retention: Duration,
    /// How long an unknown outcome is told.
    #[serde(with = "value::retention")]
    pub unknown_retention: Duration,
}

// === impl Idempotency ===

impl Idempotency {
    /// The same in the store's words.
    pub fn retention(&self) -> Retention {
        Retention { done: self.retention, unknown: self.unknown_retention }
    }
}

impl Default for Idempotency {
    fn default() -> Self {
        let Retention { done, unknown } = Retention::default();
        Self { retention: done, unknown_retention: unknown }
    }
}

/// A shorter time would have a caller that keeps to the contract do a thing twice.
pub(super) fn check(idempotency: &Idempotency, faults: &mut Faults) {
    if idempotency.retention < PROMISED {
        faults.push("idempotency.retention", "is shorter than 24h, which callers are promised");
    }
    if idempotency.unknown_retention < idempotency.retention {
        faults.push("idempotency.unknown_retention", "is shorter than idempotency.retention");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn faults(text: &str) -> String {
        text.parse::<Config>().map(|_| String::new()).unwrap_or_else(|faults| faults.to_string())
    }

    #[test]
    fn r8_an_answer_is_kept_as_long_as_is_promised() {
        assert_eq!(faults("[idempotency]\nretention = \"48h\""), "");
        assert_eq!(faults("[idempotency]\nunknown_retention = \"8760h\""), "");
        for (wrong, key) in [
            ("retention = \"23h\"", "idempotency.retention"),
            ("unknown_retention = \"23h\"", "idempotency.unknown_retention"),
            ("retention = \"721h\"", "idempotency.unknown_retention"),
            ("unknown_retention = \"8761h\"", "idempotency.unknown_retention"),
        ] {
            let told = faults(&format!("[idempotency]\n{wrong}"));
            assert!(told.contains(key), "{wrong}: {told}");
        }
    }
}

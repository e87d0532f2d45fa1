//! Which requests a fault is for, and how many of them.

use std::sync::Mutex;

use http::Method;
use serde::{Deserialize, Serialize};

use super::super::journal::path_matches;
use super::super::locked;
use super::Fault;

/// A fault and the requests it is meant for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) partner: String,
    #[serde(default)]
    method: Option<String>,
    /// Below the partner's mount; a trailing `*` matches any rest.
    #[serde(default)]
    path: Option<String>,
    /// How many requests are left; `null` for all of them.
    #[serde(default = "once")]
    times: Option<u64>,
    pub(crate) fault: Fault,
}

/// A rule that is in force.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Active {
    id: u64,
    #[serde(flatten)]
    rule: Rule,
}

/// The rules in force, oldest first. The first that matches a request is spent on it.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Rules>);

#[derive(Debug, Default)]
struct Rules {
    last_id: u64,
    active: Vec<Active>,
}

// === impl Rule ===

impl Rule {
    /// Refuses what could never happen as written.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.times == Some(0) {
            return Err("times must be at least 1, or null for ever".to_owned());
        }
        if self.path.as_deref().is_some_and(|path| !path.starts_with(['/', '*'])) {
            return Err("path is relative to the partner's mount and starts with /".to_owned());
        }
        if self.method.as_deref().is_some_and(|m| m.is_empty() || m.contains(' ')) {
            return Err("method is one HTTP method".to_owned());
        }
        self.fault.check()
    }

    fn matches(&self, partner: &str, method: &Method, path: &str) -> bool {
        self.partner == partner
            && self.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(method.as_str()))
            && self.path.as_deref().is_none_or(|pattern| path_matches(pattern, path))
    }
}

// === impl Faults ===

impl Faults {
    /// Puts a rule in force and returns its id.
    pub(crate) fn add(&self, rule: Rule) -> u64 {
        let mut rules = locked(&self.0);
        rules.last_id += 1;
        let id = rules.last_id;
        rules.active.push(Active { id, rule });
        id
    }

    /// The fault for a request, counted as used.
    pub(crate) fn take(&self, partner: &str, method: &Method, path: &str) -> Option<Fault> {
        let mut rules = locked(&self.0);
        let found = rules.active.iter_mut().find(|a| a.rule.matches(partner, method, path))?;
        let fault = found.rule.fault.clone();
        if let Some(times) = found.rule.times.as_mut() {
            *times = times.saturating_sub(1);
        }
        rules.active.retain(|active| active.rule.times != Some(0));
        Some(fault)
    }

    pub(crate) fn active(&self) -> Vec<Active> {
        locked(&self.0).active.clone()
    }

    pub(crate) fn clear(&self) {
        locked(&self.0).active.clear();
    }
}

// Serde's default for a field is a value of its type, which here is "times, if limited".
#[expect(clippy::unnecessary_wraps, reason = "the field's type is Option")]
fn once() -> Option<u64> {
    Some(1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(value: Value) -> Result<Rule, String> {
        let rule: Rule = serde_json::from_value(value).map_err(|error| error.to_string())?;
        rule.check().map(|()| rule)
    }

    #[test]
    fn a_rule_is_spent_on_matching_requests_only() {
        let faults = Faults::default();
        let order = json!({"partner": "trolley", "method": "post", "path": "/v1/a*", "times": 2,
            "fault": {"kind": "drop_after"}});
        faults.add(rule(order).unwrap());
        let take = |method: Method, path| faults.take("trolley", &method, path);

        assert_eq!(take(Method::GET, "/v1/a"), None);
        assert_eq!(take(Method::POST, "/v1/b"), None);
        assert_eq!(faults.take("trustist", &Method::POST, "/v1/a"), None);
        assert_eq!(take(Method::POST, "/v1/ab"), Some(Fault::DropAfter {}));
        assert_eq!(take(Method::POST, "/v1/a"), Some(Fault::DropAfter {}));
        assert_eq!(take(Method::POST, "/v1/a"), None);
    }

    #[test]
    fn times_defaults_to_once_and_null_is_for_ever() {
        let once = rule(json!({"partner": "p", "fault": {"kind": "drop_before"}})).unwrap();
        let ever = json!({"partner": "p", "times": null, "fault": {"kind": "drop_before"}});
        assert_eq!((once.times, rule(ever).unwrap().times), (Some(1), None));
    }

    #[test]
    fn impossible_rules_are_refused() {
        let faults = [
            json!({"kind": "unheard_of"}),
            json!({"kind": "drop_before", "millis": 3}),
            json!({"kind": "delay"}),
            json!({"kind": "drip", "chunk_bytes": 0, "interval_millis": 1}),
            json!({"kind": "status", "status": 100}),
            json!({"kind": "status", "status": 500, "body": {}, "text": ""}),
            json!({"kind": "status", "status": 500, "headers": {"a b": "c"}}),
            json!({"kind": "oversize", "bytes": 1}),
        ];
        for fault in faults {
            assert!(rule(json!({"partner": "p", "fault": fault})).is_err(), "{fault}");
        }
        assert!(
            rule(json!({"partner": "p", "times": 0, "fault": {"kind": "drop_after"}})).is_err()
        );
        assert!(
            rule(json!({"partner": "p", "path": "v1", "fault": {"kind": "drop_after"}})).is_err()
        );
    }
}

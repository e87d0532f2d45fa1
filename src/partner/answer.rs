//! Reading what a partner says, with every text bounded.
//!
//! An error body is the least tested thing a partner sends: it may be an HTML page of a
//! proxy, an array, or a megabyte. What is taken from it goes into a gRPC trailer and
//! into logs, so it is cut, and control characters are dropped, where it is read.

use http::HeaderMap;
use serde_json::Value;

use crate::error::{FieldFailure, PartnerFailure};

/// The longest error code, and the longest name of a field, in characters.
pub(super) const MAX_CODE: usize = 128;
/// The longest message, in characters.
pub(super) const MAX_MESSAGE: usize = 512;
/// The most field failures that are told.
pub(super) const MAX_FIELDS: usize = 50;
const MAX_REQUEST_ID: usize = 128;

/// `text` without control characters, cut after `limit` characters; `None` if nothing
/// is left.
pub(super) fn bounded(text: &str, limit: usize) -> Option<String> {
    let kept: String = text.chars().filter(|c| !c.is_control()).take(limit).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// The text of a member, a number's included; `None` if it is absent or anything else.
pub(super) fn text(object: &Value, member: &str, limit: usize) -> Option<String> {
    match object.get(member)? {
        Value::String(text) => bounded(text, limit),
        Value::Number(number) => bounded(&number.to_string(), limit),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The first of `members` that holds text.
pub(super) fn first_text(object: &Value, members: &[&str], limit: usize) -> Option<String> {
    members.iter().find_map(|member| text(object, member, limit))
}

/// A failure of which nothing but the status is known.
pub(super) fn bare(status: http::StatusCode) -> PartnerFailure {
    PartnerFailure {
        status,
        meaning: None,
        code: None,
        message: None,
        fields: Vec::new(),
        retry_after: None,
    }
}

/// What `entry` says of one field, if it names one.
pub(super) fn field(entry: &Value) -> Option<FieldFailure> {
    Some(FieldFailure {
        field: text(entry, "field", MAX_CODE)?,
        code: text(entry, "code", MAX_CODE).unwrap_or_default(),
        message: text(entry, "message", MAX_MESSAGE).unwrap_or_default(),
        is_inferred: false,
    })
}

/// The first of `names` that holds a usable id.
pub(super) fn request_id(headers: &HeaderMap, names: &[&str]) -> Option<String> {
    let values = names.iter().filter_map(|name| headers.get(*name));
    let mut ids = values.filter_map(|value| value.to_str().ok()).map(str::trim);
    ids.find(|id| {
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    })
    .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_characters_and_loses_its_control_characters() {
        assert_eq!(bounded("a\u{0}b\r\nc\u{85}", 10).as_deref(), Some("abc"));
        assert_eq!(bounded(&"é".repeat(600), MAX_MESSAGE).map(|t| t.chars().count()), Some(512));
        assert_eq!(bounded(" \t\n", 10), None);
    }

    #[test]
    fn a_member_is_text_or_nothing() {
        let object = serde_json::json!({"a": "x", "n": 4, "o": {}, "z": null});
        assert_eq!(text(&object, "a", 9).as_deref(), Some("x"));
        assert_eq!(text(&object, "n", 9).as_deref(), Some("4"));
        for other in ["o", "z", "missing"] {
            assert_eq!(text(&object, other, 9), None, "{other}");
        }
        assert_eq!(text(&Value::Array(Vec::new()), "a", 9), None);
    }

    #[test]
    fn a_request_id_is_visible_ascii_of_at_most_128() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", http::HeaderValue::from_bytes(id.as_bytes()).unwrap());
            request_id(&headers, &["x-request-id"])
        };
        assert_eq!(with("abc-1").as_deref(), Some("abc-1"));
        assert_eq!(with(" abc ").as_deref(), Some("abc"));
        for refused in ["", "a b", "é", &"x".repeat(129)] {
            assert_eq!(with(refused), None, "{refused:?}");
        }
    }
}

//! The text of a JSON string.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// The text of a JSON string that is known to be well formed. A lone surrogate has no
/// UTF-8 form and is replaced by U+FFFD.
pub(in crate::transcode) fn quoted(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    match serde_json::from_str::<String>(json) {
        Ok(text) => Some(Cow::Owned(text)),
        Err(_) => serde_json::from_str::<Mended>(json).ok().map(|text| Cow::Owned(text.0)),
    }
}

/// A JSON string read as bytes, in which serde_json leaves a lone surrogate as the
/// three bytes that UTF-8 forbids.
struct Mended(String);

impl<'de> Deserialize<'de> for Mended {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl de::Visitor<'_> for Bytes {
    type Value = Mended;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Mended, E> {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            // A surrogate is 0xED and two bytes, each invalid by itself.
            if chunk.invalid().starts_with(&[0xED]) {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Ok(Mended(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_surrogate_becomes_one_replacement_character() {
        for (json, text) in [
            (r#""a""#, "a"),
            (r#""a\nb""#, "a\nb"),
            (r#""\ud83d\ude39""#, "😹"),
            (r#""\ud800""#, "\u{FFFD}"),
            (r#""x\udc00y\ud800\n""#, "x\u{FFFD}y\u{FFFD}\n"),
            (r#""\ud800\ud83d\ude39""#, "\u{FFFD}😹"),
            (r#""\ud55c""#, "한"),
        ] {
            assert_eq!(quoted(json).as_deref(), Some(text), "{json}");
        }
    }
}

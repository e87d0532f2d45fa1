//! JSON objects as a partner would write them. `serde_json::Value` keeps neither the order of
//! fields nor the spelling of numbers (`12.10` becomes `12.1`), and both must survive here to
//! prove that the gateway preserves what it does not know.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// Fields that no document names, one for each way in which keeping an unknown field can fail.
const UNDOCUMENTED: [(&str, &str); 5] = [
    ("undocumentedObject", r#"{"list":[1,"two",null,true],"empty":{}}"#),
    ("undocumentedInteger", "9007199254740993"),
    ("undocumentedDecimal", "12.10"),
    ("undocumentedNull", "null"),
    ("undocumentedTime", r#""2024-03-04T21:11:44.1234567Z""#),
];

/// An object whose fields keep their order and whose numbers keep their spelling.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(Vec<(String, Box<RawValue>)>);

// === impl Object ===

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a field. A value that has no JSON form is left out; none of the simulators' has.
    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = to_raw_value(&value) {
            self.0.push((name.to_owned(), value));
        }
        self
    }

    /// Adds every field of `other`.
    pub(crate) fn with_all(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Adds the fields that no document names, when the switch for them is on.
    pub(crate) fn with_undocumented(self, wanted: bool) -> Self {
        let fields = if wanted { UNDOCUMENTED.as_slice() } else { &[] };
        fields.iter().fold(self, |object, (name, text)| {
            match RawValue::from_string((*text).to_owned()) {
                Ok(value) => object.with(name, value),
                Err(_) => object,
            }
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

// === impl Serialize for Object ===

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_the_spelling_of_numbers() {
        let inner = Object::new().with_undocumented(true);
        let text = Object::new().with("z", 1).with("a", vec![inner]).to_bytes();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with(r#"{"z":1,"a":[{"undocumentedObject""#), "{text}");
        assert!(text.contains("12.10") && text.contains("9007199254740993"), "{text}");
    }
}

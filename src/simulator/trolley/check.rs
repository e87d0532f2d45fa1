//! Request validation in the partner's manner: every offence is listed by field, and the shapes
//! come from tables (see [`super::schema`]) that can be laid beside the document.

use serde_json::{Map, Value};

use super::refusal::Offence;
use super::settings::Switches;

/// What a value must look like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Text,
    /// Digits, as text, so that leading zeros count.
    Digits,
    /// A whole or decimal number, as text.
    Number,
    /// Such a number up to 100.
    Percentage,
    /// Three capitals.
    Currency,
    /// Two capitals.
    Country,
    Color,
    /// An absolute http or https address.
    Url,
    Boolean,
    OneOf(&'static [&'static str]),
}

/// One row of a field table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
}

/// Checks `object` against `fields`; `within` is the path of the object in the body.
pub(crate) fn check(
    within: &str,
    object: &Map<String, Value>,
    fields: &[Field],
    switches: &Switches,
) -> Vec<Offence> {
    let path =
        |name: &str| if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") };
    let known =
        fields.iter().filter_map(|field| field.offence(object.get(field.name), switches, &path));
    let unknown =
        object.keys().filter(|name| fields.iter().all(|field| field.name != name.as_str()));
    let unknown = unknown.map(|name| Offence::invalid(path(name)));
    if switches.accept_unknown_fields { known.collect() } else { known.chain(unknown).collect() }
}

// === impl Field ===

impl Field {
    pub(crate) const fn required(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, required: true }
    }

    pub(crate) const fn optional(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, required: false }
    }

    fn offence(
        &self,
        value: Option<&Value>,
        switches: &Switches,
        path: &impl Fn(&str) -> String,
    ) -> Option<Offence> {
        match value {
            None if self.required => Some(Offence::empty(path(self.name))),
            Some(Value::String(text)) if text.is_empty() && self.required => {
                Some(Offence::empty(path(self.name)))
            }
            Some(value) if !self.shape.admits(value, switches) => {
                Some(Offence::invalid(path(self.name)))
            }
            _ => None,
        }
    }
}

// === impl Shape ===

impl Shape {
    fn admits(self, value: &Value, switches: &Switches) -> bool {
        let Value::String(text) = value else {
            return matches!((self, value), (Self::Boolean, Value::Bool(_)));
        };
        let letters = |count| text.len() == count && text.bytes().all(|b| b.is_ascii_uppercase());
        match self {
            Self::Text => true,
            Self::Digits => is_digits(text),
            Self::Number => is_number(text),
            Self::Percentage => is_number(text) && text.parse().is_ok_and(|n: f64| n <= 100.0),
            Self::Currency => letters(3),
            Self::Country => letters(2),
            Self::Color => is_color(text),
            Self::Url => is_url(text),
            Self::Boolean => false,
            Self::OneOf(words) => words.contains(&text.as_str()) || switches.open_enums,
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    match text.split_once('.') {
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => is_digits(text),
    }
}

// ^#?([0-9A-F]{3}|[0-9A-F]{6})$ in any case.
fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_url(text: &str) -> bool {
    text.parse().is_ok_and(|url: http::Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|h| !h.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn admits(shape: Shape, value: &Value) -> bool {
        shape.admits(value, &Switches::default())
    }

    #[test]
    fn shapes_admit_what_the_document_admits() {
        for good in ["#112233", "112233", "abFF22", "#123"] {
            assert!(admits(Shape::Color, &json!(good)), "{good}");
        }
        for bad in ["", "#", "#12", "#1234", "##123", "#12345g", "1234567", "#é1"] {
            assert!(!admits(Shape::Color, &json!(bad)), "{bad}");
        }
        assert!(admits(Shape::Digits, &json!("007")) && !admits(Shape::Digits, &json!(7)));
        assert!(!admits(Shape::Digits, &json!("7 ")) && !admits(Shape::Digits, &json!("٣")));
        assert!(admits(Shape::Number, &json!("10.50")) && !admits(Shape::Number, &json!("-1")));
        assert!(
            admits(Shape::Percentage, &json!("100")) && !admits(Shape::Percentage, &json!("101"))
        );
        assert!(admits(Shape::Currency, &json!("USD")) && !admits(Shape::Currency, &json!("usd")));
        assert!(admits(Shape::Boolean, &json!(false)) && !admits(Shape::Boolean, &json!("true")));
        assert!(
            admits(Shape::Url, &json!("https://a.example/x")) && !admits(Shape::Url, &json!("/x"))
        );
        assert!(!admits(Shape::Text, &json!(null)));
    }

    #[test]
    fn all_offences_are_listed_by_path() {
        let fields = [Field::required("a", Shape::Text), Field::optional("b", Shape::Boolean)];
        let object = json!({"b": 1, "c": 2});
        let offences = check("m", object.as_object().unwrap(), &fields, &Switches::default());
        let path = |name: &str| format!("m.{name}");
        let want =
            [Offence::empty(path("a")), Offence::invalid(path("b")), Offence::invalid(path("c"))];
        assert_eq!(offences, want);
    }
}

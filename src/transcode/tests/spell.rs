//! The same JSON in other bytes: members in any order, white space wherever it may
//! stand, characters escaped that need not be.

use serde_json::Value;

use super::source::Source;

/// A spelling of `value`.
pub(super) fn spell(value: &Value, source: &mut Source<'_>) -> String {
    let mut out = String::new();
    blank(source, &mut out);
    write(value, source, &mut out);
    blank(source, &mut out);
    out
}

fn write(value: &Value, source: &mut Source<'_>, out: &mut String) {
    match value {
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                separate(index, source, out);
                write(element, source, out);
            }
            blank(source, out);
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            source.shuffle(&mut members);
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                separate(index, source, out);
                text(name, source, out);
                blank(source, out);
                out.push(':');
                blank(source, out);
                write(value, source, out);
            }
            blank(source, out);
            out.push('}');
        }
        Value::String(content) => text(content, source, out),
        value => out.push_str(&value.to_string()),
    }
}

fn separate(index: usize, source: &mut Source<'_>, out: &mut String) {
    blank(source, out);
    if index > 0 {
        out.push(',');
        blank(source, out);
    }
}

fn text(content: &str, source: &mut Source<'_>, out: &mut String) {
    out.push('"');
    for c in content.chars() {
        if c < ' ' || c == '"' || c == '\\' || source.chance(5) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

fn blank(source: &mut Source<'_>, out: &mut String) {
    if source.chance(5) {
        out.push(source.pick(&[' ', '\n', '\t', '\r']));
    }
}

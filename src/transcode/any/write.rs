//! What a caller says in `Struct`, `Value` and `ListValue`, written as JSON.

use crate::transcode::scalar::{write_double, write_string};
use crate::transcode::wire::Malformed;

use super::{Any, last_of_each, read_elements, read_entries, read_value};

/// A request's values may be nested this deep.
const MAX_DEPTH: usize = 64;

/// Writes an encoded `Value`'s JSON.
pub(in crate::transcode) fn write_value(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    value(bytes, 0, out)
}

/// Writes an encoded `Struct`'s JSON.
pub(in crate::transcode) fn write_struct(
    content: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    object(content, 0, out)
}

/// Writes an encoded `ListValue`'s JSON.
pub(in crate::transcode) fn write_list(content: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    array(content, 0, out)
}

fn value(bytes: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    match read_value(bytes)? {
        Any::Null => out.extend_from_slice(b"null"),
        Any::Number(number) => write_double(number, out).map_err(|_| Malformed)?,
        Any::String(text) => write_string(text, out),
        Any::Bool(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
        Any::Struct(content) => object(content, depth + 1, out)?,
        Any::List(content) => array(content, depth + 1, out)?,
    }
    Ok(())
}

fn object(content: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut entries = Vec::new();
    read_entries(content, &mut entries)?;
    last_of_each(&mut entries);
    out.push(b'{');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(entry.key, out);
        out.push(b':');
        value(entry.value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn array(content: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.push(b'[');
    let start = out.len();
    read_elements(content, |element| {
        if out.len() > start {
            out.push(b',');
        }
        value(element, depth, out)
    })?;
    out.push(b']');
    Ok(())
}

//! `application/x-www-form-urlencoded` and path segments, read strictly: a broken escape is an
//! error, as a lenient reader would hide a gateway that encodes wrongly.

use percent_encoding::percent_decode_str;

/// Why a form or a segment could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The pairs of a form or query, in order.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// One path segment without its escapes.
pub(crate) fn segment(text: &str) -> Result<String, Malformed> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        if !after.get(..2).is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(Malformed);
        }
        rest = after;
    }
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| Malformed)
}

fn pair(text: &str) -> Result<(String, String), Malformed> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((segment(&name.replace('+', " "))?, segment(&value.replace('+', " "))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_escapes_and_plus() {
        let read = pairs("a=1+2&b%20c=%C3%A9&d").unwrap();
        let want = [("a", "1 2"), ("b c", "é"), ("d", "")];
        assert_eq!(read, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn refuses_broken_escapes_and_broken_utf8() {
        for text in ["%", "%4", "%zz", "%C3", "a%+1"] {
            assert_eq!(segment(text), Err(Malformed), "{text}");
        }
        assert_eq!(segment("a+b%2Fc").as_deref(), Ok("a+b/c"));
    }
}

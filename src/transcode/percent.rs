//! Percent-encoding of what a caller may put into a path or a query.
//!
//! Everything but RFC 3986's unreserved characters is encoded, so that no value can
//! end its segment, begin a query or climb a directory.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Appends `text`, encoded.
pub(super) fn push_encoded(text: &str, out: &mut String) {
    out.extend(utf8_percent_encode(text, RESERVED));
}

/// Whether a value cannot stand as a path segment: nothing, or a dot segment, also
/// when its dots are already encoded (RFC 3986 section 5.2.4), or with control
/// characters, which no partner's identifier has.
pub fn is_unsafe_segment(value: &str) -> bool {
    let dots = value.replace("%2e", ".").replace("%2E", ".");
    matches!(dots.as_str(), "" | "." | "..") || value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = String::new();
        push_encoded(text, &mut out);
        out
    }

    /// S8, with the vectors that smithy's protocol tests use.
    #[test]
    fn everything_but_the_unreserved_is_encoded() {
        assert_eq!(
            encoded(" %:/?#[]@!$&'()*+,;=😹"),
            "%20%25%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%F0%9F%98%B9"
        );
        assert_eq!(encoded("hello/escape"), "hello%2Fescape");
        assert_eq!(encoded("AZaz09-._~"), "AZaz09-._~");
        assert_eq!(encoded("..;/"), "..%3B%2F");
        assert_eq!(encoded("\\"), "%5C");
    }

    /// S8
    #[test]
    fn dot_segments_and_control_characters_are_unsafe() {
        for value in ["", ".", "..", "%2e", "%2E%2e", ".%2e", "%2e.", "a\0b", "a\nb", "\u{7f}"] {
            assert!(is_unsafe_segment(value), "{value:?}");
        }
        for value in ["...", "a.b", "..a", "%2e%2e%2e", "..;/", "a b", "é"] {
            assert!(!is_unsafe_segment(value), "{value:?}");
        }
    }
}

//! The callers that the configuration names, and how one of them proves that it is one.
//!
//! A caller sends a bearer token. Of tokens only digests are known here, so neither the
//! configuration nor the memory of the gateway has one to lose. Where no caller is named
//! everybody is the same one; where one is, who is not known is refused.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::{constant_time, digest};
use http::{HeaderMap, header};

use super::Caller;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The SHA-256 of a caller's bearer token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

/// A text that is no such digest. The text is not told: it may be the token itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the SHA-256 of a token, which has 64 hexadecimal digits")]
pub struct InvalidDigest;

/// A caller, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The caller.
    pub caller: Caller,
    /// The digests of its tokens; several while one takes the place of another.
    pub tokens: Vec<TokenDigest>,
}

/// The callers there are, as they are just now. Clones share them.
#[derive(Clone, Debug)]
pub struct Callers(Arc<RwLock<Arc<[Known]>>>);

// === impl TokenDigest ===

impl TokenDigest {
    /// That of this token.
    pub fn of(token: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, token);
        Self(digest.as_ref().try_into().unwrap_or_default())
    }

    /// Whether both are the same, in a time that does not tell how much of them is.
    fn is(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl FromStr for TokenDigest {
    type Err = InvalidDigest;

    /// From 64 hexadecimal digits, as `sha256sum` writes them.
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digit = |byte: u8| {
            let found = DIGITS.iter().position(|digit| *digit == byte.to_ascii_lowercase());
            found.and_then(|value| u8::try_from(value).ok()).ok_or(InvalidDigest)
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?));
        let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
        match rest {
            [] => bytes.try_into().map(Self).map_err(|_| InvalidDigest),
            _ => Err(InvalidDigest),
        }
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

// A token that somebody made up can be found from its digest.
impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest")
    }
}

// === impl Callers ===

impl Callers {
    /// These callers, until others are set.
    pub fn new(known: Vec<Known>) -> Self {
        Self(Arc::new(RwLock::new(known.into())))
    }

    /// Knows other callers from now on.
    pub fn set(&self, known: Vec<Known>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known.into();
    }

    /// Whether callers are told apart at all.
    pub fn are_told_apart(&self) -> bool {
        !self.get().is_empty()
    }

    /// Who makes a call with these headers; `None` for nobody who is known.
    pub fn identify(&self, headers: &HeaderMap) -> Option<Caller> {
        let known = self.get();
        if known.is_empty() {
            return Some(Caller::anonymous());
        }
        let digest = TokenDigest::of(bearer(headers)?);
        let is_its = |known: &&Known| known.tokens.iter().any(|token| token.is(&digest));
        known.iter().find(is_its).map(|known| known.caller.clone())
    }

    fn get(&self) -> Arc<[Known]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The bearer token of a call (RFC 6750 section 2.1). Of several none counts: who sent which
/// is not known.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    fn known(name: &str, tokens: &[&str]) -> Known {
        let tokens = tokens.iter().map(|token| TokenDigest::of(token.as_bytes())).collect();
        Known { caller: Caller::new(name, 1, false), tokens }
    }

    #[test]
    fn a_digest_is_what_sha256sum_writes() {
        // printf 'an example token' | sha256sum
        let text = "66b052ab9d113af349dcab697c32950daabe893c2c57cd648e3084ca9d8192c0";
        let digest = TokenDigest::of(b"an example token");
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(text.to_ascii_uppercase().parse(), Ok(digest));
        assert_eq!(digest.to_string(), text);
        for wrong in ["", "ab", &text[1..], &format!("{text}0"), &format!("{text}00")] {
            assert_eq!(wrong.parse::<TokenDigest>(), Err(InvalidDigest), "{wrong}");
        }
        assert_eq!(text.replace('0', "g").parse::<TokenDigest>(), Err(InvalidDigest));
    }

    #[test]
    fn where_no_caller_is_named_everybody_is_the_same_one() {
        let callers = Callers::new(Vec::new());
        for headers in [headers(&[]), headers(&["Bearer whatever"]), headers(&["Basic eDp5"])] {
            assert_eq!(callers.identify(&headers), Some(Caller::anonymous()));
        }
        assert!(!callers.are_told_apart());
    }

    #[test]
    fn s5_a_caller_is_known_by_each_of_its_tokens_and_by_nothing_else() {
        let callers = Callers::new(vec![known("billing", &["old", "new"]), known("web", &["w"])]);
        let name = |values: &[&str]| {
            callers.identify(&headers(values)).map(|caller| caller.name().to_owned())
        };
        for (value, expected) in [
            ("Bearer old", Some("billing")),
            ("Bearer new", Some("billing")),
            ("bearer w", Some("web")),
            ("BEARER  w", Some("web")),
            ("Bearer W", None),
            ("Bearer ", None),
            ("Bearer", None),
            ("Bearerw", None),
            ("Basic w", None),
            ("w", None),
        ] {
            assert_eq!(name(&[value]).as_deref(), expected, "{value:?}");
        }
        assert_eq!(name(&[]), None);
        assert_eq!(name(&["Bearer w", "Bearer w"]), None, "who sent which is not known");
        // The digest of a token is no token.
        assert_eq!(name(&[&format!("Bearer {}", TokenDigest::of(b"w"))]), None);
    }

    #[test]
    fn other_callers_count_from_the_moment_they_are_set() {
        let callers = Callers::new(vec![known("billing", &["old"])]);
        callers.clone().set(vec![known("billing", &["new"])]);
        assert_eq!(callers.identify(&headers(&["Bearer old"])), None);
        assert!(callers.identify(&headers(&["Bearer new"])).is_some());
    }
}

//! Whom a token is about, where its form tells: the `sub` of a JWT (RFC 7519 section
//! 4.1.2).
//!
//! No signature is looked at, so it proves nothing by itself. It is believed of an ID
//! token that came from the token endpoint itself over TLS (OpenID Connect Core section
//! 3.1.3.7), and tells the calls of one user from those of another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

/// The subject of `token`; `None` if it is no JWT or names nobody that can be written.
pub(crate) fn of(token: &SecretString) -> Option<String> {
    let claims = token.expose_secret().split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let Claims { sub } = serde_json::from_slice(&claims).ok()?;
    Some(sub).filter(|sub| !sub.is_empty() && !sub.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subject_is_read_from_a_token_of_three_parts_and_nothing_else() {
        let jwt = |claims: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(of(&jwt(r#"{"sub":"u-1","exp":1}"#).into()).as_deref(), Some("u-1"));
        for none in [
            jwt(r#"{"sub":""}"#),
            jwt(r#"{"sub":"a\u0000"}"#),
            jwt("{}"),
            jwt("[1"),
            "opaque".into(),
            "a.b.c".into(),
        ] {
            assert_eq!(of(&none.clone().into()), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_token_panics(token in ".*") {
            let _ = of(&token.into());
        }
    }
}

//! `x-partner-token`: an end user's own access token, given by the caller.
//!
//! It is a credential of somebody else's: it goes to the partner and nowhere else, and
//! only with an operation that takes one.

use secrecy::SecretString;
use tonic::metadata::MetadataMap;

use crate::error::{Error, Violation};
use crate::operation::{Credential, Operation};

const NAME: &str = "x-partner-token";
const SCHEME: &str = "bearer ";
const MAX_LENGTH: usize = 8 * 1024;

/// The token that the caller of `operation` gave; `None` where the operation takes none.
///
/// # Errors
/// When it is given more than once, or cannot stand in a header.
pub(super) fn user_token(
    operation: &Operation,
    metadata: &MetadataMap,
) -> Result<Option<SecretString>, Error> {
    if !operation.credentials.contains(&Credential::UserToken) {
        return Ok(None);
    }
    let mut values = metadata.get_all(NAME).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str().ok().and_then(token) {
            Some(token) => Ok(Some(SecretString::from(token))),
            None => Err(invalid()),
        },
        (Some(_), Some(_)) => Err(invalid()),
    }
}

/// The token itself: callers that have it as the value of a header leave the scheme on.
fn token(value: &str) -> Option<&str> {
    let is_scheme = |scheme: &str| scheme.eq_ignore_ascii_case(SCHEME);
    let token = match value.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if is_scheme(scheme) => token.trim_start_matches(' '),
        _ => value,
    };
    let is_token = !token.is_empty()
        && value.len() <= MAX_LENGTH
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then_some(token)
}

fn invalid() -> Error {
    Error::invalid(vec![Violation {
        field: NAME.to_owned(),
        description: "must be one token of visible ASCII characters, at most 8 KiB".to_owned(),
        reason: "METADATA_VALUE",
    }])
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::error::Kind;
    use crate::stack::testing::read_operation;

    fn given(values: &[&str]) -> Result<Option<String>, Error> {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append(NAME, value.parse().unwrap());
        }
        let operation = read_operation(&[Credential::ApiKey, Credential::UserToken]);
        let token = user_token(operation, &metadata)?;
        Ok(token.map(|token| token.expose_secret().to_owned()))
    }

    #[test]
    fn a_token_is_taken_with_or_without_its_scheme() {
        assert_eq!(given(&[]).unwrap(), None);
        for value in ["eyJ.a-b_c=", "Bearer eyJ.a-b_c=", "bearer eyJ.a-b_c=", "BEARER  eyJ.a-b_c="]
        {
            assert_eq!(given(&[value]).unwrap().as_deref(), Some("eyJ.a-b_c="), "{value}");
        }
        assert_eq!(given(&["Bearer"]).unwrap().as_deref(), Some("Bearer"));
    }

    /// S9: the answer does not quote it.
    #[test]
    fn what_is_no_token_is_refused_and_not_quoted() {
        let long = "a".repeat(MAX_LENGTH + 1);
        for values in
            [vec![""], vec!["Bearer "], vec!["two words"], vec!["canary", "canary"], vec![&long]]
        {
            let error = given(&values).unwrap_err();
            assert!(matches!(error.kind(), Kind::InvalidRequest(_)), "{error:?}");
            assert!(!format!("{error:?} {error}").contains("canary"));
        }
        assert!(given(&[&long[1..]]).unwrap().is_some());
    }

    #[test]
    fn an_operation_that_takes_none_does_not_look_at_it() {
        let mut metadata = MetadataMap::new();
        metadata.append(NAME, "two words".parse().unwrap());
        let operation = read_operation(&[Credential::ApiKey]);
        assert!(user_token(operation, &metadata).unwrap().is_none());
    }
}

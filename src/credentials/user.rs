//! The access token of an end user: the one that the caller brought, or one by the grant
//! that the gateway keeps of the user whom the call names.
//!
//! The caller's own is carried as it is. The gateway knows nothing of its life and has no
//! other: when the partner refuses it, that is the answer.

use std::time::Duration;

use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use super::grant::{Grants, Missing};
use super::token::Refusal;
use super::{Carried, Used, oauth2};
use crate::call::Call;
use crate::error::{Error, Kind, Outcome, Violation};

/// How long a call waits for a token that another credential can stand in for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How a caller brings a token, and how it has a grant kept.
const TOKEN: &str = "send the user's access token as x-partner-token";
const GRANT: &str = "put the user's grant with gateway.v1.CredentialService/PutCredential";

/// Puts the user's access token on `call`.
///
/// # Errors
/// [`Kind::CredentialMissing`] says what the caller can do, [`Kind::InvalidRequest`] that its
/// token cannot be sent; [`Kind::TokenUnavailable`] and
/// [`Kind::StoreUnavailable`] pass.
pub(super) async fn put(grants: Option<&Grants>, call: &mut Call) -> Result<Carried, Error> {
    if let Some(token) = call.user_token.clone() {
        return put_brought(&token, call);
    }
    let Some(user) = call.account.clone() else {
        return Err(missing(format!("{TOKEN}, or name the user in the request and {GRANT}")));
    };
    let Some(grants) = grants else {
        let partner = &call.operation.partner;
        let help = format!("{TOKEN}, or add the OAuth2 client to the configuration of {partner}");
        return Err(missing(format!("{help} and {GRANT}")));
    };
    match grants.token(&user).await {
        Ok((source, token)) => {
            let value = format!("Bearer {}", token.secret.expose_secret());
            call.headers.insert(AUTHORIZATION, oauth2::sensitive(&value)?);
            let secrets = vec![token.secret.clone()];
            Ok(Carried { used: Used::UserToken(source, token), secrets })
        }
        Err(Missing::Absent) => Err(missing(format!("{TOKEN}, or {GRANT}"))),
        Err(Missing::Ended) => Err(missing(format!(
            "the partner takes the user's grant no more: have the user log in again and {GRANT}, or {TOKEN}"
        ))),
        Err(Missing::Failed(error)) => Err(error),
    }
}

/// The same for an operation that takes another credential, too: a call does not wait long
/// for what it can be made without.
pub(super) async fn put_if_soon(
    grants: Option<&Grants>,
    call: &mut Call,
) -> Result<Carried, Error> {
    let late = |_| Err(Refusal::transient("the user's token did not come soon").into());
    timeout(PATIENCE, put(grants, call)).await.unwrap_or_else(late)
}

/// The caller's own token.
fn put_brought(token: &SecretString, call: &mut Call) -> Result<Carried, Error> {
    let value = oauth2::sensitive(&format!("Bearer {}", token.expose_secret()));
    let value = value.map_err(|_| {
        let (field, reason) = ("x-partner-token".to_owned(), "INVALID_TOKEN");
        let description = "has characters that no header can hold".to_owned();
        Error::invalid(vec![Violation { field, description, reason }])
    })?;
    call.headers.insert(AUTHORIZATION, value);
    Ok(Carried { used: Used::Brought, secrets: vec![token.clone()] })
}

fn missing(what_to_do: impl AsRef<str>) -> Error {
    let help = format!("no access token of the user: {}", what_to_do.as_ref());
    Error::new(Kind::CredentialMissing { help }, Outcome::NotSent)
}

#[cfg(test)]
mod tests;

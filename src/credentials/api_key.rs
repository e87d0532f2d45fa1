//! HTTP Basic with an API key as user name and an empty password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};

use super::{Carried, Used, oauth2};
use crate::call::Call;
use crate::error::Error;

/// Puts `key` on `call`.
pub(super) fn put(key: &SecretString, call: &mut Call) -> Result<Carried, Error> {
    let user_info = STANDARD.encode(format!("{}:", key.expose_secret()));
    let value = oauth2::sensitive(&format!("Basic {user_info}"))?;
    call.headers.insert(AUTHORIZATION, value);
    Ok(Carried { used: Used::Fixed, secrets: vec![key.clone(), user_info.into()] })
}

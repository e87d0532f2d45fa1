//! HTTP Basic with an API key as user name and an empty password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};

use super::{Carried, Held, Used, oauth2};
use crate::call::Call;
use crate::error::Error;

/// Puts `key` on `call`.
pub(super) fn put(key: Held<SecretString>, call: &mut Call) -> Result<Carried, Error> {
    let user_info = STANDARD.encode(format!("{}:", key.get().expose_secret()));
    let value = oauth2::sensitive(&format!("Basic {user_info}"))?;
    call.headers.insert(AUTHORIZATION, value);
    let secrets = vec![key.get().clone(), user_info.into()];
    Ok(Carried { used: Used::ApiKey(key), secrets })
}

//! Signatures over the exact bytes of an attempt, at the moment of the attempt.

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::{Carried, Held, KeyPair, Used, oauth2};
use crate::call::Call;
use crate::error::Error;
use crate::partner::{Partner, Signable};

/// Signs `call` with `key_pair` in the partner's way.
pub(super) fn put(
    partner: &dyn Partner,
    key_pair: Held<KeyPair>,
    now: Timestamp,
    call: &mut Call,
) -> Result<Carried, Error> {
    let KeyPair { access_key, secret_key } = key_pair.get();
    let signable = Signable {
        access_key,
        secret_key: secret_key.expose_secret(),
        now,
        verb: &call.operation.verb,
        target: &call.target,
        body: call.body.as_ref().map(|body| body.bytes.as_ref()).unwrap_or_default(),
    };
    let Some(headers) = partner.sign(&signable) else {
        return Err(Error::internal("the partner takes no signatures"));
    };
    for (name, value) in headers {
        call.headers.insert(name, oauth2::sensitive(&value)?);
    }
    let secrets = vec![secret_key.clone(), access_key.as_str().into()];
    Ok(Carried { used: Used::Signature(key_pair), secrets })
}

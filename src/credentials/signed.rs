//! Signatures over the exact bytes of an attempt, at the moment of the attempt.

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::{Carried, KeyPair, Used, oauth2};
use crate::call::Call;
use crate::error::Error;
use crate::partner::{Partner, Signable};

/// Signs `call` with `key_pair` in the partner's way.
pub(super) fn put(
    partner: &dyn Partner,
    key_pair: &KeyPair,
    now: Timestamp,
    call: &mut Call,
) -> Result<Carried, Error> {
    let signable = Signable {
        access_key: &key_pair.access_key,
        secret_key: key_pair.secret_key.expose_secret(),
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
    let secrets = vec![key_pair.secret_key.clone(), key_pair.access_key.clone().into()];
    Ok(Carried { used: Used::Signature, secrets })
}

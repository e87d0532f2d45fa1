//! The key pairs of sub-merchants, as replies show them.
//!
//! A new sub-merchant's secret key is in the reply that creates it and nowhere else; that
//! of a sandbox sub-merchant only when it was asked for. So the reply is read leniently:
//! a key that is not understood is lost, and a person has to ask the partner for another.

use serde_json::{Map, Value};

use crate::partner::{KeyChange, Unkeepable};

/// The key pair of a new sub-merchant, if its reply shows any part of one.
pub(super) fn issued(reply: &[u8]) -> Result<Option<KeyChange>, Unkeepable> {
    let merchant = Merchant::read(reply).ok_or(Unkeepable)?;
    let [access_key, secret_key] = ["accessKey", "secretKey"].map(|name| merchant.member(name));
    if access_key.is_none() && secret_key.is_none() {
        // A reply that does not even name the sub-merchant is no proof that it has no key.
        return merchant.id().map(|_| None).ok_or(Unkeepable);
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    // What a header cannot carry would fail every call that is signed with it.
    let access_key = text(access_key).filter(|key| is_visible(key)).ok_or(Unkeepable)?;
    let secret_key = text(secret_key).filter(|key| !key.is_empty()).ok_or(Unkeepable)?;
    Ok(Some(KeyChange::Issued {
        account: merchant.id().ok_or(Unkeepable)?,
        access_key: access_key.into(),
        secret_key: secret_key.into(),
    }))
}

/// The sub-merchant that a request deletes.
pub(super) fn deleted(request: &[u8]) -> Option<KeyChange> {
    let account = Merchant::read(request)?.id()?;
    Some(KeyChange::Deleted { account })
}

/// A sub-merchant in a body, in `merchant` or flat. It is read as
/// the contract's `unwrap` is: each member from the first of them that has it.
struct Merchant(Map<String, Value>);

impl Merchant {
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().map(Self)
    }

    /// A member that is there and not null.
    fn member(&self, name: &str) -> Option<&Value> {
        let wrapped = self.0.get("merchant").and_then(|merchant| merchant.get(name));
        [wrapped, self.0.get(name)].into_iter().flatten().find(|value| !value.is_null())
    }

    fn id(&self) -> Option<String> {
        match self.member("id")? {
            Value::String(id) if is_account(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        }
    }
}

/// What can be an id: a text that a database or a log cannot hold is none.
fn is_account(id: &str) -> bool {
    !id.is_empty() && !id.chars().any(char::is_control)
}

fn is_visible(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())
}

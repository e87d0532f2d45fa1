//! `prsign`: who sent a request, by an HMAC over exactly what was sent. Verified over the raw
//! target and the raw body, because a gateway that signs one spelling and sends another must fail
//! here as it would fail at the partner.

use std::time::Duration;

use aws_lc_rs::hmac;
use jiff::Timestamp;

use super::super::partner::Received;
use super::state::Merchant;

/// Why a request was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A header is missing or has another form.
    Malformed,
    /// Nobody has this access key.
    UnknownKey,
    /// The signed time is outside the window.
    Stale,
    /// The signature is of something else, or made with another secret.
    Mismatch,
}

/// The merchant that signed the request.
pub(crate) fn verify<'a>(
    request: &Received,
    now: Timestamp,
    window: Duration,
    merchant: impl FnOnce(&str) -> Option<&'a Merchant>,
) -> Result<&'a Merchant, Refused> {
    let header = request.header("authorization").ok_or(Refused::Malformed)?;
    let credentials = header.strip_prefix("prsign ").ok_or(Refused::Malformed)?;
    let (key, signature) = credentials.split_once(':').ok_or(Refused::Malformed)?;
    let timestamp = request.header("x-pr-timestamp").ok_or(Refused::Malformed)?;
    let time = seconds(timestamp).ok_or(Refused::Malformed)?;

    let merchant = merchant(key).ok_or(Refused::UnknownKey)?;
    if now.as_second().abs_diff(time) > window.as_secs() {
        return Err(Refused::Stale);
    }
    let message = message(timestamp, request.method.as_str(), &request.target(), &request.body);
    let secrets = merchant.secrets_of(key);
    let is_signed = secrets.iter().any(|secret| sign(secret, &message) == signature);
    if is_signed { Ok(merchant) } else { Err(Refused::Mismatch) }
}

/// The signature of a webhook: over the time and the body with nothing between.
pub(crate) fn webhook(secret: &str, time: i64, body: &[u8]) -> String {
    sign(secret, &[time.to_string().as_bytes(), body].concat())
}

/// The `Authorization` of a request, for tests that play the caller.
#[cfg(test)]
pub(crate) fn authorization(
    key: &str,
    secret: &str,
    timestamp: &str,
    request: &Received,
) -> String {
    let target = request.target();
    let message = message(timestamp, request.method.as_str(), &target, &request.body);
    format!("prsign {key}:{}", sign(secret, &message))
}

// Four fields, each ended by a line feed, the last too.
fn message(timestamp: &str, method: &str, target: &str, body: &[u8]) -> Vec<u8> {
    let mut message = format!("{timestamp}\n{method}\n{target}\n").into_bytes();
    message.extend_from_slice(body);
    message.push(b'\n');
    message
}

// The secret's characters are the key; it is not decoded. Small hex digits only.
fn sign(secret: &str, message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, message).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

// Digits only: `parse` would also take a sign.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;

//! Trolley: signed requests, an error envelope that may come with a 200, and a rate
//! limit that tells when its window ends.

mod key;

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName, StatusCode, header};
use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::answer::{self, MAX_CODE, MAX_FIELDS, MAX_MESSAGE};
use super::{KeyChange, Partner, Quota, Signable, Unkeepable, quota, retry_after};
use crate::error::{Meaning, PartnerFailure};
use crate::operation::AccountKey;
use crate::store::CredentialKind;

const TIMESTAMP: HeaderName = HeaderName::from_static("x-pr-timestamp");
const LIMIT_RESET: &str = "x-rate-limit-reset";
/// What every answer says of the limit; the end of the window in seconds of the epoch.
const LIMIT: [&str; 3] = ["x-rate-limit-limit", "x-rate-limit-remaining", LIMIT_RESET];
/// The window in which the limit counts: it opens with its first request.
const WINDOW: Duration = Duration::from_secs(60);

/// The Trolley Partner API.
#[derive(Debug)]
pub(super) struct Trolley;

impl Partner for Trolley {
    fn name(&self) -> &'static str {
        "trolley"
    }

    /// Its documents tell callers to look at `ok` whatever the status is. Lists and the
    /// funding information have no `ok` at all, so its absence is no failure; anything in
    /// it but `true` is, and so are errors, whatever `ok` says.
    fn failure(&self, status: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<PartnerFailure> {
        if status.is_success() && !tells_a_failure(body) {
            return None;
        }
        let mut failure = answer::bare(status);
        // Of a success that failed the status tells nothing.
        failure.meaning = status.is_success().then_some(Meaning::Internal);
        let Ok(envelope) = serde_json::from_slice::<Value>(body) else { return Some(failure) };
        let errors = envelope.get("errors").and_then(Value::as_array);
        let errors = errors.map(Vec::as_slice).unwrap_or_default();
        if let Some(first) = errors.first() {
            failure.code = answer::text(first, "code", MAX_CODE);
            failure.message = answer::text(first, "message", MAX_MESSAGE);
        }
        let known = errors.iter().find_map(|error| meaning(error.get("code")?.as_str()?));
        failure.meaning = known.or(failure.meaning);
        failure.fields = errors.iter().filter_map(answer::field).take(MAX_FIELDS).collect();
        Some(failure)
    }

    /// No `Retry-After` was ever seen from it; a 429 comes with the end of the window in
    /// which the limit counts, in seconds of the epoch. It is taken as that of every answer:
    /// by the answer's own clock, and for no longer than a window.
    fn retry_after(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Option<Duration> {
        let window_end = || {
            let reset = headers.get(LIMIT_RESET).filter(|_| status.as_u16() == 429)?;
            let reset = Timestamp::from_second(reset.to_str().ok()?.trim().parse().ok()?).ok()?;
            let answered_at = retry_after::answered_at(headers).unwrap_or(now);
            Some(retry_after::until(reset, answered_at).min(WINDOW))
        };
        retry_after::of_answer(status, headers, now).or_else(window_end)
    }

    /// No window is longer than its documented length, whatever the clocks say.
    fn quota(&self, headers: &HeaderMap, now: Timestamp) -> Option<Quota> {
        let quota = quota::of_trio(headers, &LIMIT, now)?;
        Some(Quota { reset: quota.reset.min(WINDOW), ..quota })
    }

    /// HMAC-SHA256 in lower-case hex over four fields, each followed by a line feed, the
    /// last one too: seconds of the epoch, method, path with query, body.
    fn sign(&self, request: &Signable<'_>) -> Option<Vec<(HeaderName, String)>> {
        let seconds = request.now.as_second().to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, request.secret_key.as_bytes());
        let mut context = hmac::Context::with_key(&key);
        let head =
            [seconds.as_bytes(), request.verb.as_str().as_bytes(), request.target.as_bytes()];
        for field in head.into_iter().chain([request.body]) {
            context.update(field);
            context.update(b"\n");
        }
        let signature: String =
            context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let authorization = format!("prsign {}:{signature}", request.access_key);
        Some(vec![(header::AUTHORIZATION, authorization), (TIMESTAMP, seconds)])
    }

    fn kept_credentials(&self) -> &'static [CredentialKind] {
        &[CredentialKind::KeyPair]
    }

    fn key_change(
        &self,
        kind: AccountKey,
        request: &[u8],
        reply: &[u8],
    ) -> Result<Option<KeyChange>, Unkeepable> {
        match kind {
            AccountKey::Issued => key::issued(reply),
            AccountKey::Deleted => Ok(key::deleted(request)),
        }
    }
}

/// Whether the body is an object whose `ok` or `errors` tell that it was not done.
fn tells_a_failure(body: &[u8]) -> bool {
    // Whatever else a body is, it is the transcoder's to read.
    let Ok(Envelope { ok, errors }) = serde_json::from_slice(body) else { return false };
    ok.as_ref().is_some_and(is_no)
        || errors.is_some_and(|errors| errors.as_array().is_some_and(|list| !list.is_empty()))
}

/// Whether a value of `ok` says no, in whatever spelling. One that says neither yes nor
/// no is drift, which is kept and is no failure.
fn is_no(ok: &Value) -> bool {
    match ok {
        Value::Bool(ok) => !ok,
        Value::String(text) => text.eq_ignore_ascii_case("false"),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The members of an answer that tell whether it is a failure.
#[derive(Default)]
struct Envelope {
    ok: Option<Value>,
    errors: Option<Value>,
}

// Not derived: that would take a list for an envelope as well, and read nothing of an
// object in which a member comes twice.
impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Envelope, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "ok" => envelope.ok = Some(members.next_value()?),
                "errors" => envelope.errors = Some(members.next_value()?),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(envelope)
    }
}

/// Its codes are an open set; of one that is not known the status has to tell.
fn meaning(code: &str) -> Option<Meaning> {
    Some(match code {
        "invalid_field" | "empty_field" => Meaning::InvalidArgument,
        "not_found" => Meaning::NotFound,
        "invalid_api_key" => Meaning::Unauthenticated,
        "not_authorized" => Meaning::PermissionDenied,
        "invalid_status" | "expired_quote" | "non_sufficient_funds" => Meaning::FailedPrecondition,
        "duplicate" => Meaning::AlreadyExists,
        "rate_limit_exceeded" => Meaning::RateLimited,
        "internal_server_error" => Meaning::Internal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

//! The one place where an error becomes a gRPC status.
//!
//! Every status carries `ErrorInfo`, so that a caller can program against reason and
//! domain instead of text, and everything else that helps it decide: when to try again,
//! which field is wrong, whether the partner may have acted. All of it fits into
//! 8 KiB of trailers, the least that every gRPC implementation accepts.

mod retry;

use std::collections::HashMap;
use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{
    BadRequest, ErrorDetail, ErrorInfo, FieldViolation, Help, HelpLink, PreconditionFailure,
    PreconditionViolation, QuotaFailure, QuotaViolation, RequestInfo, ResourceInfo, RetryInfo,
    StatusExt as _,
};
use uuid::Uuid;

use crate::error::{Error, Kind, Outcome, PartnerFailure, Violation};
use crate::operation::{Effect, Operation};

use super::reason::Reason;
use retry::{milliseconds, pushback, retry_delay, to_read, usual_delay};

/// `ErrorInfo.domain` of the gateway's own errors.
pub const DOMAIN: &str = "partner-gateway";
const DOCUMENTATION: &str = "docs/errors.md";
const CREDENTIALS: &str = "docs/credentials.md";

/// Trailers with their framing stay below this (G14).
const MAX_TRAILERS: usize = 8 * 1024;
/// What `x-…` metadata, status and framing need of it.
const RESERVED: usize = 1024;
const MAX_MESSAGE: usize = 1024;

const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// How far a stream had come when it failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// How many requests the partner was sent before the one that failed.
    pub attempts: u32,
    /// The detail that tells where another stream takes up the rest, and its value.
    pub resume: Option<(&'static str, i64)>,
}

/// The status of a call to `operation` that failed with `error`.
pub fn of_error(error: &Error, operation: &Operation, id: Uuid) -> Status {
    of_stream(error, operation, id, Progress::default())
}

/// The status of a stream that failed with `error` after it had come this far.
pub fn of_stream(error: &Error, operation: &Operation, id: Uuid, progress: Progress) -> Status {
    let reason = Reason::of(error, operation);
    let pushback = pushback(error, operation, reason);
    let retry = retry_delay(error, reason).filter(|_| pushback.is_none());
    let attempts = error.attempts().saturating_add(progress.attempts).to_string();
    let mut info = error_info(error, operation, reason, id);
    info.metadata.insert("attempts".to_owned(), attempts.clone());
    if let Some((name, value)) = progress.resume {
        info.metadata.insert(name.to_owned(), value.to_string());
    }
    let mut details = general(info, id, retry);
    details.extend(specific(error, operation, reason));
    details.extend(help(error));
    let mut metadata = MetadataMap::new();
    if let Some(pushback) = pushback.or(retry.map(milliseconds)) {
        metadata.insert(PUSHBACK, pushback.into());
    }
    insert(&mut metadata, "x-gateway-attempts", &attempts);
    if let Some(id) = error.partner_request_id() {
        insert(&mut metadata, "x-partner-request-id", id);
    }
    assemble(reason.code(), &message(error, operation), details, &metadata)
}

/// The status of a call of the gateway's own services that failed with `error`.
pub fn of_own(error: &Error, id: Uuid) -> Status {
    let reason = Reason::of_own(error);
    match error.kind() {
        Kind::InvalidRequest(violations) => {
            let details = [ErrorDetail::BadRequest(bad_request(violations))];
            own(reason, &invalid(violations), details, id)
        }
        _ => own(reason, &error.to_string(), [], id),
    }
}

/// The status of a call that the gateway itself refuses.
pub fn of_gateway(reason: Reason, message: &str, id: Uuid) -> Status {
    own(reason, message, [], id)
}

/// The status of a call to `operation` that the gateway refuses before anything is sent.
pub fn of_refused(reason: Reason, message: &str, operation: &Operation, id: Uuid) -> Status {
    let refused = Error::new(Kind::Internal, Outcome::NotSent);
    let mut info = error_info(&refused, operation, reason, id);
    info.metadata.insert("attempts".to_owned(), "0".to_owned());
    let retry = usual_delay(reason);
    let mut metadata = MetadataMap::new();
    insert(&mut metadata, "x-gateway-attempts", "0");
    if let Some(retry) = retry {
        metadata.insert(PUSHBACK, milliseconds(retry).into());
    }
    assemble(reason.code(), message, general(info, id, retry), &metadata)
}

/// The status of a call to `operation` that the gateway gave up, not knowing how far it had
/// come: nothing is told of attempts, and a write may have had its effect.
pub fn of_lost(reason: Reason, message: &str, operation: &Operation, id: Uuid) -> Status {
    let lost = Error::new(Kind::Internal, Outcome::Unknown);
    let info = error_info(&lost, operation, reason, id);
    let mut metadata = MetadataMap::new();
    if let Some(pushback) = pushback(&lost, operation, reason) {
        metadata.insert(PUSHBACK, pushback.into());
    }
    assemble(reason.code(), message, general(info, id, None), &metadata)
}

/// The status of a stream that ends because its connection is closed. Another can be opened
/// after `retry`, here or at another replica.
pub fn of_closing(id: Uuid, retry: Duration) -> Status {
    let text = "the gateway closes this connection: open the stream again";
    own_after(Reason::ShuttingDown, text, [], id, Some(retry))
}

fn own(
    reason: Reason,
    message: &str,
    specific: impl IntoIterator<Item = ErrorDetail>,
    id: Uuid,
) -> Status {
    own_after(reason, message, specific, id, usual_delay(reason))
}

fn own_after(
    reason: Reason,
    message: &str,
    specific: impl IntoIterator<Item = ErrorDetail>,
    id: Uuid,
    retry: Option<Duration>,
) -> Status {
    let metadata = HashMap::from([("request_id".to_owned(), id.to_string())]);
    let mut details = general(ErrorInfo::new(reason.as_str(), DOMAIN, metadata), id, retry);
    details.extend(specific);
    let mut metadata = MetadataMap::new();
    if let Some(retry) = retry {
        metadata.insert(PUSHBACK, milliseconds(retry).into());
    }
    assemble(reason.code(), message, details, &metadata)
}

/// The details that every failure has, and when to try again if that helps.
fn general(info: ErrorInfo, id: Uuid, retry: Option<Duration>) -> Vec<ErrorDetail> {
    let request = RequestInfo::new(id.to_string(), "");
    let mut details = vec![ErrorDetail::ErrorInfo(info), ErrorDetail::RequestInfo(request)];
    details.extend(retry.map(|delay| ErrorDetail::RetryInfo(RetryInfo::new(Some(delay)))));
    details
}

/// Appends a value that is metadata by its making; anything else is left out.
pub(super) fn insert(metadata: &mut MetadataMap, name: &'static str, value: &str) {
    if let Ok(value) = MetadataValue::try_from(value) {
        metadata.insert(name, value);
    }
}

/// Builds the status, leaving out the last details until the trailers are small enough.
fn assemble(
    code: Code,
    message: &str,
    mut details: Vec<ErrorDetail>,
    metadata: &MetadataMap,
) -> Status {
    let message = truncated(message, MAX_MESSAGE);
    loop {
        let status = Status::with_error_details_vec_and_metadata(
            code,
            message.clone(),
            details.clone(),
            metadata.clone(),
        );
        // Details travel as base64; a message's bytes as up to three characters each.
        let size = status.details().len().div_ceil(3) * 4 + message.len() * 3 + RESERVED;
        if size <= MAX_TRAILERS || details.len() <= 1 {
            return status;
        }
        shrink(&mut details);
    }
}

/// Leaves out the last detail, or of a long list of violations the second half.
fn shrink(details: &mut Vec<ErrorDetail>) {
    match details.last_mut() {
        Some(ErrorDetail::BadRequest(bad)) if bad.field_violations.len() > 1 => {
            bad.field_violations.truncate(bad.field_violations.len() / 2);
        }
        _ => {
            details.pop();
        }
    }
}

fn truncated(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

fn error_info(error: &Error, operation: &Operation, reason: Reason, id: Uuid) -> ErrorInfo {
    let failure = error.partner_failure();
    let text = |text: Option<&String>| text.map_or_else(String::new, |text| truncated(text, 512));
    let mut metadata = HashMap::from([
        ("partner", operation.partner.clone()),
        ("rpc", operation.rpc()),
        ("request_id", id.to_string()),
    ]);
    if operation.is_write() {
        metadata.insert("outcome", error.outcome().as_str().to_owned());
    }
    if let Some(read) = to_read(error, operation, reason) {
        metadata.insert("read_rpc", read.rpc());
    }
    let code = failure.and_then(|failure| failure.code.as_ref());
    if let Kind::CredentialsRejected(_, refused) = error.kind() {
        metadata.insert("credential", refused.as_str().to_owned());
    }
    if code.is_some_and(|code| operation.already_done.contains(code)) {
        metadata.insert("already_done", "true".to_owned());
    }
    let is_partners = reason.as_str().starts_with("PARTNER_");
    if is_partners {
        let status = error.http_status().map_or_else(String::new, |s| s.as_u16().to_string());
        metadata.insert("http_status", status);
        metadata.insert("partner_code", text(code));
        metadata.insert("partner_message", text(failure.and_then(|f| f.message.as_ref())));
        let request_id = error.partner_request_id().unwrap_or_default();
        metadata.insert("partner_request_id", request_id.to_owned());
    }
    let domain = error.host().filter(|_| is_partners).unwrap_or(DOMAIN);
    let metadata: HashMap<_, _> = metadata.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    ErrorInfo::new(reason.as_str(), domain, metadata)
}

/// The details that only some errors have.
fn specific(error: &Error, operation: &Operation, reason: Reason) -> Option<ErrorDetail> {
    match error.kind() {
        Kind::InvalidRequest(violations) => Some(ErrorDetail::BadRequest(bad_request(violations))),
        Kind::CredentialMissing { help } => {
            Some(ErrorDetail::PreconditionFailure(PreconditionFailure::new(vec![
                PreconditionViolation::new("CREDENTIAL", &operation.partner, help),
            ])))
        }
        Kind::Partner(failure) => of_partner(failure, error, operation, reason),
        Kind::RateLimited { .. } => {
            let description = format!("the gateway's limit for the quota of {}", operation.partner);
            Some(quota_failure(operation, description))
        }
        _ => None,
    }
}

fn quota_failure(operation: &Operation, description: String) -> ErrorDetail {
    let subject = format!("partner:{}", operation.partner);
    ErrorDetail::QuotaFailure(QuotaFailure::new(vec![QuotaViolation::new(subject, description)]))
}

fn bad_request(violations: &[Violation]) -> BadRequest {
    let violations = violations.iter().map(|v| FieldViolation {
        reason: v.reason.to_owned(),
        ..FieldViolation::new(&v.field, &v.description)
    });
    BadRequest::new(violations.collect::<Vec<_>>())
}

/// Where to read on, for those whom an operator can help.
fn help(error: &Error) -> Option<ErrorDetail> {
    let (text, url) = match error.kind() {
        Kind::CredentialMissing { .. } => ("How credentials are kept", CREDENTIALS),
        Kind::NotConfigured { .. }
        | Kind::TokenUnavailable { permanent: true }
        | Kind::CredentialsRejected(..) => ("What this error means", DOCUMENTATION),
        _ => return None,
    };
    Some(ErrorDetail::Help(Help::new(vec![HelpLink::new(text, url)])))
}

fn of_partner(
    failure: &PartnerFailure,
    error: &Error,
    operation: &Operation,
    reason: Reason,
) -> Option<ErrorDetail> {
    let message = failure.message.as_deref().unwrap_or_default();
    match reason.code() {
        Code::InvalidArgument if !failure.fields.is_empty() => {
            let violations: Vec<_> = failure
                .fields
                .iter()
                .filter(|field| !field.is_inferred || operation.has_field(&field.field))
                .map(|field| FieldViolation {
                    reason: upper_snake(&field.code),
                    ..FieldViolation::new(operation.proto_path(&field.field), &field.message)
                })
                .collect();
            let bad_request = || ErrorDetail::BadRequest(BadRequest::new(violations.clone()));
            (!violations.is_empty()).then(bad_request)
        }
        Code::FailedPrecondition => {
            Some(ErrorDetail::PreconditionFailure(PreconditionFailure::new(vec![
                PreconditionViolation::new(
                    upper_snake(failure.code.as_deref().unwrap_or("STATE")),
                    operation.path.as_str(),
                    message,
                ),
            ])))
        }
        Code::NotFound => Some(ErrorDetail::ResourceInfo(ResourceInfo::new(
            &operation.reply().name,
            operation.path.as_str(),
            "",
            message,
        ))),
        Code::ResourceExhausted => {
            let host = error.host().unwrap_or(&operation.partner);
            Some(quota_failure(operation, format!("the rate limit of {host}")))
        }
        _ => None,
    }
}

/// A partner's code as `FieldViolation.reason` wants it (AIP-193).
fn upper_snake(code: &str) -> String {
    let mut reason: String = code
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    reason.truncate(63);
    reason
}

fn message(error: &Error, operation: &Operation) -> String {
    let partner = &operation.partner;
    match error.kind() {
        Kind::InvalidRequest(violations) => invalid(violations),
        Kind::Partner(PartnerFailure { status, message: Some(message), .. }) => {
            format!("{partner} answered {}: {message}", status.as_u16())
        }
        Kind::Partner(failure) => format!("{partner} answered {}", failure.status.as_u16()),
        Kind::Unreachable => format!("{partner} cannot be reached, or broke the connection"),
        Kind::Timeout if error.attempts() == 0 => {
            "the deadline passed before anything was sent".to_owned()
        }
        Kind::Timeout => format!("{partner} did not answer in time"),
        Kind::BadResponse { status, problem } => {
            format!("{partner}'s answer ({}) cannot be read: {problem}", status.as_u16())
        }
        Kind::CredentialsRejected(_, refused) => {
            format!("{partner} refuses {}", refused.described())
        }
        Kind::TokenUnavailable { .. } => format!("{partner}'s token endpoint gave no token"),
        Kind::OutcomeUnknown => match operation.reconcile {
            Some(read) => format!("{error}: {} tells what became of it", read.rpc()),
            None => error.to_string(),
        },
        // Nothing is told of the calls before it.
        Kind::StoreUnavailable if operation.effect == Effect::WriteOnce => {
            format!("{error}: with a request_id, ask again with the same one")
        }
        _ => error.to_string(),
    }
}

fn invalid(violations: &[Violation]) -> String {
    match violations {
        [one] => format!("the request is invalid: {} {}", one.field, one.description),
        all => format!("the request is invalid: {} fields break the contract", all.len()),
    }
}

#[cfg(test)]
mod tests;

#![expect(clippy::match_overlapping_arm, reason = "tables: an exception stands before its rule")]

use http::StatusCode;

use super::*;
use crate::error::{FieldFailure, Meaning, Refused, Violation};
use crate::operation::Catalogue;

mod delays;

const READ: &str = "/trolley.v1.WebhookService/GetWebhook";
const LIST: &str = "/trolley.v1.WebhookService/ListWebhooks";
const WRITE: &str = "/trolley.v1.WebhookService/UpdateWebhook";
const WRITE_ONCE: &str = "/trolley.v1.WebhookService/CreateWebhook";

fn operation(path: &str) -> &'static Operation {
    Catalogue::embedded().unwrap().by_path(path).unwrap()
}

fn failure(status: u16) -> PartnerFailure {
    PartnerFailure {
        status: StatusCode::from_u16(status).unwrap(),
        meaning: None,
        code: Some("a_code".to_owned()),
        message: Some("a message".to_owned()),
        fields: Vec::new(),
        retry_after: None,
    }
}

fn refused(failure: PartnerFailure, outcome: Outcome) -> Error {
    Error::new(Kind::Partner(failure), outcome).with_attempts(1).with_host("api.example.com")
}

fn status(error: &Error, path: &str) -> Status {
    of_error(error, operation(path), Uuid::nil())
}

fn pushback_of(status: &Status) -> Option<i32> {
    status.metadata().get(PUSHBACK).map(|value| value.to_str().unwrap().parse().unwrap())
}

/// The interface's table, row by row.
fn expected(status: u16, names_a_resource: bool) -> Code {
    match status {
        400 | 413 => Code::InvalidArgument,
        402 | 412 => Code::FailedPrecondition,
        401 => Code::Internal,
        403 => Code::PermissionDenied,
        404 | 410 if names_a_resource => Code::NotFound,
        404 | 410 => Code::Internal,
        405 | 415 => Code::Internal,
        408 | 504 => Code::DeadlineExceeded,
        409 => Code::Aborted,
        429 => Code::ResourceExhausted,
        300..=399 => Code::Internal,
        400..=499 => Code::FailedPrecondition,
        500 => Code::Internal,
        501 => Code::Unimplemented,
        502 | 503 | 520..=529 => Code::Unavailable,
        500..=599 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// G1, G9: every HTTP status, for reads and for writes.
#[test]
fn every_http_status_has_its_code_and_its_error_info() {
    for number in 100..=599 {
        for (path, names_a_resource) in
            [(READ, true), (LIST, false), (WRITE, true), (WRITE_ONCE, false)]
        {
            for outcome in [Outcome::Rejected, Outcome::Unknown] {
                let status = status(&refused(failure(number), outcome), path);
                assert_eq!(status.code(), expected(number, names_a_resource), "{number} {path}");
                let info = status.get_details_error_info().unwrap();
                assert_eq!(info.domain, "api.example.com");
                assert_eq!(info.metadata["http_status"], number.to_string());
                assert_eq!(info.metadata["partner_code"], "a_code");
                assert_eq!(info.metadata["partner_message"], "a message");
                assert_eq!(info.metadata["attempts"], "1");
                assert_eq!(info.metadata["request_id"], Uuid::nil().to_string());
                let outcome =
                    (path == WRITE || path == WRITE_ONCE).then(|| outcome.as_str().to_owned());
                assert_eq!(info.metadata.get("outcome").cloned(), outcome);
                assert!(status.get_details_request_info().is_some());
            }
        }
    }
}

/// Where the gateway deviates from gax-java's `HttpJsonStatusCode`, and why.
#[test]
fn deviations_from_googles_rest_clients_are_known() {
    let gax = |status: u16| match status {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::Aborted,
        416 => Code::OutOfRange,
        429 => Code::ResourceExhausted,
        499 => Code::Cancelled,
        500 => Code::Internal,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        300..=399 => Code::Unknown,
        400..=499 => Code::FailedPrecondition,
        500..=599 => Code::Internal,
        _ => Code::Unknown,
    };
    let deviating: Vec<u16> = (100..=599).filter(|s| gax(*s) != expected(*s, true)).collect();
    let redirects = 300..=399; // never followed: the partner's answer cannot be used
    let named = [
        401, // speaks of the gateway's credential, not of the caller's
        405, 415, // the gateway called wrongly
        408, // a time-out, like 504
        410, // gone is not found
        413, // the request's content
        416, // no partner has ranges: like any other 4xx
        499, // nobody cancelled at our side
    ];
    let other_5xx = (502..=599).filter(|s| !matches!(s, 503 | 504)); // a gateway in between: try again
    let mut known: Vec<u16> = redirects.chain(named).chain(other_5xx).collect();
    known.sort_unstable();
    assert_eq!(deviating, known);
}

/// R8: whoever is told that a WRITE_ONCE may have had its effect is told what to read, at
/// once and whenever it asks again.
#[test]
fn r8_an_unknown_outcome_names_what_to_read() {
    const READ: &str = "trolley.v1.WebhookService/ListWebhooks";
    let told = |kind, outcome, path| {
        let status = status(&Error::new(kind, outcome), path);
        let info = status.get_details_error_info().unwrap();
        (info.metadata.get("read_rpc").cloned(), status.message().to_owned())
    };
    for kind in [Kind::Unreachable, Kind::Timeout, Kind::OutcomeUnknown, Kind::Internal] {
        assert_eq!(told(kind.clone(), Outcome::Unknown, WRITE_ONCE).0.as_deref(), Some(READ));
        for outcome in [Outcome::NotSent, Outcome::Rejected] {
            assert_eq!(told(kind.clone(), outcome, WRITE_ONCE).0, None, "{kind:?}");
        }
    }
    assert!(told(Kind::OutcomeUnknown, Outcome::Unknown, WRITE_ONCE).1.contains(READ));
    assert_eq!(told(Kind::Unreachable, Outcome::Unknown, WRITE).0, None, "it can be repeated");
    // Asking again tells.
    assert_eq!(told(Kind::RequestInFlight, Outcome::Unknown, WRITE_ONCE).0, None);
    // Nothing can be read of it.
    let made = "/trolley.v1.SubmerchantService/CreateSubmerchant";
    let (read, message) = told(Kind::OutcomeUnknown, Outcome::Unknown, made);
    assert_eq!(read, None);
    assert!(message.ends_with("read before writing again"), "{message}");
}

/// R8: the answer of the first call is there, and this replica is about to be given the key
/// that opens it.
#[test]
fn r8_a_store_that_is_away_is_asked_again_with_the_same_id() {
    for outcome in [Outcome::NotSent, Outcome::Unknown] {
        let error = Error::new(Kind::StoreUnavailable, outcome);
        let told = status(&error, WRITE_ONCE);
        let info = told.get_details_error_info().unwrap();
        assert_eq!(info.metadata["outcome"], outcome.as_str());
        assert_eq!(info.metadata.get("read_rpc"), None);
        assert_eq!(told.metadata().get(PUSHBACK).unwrap(), "1000");
        assert!(told.get_details_retry_info().is_some());
        assert!(told.message().contains("request_id"), "{}", told.message());
        assert!(!status(&error, WRITE).message().contains("request_id"));
    }
    // One that was sent is told by nobody.
    let sent = Error::new(Kind::StoreUnavailable, Outcome::Unknown).with_attempts(1);
    assert_eq!(status(&sent, WRITE_ONCE).metadata().get(PUSHBACK).unwrap(), "-1");
}

/// A repeat after a lost answer is told apart from a refusal, and only by the codes that
/// its own operation names.
#[test]
fn a_code_that_says_done_already_is_told() {
    let told = |code: &str, path| {
        let failure = PartnerFailure { code: Some(code.to_owned()), ..failure(400) };
        let failure = PartnerFailure { meaning: Some(Meaning::FailedPrecondition), ..failure };
        let status = status(&refused(failure, Outcome::Rejected), path);
        assert_eq!(status.code(), Code::FailedPrecondition);
        status.get_details_error_info().unwrap().metadata.get("already_done").cloned()
    };
    const CANCEL: &str = "/trustap.v1.OnlineTransactionService/CancelTransaction";
    assert_eq!(told("already_cancelled", CANCEL).as_deref(), Some("true"));
    assert_eq!(told("already_paid", CANCEL), None);
    assert_eq!(told("already_cancelled", WRITE), None);
}

/// A stream counts the requests of all its pages, and says where it stopped.
#[test]
fn a_stream_tells_how_far_it_has_come() {
    let error = Error::new(Kind::Timeout, Outcome::NotSent);
    let progress = Progress { attempts: 3, resume: Some(("resume_after", -7)) };
    let status = of_stream(&error, operation(LIST), Uuid::nil(), progress);
    let info = status.get_details_error_info().unwrap();
    // Of the page that failed nothing was sent: it was the caller's time that ran out.
    assert_eq!((&*info.reason, &*info.domain), ("DEADLINE_EXCEEDED", DOMAIN));
    assert_eq!((&*info.metadata["attempts"], &*info.metadata["resume_after"]), ("3", "-7"));
    assert_eq!(status.metadata().get("x-gateway-attempts").unwrap(), "3");
}

#[test]
fn the_partners_code_decides_before_its_status() {
    for (meaning, code) in [
        (Meaning::InvalidArgument, Code::InvalidArgument),
        (Meaning::FailedPrecondition, Code::FailedPrecondition),
        (Meaning::PermissionDenied, Code::PermissionDenied),
        (Meaning::NotFound, Code::NotFound),
        (Meaning::AlreadyExists, Code::AlreadyExists),
        (Meaning::Conflict, Code::Aborted),
        (Meaning::RateLimited, Code::ResourceExhausted),
        (Meaning::Internal, Code::Internal),
        (Meaning::Unavailable, Code::Unavailable),
        (Meaning::Timeout, Code::DeadlineExceeded),
        (Meaning::Unimplemented, Code::Unimplemented),
        (Meaning::Misdirected, Code::Internal),
        (Meaning::Unknown, Code::Unknown),
        (Meaning::Unauthenticated, Code::Internal),
    ] {
        let failure = PartnerFailure { meaning: Some(meaning), ..failure(418) };
        assert_eq!(status(&refused(failure, Outcome::Rejected), READ).code(), code, "{meaning:?}");
    }
}

/// 422 is the caller's fault only when the partner says which field.
#[test]
fn unprocessable_with_a_field_is_an_invalid_argument_with_its_proto_path() {
    let field = |field: &str| FieldFailure {
        field: field.to_owned(),
        code: "invalid_field".to_owned(),
        message: "Value is invalid".to_owned(),
        is_inferred: false,
    };
    let with_fields = PartnerFailure {
        fields: vec![field("onboarding.businessCity"), field("other")],
        ..failure(422)
    };
    let create = "/trolley.v1.SubmerchantService/CreateSubmerchant";
    let status = status(&refused(with_fields, Outcome::Rejected), create);
    assert_eq!(status.code(), Code::InvalidArgument);
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "onboarding.business_city");
    assert_eq!(violations[0].reason, "INVALID_FIELD");
    assert_eq!(violations[1].field, "other");

    let without =
        of_error(&refused(failure(422), Outcome::Rejected), operation(create), Uuid::nil());
    assert_eq!(without.code(), Code::FailedPrecondition);
}

/// G2: what fails between the gateway and its own plumbing never looks like an answer
/// about the caller's request or resource.
#[test]
fn failures_of_the_plumbing_are_internal_or_unavailable() {
    for kind in [
        Kind::Unreachable,
        Kind::Internal,
        Kind::ShuttingDown,
        Kind::TokenUnavailable { permanent: true },
        Kind::TokenUnavailable { permanent: false },
        Kind::CredentialsRejected(failure(401), Refused::Gateways),
        Kind::BadResponse { status: StatusCode::OK, problem: "it is not JSON".to_owned() },
    ] {
        let code = status(&Error::new(kind.clone(), Outcome::NotSent), READ).code();
        assert!(matches!(code, Code::Internal | Code::Unavailable), "{kind:?}: {code:?}");
    }
}

/// G12
#[test]
fn each_case_has_its_own_detail() {
    let violation = Violation {
        field: "merchant.name".into(),
        description: "must be given".into(),
        reason: "REQUIRED",
    };
    let invalid = status(&Error::invalid(vec![violation]), WRITE);
    assert_eq!(invalid.code(), Code::InvalidArgument);
    let bad_request = invalid.get_details_bad_request().unwrap();
    assert_eq!(bad_request.field_violations[0].field, "merchant.name");
    assert_eq!(invalid.get_details_error_info().unwrap().metadata["outcome"], "NOT_SENT");

    let missing = Error::new(Kind::CredentialMissing { help: "add it".into() }, Outcome::NotSent);
    let missing = status(&missing, READ);
    assert_eq!(missing.code(), Code::FailedPrecondition);
    assert_eq!(missing.get_details_error_info().unwrap().domain, DOMAIN);
    assert!(missing.get_details_precondition_failure().is_some());

    let not_found = status(&refused(failure(404), Outcome::Rejected), READ);
    assert_eq!(not_found.get_details_resource_info().unwrap().resource_type, "trolley.v1.Webhook");

    let conflict = status(&refused(failure(412), Outcome::Rejected), WRITE);
    assert_eq!(conflict.get_details_precondition_failure().unwrap().violations[0].r#type, "A_CODE");

    let refused = Error::new(Kind::TokenUnavailable { permanent: true }, Outcome::NotSent);
    assert!(status(&refused, READ).get_details_help().is_some());
}

/// G14: however much a partner says, the trailers stay small and keep their ErrorInfo.
#[test]
fn trailers_stay_below_the_limit() {
    let long = "ü".repeat(100_000);
    let field = FieldFailure {
        field: long.clone(),
        code: long.clone(),
        message: long.clone(),
        is_inferred: false,
    };
    let loud = PartnerFailure {
        code: Some(long.clone()),
        message: Some(long.clone()),
        fields: vec![field; 50],
        ..failure(400)
    };
    let error = refused(loud, Outcome::Rejected).with_partner_request_id(Some("x".repeat(128)));
    for path in [READ, WRITE_ONCE] {
        let status = status(&error, path);
        assert!(status.get_details_error_info().is_some());
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        let size: usize =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(size <= MAX_TRAILERS, "{size}");
    }
}

/// G9, G10: reasons and metadata keys are an API.
#[test]
fn reasons_have_the_form_that_callers_rely_on() {
    for reason in Reason::ALL {
        let text = reason.as_str();
        assert!(text.len() <= 63 && text.len() >= 3);
        assert!(
            text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
            "{text}"
        );
        assert!(!reason.description().is_empty());
    }
    let table: String = Reason::ALL
        .iter()
        .map(|r| format!("| `{}` | {:?} | {} |\n", r.as_str(), r.code(), r.description()))
        .collect();
    let documented = include_str!("../../../docs/errors.md");
    for row in table.lines() {
        assert!(documented.contains(row), "docs/errors.md lacks the row\n{row}");
    }
}

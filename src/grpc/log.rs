//! One line per call, and what its span says of its end.
//!
//! Whoever answers a call of a partner's leaves what it knows in the call's [`Report`]; the
//! edge tells it once the last of the answer has gone. So there is one line for every call,
//! also for one that was refused at the door, or whose caller went away.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tonic::Code;
use tracing::Span;
use uuid::Uuid;

use crate::call::Spent;
use crate::error::{Error, Kind, Outcome};
use crate::operation::{Binding, Operation};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{self, spans};

use super::reason::Reason;

/// What became of a call that did what it was asked for.
const SUCCEEDED: &str = "SUCCEEDED";

/// What the inside of the gateway knows of a call. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Report(Arc<Mutex<Facts>>);

#[derive(Clone, Debug, Default)]
struct Facts {
    /// Whose credential it was made with.
    account: Option<String>,
    end: Option<End>,
    failure: Option<Failure>,
}

/// How a call of a partner's ended.
#[derive(Clone, Debug)]
struct End {
    operation: &'static Operation,
    attempts: u32,
    spent: Spent,
    outcome: &'static str,
}

#[derive(Clone, Debug)]
struct Failure {
    reason: &'static str,
    http_status: Option<u16>,
    cause: Option<String>,
    /// A caller's own mistake, or a refusal of the partner's or the gateway's that callers
    /// have to live with.
    is_ordinary: bool,
}

/// A call that is over, as the edge saw it.
#[derive(Debug)]
pub struct Over<'a> {
    /// "package.Service/Method", or "other".
    pub rpc: &'static str,
    /// The gateway's id of it.
    pub id: Uuid,
    /// The name of its caller.
    pub caller: &'a str,
    /// How often its caller's library has made it before.
    pub previous_attempts: u32,
    /// The status that it ended with; [`Code::Cancelled`] if its caller was gone before.
    pub code: Code,
    /// From its arrival to its end.
    pub duration: Duration,
    /// Whether it is one of very many that nobody looks for.
    pub is_quiet: bool,
}

// === impl Report ===

impl Report {
    /// Whose credential the call is made with, if that is an account: a user is a person.
    pub(super) fn note_account(&self, operation: &Operation, account: Option<&str>) {
        let is_user = operation.bindings.iter().any(|it| matches!(it, Binding::User(_)));
        let account = account.filter(|_| !is_user).map(str::to_owned);
        self.change(|facts| facts.account = account);
    }

    /// The call has been answered.
    pub(super) fn answered(&self, operation: &'static Operation, attempts: u32, spent: Spent) {
        let end = End { operation, attempts, spent, outcome: SUCCEEDED };
        self.change(|facts| facts.end = Some(end));
    }

    /// The call has failed, after `attempts` of all its parts.
    pub(super) fn failed(
        &self,
        operation: &'static Operation,
        error: &Error,
        attempts: u32,
        spent: Spent,
    ) {
        let end = End { operation, attempts, spent, outcome: error.outcome().as_str() };
        let reason = Reason::of(error, operation);
        // Asking again tells the outcome of what is under way.
        let may_have_acted = operation.is_write()
            && error.outcome() == Outcome::Unknown
            && reason != Reason::RequestInFlight;
        let failure = Failure::new(error, reason, may_have_acted);
        self.change(|facts| (facts.end, facts.failure) = (Some(end), Some(failure)));
    }

    /// A call of the gateway's own services has failed.
    pub(super) fn failed_here(&self, error: &Error) {
        let failure = Failure::new(error, Reason::of_own(error), false);
        self.change(|facts| facts.failure = Some(failure));
    }

    /// The edge refuses the call, or gives it up. What was known before says more.
    pub fn refused(&self, reason: Reason) {
        let refusal = Failure {
            reason: reason.as_str(),
            http_status: None,
            cause: None,
            // An rpc that nobody serves is its caller's mistake.
            is_ordinary: !is_fault(reason.code()) || reason.code() == Code::Unimplemented,
        };
        self.change(|facts| {
            facts.failure.get_or_insert(refusal);
        });
    }

    /// Tells how the call ended: its line, its span, and what is counted of it.
    pub fn conclude(&self, over: &Over<'_>, span: &Span, metrics: &Metrics) {
        let facts = self.change(std::mem::take);
        if let Some(end) = &facts.end {
            let trace = telemetry::kept_trace_id(span);
            metrics.call_told(end.operation, end.outcome, &end.spent, trace);
        }
        record(&facts, over.code, span);
        line(&facts, over, span);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Failure ===

impl Failure {
    /// A write that `may_have_acted` is for somebody to look at, whatever it failed for.
    fn new(error: &Error, reason: Reason, may_have_acted: bool) -> Self {
        // A partner's words may be about a person: status and reason tell enough.
        let is_partners = matches!(error.kind(), Kind::Partner(_));
        Self {
            reason: reason.as_str(),
            http_status: error.http_status().map(|status| status.as_u16()),
            cause: (!is_partners).then(|| Chain(error).to_string()),
            is_ordinary: !is_fault(reason.code()) && !may_have_acted,
        }
    }
}

fn record(facts: &Facts, code: Code, span: &Span) {
    span.record("rpc.grpc.status_code", i64::from(i32::from(code)));
    if is_fault(code) {
        span.record("otel.status_code", "error");
    }
    if let Some(account) = &facts.account {
        span.record("gateway.account", account);
    }
    if let Some(failure) = &facts.failure {
        span.record("gateway.reason", failure.reason);
    }
    let Some(end) = &facts.end else { return };
    span.record("gateway.partner", &*end.operation.partner);
    span.record("gateway.attempts", i64::from(end.attempts));
    span.record("gateway.outcome", end.outcome);
    spans::record_spent(span, &end.spent);
}

/// Failures that somebody must look at are warnings; a caller's own mistakes and ordinary
/// refusals are not.
fn line(facts: &Facts, over: &Over<'_>, span: &Span) {
    let (rpc, caller, request_id) = (over.rpc, over.caller, over.id);
    let (code, duration) = (name(over.code), over.duration.as_secs_f64());
    let previous_attempts = Some(over.previous_attempts).filter(|count| *count > 0);
    let trace_id = telemetry::trace_id(span).map(|id| id.to_string());
    let account = facts.account.as_deref();
    let end = facts.end.as_ref();
    let (attempts, outcome) = (end.map(|end| end.attempts), end.map(|end| end.outcome));
    let spent = |part: fn(&Spent) -> Duration| end.map(|end| part(&end.spent).as_secs_f64());
    let failure = facts.failure.as_ref();
    let reason = failure.map(|failure| failure.reason);
    let http_status = failure.and_then(|failure| failure.http_status);
    let is_ordinary = failure.map_or(!is_fault(over.code), |failure| failure.is_ordinary);
    // An ordinary refusal is told in words that may be its caller's, who has them.
    let error = failure.filter(|_| !is_ordinary).and_then(|failure| failure.cause.as_deref());
    macro_rules! line {
        ($level:ident, $text:literal) => {
            tracing::$level!(
                // The span would say it all again.
                parent: None,
                rpc, caller, account, code, outcome, reason, attempts, previous_attempts,
                duration, spent.queue = spent(|it| it.queue), spent.token = spent(|it| it.token),
                spent.store = spent(|it| it.store), spent.attempts = spent(|it| it.attempts),
                spent.backoff = spent(|it| it.backoff), %request_id, trace_id, http_status,
                error, $text
            )
        };
    }
    match over.code {
        _ if over.is_quiet => line!(debug, "call answered"),
        Code::Ok => line!(info, "call answered"),
        Code::Cancelled if failure.is_none() => line!(info, "call abandoned"),
        _ if is_ordinary => line!(info, "call refused"),
        _ => line!(warn, "call failed"),
    }
}

/// Whether the conventions take a code for a fault of the server's.
fn is_fault(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

/// The name of a code as gRPC's documents have it.
pub fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// An error and its causes, on one line.
pub(super) struct Chain<'a>(pub(super) &'a Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

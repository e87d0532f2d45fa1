//! A caller's message becomes the parts of an HTTP request.
//!
//! Every rule of the contract is checked on the way, and all that is broken is
//! reported together. What a caller sends reaches the partner only where the contract
//! says: as one encoded path segment, one query value, one header value or inside the
//! body.

mod additional;
mod body;
mod check;
mod form;
mod report;
mod single;
mod target;

use std::fmt;

use http::HeaderMap;
use uuid::Uuid;

use crate::call::Body;
use crate::error::Violation;
use crate::operation::{Binding, Message, Operation, Schema};

use super::scalar::NoForm;
use super::slots::{Frame, Slots};
use super::wire::{Raw, put_bytes};

use report::Report;

/// The parts of an HTTP request, and what the message says to the gateway itself.
#[derive(Clone)]
pub struct Request {
    /// Path and query, percent-encoded.
    pub target: String,
    /// Headers that the contract binds.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Body>,
    /// The sub-account or the end user whose credential is used.
    pub account: Option<String>,
    /// The caller's idempotency key.
    pub request_id: Option<Uuid>,
    /// Fields of the reply that the partner may leave out, encoded: a reply's own come
    /// after them and win.
    pub echo: Vec<u8>,
}

// What a caller asks may name people, and a header may be a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("body", &self.body).finish_non_exhaustive()
    }
}

/// Transcodes the encoded request `message` of `operation`.
///
/// # Errors
/// Every rule of the contract that it breaks; one with an empty field path when the
/// bytes are not a message of the request's type.
pub fn request(operation: &Operation, message: &[u8]) -> Result<Request, Vec<Violation>> {
    let table = operation.request();
    let mut writer = Writer {
        operation,
        schema: operation.schema,
        slots: Slots::with_room_for(table),
        report: Report::default(),
    };
    let frame = writer.slots.enter(table);
    if writer.slots.scan(frame, table, message).is_err() {
        writer.report.no_form("", NoForm::Malformed);
        return Err(writer.report.into_violations());
    }
    let request = writer.request(table, frame, message.len());
    let violations = writer.report.into_violations();
    if violations.is_empty() { Ok(request) } else { Err(violations) }
}

/// Writes the fields of a message to where the contract binds them.
struct Writer<'a> {
    operation: &'a Operation,
    schema: &'static Schema,
    slots: Slots<'a>,
    report: Report<'a>,
}

// === impl Writer ===

impl Writer<'_> {
    fn request(&mut self, table: &'static Message, frame: Frame, size: usize) -> Request {
        self.check(table, frame);
        let mut request = Request {
            target: self.path(table, frame),
            headers: HeaderMap::new(),
            body: self.body(table, frame, size),
            account: None,
            request_id: None,
            echo: Vec::new(),
        };
        let mut query = String::new();
        for (index, (field, binding)) in
            table.fields.iter().zip(&self.operation.bindings).enumerate()
        {
            let Some(raw) = self.set(field, frame, index) else { continue };
            match binding {
                Binding::Query => self.pairs(field, frame, index, &mut query),
                Binding::Header(name) => self.header(field, name, raw, &mut request.headers),
                Binding::Account => request.account = self.account(field, raw),
                Binding::User(name) => {
                    request.account = self.account(field, raw);
                    if request.account.is_some() {
                        self.header(field, name, raw, &mut request.headers);
                    }
                }
                Binding::RequestId => request.request_id = self.uuid(field, raw),
                Binding::Path | Binding::Body | Binding::WholeBody => {}
            }
        }
        if !query.is_empty() {
            request.target.push('?');
            request.target.push_str(&query);
        }
        self.echo(frame, &mut request.echo);
        request
    }

    fn echo(&self, frame: Frame, out: &mut Vec<u8>) {
        let reply = self.operation.reply();
        for (from, to) in &self.operation.echo {
            let to = reply.fields.get(*to);
            if let (Some(Raw::Bytes(value)), Some(to)) = (self.slots.last(frame, *from), to) {
                put_bytes(to.number, value, out);
            }
        }
    }
}

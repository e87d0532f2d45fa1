//! One request to a partner, from its raw bytes to the bytes of its answer: journal, fault,
//! partner, in this order. The only place that knows both what a partner answers and what the
//! fault makes of it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::fault::{Fault, Headers, RetryAfter, body};
use super::partner::{Answer, Partner, Received};
use super::server::Connection;
use super::{Simulator, control, webhook};

const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// How much of a request's body arrived.
enum Arrival {
    Whole(Bytes),
    TooLong,
    BrokenOff,
}

/// A request on its way through a partner.
struct Exchange<'a> {
    simulator: &'a Simulator,
    partner: &'a dyn Partner,
    request: Received,
    sequence: u64,
    connection: Option<Connection>,
}

/// Answers everything outside the control interface.
pub(crate) async fn receive(State(simulator): State<Simulator>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some((partner, path)) = mounted(&simulator, parts.uri.path()) else {
        return control::not_found(parts.uri.path());
    };
    let arrival = read(body).await;
    let request = Received {
        path: path.to_owned(),
        query: parts.uri.query().map(str::to_owned),
        body: if let Arrival::Whole(bytes) = &arrival { bytes.clone() } else { Bytes::new() },
        method: parts.method,
        headers: parts.headers,
    };
    let fault = match arrival {
        Arrival::Whole(_) => simulator.faults().take(partner.name(), &request.method, path),
        Arrival::TooLong | Arrival::BrokenOff => None,
    };
    let (time, kind) = (simulator.clock().now(), fault.as_ref().map(Fault::kind));
    let sequence = simulator.journal().open(partner.name(), time, &request, kind);
    let connection = parts.extensions.get::<Connection>().cloned();
    let exchange = Exchange { simulator: &simulator, partner, request, sequence, connection };
    match arrival {
        Arrival::Whole(_) => exchange.play(fault).await,
        Arrival::TooLong => exchange.reply(exchange.refusal(StatusCode::PAYLOAD_TOO_LARGE)),
        Arrival::BrokenOff => exchange.drop_connection().await,
    }
}

// === impl Exchange ===

impl Exchange<'_> {
    async fn play(&self, fault: Option<Fault>) -> Response {
        match fault {
            None => self.reply(self.act().await),
            Some(Fault::ExpireTokens {}) => {
                self.partner.expire_tokens();
                self.reply(self.act().await)
            }
            Some(Fault::Delay { millis, act_first }) => self.delay(millis, act_first).await,
            Some(Fault::DropBefore {}) => self.drop_connection().await,
            Some(Fault::DropAfter {}) => {
                self.act().await;
                self.drop_connection().await
            }
            Some(Fault::RateLimited { retry_after, reset_after, headers }) => {
                let answer = self.partner.rate_limited(&self.request, reset_after);
                self.reply(with_headers(with_retry_after(answer, retry_after), &headers))
            }
            Some(Fault::Status { status, headers, body, text, act }) => {
                if act {
                    self.act().await;
                }
                let status = StatusCode::from_u16(status).unwrap_or_default();
                let answer = match (body, text) {
                    (Some(body), _) => Answer::json(status, &body),
                    (None, Some(text)) => Answer::bytes(status, "text/plain", text.into_bytes()),
                    (None, None) => self.refusal(status),
                };
                self.reply(with_headers(answer, &headers))
            }
            Some(spoilt) => self.spoil(self.act().await, &spoilt),
        }
    }

    /// Carries out the operation and notes its effect before anything can cut the exchange short.
    async fn act(&self) -> Answer {
        let mut answer = self.partner.answer(&self.request);
        self.simulator.journal().note_acted(self.sequence, answer.acted);
        if let Some(probe) = answer.probe.take() {
            let outcome = webhook::send(&probe).await;
            tracing::debug!(url = probe.url, ?outcome, "probed a new webhook");
        }
        answer
    }

    async fn delay(&self, millis: u64, act_first: bool) -> Response {
        let early = if act_first { Some(self.act().await) } else { None };
        tokio::time::sleep(Duration::from_millis(millis)).await;
        match early {
            Some(answer) => self.reply(answer),
            None => self.reply(self.act().await),
        }
    }

    fn refusal(&self, status: StatusCode) -> Answer {
        self.partner.refusal(&self.request, status)
    }

    fn reply(&self, answer: Answer) -> Response {
        let body = Body::from(answer.body.clone());
        self.send(answer, body)
    }

    fn send(&self, answer: Answer, body: Body) -> Response {
        self.simulator.journal().note_status(self.sequence, answer.status);
        let mut response = Response::new(body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response
    }

    /// Sends the answer in a way that breaks the rules of HTTP, JSON or good manners.
    fn spoil(&self, mut answer: Answer, fault: &Fault) -> Response {
        let whole = answer.body.clone();
        let start = |count: usize| whole.slice(..count.min(whole.len()));
        let (declared, body) = match *fault {
            Fault::Truncate { after_bytes } => {
                let start = start(after_bytes);
                (Some(whole.len().max(start.len() + 1)), body::broken_after(start))
            }
            Fault::Stall { after_bytes } => {
                let start = start(after_bytes);
                (Some(whole.len().max(start.len() + 1)), body::stalled_after(start))
            }
            Fault::Drip { chunk_bytes, interval_millis } => {
                let interval = Duration::from_millis(interval_millis);
                (Some(whole.len()), body::dripped(whole, chunk_bytes.get(), interval))
            }
            Fault::Oversize { bytes } => (usize::try_from(bytes).ok(), body::oversize(bytes)),
            Fault::GzipBomb { megabytes } => {
                answer.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                (None, body::gzip_bomb(megabytes))
            }
            _ => (None, malformed(&whole)),
        };
        if !matches!(fault, Fault::Truncate { .. } | Fault::Stall { .. } | Fault::Drip { .. }) {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            answer.headers.insert(CONTENT_TYPE, json);
        }
        if let Some(length) = declared {
            answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        self.send(answer, body)
    }

    /// Closes the connection without an answer. Others on the same HTTP/2 connection end with it,
    /// as they would.
    async fn drop_connection(&self) -> Response {
        match &self.connection {
            Some(connection) => {
                connection.close();
                std::future::pending().await
            }
            None => Response::new(body::broken_after(Bytes::new())),
        }
    }
}

/// The partner that a path belongs to, and the rest of the path.
fn mounted<'a, 'b>(simulator: &'a Simulator, path: &'b str) -> Option<(&'a dyn Partner, &'b str)> {
    let below = path.strip_prefix('/')?;
    let (name, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
    Some((simulator.partner(name)?, rest))
}

async fn read(body: Body) -> Arrival {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(whole) => Arrival::Whole(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Arrival::TooLong,
        Err(_) => Arrival::BrokenOff,
    }
}

// A comma where the last bracket should be: wrong only for a reader that reads to the end.
fn malformed(whole: &Bytes) -> Body {
    let kept = whole.len().saturating_sub(1);
    let mut text = whole.slice(..kept).to_vec();
    text.extend_from_slice(if text.is_empty() { b"{," } else { b"," });
    Body::from(text)
}

fn with_retry_after(answer: Answer, retry_after: Option<RetryAfter>) -> Answer {
    match retry_after {
        Some(RetryAfter::Seconds(seconds)) => {
            answer.with_header("retry-after", &seconds.to_string())
        }
        Some(RetryAfter::Text(text)) => answer.with_header("retry-after", &text),
        None => answer,
    }
}

fn with_headers(mut answer: Answer, headers: &Headers) -> Answer {
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            answer.headers.insert(name, value);
        }
    }
    answer
}

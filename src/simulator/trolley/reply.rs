//! What all of Trolley's exchanges share: reading a JSON body, and the headers of every answer.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::partner::{Answer, Received};
use super::super::random;
use super::limit::Window;
use super::refusal::Refusal;
use super::settings::Switches;

/// The body as an object. None at all reads as an empty object, as clients of this API send either.
pub(crate) fn body(request: &Received) -> Result<Map<String, Value>, Refusal> {
    if request.body.is_empty() {
        return Ok(Map::new());
    }
    if !request.has_media_type("application/json") {
        return Err(Refusal::unreadable("Content-Type must be application/json"));
    }
    serde_json::from_slice(&request.body).map_err(|_| Refusal::unreadable("Invalid JSON"))
}

/// The refusal of a request over the limit.
pub(crate) fn rate_limited(switches: &Switches, window: &Window, now: Timestamp) -> Answer {
    let answer = Refusal::of(StatusCode::TOO_MANY_REQUESTS).answer(switches);
    if switches.retry_after_header {
        let wait = window.reset.saturating_sub(now.as_second()).max(0);
        return answer.with_header("retry-after", &wait.to_string());
    }
    answer
}

/// Adds the headers that recorded answers have, and the request id if it is assumed.
pub(crate) fn with_headers(answer: Answer, switches: &Switches, window: &Window) -> Answer {
    let answer = answer
        .with_header("cache-control", "no-store, no-cache, must-revalidate")
        .with_header("access-control-allow-origin", "*")
        .with_header("vary", "Origin")
        .with_header("x-rate-limit-limit", &window.limit.to_string())
        .with_header("x-rate-limit-remaining", &window.remaining.to_string())
        .with_header("x-rate-limit-reset", &window.reset.to_string());
    if switches.request_id_header {
        answer.with_header("x-request-id", &random::guid())
    } else {
        answer
    }
}

//! Statuses that tonic makes by itself, told as the gateway tells all others: with
//! details, and with the code that gRPC's own table has for it
//! (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>, G5, G9).

use http::{HeaderMap, Response};
use percent_encoding::percent_decode_str;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::grpc::reason::Reason;

use super::refusals::Refusals;

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const DETAILS: &str = "grpc-status-details-bin";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// Explains a response that is a status and nothing else.
pub(super) fn response(response: Response<Body>, refusals: &Refusals) -> Response<Body> {
    let Some(status) = explained(response.headers(), refusals) else { return response };
    let mut explained = status.into_http::<Body>();
    if let Some(encodings) = response.headers().get(ACCEPT_ENCODING) {
        explained.headers_mut().insert(ACCEPT_ENCODING, encodings.clone());
    }
    explained
}

/// Explains the status that ends a stream.
pub(super) fn trailers(trailers: HeaderMap, refusals: &Refusals) -> HeaderMap {
    let Some(status) = explained(&trailers, refusals) else { return trailers };
    let mut explained = HeaderMap::new();
    match status.add_header(&mut explained) {
        Ok(()) => explained,
        Err(_) => trailers,
    }
}

/// The status that these headers should tell; `None` when they tell it already.
fn explained(headers: &HeaderMap, refusals: &Refusals) -> Option<Status> {
    let code = Code::from_bytes(headers.get(STATUS)?.as_bytes());
    if code == Code::Ok || headers.contains_key(DETAILS) {
        return None;
    }
    let reason = match code {
        // Tonic's words for a message beyond the limit.
        Code::OutOfRange | Code::ResourceExhausted => Reason::MessageTooLarge,
        Code::Unimplemented if headers.contains_key(ACCEPT_ENCODING) => Reason::UnsupportedEncoding,
        Code::Unimplemented => Reason::UnknownRpc,
        Code::NotFound => Reason::NotFound,
        Code::InvalidArgument => Reason::InvalidRequest,
        _ => Reason::Internal,
    };
    let message = headers.get(MESSAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let message = percent_decode_str(message).decode_utf8_lossy();
    Some(match reason {
        // It may be the answer that tonic could not write.
        Reason::Internal => refusals.lost(reason, &message),
        _ => refusals.of(reason, &message),
    })
}

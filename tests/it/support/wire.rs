//! gRPC without a client library: what is sent is what the test says, and only the
//! server ends a call. tonic's client ends one by itself when `grpc-timeout` is over.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use serde_json::Value;
use tonic_types::{ErrorInfo, StatusExt as _};

use super::client::{self, method};

/// Sends HTTP/2 requests to a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    http: reqwest::Client,
    url: String,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) http_status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

// === impl Wire ===

impl Wire {
    pub(crate) fn to(address: SocketAddr) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let http = reqwest::Client::builder().http2_prior_knowledge().no_proxy().no_gzip();
        Self { http: http.build().unwrap(), url: format!("http://{address}") }
    }

    /// Posts `body` with these headers and no others.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Told {
        let mut request = self.http.post(format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        let answer = http::Response::from(request.send().await.unwrap());
        let (head, body) = answer.into_parts();
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let body = collected.to_bytes();
        Told { http_status: head.status, headers: head.headers, body, trailers }
    }

    /// A gRPC call with an encoded message.
    pub(crate) async fn send(&self, rpc: &str, message: &[u8], headers: &[(&str, &str)]) -> Told {
        let content_type = [("content-type", "application/grpc"), ("te", "trailers")];
        let headers = [&content_type, headers].concat();
        self.post(&format!("/{rpc}"), &headers, framed(0, message)).await
    }

    /// A gRPC call with a request in ProtoJSON.
    pub(crate) async fn call(&self, rpc: &str, request: Value, headers: &[(&str, &str)]) -> Told {
        self.send(rpc, &encoded(rpc, request), headers).await
    }
}

// === impl Told ===

impl Told {
    /// The gRPC status, from the trailers or, where there is nothing else, the headers.
    pub(crate) fn status(&self) -> tonic::Status {
        let told = [&self.trailers, &self.headers].into_iter();
        told.filter_map(tonic::Status::from_header_map)
            .next()
            .unwrap_or_else(|| panic!("no grpc-status: {self:?}"))
    }

    pub(crate) fn code(&self) -> tonic::Code {
        self.status().code()
    }

    pub(crate) fn error_info(&self) -> ErrorInfo {
        let status = self.status();
        status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"))
    }

    /// A metadata value, wherever it is.
    pub(crate) fn metadata(&self, name: &str) -> Option<&str> {
        self.headers.get(name).or_else(|| self.trailers.get(name)).map(|v| v.to_str().unwrap())
    }

    /// The flag and the bytes of the only message.
    pub(crate) fn message(&self) -> (u8, &[u8]) {
        let length = u32::from_be_bytes(self.body[1..5].try_into().unwrap());
        assert_eq!(self.body.len(), 5 + usize::try_from(length).unwrap(), "one message");
        (self.body[0], &self.body[5..])
    }
}

/// A message with gRPC's prefix.
pub(crate) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag], &length.to_be_bytes()[..], message].concat()
}

/// The request of an rpc, from ProtoJSON.
pub(crate) fn encoded(rpc: &str, request: Value) -> Vec<u8> {
    DynamicMessage::deserialize(method(rpc).input(), request).unwrap().encode_to_vec()
}

/// The reply of an rpc, as ProtoJSON.
pub(crate) fn decoded(rpc: &str, reply: &[u8]) -> Value {
    client::json(&DynamicMessage::decode(method(rpc).output(), reply).unwrap())
}

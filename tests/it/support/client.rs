//! A gRPC client for any rpc of the contract: tonic's channel, prost-reflect's messages.

use std::net::SocketAddr;
use std::sync::LazyLock;

use bytes::{Buf, BufMut};
use partner_gateway::operation::catalogue::DESCRIPTORS;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::Value;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap());

/// The contract, as a client has it.
pub(crate) fn pool() -> &'static DescriptorPool {
    &POOL
}

/// An answered call: the reply as ProtoJSON, and the metadata of headers and trailers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Value,
    pub(crate) metadata: MetadataMap,
}

/// Calls any rpc by name.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    channel: Channel,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let channel =
            Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self { channel }
    }

    /// Calls `rpc` ("package.Service/Method") with a ProtoJSON request.
    pub(crate) async fn call(&self, rpc: &str, request: Value) -> Result<Answer, Status> {
        self.call_with(rpc, Request::new(request)).await
    }

    /// The same, with metadata and a deadline.
    pub(crate) async fn call_with(
        &self,
        rpc: &str,
        request: Request<Value>,
    ) -> Result<Answer, Status> {
        let method = method(rpc);
        let request = request.map(|json| message(&method, json));
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = format!("/{rpc}").parse().unwrap();
        let response = grpc.unary(request, path, DynamicCodec(method)).await?;
        let metadata = response.metadata().clone();
        Ok(Answer { reply: json(response.get_ref()), metadata })
    }

    /// Calls a server-streaming `rpc`: every message that came, and how the stream ended.
    pub(crate) async fn stream(
        &self,
        rpc: &str,
        request: Request<Value>,
    ) -> (Vec<Value>, Result<(), Status>) {
        let mut messages = Vec::new();
        let mut stream = match self.open(rpc, request).await {
            Ok(stream) => stream,
            Err(status) => return (messages, Err(status)),
        };
        loop {
            match stream.message().await {
                Ok(Some(message)) => messages.push(json(&message)),
                Ok(None) => return (messages, Ok(())),
                Err(status) => return (messages, Err(status)),
            }
        }
    }

    /// Begins a server-streaming `rpc`, to be read a message at a time.
    pub(crate) async fn open(
        &self,
        rpc: &str,
        request: Request<Value>,
    ) -> Result<Streaming<DynamicMessage>, Status> {
        let method = method(rpc);
        let request = request.map(|json| message(&method, json));
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = format!("/{rpc}").parse().unwrap();
        let response = grpc.server_streaming(request, path, DynamicCodec(method)).await?;
        Ok(response.into_inner())
    }
}

/// The descriptor of an rpc.
pub(crate) fn method(rpc: &str) -> MethodDescriptor {
    let (service, method) = rpc.split_once('/').unwrap();
    let service =
        POOL.get_service_by_name(service).unwrap_or_else(|| panic!("no service {service}"));
    service.methods().find(|m| m.name() == method).unwrap_or_else(|| panic!("no rpc {rpc}"))
}

fn message(method: &MethodDescriptor, json: Value) -> DynamicMessage {
    DynamicMessage::deserialize(method.input(), json).unwrap()
}

/// ProtoJSON, as the fixtures have it.
pub(crate) fn json(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new();
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

struct DynamicCodec(MethodDescriptor);

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = DynamicCodec;

    fn encoder(&mut self) -> DynamicEncoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> DynamicCodec {
        DynamicCodec(self.0.clone())
    }
}

struct DynamicEncoder;

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item.encode_to_vec().as_slice());
        Ok(())
    }
}

impl Decoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        DynamicMessage::decode(self.0.output(), bytes)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

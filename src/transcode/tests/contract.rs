//! The contracts under test, and short ways to send through them.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, SerializeOptions,
};
use serde_json::Value;

use crate::error::Violation;
use crate::operation::catalogue::DESCRIPTORS;
use crate::operation::{Catalogue, Operation, check};
use crate::transcode::{Request, reply, request};

/// A contract as descriptors, for the oracle, and as tables, for the transcoder.
pub(super) struct Contract {
    pub(super) pool: DescriptorPool,
    pub(super) catalogue: Catalogue,
}

static TEST: LazyLock<Contract> = LazyLock::new(|| {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders = [format!("{root}/src/transcode/tests"), format!("{root}/proto")];
    let mut compiler = protox::Compiler::new(folders).unwrap();
    compiler.include_imports(true).open_file("contract.proto").unwrap();
    Contract::of(compiler.descriptor_pool())
});

static EMBEDDED: LazyLock<Contract> =
    LazyLock::new(|| Contract::of(DescriptorPool::decode(DESCRIPTORS).unwrap()));

/// The test contract beside this file.
pub(super) fn test() -> &'static Contract {
    &TEST
}

/// The contract that is served.
pub(super) fn embedded() -> &'static Contract {
    &EMBEDDED
}

/// Every operation of both contracts, with its contract.
pub(super) fn all() -> Vec<(&'static Contract, &'static Operation)> {
    let of = |contract: &'static Contract| {
        contract.catalogue.operations().iter().map(move |operation| (contract, *operation))
    };
    of(test()).chain(of(embedded())).collect()
}

impl Contract {
    fn of(pool: DescriptorPool) -> Self {
        assert_eq!(check::check(&pool), []);
        let catalogue = Catalogue::from_pool(&pool).unwrap();
        Self { pool, catalogue }
    }

    pub(super) fn method(&self, operation: &Operation) -> MethodDescriptor {
        let service = self.pool.get_service_by_name(&operation.service).unwrap();
        service.methods().find(|method| method.name() == operation.name).unwrap()
    }
}

/// An operation of the test contract.
pub(super) fn operation(name: &str) -> &'static Operation {
    let path = format!("/test.v1.TestService/{name}");
    test().catalogue.by_path(&path).unwrap_or_else(|| panic!("no rpc {name}"))
}

/// A message of the test contract, from its ProtoJSON.
pub(super) fn message(descriptor: MessageDescriptor, proto_json: &str) -> DynamicMessage {
    let mut json = serde_json::Deserializer::from_str(proto_json);
    DynamicMessage::deserialize(descriptor, &mut json)
        .unwrap_or_else(|e| panic!("{proto_json}: {e}"))
}

/// Sends a request of the test contract, given as ProtoJSON.
pub(super) fn send(name: &str, proto_json: &str) -> Result<Request, Vec<Violation>> {
    let operation = operation(name);
    let input = test().method(operation).input();
    request(operation, &message(input, proto_json).encode_to_vec())
}

/// The body that a request becomes.
pub(super) fn body_of(name: &str, proto_json: &str) -> String {
    let request = send(name, proto_json).unwrap_or_else(|e| panic!("{proto_json}: {e:?}"));
    String::from_utf8(request.body.unwrap().bytes.to_vec()).unwrap()
}

/// The fields and reasons of a request's violations.
pub(super) fn violations(name: &str, proto_json: &str) -> Vec<(String, &'static str)> {
    let violations = send(name, proto_json).expect_err("a violation");
    violations.into_iter().map(|violation| (violation.field, violation.reason)).collect()
}

/// What a partner's answer becomes, as ProtoJSON, and its drift.
pub(super) fn read_all(name: &str, json: &str) -> (Value, u64) {
    let operation = operation(name);
    let decoded = reply(operation, json.as_bytes(), &[]).unwrap_or_else(|e| panic!("{json}: {e}"));
    let output = test().method(operation).output();
    let message = DynamicMessage::decode(output, decoded.message.as_slice()).unwrap();
    (proto_json(&message), decoded.drift)
}

/// What a partner's answer becomes, as ProtoJSON.
pub(super) fn read(name: &str, json: &str) -> Value {
    read_all(name, json).0
}

/// Why a partner's answer is not read.
pub(super) fn refusal(name: &str, json: impl AsRef<[u8]>) -> Option<String> {
    reply(operation(name), json.as_ref(), &[]).err().map(|error| error.to_string())
}

/// ProtoJSON with 64-bit integers as numbers, by prost-reflect.
pub(super) fn proto_json(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new().stringify_64_bit_integers(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

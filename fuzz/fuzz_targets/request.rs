//! Any bytes as a caller's request of any operation: transcoded or refused, never a
//! panic; what is transcoded stays in its path and is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use partner_gateway::operation::{Catalogue, Encoding};
use partner_gateway::transcode;

fuzz_target!(|input: &[u8]| {
    let Some((chosen, message)) = input.split_first() else { return };
    let operations = Catalogue::embedded().expect("the build has checked it").operations();
    let operation = operations[usize::from(*chosen) % operations.len()];
    let Ok(request) = transcode::request(operation, message) else { return };
    let path = request.target.split('?').next().unwrap_or_default();
    assert_eq!(path.matches('/').count(), operation.path.as_str().matches('/').count());
    assert!(request.target.bytes().all(|byte| byte.is_ascii_graphic()));
    if let (Some(body), Encoding::Json) = (request.body, operation.encoding) {
        assert!(serde_json::from_slice::<&serde_json::value::RawValue>(&body.bytes).is_ok());
    }
});

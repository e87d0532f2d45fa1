//! Any bytes as a partner's answer to any operation: read or unreadable, never a panic,
//! and never a success when they are no JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use partner_gateway::operation::Catalogue;
use partner_gateway::transcode;

fuzz_target!(|input: &[u8]| {
    let Some((chosen, body)) = input.split_first() else { return };
    let operations = Catalogue::embedded().expect("the build has checked it").operations();
    let operation = operations[usize::from(*chosen) % operations.len()];
    if transcode::reply(operation, body, &[]).is_ok() {
        let json = body.trim_ascii();
        let is_empty = json.is_empty() && operation.empty_reply;
        assert!(is_empty || serde_json::from_slice::<&serde_json::value::RawValue>(json).is_ok());
    }
});

//! Free members that a client keeps with a transaction. The limits are assumptions: only their
//! codes are documented.

use serde_json::{Map, Value};

use super::super::call::{Call, Document, Outcome, Route};
use super::super::refusal::Refusal;
use super::store;

pub(crate) const ROUTES: &[Route] = &[
    Route("GET", "/p2p/transactions/{transaction_id}/metadata", get),
    Route("POST", "/p2p/transactions/{transaction_id}/metadata", set),
];

const FIELDS: usize = 50;
const NAME_LENGTH: usize = 40;
const VALUE_LENGTH: usize = 500;

fn get(call: &mut Call<'_>) -> Outcome {
    let metadata = &store::own(call)?.metadata;
    Ok(Document::of(metadata))
}

fn set(call: &mut Call<'_>) -> Outcome {
    let metadata = call.input.body.clone();
    if let Some(code) = offence(&metadata) {
        return Err(Refusal::invalid(code));
    }
    let transaction = store::own(call)?;
    transaction.metadata = metadata;
    Ok(Document::of(&transaction.metadata))
}

fn offence(metadata: &Map<String, Value>) -> Option<&'static str> {
    if metadata.is_empty() {
        return Some("empty_json");
    }
    if metadata.len() > FIELDS {
        return Some("too_many_metadata_fields");
    }
    metadata.iter().find_map(|(name, value)| {
        if name.len() > NAME_LENGTH {
            return Some("field_name_too_long");
        }
        match value {
            Value::Array(_) | Value::Object(_) => Some("json_type_not_allowed"),
            Value::String(text) if text.len() > VALUE_LENGTH => Some("value_too_long"),
            _ => None,
        }
    })
}

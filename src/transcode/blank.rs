//! A reply without its secrets: for a key that the gateway keeps and no caller shall see.
//!
//! Fields that the contract marks as secret are left out, in messages within the message
//! as well, and so are members of their names that did not fit their field and are kept
//! in `additional_fields`. Everything else stays as it was, byte for byte.

use crate::operation::{Field, Kind, Message, Operation, Schema, Shape};

use super::wire::read_field;
use super::wire::{Malformed, Raw, close, open, put_bytes, put_fixed32, put_fixed64, put_varint};

/// The encoded reply of `operation` without its secrets. Bytes that are no such message
/// give an empty one: better too little than a secret.
pub fn without_secrets(operation: &Operation, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    match copy(operation.schema, operation.reply(), message, &mut out) {
        Ok(()) => out,
        Err(Malformed) => Vec::new(),
    }
}

fn copy(
    schema: &'static Schema,
    table: &'static Message,
    mut rest: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    while !rest.is_empty() {
        let (number, value) = read_field(&mut rest)?;
        let field = table.index_of_number(number).and_then(|index| table.fields.get(index));
        match (value, field) {
            (_, Some(field)) if field.secret => {}
            (Raw::Bytes(bytes), Some(Field { kind: Kind::Message(id), shape, .. }))
                if *shape != Shape::Map =>
            {
                let start = open(number, out);
                copy(schema, schema.message(*id), bytes, out)?;
                close(start, out);
            }
            (Raw::Bytes(bytes), None) if table.additional == Some(number) => {
                let start = open(number, out);
                copy_additional(table, bytes, out)?;
                close(start, out);
            }
            (Raw::Bytes(bytes), _) => put_bytes(number, bytes, out),
            (Raw::Varint(value), _) => put_varint(number, value, out),
            (Raw::Fixed64(value), _) => put_fixed64(number, value, out),
            (Raw::Fixed32(value), _) => put_fixed32(number, value, out),
        }
    }
    Ok(())
}

/// Copies the entries of a `google.protobuf.Struct` but those of secret members.
fn copy_additional(table: &Message, mut rest: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    while !rest.is_empty() {
        let (number, Raw::Bytes(entry)) = read_field(&mut rest)? else { return Err(Malformed) };
        if !is_secret(table, entry)? {
            put_bytes(number, entry, out);
        }
    }
    Ok(())
}

/// Whether an entry's name is that of a secret field. The name is the entry's first field.
fn is_secret(table: &Message, mut entry: &[u8]) -> Result<bool, Malformed> {
    const NAME: u32 = 1;
    let (NAME, Raw::Bytes(name)) = read_field(&mut entry)? else { return Err(Malformed) };
    let name = std::str::from_utf8(name).map_err(|_| Malformed)?;
    let field = table.index_of_wire_name(name, 0).and_then(|index| table.fields.get(index));
    Ok(field.is_some_and(|field| field.secret))
}

#[cfg(test)]
mod tests {
    use prost_reflect::{DescriptorPool, DynamicMessage};
    use serde_json::Value;

    use super::*;
    use crate::operation::Catalogue;
    use crate::operation::catalogue::DESCRIPTORS;
    use crate::transcode::reply;

    const RPC: &str = "/trolley.v1.SubmerchantService/CreateSubmerchant";

    fn blanked(json: &str) -> Value {
        let operation = Catalogue::embedded().unwrap().by_path(RPC).unwrap();
        let decoded = reply(operation, json.as_bytes(), &[]).unwrap();
        let message = without_secrets(operation, &decoded.message);
        let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
        let descriptor = pool.get_message_by_name(&operation.reply().name).unwrap();
        serde_json::to_value(DynamicMessage::decode(descriptor, &message[..]).unwrap()).unwrap()
    }

    #[test]
    fn secrets_are_left_out_and_all_else_stays() {
        let json = r#"{"ok":true,"merchant":{"id":"M-1","accessKey":"AL1","secretKey":"s1",
            "more":{"deep":[1]}},"accessKey":7,"other":"x"}"#;
        assert_eq!(
            blanked(json),
            serde_json::json!({"id": "M-1", "additionalFields": {"more": {"deep": [1.0]}, "other": "x"}})
        );
    }

    #[test]
    fn what_is_no_message_gives_nothing() {
        let operation = Catalogue::embedded().unwrap().by_path(RPC).unwrap();
        assert_eq!(without_secrets(operation, b"\xff\xff secret"), b"");
    }
}

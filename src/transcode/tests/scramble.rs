//! The same message in other bytes: fields out of order, lists unpacked, messages and
//! values given in parts, all of which protobuf allows and no sane client writes.

use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::source::Source;

/// A field as it stands on the wire, key included.
type Chunk = (u32, Vec<u8>);

/// Bytes that decode to the same message as `bytes` do.
pub(super) fn scramble(
    descriptor: &MessageDescriptor,
    bytes: &[u8],
    source: &mut Source<'_>,
) -> Vec<u8> {
    let mut chunks = Vec::new();
    for (number, chunk) in split(bytes) {
        let field = descriptor.get_field(number).unwrap();
        rewrite(&field, chunk, source, &mut chunks);
    }
    let order = interleaved(&chunks, source);
    order.into_iter().flatten().collect()
}

fn split(mut bytes: &[u8]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        let whole = bytes;
        let (number, wire_type) = decode_key(&mut bytes).unwrap();
        skip_field(wire_type, number, &mut bytes, DecodeContext::default()).unwrap();
        chunks.push((number, whole[..whole.len() - bytes.len()].to_vec()));
    }
    chunks
}

fn rewrite(field: &FieldDescriptor, chunk: Vec<u8>, source: &mut Source<'_>, out: &mut Vec<Chunk>) {
    let number = field.number();
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            // The value before the key.
            let mut parts: Vec<_> = split(content(&chunk)).into_iter().map(|part| part.1).collect();
            source.shuffle(&mut parts);
            out.push((number, delimited(number, &parts.concat())));
            let _ = entry;
        }
        Kind::Message(nested) if field.is_list() => {
            let content = inner(&nested, content(&chunk), source);
            out.push((number, delimited(number, &content)));
        }
        Kind::Message(nested) => {
            let content = inner(&nested, content(&chunk), source);
            let parts = split(&content);
            let at = source.below(parts.len() + 1);
            for part in [&parts[..at], &parts[at..]] {
                let part: Vec<u8> = part.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
                out.push((number, delimited(number, &part)));
            }
        }
        kind if field.is_list() && field.is_packed() => unpack(number, &kind, &chunk, source, out),
        Kind::String if !field.is_list() && source.chance(30) => {
            out.push((number, delimited(number, b"overridden")));
            out.push((number, chunk));
        }
        _ => out.push((number, chunk)),
    }
}

/// A `Value` is left as it is: one of two kinds would be another value.
fn inner(nested: &MessageDescriptor, content: &[u8], source: &mut Source<'_>) -> Vec<u8> {
    match nested.full_name() {
        "google.protobuf.Value" => content.to_vec(),
        "google.protobuf.Struct" | "google.protobuf.ListValue" => content.to_vec(),
        _ => scramble(nested, content, source),
    }
}

/// A packed list as single elements, or as two packed ones.
fn unpack(number: u32, kind: &Kind, chunk: &[u8], source: &mut Source<'_>, out: &mut Vec<Chunk>) {
    let (wire_type, size) = match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => (WireType::SixtyFourBit, Some(8)),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => (WireType::ThirtyTwoBit, Some(4)),
        _ => (WireType::Varint, None),
    };
    let mut rest = content(chunk);
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let whole = rest;
        match size {
            Some(size) => rest = &rest[size..],
            None => drop(decode_varint(&mut rest).unwrap()),
        }
        elements.push(whole[..whole.len() - rest.len()].to_vec());
    }
    for element in elements {
        if source.chance(50) {
            let mut single = Vec::new();
            encode_key(number, wire_type, &mut single);
            single.extend(element);
            out.push((number, single));
        } else {
            out.push((number, delimited(number, &element)));
        }
    }
}

/// Any order that keeps that of chunks of the same field.
fn interleaved(chunks: &[Chunk], source: &mut Source<'_>) -> Vec<Vec<u8>> {
    let mut numbers: Vec<u32> = chunks.iter().map(|(number, _)| *number).collect();
    source.shuffle(&mut numbers);
    let mut taken = vec![false; chunks.len()];
    let mut next = |number| {
        let index = (0..chunks.len()).find(|i| !taken[*i] && chunks[*i].0 == number).unwrap();
        taken[index] = true;
        chunks[index].1.clone()
    };
    numbers.into_iter().map(&mut next).collect()
}

fn content(mut chunk: &[u8]) -> &[u8] {
    decode_key(&mut chunk).unwrap();
    decode_varint(&mut chunk).unwrap();
    chunk
}

fn delimited(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut out);
    encode_varint(u64::try_from(content.len()).unwrap(), &mut out);
    out.extend_from_slice(content);
    out
}

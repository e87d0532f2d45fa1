//! A page of a list, taken apart by its wire format: its elements are messages already.
//!
//! The page is the reply of the list's own rpc, as [`reply`](super::reply()) wrote it.
//! What the reply says beside its elements belongs to none of them and is left behind.

use bytes::Bytes;

use crate::operation::{Message, Paging};

use super::any::{self, Any};
use super::reply::Unreadable;
use super::wire::{Raw, put_varint, read_field};

/// The elements of a page, in order, each an encoded message.
#[derive(Clone, Debug)]
pub struct Page {
    /// The number of the reply's field that holds them.
    number: u32,
    /// The reply.
    reply: Bytes,
    /// How much of it has been read.
    at: usize,
    /// How many elements may still be taken.
    left: usize,
}

// === impl Page ===

impl Page {
    /// The page in the encoded `reply` of the list that `paging` walks.
    ///
    /// # Errors
    /// When the partner's list has something in it that is no element: it would be
    /// missing from the stream, and nobody would know.
    pub fn new(paging: &Paging, reply: impl Into<Bytes>) -> Result<Self, Unreadable> {
        let page = Self::of(paging.elements, reply);
        match is_whole(paging.list.reply(), page.number, &page.reply) {
            true => Ok(page),
            false => Err(Unreadable::new("its list has an element that is none")),
        }
    }

    /// The elements in the field `number` of an encoded message.
    pub fn of(number: u32, reply: impl Into<Bytes>) -> Self {
        Self { number, reply: reply.into(), at: 0, left: usize::MAX }
    }

    /// Leaves only the first `count` of its elements.
    pub fn keep(&mut self, count: usize) {
        self.left = count;
    }

    /// The reply's own integer field with this number.
    pub fn integer(&self, number: u32) -> Option<i64> {
        integer(&self.reply, number)
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.clone().next().is_none()
    }
}

impl Iterator for Page {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.left > 0 {
            let mut rest = self.reply.get(self.at..)?;
            let (number, raw) = read_field(&mut rest).ok()?;
            self.at = self.reply.len() - rest.len();
            match raw {
                Raw::Bytes(element) if number == self.number => {
                    self.left -= 1;
                    return Some(self.reply.slice_ref(element));
                }
                _ => {}
            }
        }
        None
    }
}

/// An encoded message's int64 field with this number, the last one if it is given twice.
pub fn integer(mut message: &[u8], number: u32) -> Option<i64> {
    let mut found = None;
    while !message.is_empty() {
        match read_field(&mut message).ok()? {
            (field, Raw::Varint(value)) if field == number => found = Some(value.cast_signed()),
            _ => {}
        }
    }
    found
}

/// The encoded `message` with its int64 field set to `value`: of a field that is given
/// twice the last one counts.
pub fn with_integer(message: &[u8], number: u32, value: i64) -> Vec<u8> {
    let mut copy = Vec::with_capacity(message.len() + 16);
    copy.extend_from_slice(message);
    put_varint(number, value.cast_unsigned(), &mut copy);
    copy
}

/// The encoded `message` without its field `number`. What is no message stays as it is.
pub fn without(message: &[u8], number: u32) -> Vec<u8> {
    let mut copy = Vec::with_capacity(message.len() + 16);
    let mut rest = message;
    while !rest.is_empty() {
        let field = rest;
        let Ok((found, _)) = read_field(&mut rest) else { return message.to_vec() };
        if found != number {
            copy.extend_from_slice(field.get(..field.len() - rest.len()).unwrap_or_default());
        }
    }
    copy
}

/// Whether all that the partner listed is an element: what did not fit would have left
/// the list as it was in the `additional_fields`. A list that is null is an empty one.
fn is_whole(table: &Message, elements: u32, mut reply: &[u8]) -> bool {
    let field = table.fields.iter().find(|field| field.number == elements);
    let Some((field, additional)) = field.zip(table.additional) else { return true };
    let mut entries = Vec::new();
    while let Ok((number, raw)) = read_field(&mut reply) {
        if let Raw::Bytes(bytes) = raw
            && number == additional
            && any::read_entries(bytes, &mut entries).is_err()
        {
            return false;
        }
    }
    entries
        .iter()
        .filter(|entry| entry.key == field.wire_name)
        .all(|entry| matches!(any::read_value(entry.value), Ok(Any::Null)))
}

#[cfg(test)]
mod tests {
    use prost::encoding::bytes::encode;

    use super::*;

    fn element(id: i64, name: &str) -> Bytes {
        let mut element = with_integer(&[], 4, id);
        encode(5, &name.as_bytes().to_vec(), &mut element);
        element.into()
    }

    #[test]
    fn a_page_is_taken_apart_in_order_and_its_neighbours_left_behind() {
        let elements = [element(7, "a"), element(-9, ""), element(i64::MAX, "ccc")];
        let mut reply = with_integer(&[], 9, 3);
        for element in &elements {
            encode(1, element, &mut reply);
            encode(2, &b"beside it".to_vec(), &mut reply);
        }
        let page = Page::of(1, reply);
        assert_eq!(page.clone().collect::<Vec<_>>(), elements);
        assert_eq!((page.integer(9), page.integer(8)), (Some(3), None));
        assert!(!page.is_empty());
        let mut first = page.clone();
        first.keep(2);
        assert_eq!(first.collect::<Vec<_>>(), elements[..2]);
        assert!(Page::of(2, Vec::new()).is_empty());
    }

    #[test]
    fn the_last_of_a_field_that_is_set_again_counts() {
        let once = with_integer(&[], 4, 7);
        let again = with_integer(&with_integer(&once, 5, 1), 4, -8);
        assert_eq!((integer(&again, 4), integer(&again, 5)), (Some(-8), Some(1)));
        assert_eq!(without(&again, 4), with_integer(&[], 5, 1));
    }

    #[test]
    fn what_is_no_message_has_no_elements() {
        let broken = Page::of(1, vec![0x0a, 5, 1]);
        assert_eq!((broken.is_empty(), broken.integer(4)), (true, None));
        assert_eq!(without(&[0x0a, 5, 1], 1), [0x0a, 5, 1]);
    }
}

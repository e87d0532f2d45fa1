//! A message's fields, found in one pass over its bytes.
//!
//! Protobuf fields come in any order and may be given twice; JSON members must not.
//! So each field has a slot, a short chain of the values that were found for it.
//! Slots of a nested message are stacked on those of the message around it.

use crate::operation::{Kind, Message, Shape};

use super::wire::{Malformed, Raw, read_array, read_field, read_varint};

const NONE: u32 = u32::MAX;

/// The slots of all messages being read.
#[derive(Debug, Default)]
pub(super) struct Slots<'a> {
    slots: Vec<Slot>,
    values: Vec<Link<'a>>,
}

/// The slots of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    first_slot: usize,
    first_value: usize,
}

/// Walks the values of one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor(u32);

#[derive(Clone, Copy, Debug)]
struct Slot {
    first: u32,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link<'a> {
    raw: Raw<'a>,
    next: u32,
}

// === impl Slots ===

impl<'a> Slots<'a> {
    /// No slots yet, and memory for those of a message that gives each field once.
    pub(super) fn with_room_for(table: &Message) -> Self {
        let fields = table.fields.len() + 1;
        Self { slots: Vec::with_capacity(fields), values: Vec::with_capacity(fields) }
    }

    /// Makes an empty slot for each field of `table`, and a last one for its
    /// `additional_fields`.
    pub(super) fn enter(&mut self, table: &Message) -> Frame {
        let frame = Frame { first_slot: self.slots.len(), first_value: self.values.len() };
        let count = frame.first_slot + table.fields.len() + 1;
        self.slots.resize(count, Slot { first: NONE, last: NONE });
        frame
    }

    /// Forgets the slots of a message and of those in it.
    pub(super) fn leave(&mut self, frame: Frame) {
        self.slots.truncate(frame.first_slot);
        self.values.truncate(frame.first_value);
    }

    /// Reads a message's bytes into its slots. Called again for a message that is
    /// given twice, it merges them, as protobuf demands.
    ///
    /// A field that the table does not know is malformed: silently dropping what a
    /// newer caller asks for would be worse than refusing it.
    pub(super) fn scan(
        &mut self,
        frame: Frame,
        table: &Message,
        mut rest: &'a [u8],
    ) -> Result<(), Malformed> {
        while !rest.is_empty() {
            let (number, raw) = read_field(&mut rest)?;
            match table.index_of_number(number) {
                None if table.additional == Some(number) => {
                    self.push(frame, table.fields.len(), raw)?;
                }
                None => return Err(Malformed),
                Some(index) => {
                    let field = table.fields.get(index).ok_or(Malformed)?;
                    match raw {
                        Raw::Bytes(packed)
                            if field.shape == Shape::List && is_packable(field.kind) =>
                        {
                            self.unpack(frame, index, field.kind, packed)?;
                        }
                        raw if field.shape == Shape::Map => match raw {
                            Raw::Bytes(_) => self.push(frame, index, raw)?,
                            _ => return Err(Malformed),
                        },
                        raw if fits(field.kind, raw) => self.push(frame, index, raw)?,
                        _ => return Err(Malformed),
                    }
                }
            }
        }
        Ok(())
    }

    /// The values of a field, in the order they were found.
    pub(super) fn values(&self, frame: Frame, index: usize) -> Cursor {
        Cursor(self.slots.get(frame.first_slot + index).map_or(NONE, |slot| slot.first))
    }

    /// The last value of a field: the one that counts when it holds a single one.
    pub(super) fn last(&self, frame: Frame, index: usize) -> Option<Raw<'a>> {
        let slot = self.slots.get(frame.first_slot + index)?;
        self.link(slot.last).map(|link| link.raw)
    }

    /// Whether a field was given more than once.
    pub(super) fn is_repeated(&self, frame: Frame, index: usize) -> bool {
        self.slots.get(frame.first_slot + index).is_some_and(|slot| slot.first != slot.last)
    }

    /// The next value of a slot.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<Raw<'a>> {
        let link = self.link(cursor.0)?;
        cursor.0 = link.next;
        Some(link.raw)
    }

    fn link(&self, index: u32) -> Option<Link<'a>> {
        self.values.get(usize::try_from(index).ok()?).copied()
    }

    fn push(&mut self, frame: Frame, index: usize, raw: Raw<'a>) -> Result<(), Malformed> {
        let new =
            u32::try_from(self.values.len()).ok().filter(|new| *new != NONE).ok_or(Malformed)?;
        let slot = self.slots.get_mut(frame.first_slot + index).ok_or(Malformed)?;
        let before = std::mem::replace(&mut slot.last, new);
        if slot.first == NONE {
            slot.first = new;
        }
        if let Some(link) = usize::try_from(before).ok().and_then(|i| self.values.get_mut(i)) {
            link.next = new;
        }
        self.values.push(Link { raw, next: NONE });
        Ok(())
    }

    fn unpack(
        &mut self,
        frame: Frame,
        index: usize,
        kind: Kind,
        mut rest: &'a [u8],
    ) -> Result<(), Malformed> {
        while !rest.is_empty() {
            let raw = match kind {
                Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => {
                    Raw::Fixed64(u64::from_le_bytes(read_array(&mut rest)?))
                }
                Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => {
                    Raw::Fixed32(u32::from_le_bytes(read_array(&mut rest)?))
                }
                _ => Raw::Varint(read_varint(&mut rest)?),
            };
            self.push(frame, index, raw)?;
        }
        Ok(())
    }
}

fn fits(kind: Kind, raw: Raw<'_>) -> bool {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => matches!(raw, Raw::Fixed64(_)),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => matches!(raw, Raw::Fixed32(_)),
        kind if is_packable(kind) => matches!(raw, Raw::Varint(_)),
        _ => matches!(raw, Raw::Bytes(_)),
    }
}

fn is_packable(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::String
            | Kind::Bytes
            | Kind::Message(_)
            | Kind::Nullable(_)
            | Kind::Timestamp
            | Kind::Struct
            | Kind::Value
            | Kind::ListValue
    )
}

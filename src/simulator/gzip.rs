//! A gzip stream that is small on the wire and large when read: what a reader without a limit on
//! decompressed size cannot survive. Written by hand because a compressor would first have to be
//! fed the large text; one fixed-Huffman block of repeats says the same in a 158th of it.

use bytes::Bytes;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const BEFORE: &[u8] = br#"{"padding":"a"#;
const LETTER: u8 = b'a';
const AFTER: &[u8] = br#""}"#;

/// The longest repeat that deflate can express.
const REPEAT: u64 = 258;
/// Repeats in one piece of output: about a megabyte of text.
const REPEATS_PER_PIECE: u64 = 4096;

/// The pieces of the stream, made as they are read.
#[derive(Debug)]
pub(crate) struct Bomb {
    left: u64,
    started: bool,
    ended: bool,
    bits: Bits,
    check: Check,
}

/// Deflate's bit order: values fill each byte from its lowest bit.
#[derive(Debug, Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u32,
    count: u32,
}

/// CRC-32 and length of the text, for gzip's trailer.
#[derive(Debug)]
struct Check {
    table: [u32; 256],
    crc: u32,
    length: u32,
}

// === impl Bomb ===

impl Bomb {
    /// A JSON object of `length` bytes, or as near above as its frame allows.
    pub(crate) fn new(length: u64) -> Self {
        let frame = u64::try_from(BEFORE.len() + AFTER.len()).unwrap_or_default();
        let left = length.saturating_sub(frame);
        Self { left, started: false, ended: false, bits: Bits::default(), check: Check::new() }
    }

    fn start(&mut self) {
        self.started = true;
        self.bits.bytes.extend(HEADER);
        // The last block (1), compressed with fixed codes (01).
        self.bits.push(0b011, 3);
        self.literals(BEFORE);
    }

    fn repeats(&mut self) {
        for _ in 0..REPEATS_PER_PIECE.min(self.left / REPEAT) {
            // Length 258 is code 11000101; distance 1 is code 00000.
            self.bits.push_code(0b1100_0101, 8);
            self.bits.push_code(0, 5);
            self.check.update_repeat(LETTER, REPEAT);
            self.left -= REPEAT;
        }
    }

    fn finish(&mut self) {
        self.ended = true;
        while self.left > 0 {
            self.literals(&[LETTER]);
            self.left -= 1;
        }
        self.literals(AFTER);
        // End of block is code 0000000.
        self.bits.push_code(0, 7);
        self.bits.align();
        self.bits.bytes.extend(self.check.value().to_le_bytes());
        self.bits.bytes.extend(self.check.length.to_le_bytes());
    }

    // Fixed codes of bytes below 144 have 8 bits and start at 00110000.
    fn literals(&mut self, text: &[u8]) {
        for byte in text {
            self.bits.push_code(0x30 + u32::from(*byte), 8);
            self.check.update(*byte);
        }
    }
}

// === impl Iterator for Bomb ===

impl Iterator for Bomb {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if !self.started {
            self.start();
        }
        self.repeats();
        if self.left < REPEAT {
            self.finish();
        }
        Some(std::mem::take(&mut self.bits.bytes).into())
    }
}

// === impl Bits ===

impl Bits {
    fn push(&mut self, value: u32, width: u32) {
        self.pending |= value << self.count;
        self.count += width;
        while self.count >= 8 {
            let [low, ..] = self.pending.to_le_bytes();
            self.bytes.push(low);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes are the exception to the order: their highest bit comes first.
    fn push_code(&mut self, code: u32, width: u32) {
        self.push(code.reverse_bits() >> (32 - width), width);
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.push(0, 8 - self.count);
        }
    }
}

// === impl Check ===

impl Check {
    fn new() -> Self {
        let mut next = 0;
        let table =
            std::array::from_fn(|_| {
                let entry = (0..8).fold(next, |crc, _| {
                    if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
                });
                next += 1;
                entry
            });
        Self { table, crc: u32::MAX, length: 0 }
    }

    fn update(&mut self, byte: u8) {
        let [low, ..] = self.crc.to_le_bytes();
        let entry = self.table.get(usize::from(low ^ byte)).copied().unwrap_or_default();
        self.crc = entry ^ (self.crc >> 8);
        self.length = self.length.wrapping_add(1);
    }

    fn update_repeat(&mut self, byte: u8, times: u64) {
        (0..times).for_each(|_| self.update(byte));
    }

    fn value(&self) -> u32 {
        !self.crc
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn unpacks_to_json_of_the_length_asked_for() {
        for length in [0_u64, 15, 16, 500, 3 * 1024 * 1024 + 7] {
            let packed: Vec<u8> = Bomb::new(length).flatten().collect();
            let mut text = String::new();
            flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
            assert_eq!(text.len(), usize::try_from(length.max(15)).unwrap());
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }

    #[test]
    fn is_far_smaller_than_its_content() {
        let packed: usize = Bomb::new(10 * 1024 * 1024).map(|piece| piece.len()).sum();
        assert!(packed < 10 * 1024 * 1024 / 150, "{packed}");
    }
}

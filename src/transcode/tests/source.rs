//! Choices made from bytes, so that proptest can shrink what is built of them: fewer and
//! smaller bytes are simpler choices, and none at all the simplest.

/// A supply of choices.
pub(super) struct Source<'a> {
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) * end / 256
    }

    /// True in so many of a hundred cases; never when the bytes have run out.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            let other = index - self.below(index + 1);
            items.swap(index, other);
        }
    }

    /// Interesting numbers more often than others.
    pub(super) fn i64(&mut self) -> i64 {
        const EDGES: [i64; 9] =
            [0, 1, -1, i64::MAX, i64::MIN, 9_007_199_254_740_993, -9_007_199_254_740_993, 127, 128];
        if self.chance(50) { self.u64().cast_signed() } else { self.pick(&EDGES) }
    }

    /// Any finite double, also the smallest and largest.
    pub(super) fn f64(&mut self) -> f64 {
        const EDGES: [f64; 9] =
            [0.0, 1.0, -1.5, 0.1, 12.10, 1e22, f64::MAX, f64::MIN_POSITIVE, 5e-324];
        let any = f64::from_bits(self.u64());
        if any.is_finite() && self.chance(50) { any } else { self.pick(&EDGES) }
    }

    /// Text of any kind: plain, with everything that needs an escape, of many scripts.
    pub(super) fn text(&mut self) -> String {
        const PIECES: [&str; 18] = [
            "a", "Z", "0", " ", "\"", "\\", "/", "\n", "\t", "\0", "\u{1f}", "\u{7f}", "é", "한",
            "😹", "\u{2028}", "\u{FFFD}", "null",
        ];
        (0..self.below(12)).map(|_| self.pick(&PIECES)).collect()
    }

    pub(super) fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(20)).map(|_| self.byte()).collect()
    }
}

//! Identifiers and keys in the shapes that partners give theirs.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// The alphabet of Trolley's ids: digits and letters without those that look alike.
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Text of `length` letters that look like one of a partner's ids.
pub(crate) fn base58(length: usize) -> String {
    text(BASE58, length)
}

/// Capitals and digits.
pub(crate) fn upper(length: usize) -> String {
    text(UPPER, length)
}

/// Small letters and digits.
pub(crate) fn lower(length: usize) -> String {
    text(LOWER, length)
}

/// A random GUID.
pub(crate) fn guid() -> String {
    uuid::Uuid::new_v4().to_string()
}

// The slight bias of the remainder does not matter: these are a test double's secrets.
fn text(alphabet: &[u8], length: usize) -> String {
    let mut bytes = vec![0; length];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        tracing::warn!("the system's random source failed; simulator ids will repeat");
    }
    bytes
        .iter()
        .filter_map(|byte| alphabet.get(usize::from(*byte) % alphabet.len()))
        .map(|letter| char::from(*letter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_length_asked_for_and_differs() {
        assert_eq!(base58(22).len(), 22);
        assert_ne!(base58(22), base58(22));
        assert!(!base58(500).contains(['0', 'O', 'I', 'l']));
    }
}

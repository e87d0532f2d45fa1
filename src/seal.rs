//! Encryption at rest.
//!
//! Each record has a data key of its own, used once, which a key-encryption key wraps.
//! Both seals bind the record's identity, so that a ciphertext opens in no other place
//! than the one it was written for. A key-encryption key is replaced by wrapping the
//! data keys anew; the secrets themselves are not touched.

mod keyring;
mod sealed;

pub use keyring::{InvalidKey, KekId, Keyring};
pub use sealed::{CannotSeal, Identity, InvalidSeal, Sealed, Unsealable};

#[cfg(test)]
mod tests;

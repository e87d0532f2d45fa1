//! The key-encryption keys.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::sealed::CannotSeal;

/// The bytes of an AES-256 key.
pub(super) const KEY_LEN: usize = 32;
/// What keeps a key's id apart from any other digest of it.
const ID_DOMAIN: &[u8] = b"partner-gateway key-encryption key id 1\0";

/// The key-encryption keys: the first seals, each of them opens. Clones share them.
#[derive(Clone)]
pub struct Keyring(Arc<Keys>);

struct Keys {
    first: Kek,
    others: Vec<Kek>,
}

/// A key-encryption key. It seals with random nonces, which is safe for 2³² records.
pub(super) struct Kek {
    pub(super) id: KekId,
    pub(super) key: RandomizedNonceKey,
}

/// What a key-encryption key is known by; it says nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KekId(pub(super) [u8; 8]);

/// A text that is no keyring. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// There is no key in it.
    #[error("there is no key: make one with `openssl rand -base64 32`")]
    Missing,
    /// One of the keys is not what is expected.
    #[error("key {0} is not 32 bytes in base64: make one with `openssl rand -base64 32`")]
    Malformed(usize),
    /// One of the keys is there twice.
    #[error("key {0} is there twice")]
    Repeated(usize),
}

// === impl Keyring ===

impl Keyring {
    /// Reads keys of 32 bytes in base64, with white space between them. The first one
    /// seals.
    ///
    /// # Errors
    /// [`InvalidKey`] with the number of the key, counted from 1.
    pub fn parse(text: &SecretString) -> Result<Self, InvalidKey> {
        let mut ids = BTreeSet::new();
        let mut keys = Vec::new();
        for (index, word) in text.expose_secret().split_ascii_whitespace().enumerate() {
            let number = index + 1;
            let key = decode(word).and_then(|bytes| Kek::new(&bytes));
            let key = key.ok_or(InvalidKey::Malformed(number))?;
            if !ids.insert(key.id) {
                return Err(InvalidKey::Repeated(number));
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(InvalidKey::Missing)?;
        Ok(Self(Arc::new(Keys { first, others: keys.collect() })))
    }

    /// One random key, for what lives no longer than the process.
    ///
    /// # Errors
    /// The machine gives no random bytes.
    pub fn generate() -> Result<Self, CannotSeal> {
        let key = Kek::new(random_key()?.as_ref()).ok_or(CannotSeal)?;
        Ok(Self(Arc::new(Keys { first: key, others: Vec::new() })))
    }

    /// The id of the key that seals.
    pub fn first_id(&self) -> KekId {
        self.0.first.id
    }

    /// The ids of all keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = KekId> {
        std::iter::once(&self.0.first).chain(&self.0.others).map(|kek| kek.id)
    }

    pub(super) fn first(&self) -> &Kek {
        &self.0.first
    }

    pub(super) fn find(&self, id: KekId) -> Option<&Kek> {
        std::iter::once(&self.0.first).chain(&self.0.others).find(|kek| kek.id == id)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")?;
        f.debug_list().entries(self.ids()).finish()
    }
}

// === impl Kek ===

impl Kek {
    fn new(bytes: &[u8]) -> Option<Self> {
        let mut digest = Context::new(&SHA256);
        digest.update(ID_DOMAIN);
        digest.update(bytes);
        let id = *digest.finish().as_ref().first_chunk()?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).ok()?;
        Some(Self { id: KekId(id), key })
    }
}

// === impl KekId ===

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Thirty-two bytes that nobody can guess.
pub(super) fn random_key() -> Result<Zeroizing<[u8; KEY_LEN]>, CannotSeal> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    aws_lc_rs::rand::fill(bytes.as_mut()).map_err(|_| CannotSeal)?;
    Ok(bytes)
}

/// The bytes of a key in base64; none if they are not as many as they must be.
fn decode(word: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = STANDARD.decode(word).map(Zeroizing::new).ok()?;
    (bytes.len() == KEY_LEN).then_some(bytes)
}

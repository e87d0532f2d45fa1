//! A sealed record: how it is made, opened, wrapped anew and written as bytes.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice};
use uuid::Uuid;

use super::keyring::{KEY_LEN, Kek, KekId, Keyring, random_key};

/// The first two bytes of every sealed record: the layout, and AES-256-GCM for both the
/// record and its data key.
const HEADER: [u8; 2] = [1, 1];
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
/// The data key under the key-encryption key: nonce, ciphertext, tag.
const WRAPPED_LEN: usize = NONCE_LEN + KEY_LEN + TAG_LEN;

/// A record that only the keyring and the identity that sealed it can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    kek_id: KekId,
    wrapped_key: [u8; WRAPPED_LEN],
    /// Nonce, ciphertext, tag.
    content: Vec<u8>,
}

/// Which record it is, and where it stands. Each part is bound by the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// What the sealed field is, such as the table's name and the column's.
    pub purpose: &'a str,
    /// The partner's key.
    pub partner: &'a str,
    /// The kind of record.
    pub kind: &'a str,
    /// Whose it is.
    pub account: &'a str,
    /// The record's id.
    pub id: Uuid,
    /// The version of the field's value.
    pub version: i64,
}

/// Why a sealed record does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealable {
    /// The keyring does not hold its key.
    #[error("it is sealed with the key {kek_id}, which is not in the keyring")]
    UnknownKey {
        /// The key that is needed.
        kek_id: KekId,
    },
    /// It is not what was sealed, or stands in another place.
    #[error("it was altered, or belongs to another record")]
    Tampered,
}

/// Bytes that are no sealed record of a layout that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sealed record")]
pub struct InvalidSeal;

/// The machine gives no random bytes, or no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine gives no random bytes")]
pub struct CannotSeal;

/// What a ciphertext is of, so that neither passes for the other.
#[derive(Clone, Copy)]
enum Part {
    Key(KekId),
    Content,
}

// === impl Keyring ===

impl Keyring {
    /// Seals `plain` under a new data key and the first key-encryption key.
    ///
    /// # Errors
    /// [`CannotSeal`] if there are no random bytes to be had.
    pub fn seal(&self, identity: &Identity<'_>, plain: &[u8]) -> Result<Sealed, CannotSeal> {
        let data_key = random_key()?;
        let content = encrypt(&cipher(data_key.as_ref())?, identity, Part::Content, plain)?;
        wrap(self.first(), identity, data_key.as_ref(), content)
    }

    /// Opens what was sealed for the same identity.
    ///
    /// # Errors
    /// [`Unsealable`] says whether the key is missing or the record is not what was sealed.
    pub fn open(
        &self,
        identity: &Identity<'_>,
        sealed: &Sealed,
    ) -> Result<SecretSlice<u8>, Unsealable> {
        let data_key = self.unwrap_key(identity, sealed)?;
        let cipher = cipher(data_key.expose_secret()).map_err(|_| Unsealable::Tampered)?;
        decrypt(&cipher, identity, Part::Content, &sealed.content)
    }

    /// The same record with its data key under the first key-encryption key; `None` if it
    /// is there already. The content is not opened.
    ///
    /// # Errors
    /// [`Unsealable`], as for [`open`](Self::open).
    pub fn rewrap(
        &self,
        identity: &Identity<'_>,
        sealed: &Sealed,
    ) -> Result<Option<Sealed>, Unsealable> {
        if sealed.kek_id == self.first_id() {
            return Ok(None);
        }
        let data_key = self.unwrap_key(identity, sealed)?;
        let content = sealed.content.clone();
        let wrapped = wrap(self.first(), identity, data_key.expose_secret(), content);
        wrapped.map(Some).map_err(|_| Unsealable::Tampered)
    }

    fn unwrap_key(
        &self,
        identity: &Identity<'_>,
        sealed: &Sealed,
    ) -> Result<SecretSlice<u8>, Unsealable> {
        let kek_id = sealed.kek_id;
        let kek = self.find(kek_id).ok_or(Unsealable::UnknownKey { kek_id })?;
        decrypt(&kek.key, identity, Part::Key(kek_id), &sealed.wrapped_key)
    }
}

// === impl Sealed ===

impl Sealed {
    /// The key-encryption key that it is under.
    pub fn kek_id(&self) -> KekId {
        self.kek_id
    }

    /// Its bytes: header, key id, wrapped data key, content.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&HEADER[..], &self.kek_id.0, &self.wrapped_key, &self.content].concat()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`InvalidSeal`] for any other bytes, and for a layout of a later version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSeal> {
        let rest = bytes.strip_prefix(&HEADER).ok_or(InvalidSeal)?;
        let (kek_id, rest) = rest.split_first_chunk().ok_or(InvalidSeal)?;
        let (wrapped_key, content) = rest.split_first_chunk().ok_or(InvalidSeal)?;
        if content.len() < NONCE_LEN + TAG_LEN {
            return Err(InvalidSeal);
        }
        let content = content.to_vec();
        Ok(Self { kek_id: KekId(*kek_id), wrapped_key: *wrapped_key, content })
    }
}

// === impl Identity ===

impl Identity<'_> {
    /// What is bound: each part with its length, so that no two identities are the same
    /// bytes.
    fn bound(&self, part: Part) -> Vec<u8> {
        let (tag, kek_id) = match part {
            Part::Key(kek_id) => (b'k', kek_id.0),
            Part::Content => (b'c', [0; 8]),
        };
        let mut bytes = b"partner-gateway sealed record\0".to_vec();
        bytes.extend(HEADER);
        bytes.push(tag);
        bytes.extend(kek_id);
        for text in [self.purpose, self.partner, self.kind, self.account] {
            bytes.extend(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(self.id.as_bytes());
        bytes.extend(self.version.to_be_bytes());
        bytes
    }
}

pub(super) fn cipher(key: &[u8]) -> Result<RandomizedNonceKey, CannotSeal> {
    RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| CannotSeal)
}

fn wrap(
    kek: &Kek,
    identity: &Identity<'_>,
    key: &[u8],
    content: Vec<u8>,
) -> Result<Sealed, CannotSeal> {
    let wrapped = encrypt(&kek.key, identity, Part::Key(kek.id), key)?;
    let wrapped_key = wrapped.try_into().map_err(|_| CannotSeal)?;
    Ok(Sealed { kek_id: kek.id, wrapped_key, content })
}

/// Nonce, ciphertext, tag. The plain text is overwritten where it stands.
fn encrypt(
    cipher: &RandomizedNonceKey,
    identity: &Identity<'_>,
    part: Part,
    plain: &[u8],
) -> Result<Vec<u8>, CannotSeal> {
    let mut sealed = vec![0; NONCE_LEN + plain.len() + TAG_LEN];
    let (nonce_at, rest) = sealed.split_at_mut(NONCE_LEN);
    let (text, tag_at) = rest.split_at_mut(plain.len());
    text.copy_from_slice(plain);
    let aad = Aad::from(identity.bound(part));
    let (nonce, tag) = cipher.seal_in_place_separate_tag(aad, text).map_err(|_| CannotSeal)?;
    nonce_at.copy_from_slice(nonce.as_ref());
    tag_at.copy_from_slice(tag.as_ref());
    Ok(sealed)
}

fn decrypt(
    cipher: &RandomizedNonceKey,
    identity: &Identity<'_>,
    part: Part,
    sealed: &[u8],
) -> Result<SecretSlice<u8>, Unsealable> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Unsealable::Tampered)?;
    let mut text = Zeroizing::new(rest.to_vec());
    let aad = Aad::from(identity.bound(part));
    let plain = cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut text);
    let plain = plain.map_err(|_| Unsealable::Tampered)?;
    Ok(SecretSlice::from(plain.to_vec()))
}

use aws_lc_rs::aead::{Aad, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::sealed::cipher;
use super::*;

const FIRST: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SECOND: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";

fn keyring(text: &str) -> Keyring {
    Keyring::parse(&SecretString::from(text)).unwrap()
}

fn identity() -> Identity<'static> {
    Identity {
        purpose: "credentials.secret",
        partner: "acme",
        kind: "key_pair",
        account: "M1",
        id: Uuid::from_u128(7),
        version: 1,
    }
}

/// Every identity that differs from [`identity`] in one part, and one whose parts run
/// together to the same text.
fn others() -> Vec<Identity<'static>> {
    let own = identity();
    vec![
        Identity { purpose: "journal.secret", ..own },
        Identity { partner: "acm", ..own },
        Identity { kind: "user_grant", ..own },
        Identity { account: "M2", ..own },
        Identity { id: Uuid::from_u128(8), ..own },
        Identity { version: 2, ..own },
        Identity { partner: "acmek", kind: "ey_pair", ..own },
    ]
}

fn opened(keyring: &Keyring, identity: &Identity<'_>, sealed: &Sealed) -> Vec<u8> {
    keyring.open(identity, sealed).unwrap().expose_secret().to_vec()
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// S15: test cases 13 to 16 of the specification of GCM, with AES-256: key, nonce,
/// associated data, plain text, ciphertext, tag.
#[test]
fn the_algorithm_is_aes_256_gcm() {
    let zero = "0".repeat(64);
    let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c9595680953\
                 2fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
    let text = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3d\
                a7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
    let nonce = "cafebabefacedbaddecaf888";
    let data = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
    let cases = [
        (zero.as_str(), &zero[..24], "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            &zero,
            &zero[..24],
            "",
            &zero[..32],
            "cea7403d4d606b6e074ec5d3baf39d18",
            "d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (key, nonce, "", plain, text, "b094dac5d93471bdec1a502270e3cc6c"),
        (key, nonce, data, &plain[..120], &text[..120], "76fc6ece0f4e1768cddf8853bb2d551b"),
    ];
    for (key, nonce, data, plain, text, tag) in cases {
        let cipher = cipher(&hex(key)).unwrap();
        let nonce: [u8; 12] = hex(nonce).try_into().unwrap();
        let open = |mut bytes: Vec<u8>| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            cipher
                .open_in_place(nonce, Aad::from(hex(data)), &mut bytes)
                .map(|text| text.to_vec())
                .ok()
        };
        let mut bytes = [hex(text), hex(tag)].concat();
        assert_eq!(open(bytes.clone()), Some(hex(plain)));
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(open(bytes), None);
    }
}

/// S15: what was written once must open for ever.
#[test]
fn a_record_of_the_first_layout_opens() {
    let bytes = STANDARD.decode(GOLDEN).unwrap();
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    assert_eq!(opened(&keyring(FIRST), &identity(), &sealed), b"a secret");
}

/// Made by another implementation, from the layout as it is described.
const GOLDEN: &str = "AQFw0+Q1xPjLNAABAgMEBQYHCAkKCyNnsHytjKhw4Sz55MGYCh73o/FDiAIlB0Qam/qd6IIx1sKJ\
                      qchdrikll/wo7uE4JhQVFhcYGRobHB0eH/MUeNofQGdDSl7hvxHkc70xq+BG58K+QA==";
#[test]
fn s15_what_is_sealed_opens_with_any_of_the_keys_and_for_its_own_identity_only() {
    let sealed = keyring(FIRST).seal(&identity(), b"a secret").unwrap();
    for keys in [FIRST.to_owned(), format!("{SECOND}\n{FIRST}\n"), format!("{FIRST} {SECOND}")] {
        assert_eq!(opened(&keyring(&keys), &identity(), &sealed), b"a secret", "{keys}");
    }
    for other in others() {
        let refused = keyring(FIRST).open(&other, &sealed);
        assert_eq!(refused.unwrap_err(), Unsealable::Tampered, "{other:?}");
    }
}

#[test]
fn s15_an_unknown_key_is_named() {
    let sealed = keyring(FIRST).seal(&identity(), b"a secret").unwrap();
    let error = keyring(SECOND).open(&identity(), &sealed).unwrap_err();
    assert_eq!(error, Unsealable::UnknownKey { kek_id: keyring(FIRST).first_id() });
    assert!(error.to_string().contains(&keyring(FIRST).first_id().to_string()), "{error}");
}

#[test]
fn s15_any_two_ciphertexts_cannot_be_swapped() {
    let keys = keyring(FIRST);
    let identities = [vec![identity()], others()].concat();
    let seal = |identity: &Identity<'_>| keys.seal(identity, b"a secret").unwrap();
    let sealed: Vec<_> = identities.iter().map(seal).collect();
    for (row, identity) in identities.iter().enumerate() {
        for (from, sealed) in sealed.iter().enumerate() {
            assert_eq!(keys.open(identity, sealed).is_ok(), row == from, "{from} in {row}");
        }
    }
}

/// S17: neither a data key nor a nonce is used twice.
#[test]
fn s17_the_same_secret_is_never_the_same_bytes() {
    let keys = keyring(FIRST);
    let seal = || keys.seal(&identity(), b"a secret").unwrap().to_bytes();
    let (one, two) = (seal(), seal());
    // All after the header and the key's id: nonces, wrapped key, ciphertext, tags.
    let same = one[10..].iter().zip(&two[10..]).filter(|(a, b)| a == b).count();
    assert!(same < 12, "{same} bytes of {}", one.len());
}

#[test]
fn s16_rewrapping_changes_the_key_and_not_the_content() {
    let sealed = keyring(FIRST).seal(&identity(), b"a secret").unwrap();
    let both = keyring(&format!("{SECOND} {FIRST}"));
    let rewrapped = both.rewrap(&identity(), &sealed).unwrap().unwrap();
    assert_eq!(rewrapped.kek_id(), keyring(SECOND).first_id());
    assert_eq!(rewrapped.to_bytes()[70..], sealed.to_bytes()[70..]);
    assert_eq!(opened(&keyring(SECOND), &identity(), &rewrapped), b"a secret");
    // Under the first key already, with a key that is gone, for another record.
    assert_eq!(both.rewrap(&identity(), &rewrapped), Ok(None));
    let kek_id = sealed.kek_id();
    let unknown = keyring(SECOND).rewrap(&identity(), &sealed);
    assert_eq!(unknown, Err(Unsealable::UnknownKey { kek_id }));
    for other in others() {
        assert_eq!(both.rewrap(&other, &sealed), Err(Unsealable::Tampered), "{other:?}");
    }
}

#[test]
fn a_keyring_is_read_from_words_in_base64() {
    let keys = keyring(&format!("\n {FIRST}\r\n\t{SECOND}\n"));
    assert_eq!(
        keys.ids().collect::<Vec<_>>(),
        [keyring(FIRST).first_id(), keyring(SECOND).first_id()]
    );
    assert_eq!(keys.first_id(), keyring(FIRST).first_id());
    let generated = [Keyring::generate().unwrap(), Keyring::generate().unwrap()];
    assert_ne!(generated[0].first_id(), generated[1].first_id());
}

#[test]
fn what_is_no_keyring_is_refused_without_repeating_it() {
    let short = STANDARD.encode([1; 31]);
    let long = STANDARD.encode([1; 33]);
    let cases = [
        (String::new(), InvalidKey::Missing),
        (" \n".to_owned(), InvalidKey::Missing),
        ("CANARY".to_owned(), InvalidKey::Malformed(1)),
        (FIRST.trim_end_matches('=').to_owned(), InvalidKey::Malformed(1)),
        (short, InvalidKey::Malformed(1)),
        (long, InvalidKey::Malformed(1)),
        (format!("{FIRST} CANARY"), InvalidKey::Malformed(2)),
        (format!("{FIRST} {SECOND} {FIRST}"), InvalidKey::Repeated(3)),
    ];
    for (text, expected) in cases {
        let error = Keyring::parse(&SecretString::from(text.clone())).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!format!("{error} {error:?}").contains("CANARY"));
    }
}

#[test]
fn debug_shows_ids_only() {
    let keys = keyring(FIRST);
    assert_eq!(format!("{keys:?}"), format!("Keyring[{}]", keys.first_id()));
    assert_eq!(keys.first_id().to_string().len(), 16);
}

proptest! {
    #[test]
    fn s15_sealed_bytes_read_back_and_open(
        plain in proptest::collection::vec(any::<u8>(), 0..200),
        account in ".*",
        version in any::<i64>(),
    ) {
        let identity = Identity { account: &account, version, ..identity() };
        let sealed = keyring(FIRST).seal(&identity, &plain).unwrap();
        let read = Sealed::from_bytes(&sealed.to_bytes()).unwrap();
        prop_assert_eq!(&read, &sealed);
        prop_assert_eq!(opened(&keyring(FIRST), &identity, &read), plain);
    }

    #[test]
    fn s15_a_record_with_any_bit_changed_does_not_open(at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = keyring(FIRST).seal(&identity(), b"a secret").unwrap().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let opened = Sealed::from_bytes(&bytes).ok().and_then(|it| keyring(FIRST).open(&identity(), &it).ok());
        prop_assert!(opened.is_none(), "byte {}", at);
    }

    #[test]
    fn any_bytes_are_a_sealed_record_or_refused(
        head in prop_oneof![Just(vec![1, 1]), proptest::collection::vec(any::<u8>(), 0..3)],
        rest in proptest::collection::vec(any::<u8>(), 0..150),
    ) {
        let bytes = [head, rest].concat();
        match Sealed::from_bytes(&bytes) {
            Ok(sealed) => prop_assert_eq!(sealed.to_bytes(), bytes),
            Err(InvalidSeal) => prop_assert!(!bytes.starts_with(&[1, 1]) || bytes.len() < 98),
        }
    }
}

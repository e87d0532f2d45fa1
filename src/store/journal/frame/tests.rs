use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::seal::Keyring;

fn entry(account: &str, number: u128) -> Entry {
    let record = Record {
        id: Uuid::from_u128(number),
        name: Name {
            partner: "acme".to_owned(),
            kind: CredentialKind::KeyPair,
            account: account.to_owned(),
        },
        version: 1,
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
        last_used: None,
        expires: None,
        renews: Some(super::super::super::row::kept(Timestamp::MAX)),
        origin: Origin::Issued,
        kek_id: String::new(),
    };
    let keyring = Keyring::generate().unwrap();
    let credential = Credential::seal(&keyring, record, &"a secret".into()).unwrap();
    Entry { intent: Uuid::from_u128(number + 1000), before: None, credential }
}

fn kept(account: &str, number: u128) -> Frame {
    Frame::Kept(Box::new(entry(account, number)))
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.to_bytes().unwrap()).collect()
}

fn rotated(number: u128) -> Frame {
    let before =
        Predecessor { id: Uuid::from_u128(7), version: 3, over: vec!["a digest".to_owned()] };
    Frame::Kept(Box::new(Entry { before: Some(before), ..entry("M1", number) }))
}

#[test]
fn frames_read_back_in_their_order() {
    let settled = Frame::Settled(Uuid::from_u128(1));
    let frames = [kept("M1", 1), rotated(4), settled, kept("line\nfeed \"", 2)];
    let written = bytes(&frames);
    let content = read(&written);
    assert_eq!(content.frames, frames);
    assert!(content.broken.is_empty());
    assert_eq!(content.whole, u64::try_from(written.len()).unwrap());
}

/// S14: wherever a crash cuts the file, the frames before are there and nothing is
/// taken for broken.
#[test]
fn s14_a_torn_last_frame_is_left_out() {
    let before = [kept("M1", 1), kept("M2", 2)];
    let whole = bytes(&before).len();
    let written = bytes(&[kept("M1", 1), kept("M2", 2), kept("M3", 3)]);
    for length in whole..written.len() - 1 {
        // The nonces differ from one writing to the next, so only ids are compared.
        let content = read(&written[..length]);
        let ids: Vec<_> = content.frames.iter().map(id).collect();
        assert_eq!(ids, [1, 2], "{length}");
        assert!(content.broken.is_empty(), "{length}");
        assert!(content.whole <= u64::try_from(whole + 1).unwrap(), "{length}");
    }
    // Only the line feed at the end is missing.
    assert_eq!(read(&written[..written.len() - 1]).frames.len(), 3);
}

fn id(frame: &Frame) -> u128 {
    match frame {
        Frame::Kept(entry) => entry.credential.record.id.as_u128(),
        Frame::Settled(id) => id.as_u128(),
    }
}

#[test]
fn s14_a_frame_after_a_torn_one_is_read_and_the_torn_one_is_reported() {
    let torn = kept("M1", 1).to_bytes().unwrap();
    let torn = &torn[..torn.len() / 2];
    let written = [torn, &bytes(&[kept("M2", 2)])].concat();
    let content = read(&written);
    assert_eq!(content.frames.iter().map(id).collect::<Vec<_>>(), [2]);
    assert_eq!(content.broken, [torn[1..].to_vec()]);
}

/// The first version of the gateway wrote new keys as they are written today. One that it
/// would replay over a later login is of a sort that it sets aside.
#[test]
fn a_new_key_is_written_as_ever_and_a_rotated_one_is_not() {
    let json = |frame: Frame| serde_json::to_value(frame.line()).unwrap();
    let kept = json(kept("M1", 1));
    let mut names: Vec<_> = kept["kept"].as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(
        names.join(" "),
        "account created expires id intent kind origin partner renews secret"
    );
    let rotated = json(rotated(1));
    assert!(rotated["kept"].is_null() && rotated["rotated"]["version"] == 3, "{rotated}");
}

proptest! {
    /// S14: no byte of the file can change without the frame being set aside.
    #[test]
    fn s14_a_frame_with_any_bit_changed_is_broken(at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut written = bytes(&[kept("M1", 1), kept("M2", 2)]);
        let end = bytes(&[kept("M1", 1)]).len();
        let at = 1 + at.index(end - 2);
        written[at] ^= 1_u8 << bit;
        let content = read(&written);
        prop_assert_eq!(content.frames.iter().map(id).collect::<Vec<_>>(), [2]);
        prop_assert!(!content.broken.is_empty());
    }

    #[test]
    fn any_bytes_are_read_and_none_is_lost(lines in proptest::collection::vec("[ -~]{0,40}|[0-9]{1,3} [0-9a-f]{64} \\{.*\\}", 0..6)) {
        let written = lines.join("\n").into_bytes();
        let content = read(&written);
        prop_assert!(content.frames.is_empty());
        let whole = usize::try_from(content.whole).unwrap();
        let kept: usize = content.broken.iter().map(Vec::len).sum();
        let text = written[..whole].iter().filter(|byte| **byte != b'\n').count();
        prop_assert_eq!(kept, text);
        prop_assert!(!written[whole..].contains(&b'\n'));
    }

    #[test]
    fn any_bytes_at_all_do_not_panic(written in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(&written);
    }
}

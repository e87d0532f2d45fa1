//! The scanner finds every frame however the bytes are cut, and patience ends where gRFC
//! A8 has it.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags, 0, 0, 0, 0], payload].concat()
}

fn scanned<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(u8, u8)> {
    let (mut scanner, mut seen) = (Scanner::default(), Vec::new());
    for piece in pieces {
        scanner.scan(piece, |kind, flags| seen.push((kind, flags)));
    }
    seen
}

proptest! {
    #[test]
    fn b6_every_frame_is_seen_once_however_the_bytes_arrive(
        frames in prop::collection::vec((any::<u8>(), any::<u8>(), 0..700_usize), 0..20),
        size in 1..40_usize,
    ) {
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|(kind, flags, length)| frame(*kind, *flags, &vec![PING; *length]))
            .collect();
        let expected: Vec<_> = frames.iter().map(|(kind, flags, _)| (*kind, *flags)).collect();

        prop_assert_eq!(scanned(bytes.chunks(size)), expected.clone());
        prop_assert_eq!(scanned([&bytes[..]]), expected);
    }

    /// What is no HTTP/2 is hyper's to refuse; here it must only be survived.
    #[test]
    fn b6_any_bytes_are_scanned(bytes: Vec<u8>, size in 1..40_usize) {
        prop_assert_eq!(scanned(bytes.chunks(size)), scanned([&bytes[..]]));
    }
}

#[tokio::test(start_paused = true)]
async fn g23_the_fourth_ping_in_a_row_is_one_too_many() {
    let now = Instant::now();
    let mut patience = Patience::new(now);
    let pings = [(); 4].map(|()| patience.ping(now).is_some());
    assert_eq!(pings, [false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn g23_pings_at_the_interval_or_between_answers_go_on_for_ever() {
    let now = Instant::now();
    let mut patience = Patience::new(now);
    for number in 0..100 {
        assert_eq!(patience.ping(now + PING_INTERVAL * number), None);
    }
    for _ in 0..100 {
        patience.sent(HEADERS);
        patience.sent(DATA);
        assert_eq!(patience.ping(now), None);
    }
}

#[tokio::test(start_paused = true)]
async fn b7_settings_are_bounded_in_a_minute_and_not_over_a_life() {
    let now = Instant::now();
    let mut patience = Patience::new(now);
    for minute in 0..3 {
        let now = now + SETTINGS_INTERVAL * minute;
        for _ in 0..MAX_SETTINGS {
            assert_eq!(patience.settings(now), None);
        }
    }
    assert!(patience.settings(now + SETTINGS_INTERVAL * 2).is_some());
}

#[tokio::test]
async fn b6_acknowledgements_are_answers_and_do_not_count() {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let mut calmed = Calmed::new(near, b"PREFACE");
    let pings = frame(PING, ACK, &[0; 8]).repeat(1000);
    far.write_all(&pings).await.unwrap();
    drop(far);

    let mut read = Vec::new();
    calmed.read_to_end(&mut read).await.unwrap();

    assert!(read.strip_prefix(b"PREFACE").is_some_and(|rest| rest == pings));
}

/// The peer's own library must see a frame, not the end of a half one.
#[tokio::test]
async fn b6_a_flood_is_told_why_unless_a_frame_is_half_written() {
    let flood = frame(PING, 0, &[0; 8]).repeat(4);
    for (capacity, expected) in [(1 << 10, goaway(b"too_many_pings")), (64, Vec::new())] {
        let (near, mut far) = tokio::io::duplex(capacity);
        let mut calmed = Calmed::new(near, b"");
        let whole = frame(DATA, 0, &[7; 91]);
        let written = whole[..whole.len().min(capacity)].to_vec();
        assert_eq!(calmed.write(&whole).await.unwrap(), written.len());
        let mut buffer = [0; 256];
        let mut result = Ok(1);
        for part in flood.chunks(64) {
            far.write_all(part).await.unwrap();
            if result.is_ok() {
                result = calmed.read(&mut buffer).await;
            }
        }
        drop(calmed);
        let mut told = Vec::new();
        far.read_to_end(&mut told).await.unwrap();

        assert!(result.is_err());
        assert_eq!(told, [written, expected].concat(), "{capacity}");
    }
}

/// Where a frame begins counts, and only if the peer gets it: not what hyper has ready.
#[tokio::test]
async fn g23_pings_are_forgiven_for_frames_of_answers_that_were_written_and_no_others() {
    let answers = [frame(HEADERS, 0, &[1; 20]), frame(DATA, 0, &[0; 20])].concat();
    for (written, kept, is_forgiven) in [
        (answers.clone(), 1 << 10, true),
        (frame(DATA, 0, &[0; 500]), 9, true),
        (frame(DATA, 0, &[0; 500]), 8, false),
        (frame(PING, ACK, &[0; 8]), 1 << 10, false),
        (frame(SETTINGS, 0, &[0; 60]), 1 << 10, false),
    ] {
        let (near, mut far) = tokio::io::duplex(kept);
        let mut calmed = Calmed::new(near, b"");
        let mut buffer = [0; 64];
        for part in frame(PING, 0, &[0; 8]).repeat(3).chunks(8) {
            far.write_all(part).await.unwrap();
            let _ = calmed.read(&mut buffer).await.unwrap();
        }
        let (head, rest) = written.split_at(4);
        let slices = [head, rest].map(io::IoSlice::new);
        let taken = calmed.write_vectored(&slices).await.unwrap();
        assert_eq!(taken, written.len().min(kept));
        let mut read = Ok(1);
        for part in frame(PING, 0, &[0; 8]).chunks(8) {
            far.write_all(part).await.unwrap();
            read = calmed.read(&mut buffer).await;
            if read.is_err() {
                break;
            }
        }
        assert_eq!(read.is_ok(), is_forgiven, "{written:?} of which {kept} are taken");
    }
}

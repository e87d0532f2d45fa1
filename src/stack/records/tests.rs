use super::*;

fn key(number: usize) -> Key {
    let request_id = Uuid::from_u128(u128::try_from(number).unwrap());
    Key { rpc: "a.v1.B/C".to_owned(), request_id }
}

fn reply(size: usize) -> Reply {
    Reply {
        attempts: 2,
        partner_request_id: Some("theirs".to_owned()),
        is_key_kept: true,
        ..Reply::new(
            StatusCode::CREATED,
            HeaderMap::from_iter([(http::header::SET_COOKIE, "canary".parse().unwrap())]),
            vec![7; size].into(),
        )
    }
}

fn is_new(records: &Records, number: usize) -> bool {
    match records.open(&key(number), [0; 32]) {
        Opened::New => true,
        Opened::Full => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn r8_no_record_is_dropped_before_its_time_to_make_room() {
    let records = Records::default();
    for number in 0..MAX_RECORDS {
        assert!(is_new(&records, number));
        records.done(&key(number), &reply(1));
    }
    assert!(!is_new(&records, MAX_RECORDS), "it is refused");
    assert!(matches!(records.open(&key(0), [0; 32]), Opened::Done(_)), "the oldest is kept");
    tokio::time::advance(RETENTION).await;
    assert!(is_new(&records, MAX_RECORDS));
}

#[tokio::test(start_paused = true)]
async fn r8_calls_under_way_take_room_and_give_it_back() {
    let records = Records::default();
    for number in 0..MAX_RECORDS {
        assert!(is_new(&records, number));
    }
    assert!(!is_new(&records, MAX_RECORDS));
    records.forget(&key(0));
    assert!(is_new(&records, MAX_RECORDS));
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_replies_are_bounded_too() {
    let records = Records::default();
    for number in 0..64 {
        assert!(is_new(&records, number));
        records.done(&key(number), &reply(MAX_BYTES / 64));
    }
    assert!(!is_new(&records, 64));
    assert!(matches!(records.open(&key(0), [0; 32]), Opened::Done(_)));
    tokio::time::advance(RETENTION).await;
    assert!(is_new(&records, 64), "what was dropped is not counted any more");
}

#[tokio::test]
async fn of_a_reply_only_what_is_needed_is_kept() {
    let records = Records::default();
    assert!(is_new(&records, 1));
    records.done(&key(1), &reply(3));
    let Opened::Done(kept) = records.open(&key(1), [0; 32]) else { panic!("it is done") };
    assert_eq!((kept.status, &*kept.body), (StatusCode::CREATED, &[7; 3][..]));
    assert_eq!((kept.attempts, kept.replayed), (0, true));
    assert_eq!(kept.partner_request_id.as_deref(), Some("theirs"));
    assert!(kept.headers.is_empty());
}

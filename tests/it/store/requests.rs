//! Records of calls that are done once: one replica makes each, all of them find it.

use std::time::Duration;

use partner_gateway::seal::Unsealable;
use partner_gateway::store::{
    Damage, End, Error, Found, NewRequest, RequestKey, RequestState, Retention, Store,
};
use secrecy::ExposeSecret as _;
use sqlx::Row as _;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::place::{NEW, OLD, Place, keyring};
use super::secrecy::{assert_unwritten, assert_written, canary};

const KEEPS: Retention =
    Retention { done: Duration::from_secs(100), unknown: Duration::from_secs(1000) };

fn key(number: u128) -> RequestKey {
    RequestKey::new("shop", "acme", Some("M1"), "acme.v1.Accounts/Create", Uuid::from_u128(number))
}

fn new(place: &Place, number: u128) -> NewRequest {
    NewRequest {
        id: Uuid::now_v7(),
        key: key(number),
        fingerprint: [1; 32],
        call_id: Uuid::from_u128(9),
        settles_by: place.now() + Duration::from_secs(60),
    }
}

fn done(answer: &str) -> End {
    End::Done(answer.to_owned().into())
}

/// What the store says of a key, by its name, and the answer if there is one.
async fn ask(store: &Store, request: &NewRequest) -> String {
    match store.open_request(request, &KEEPS).await.unwrap() {
        Found::Done(answer) => String::from_utf8(answer.expose_secret().to_vec()).unwrap(),
        found => format!("{found:?}"),
    }
}

/// Makes the record of a call and ends it.
async fn make(store: &Store, place: &Place, number: u128, end: &End) -> Uuid {
    let request = new(place, number);
    assert_eq!(ask(store, &request).await, "New");
    store.end_request(&request, end).await.unwrap();
    request.id
}

pub(super) async fn r8_every_replica_learns_how_a_call_ended(place: Place) {
    let [one, other] = [place.open().await, place.open().await];
    let request = new(&place, 1);
    assert_eq!(ask(&one, &request).await, "New");
    for store in [&one, &other] {
        assert_eq!(ask(store, &new(&place, 1)).await, "InFlight");
    }
    one.end_request(&request, &done("the answer")).await.unwrap();
    assert_eq!(ask(&other, &new(&place, 1)).await, "the answer");
    let another_payload = NewRequest { fingerprint: [2; 32], ..new(&place, 1) };
    assert_eq!(ask(&other, &another_payload).await, "Other");
    // Nothing makes it less.
    for end in [End::Unknown, End::Forgotten] {
        one.end_request(&request, &end).await.unwrap();
        assert_eq!(ask(&other, &new(&place, 1)).await, "the answer", "{end:?}");
    }
    make(&one, &place, 2, &End::Unknown).await;
    assert_eq!(ask(&other, &new(&place, 2)).await, "Unknown");
    make(&one, &place, 3, &End::Forgotten).await;
    assert_eq!(ask(&other, &new(&place, 3)).await, "New");
    let counts = other.count_requests().await.unwrap();
    for state in [RequestState::Started, RequestState::Done, RequestState::Unknown] {
        assert!(counts.contains(&("acme".to_owned(), state, 1)), "{counts:?}");
    }
}

pub(super) async fn r8_each_part_of_a_key_tells_requests_apart(place: Place) {
    let store = place.open().await;
    let id = Uuid::from_u128(1);
    let keys = [
        RequestKey::new("shop", "acme", Some("M1"), "acme.v1.A/B", id),
        RequestKey::new("till", "acme", Some("M1"), "acme.v1.A/B", id),
        RequestKey::new("shop", "other", Some("M1"), "acme.v1.A/B", id),
        RequestKey::new("shop", "acme", Some("M2"), "acme.v1.A/B", id),
        RequestKey::new("shop", "acme", Some(""), "acme.v1.A/B", id),
        RequestKey::new("shop", "acme", None, "acme.v1.A/B", id),
        RequestKey::new("shop", "acme", Some("M1"), "acme.v1.A/C", id),
        RequestKey::new("shop", "acme", Some("M1"), "acme.v1.A/B", Uuid::from_u128(2)),
        // The same letters, parted otherwise.
        RequestKey::new("shopa", "cme", Some("M1"), "acme.v1.A/B", id),
    ];
    for key in &keys {
        let request = NewRequest { key: key.clone(), ..new(&place, 0) };
        assert_eq!(ask(&store, &request).await, "New", "{key:?}");
    }
    for key in keys {
        assert_eq!(ask(&store, &NewRequest { key, ..new(&place, 0) }).await, "InFlight");
    }
}

pub(super) async fn r8_of_concurrent_calls_one_is_the_first(place: Place) {
    let replicas = [place.open().await, place.open().await];
    for number in 0..5 {
        let mut tasks = JoinSet::new();
        for task in 0..16 {
            let (store, request) = (replicas[task % 2].clone(), new(&place, number));
            tasks.spawn(async move { ask(&store, &request).await });
        }
        let mut found = tasks.join_all().await;
        found.sort();
        assert_eq!(found.iter().filter(|found| *found == "New").count(), 1, "{found:?}");
        assert_eq!(found.iter().filter(|found| *found == "InFlight").count(), 15, "{found:?}");
    }
}

pub(super) async fn r8_a_call_that_nobody_ended_in_time_is_unknown_for_good(place: Place) {
    let store = place.open().await;
    let (one, two) = (new(&place, 1), new(&place, 2));
    ask(&store, &one).await;
    ask(&store, &two).await;
    place.advance(60);
    assert_eq!(store.give_up_overdue().await.unwrap(), 0);
    assert_eq!(ask(&store, &new(&place, 1)).await, "InFlight");
    place.advance(1);
    // Told before the sweep comes by, which finds nothing left to do for it.
    assert_eq!(ask(&store, &new(&place, 1)).await, "Unknown");
    assert_eq!(store.give_up_overdue().await.unwrap(), 1);
    assert_eq!(ask(&store, &new(&place, 1)).await, "Unknown");
    // What is learned later nevertheless counts.
    store.end_request(&one, &done("late")).await.unwrap();
    assert_eq!(ask(&store, &new(&place, 1)).await, "late");
    // But not that it had no effect: its caller has been told otherwise, and may have done
    // it anew under another id.
    assert!(!store.end_request(&two, &End::Forgotten).await.unwrap());
    assert_eq!(ask(&store, &new(&place, 2)).await, "Unknown");
}

/// Its process could not tell in time that a call had no effect: whoever asked meanwhile
/// may have done it anew under another id. The sweep need not have come by.
pub(super) async fn r8_what_was_told_to_be_unknown_is_never_free_again(place: Place) {
    let [one, other] = [place.open().await, place.open().await];
    let (forgotten, answered, unasked) = (new(&place, 1), new(&place, 2), new(&place, 3));
    for request in [&forgotten, &answered, &unasked] {
        assert_eq!(ask(&one, request).await, "New");
    }
    place.advance(61);
    for number in 1..=2 {
        assert_eq!(ask(&other, &new(&place, number)).await, "Unknown");
    }
    assert!(!one.end_request(&forgotten, &End::Forgotten).await.unwrap());
    assert_eq!(ask(&other, &new(&place, 1)).await, "Unknown");
    let another_payload = NewRequest { fingerprint: [2; 32], ..new(&place, 1) };
    assert_eq!(ask(&other, &another_payload).await, "Other");
    // An answer that comes late says more than that nobody knows.
    assert!(one.end_request(&answered, &done("late")).await.unwrap());
    assert_eq!(ask(&other, &new(&place, 2)).await, "late");
    // Of the third one nobody was told anything.
    assert!(one.end_request(&unasked, &End::Forgotten).await.unwrap());
    assert_eq!(ask(&other, &new(&place, 3)).await, "New");
    // What was told is kept for its time, which began then.
    place.advance(1000);
    assert_eq!(ask(&other, &new(&place, 1)).await, "Unknown");
    place.advance(1);
    assert_eq!(ask(&other, &new(&place, 1)).await, "New");
}

/// Whatever comes between two replicas that ask, and the one that forgets.
pub(super) async fn r8_of_a_late_end_and_those_who_ask_all_are_told_the_same(place: Place) {
    let [one, other] = [place.open().await, place.open().await];
    for number in 0..20 {
        let (request, again) = (new(&place, number), new(&place, number));
        assert_eq!(ask(&one, &request).await, "New");
        place.advance(61);
        let (is_forgotten, told) =
            tokio::join!(one.end_request(&request, &End::Forgotten), ask(&other, &again));
        let expected = if is_forgotten.unwrap() { "New" } else { "Unknown" };
        assert_eq!(told, expected);
    }
}

pub(super) async fn r8_records_are_kept_for_their_time(place: Place) {
    let store = place.open().await;
    for number in 0..3 {
        make(&store, &place, number, &done("an answer")).await;
    }
    make(&store, &place, 10, &End::Unknown).await;
    ask(&store, &NewRequest { settles_by: jiff::Timestamp::MAX, ..new(&place, 20) }).await;
    place.advance(100);
    assert_eq!(store.expire_requests(&KEEPS).await.unwrap(), 0);
    assert_eq!(ask(&store, &new(&place, 0)).await, "an answer");
    place.advance(1);
    assert_eq!(ask(&store, &new(&place, 0)).await, "New", "to the second, whenever it is swept");
    assert_eq!(store.expire_requests(&KEEPS).await.unwrap(), 2);
    place.advance(899);
    assert_eq!(ask(&store, &new(&place, 10)).await, "Unknown");
    place.advance(1);
    assert_eq!(store.expire_requests(&KEEPS).await.unwrap(), 1);
    assert_eq!(ask(&store, &new(&place, 10)).await, "New");
    assert_eq!(ask(&store, &new(&place, 20)).await, "InFlight", "one without an end stays");
}

pub(super) async fn s15_no_record_shows_for_whom_it_is_nor_what_was_answered(place: Place) {
    let (caller, account, answer, rpc) = (canary(), canary(), canary(), canary());
    let store = place.open().await;
    let request_id = Uuid::new_v4();
    let key = RequestKey::new(&caller, "acme", Some(&account), &rpc, request_id);
    let request = NewRequest { key, ..new(&place, 0) };
    assert_eq!(ask(&store, &request).await, "New");
    store.end_request(&request, &done(&answer)).await.unwrap();
    assert_eq!(ask(&store, &request).await, answer);
    store.set_keyring(keyring(&format!("{NEW} {OLD}")));
    assert_eq!(store.rotate(10).await.unwrap().rewrapped, 1);

    assert_written(&place, &rpc);
    let hidden = [caller, account, answer, request_id.to_string(), request_id.simple().to_string()];
    for text in &hidden {
        assert_unwritten(&place, text);
    }
    drop(store);
    for text in &hidden {
        assert_unwritten(&place, text);
    }
}

pub(super) async fn s15_an_answer_opens_in_no_other_record(place: Place) {
    let store = place.open().await;
    let one = make(&store, &place, 1, &done("one")).await;
    let key: String = place.rows("SELECT key FROM requests").await[0].get("key");
    make(&store, &place, 2, &done("two")).await;
    for (column, value) in [
        (
            "answer",
            "(SELECT answer FROM requests WHERE key <> (SELECT key FROM requests WHERE id = '$id'))",
        ),
        ("partner", "'other'"),
        ("rpc", "'other'"),
        ("id", "'00000000-0000-7000-8000-000000000000'"),
    ] {
        let value = value.replace("$id", &one.to_string());
        let sql = format!("UPDATE requests SET {column} = {value} WHERE id = '{one}'");
        assert_eq!(place.execute(&sql).await, 1, "{column}");
        let request = new(&place, 1);
        let error = store.open_request(&request, &KEEPS).await.unwrap_err().error;
        let tampered = Damage::Sealed(Unsealable::Tampered);
        assert!(matches!(error, Error::Corrupt(damage) if damage == tampered), "{column}");
        assert_eq!(ask(&store, &new(&place, 2)).await, "two");
        let sql = format!(
            "DELETE FROM requests WHERE id IN ('{one}', '00000000-0000-7000-8000-000000000000')"
        );
        assert_eq!(place.execute(&sql).await, 1);
        let request = NewRequest { id: one, ..new(&place, 1) };
        ask(&store, &request).await;
        store.end_request(&request, &done("one")).await.unwrap();
    }
    assert_eq!(ask(&store, &new(&place, 1)).await, "one");
    // Rows that have exchanged their keys, each whole but for that.
    for (of, becomes) in [(format!("id = '{one}'"), "'aside'"), (format!("id <> '{one}'"), "$1")] {
        let becomes = becomes.replace("$1", &format!("'{key}'"));
        assert_eq!(
            place.execute(&format!("UPDATE requests SET key = {becomes} WHERE {of}")).await,
            1
        );
    }
    let error = store.open_request(&new(&place, 1), &KEEPS).await.unwrap_err().error;
    assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
}

pub(super) async fn s16_answers_come_under_the_first_key_with_all_else(place: Place) {
    let store = place.open().await;
    for number in 0..25 {
        make(&store, &place, number, &done(&format!("answer {number}"))).await;
    }
    make(&store, &place, 100, &End::Unknown).await;
    store.put(super::place::new("M1", "a key")).await.unwrap();
    // One that lacks the key of the answers is refused, by name.
    let old = keyring(OLD).first_id().to_string();
    let refused = store.change_keyring(keyring(NEW)).await.unwrap_err();
    assert!(matches!(&refused, Error::MissingKeys(ids) if *ids == [old.clone()]), "{refused:?}");

    let store = place.open_with(&format!("{NEW} {OLD}")).await;
    let rotations = [store.rotate(10).await.unwrap(), store.rotate(100).await.unwrap()];
    assert_eq!(rotations.map(|it| (it.rewrapped, it.left)), [(10, 16), (16, 0)]);
    let store = place.open_with(NEW).await;
    for number in 0..25 {
        assert_eq!(ask(&store, &new(&place, number)).await, format!("answer {number}"));
    }
    assert_eq!(ask(&store, &new(&place, 100)).await, "Unknown");
}

/// A replica that has not heard of a new key says so, and does nothing anew.
pub(super) async fn s16_an_answer_under_a_key_that_is_not_known_yet_is_no_new_call(place: Place) {
    let late = place.open().await;
    let store = place.open_with(&format!("{NEW} {OLD}")).await;
    make(&store, &place, 1, &done("an answer")).await;
    let error = late.open_request(&new(&place, 1), &KEEPS).await.unwrap_err().error;
    assert!(matches!(error, Error::UnknownKey(_)), "{error:?}");
    late.change_keyring(keyring(&format!("{OLD} {NEW}"))).await.unwrap();
    assert_eq!(ask(&late, &new(&place, 1)).await, "an answer");
}

/// On SQLite the process before is known to be gone; other replicas' may go on.
pub(super) async fn r8_after_a_restart_nothing_of_the_process_before_is_taken_up(place: Place) {
    let store = place.open().await;
    let request = new(&place, 1);
    ask(&store, &request).await;
    make(&store, &place, 2, &done("an answer")).await;
    let beside = place.open().await;
    assert_eq!(ask(&beside, &new(&place, 1)).await, "InFlight", "the other one runs");
    drop((store, beside));
    let store = place.open().await;
    let found = if place.is_sqlite() { "Unknown" } else { "InFlight" };
    assert_eq!(ask(&store, &new(&place, 1)).await, found);
    assert_eq!(ask(&store, &new(&place, 2)).await, "an answer");
}

/// A standby that has taken over may not have seen the record, and may have let another
/// call be the first since.
pub(super) async fn r8_an_end_is_kept_though_its_record_is_gone(place: Place) {
    let store = place.open().await;
    let lose = async || place.execute("DELETE FROM requests").await;
    for (end, told) in [(done("an answer"), "an answer"), (End::Unknown, "Unknown")] {
        let lost = new(&place, 1);
        assert_eq!(ask(&store, &lost).await, "New");
        lose().await;
        assert!(store.end_request(&lost, &end).await.unwrap());
        assert!(!store.end_request(&lost, &end).await.unwrap(), "it is said already");
        assert_eq!(ask(&store, &new(&place, 1)).await, told);
        let another_payload = NewRequest { fingerprint: [2; 32], ..new(&place, 1) };
        assert_eq!(ask(&store, &another_payload).await, "Other");

        // Whichever of the two says it last: an answer stands, and nothing frees the id.
        for other_ends in [done("another answer"), End::Unknown, End::Forgotten] {
            lose().await;
            let other = new(&place, 1);
            assert_eq!(ask(&store, &other).await, "New");
            store.end_request(&lost, &end).await.unwrap();
            store.end_request(&other, &other_ends).await.unwrap();
            let told = match &other_ends {
                End::Done(_) if end == End::Unknown => "another answer",
                _ => told,
            };
            assert_eq!(ask(&store, &new(&place, 1)).await, told, "{end:?} {other_ends:?}");
        }
        lose().await;
    }
    let forgotten = new(&place, 2);
    assert!(!store.end_request(&forgotten, &End::Forgotten).await.unwrap());
    assert_eq!(ask(&store, &new(&place, 2)).await, "New");
}

/// What an outage leaves open is told as an error, in time; saying it again is safe.
pub(super) async fn r8_a_store_that_is_away_takes_neither_a_record_nor_its_end(place: Place) {
    let store = place.open().await;
    let request = new(&place, 1);
    ask(&store, &request).await;
    let outage = place.lock_requests().await;
    let ended = store.end_request(&request, &done("an answer")).await;
    assert!(matches!(ended, Err(Error::Unavailable(_))), "{ended:?}");
    let opened = store.open_request(&new(&place, 2), &KEEPS).await.unwrap_err();
    assert!(matches!(opened.error, Error::Unavailable(_)), "{opened:?}");
    // PostgreSQL refuses to look for it, SQLite to make it.
    assert_eq!(opened.may_exist, place.is_sqlite());
    drop(outage);
    for _ in 0..2 {
        store.end_request(&request, &done("an answer")).await.unwrap();
    }
    assert_eq!(ask(&store, &new(&place, 1)).await, "an answer");
}

use std::sync::atomic::{AtomicI64, Ordering};

use http::StatusCode;
use uuid::Uuid;

use super::*;
use crate::call::Call;
use crate::stack::{Context, testing};
use crate::store::RequestState;

mod outages;

const FINGERPRINT: [u8; 32] = [7; 32];

/// Records, and what they are in.
struct Setting {
    records: Records,
    context: Context,
    now: Arc<AtomicI64>,
}

async fn given() -> Setting {
    let now = Arc::new(AtomicI64::new(1_000_000));
    let told = Arc::clone(&now);
    let clock =
        Clock::from_fn(move || Timestamp::from_second(told.load(Ordering::SeqCst)).unwrap());
    let store = Store::in_memory(clock.clone()).await.unwrap();
    let context = Context { clock, store, ..testing::context().await };
    Setting { records: Records::new(&context, Duration::from_secs(30)), context, now }
}

impl Setting {
    async fn open(&self, number: u128) -> Result<Opened, Error> {
        open_in(&self.records, number).await
    }

    /// Waits until the store knows every end.
    async fn written(&self) {
        self.context.tasks.close();
        self.context.tasks.wait().await;
        self.context.tasks.reopen();
    }

    async fn states(&self) -> Vec<(RequestState, u64)> {
        let counts = self.context.store.count_requests().await.unwrap();
        counts.into_iter().map(|(_, state, count)| (state, count)).collect()
    }

    fn advance(&self, time: Duration) {
        self.now.fetch_add(i64::try_from(time.as_secs()).unwrap(), Ordering::SeqCst);
    }
}

async fn open_in(records: &Records, number: u128) -> Result<Opened, Error> {
    let id = Uuid::from_u128(number);
    let key = RequestKey::new("a caller", "example", None, "a.v1.B/C", id);
    let call = Call { request_id: Some(id), ..testing::call() };
    records.open(key, FINGERPRINT, &Exchange::new(call)).await
}

fn new(opened: Result<Opened, Error>) -> Record {
    match opened {
        Ok(Opened::New(record)) => record,
        other => panic!("{other:?}"),
    }
}

fn reply(size: usize) -> Result<Reply, Error> {
    Ok(Reply::new(StatusCode::CREATED, http::HeaderMap::new(), vec![b'x'; size].into()))
}

fn failed(outcome: Outcome) -> Result<Reply, Error> {
    Err(Error::new(Kind::Unreachable, outcome))
}

#[tokio::test]
async fn r8_another_replica_finds_what_became_of_a_call() {
    let setting = given().await;
    // It shares the store and nothing else.
    let other = Records::new(&setting.context, Duration::from_secs(30));
    let record = new(setting.open(1).await);
    assert!(matches!(open_in(&other, 1).await, Ok(Opened::InFlight)));
    record.settle(&reply(3)).await;
    match open_in(&other, 1).await {
        Ok(Opened::Done(reply)) => {
            assert_eq!((reply.status, &*reply.body), (StatusCode::CREATED, &b"xxx"[..]));
            assert!(reply.replayed);
        }
        other => panic!("{other:?}"),
    }
    new(setting.open(2).await).settle(&failed(Outcome::Unknown)).await;
    assert!(matches!(open_in(&other, 2).await, Ok(Opened::Unknown)));
    new(setting.open(3).await).settle(&failed(Outcome::Rejected)).await;
    drop(new(open_in(&other, 3).await));
}

/// R8: what its process did not end is given up on, never taken up.
#[tokio::test]
async fn r8_a_call_that_nobody_ended_becomes_unknown() {
    let setting = given().await;
    let record = new(setting.open(1).await);
    let other = Records::new(&setting.context, Duration::from_secs(30));
    // The call's ten seconds, its last attempt, and the margin for the clocks.
    setting.advance(Duration::from_secs(10 + 30 + 60 - 1));
    assert_eq!(setting.context.store.give_up_overdue().await.unwrap(), 0);
    assert!(matches!(open_in(&other, 1).await, Ok(Opened::InFlight)));
    setting.advance(Duration::from_secs(2));
    assert!(matches!(open_in(&other, 1).await, Ok(Opened::Unknown)));
    let given_up = setting.context.store.give_up_overdue().await.unwrap();
    assert_eq!(given_up, 0, "it was when it was asked for");
    assert!(matches!(open_in(&other, 1).await, Ok(Opened::Unknown)));
    // Its answer comes nevertheless, and is what counts.
    record.settle(&reply(1)).await;
    assert!(matches!(open_in(&other, 1).await, Ok(Opened::Done(_))));
}

#[tokio::test]
async fn r8_a_success_is_kept_for_its_day_and_an_unknown_outcome_for_longer() {
    const DAY: Duration = Duration::from_hours(24);
    let setting = given().await;
    new(setting.open(1).await).settle(&reply(1)).await;
    new(setting.open(2).await).settle(&failed(Outcome::Unknown)).await;
    setting.advance(DAY);
    let keeps = Retention::default();
    assert_eq!(setting.context.store.expire_requests(&keeps).await.unwrap(), 0);
    assert!(matches!(setting.open(1).await, Ok(Opened::Done(_))));
    setting.advance(Duration::from_secs(1));
    new(setting.open(1).await).settle(&reply(1)).await;
    setting.advance(29 * DAY - Duration::from_secs(1));
    assert!(matches!(setting.open(2).await, Ok(Opened::Unknown)));
    assert_eq!(setting.context.store.expire_requests(&keeps).await.unwrap(), 1);
    assert_eq!(setting.states().await, [(RequestState::Unknown, 1)]);
    setting.advance(Duration::from_secs(1));
    assert_eq!(setting.context.store.expire_requests(&keeps).await.unwrap(), 1);
    drop(new(setting.open(2).await));
}

/// A record that is dropped ends by how far its call has come.
#[tokio::test]
async fn r8_a_call_that_is_dropped_frees_its_id_only_if_nothing_was_sent() {
    let setting = given().await;
    let (unsent, sent) = (new(setting.open(1).await), new(setting.open(2).await));
    sent.progress.begin();
    drop((unsent, sent));
    assert!(matches!(setting.open(2).await, Ok(Opened::Unknown)), "told from memory");
    setting.written().await;
    assert_eq!(setting.states().await, [(RequestState::Unknown, 1)]);
    drop(new(setting.open(1).await));
    assert!(matches!(setting.open(2).await, Ok(Opened::Unknown)));
}

/// What is in memory is bounded: a call beyond that is refused before it is sent.
#[tokio::test]
async fn r8_a_store_in_memory_that_is_full_takes_no_more_calls() {
    const MIB: usize = 1024 * 1024;
    let setting = given().await;
    let mut number = 0;
    loop {
        number += 1;
        match setting.open(number).await.unwrap() {
            Opened::New(record) => record.settle(&reply(4 * MIB)).await,
            Opened::Full => break,
            other => panic!("{other:?}"),
        }
    }
    assert!((15..=17).contains(&number), "{number}");
    assert!(matches!(setting.open(1).await, Ok(Opened::Done(_))), "what is kept stays");
    setting.advance(Duration::from_hours(25));
    setting.context.store.expire_requests(&Retention::default()).await.unwrap();
    drop(new(setting.open(number).await));
}

#[tokio::test]
async fn s24_nothing_of_a_record_is_shown_by_debug() {
    let setting = given().await;
    let record = new(setting.open(1).await);
    let shown = format!("{:?} {record:?}", setting.records);
    assert!(!shown.contains("a caller") && !shown.contains("-0000-000000000001"), "{shown}");
    let answer = End::Done(answer::write(&reply(5).unwrap()));
    assert!(!format!("{answer:?}").contains("xxxxx"));
}

/// What came in first may turn out not to be the first: nothing is compared with it before
/// the store has said so.
#[tokio::test]
async fn r8_a_duplicate_is_compared_only_with_what_is_known_to_be_the_first() {
    let setting = given().await;
    let id = Uuid::from_u128(1);
    let key = RequestKey::new("a caller", "example", None, "a.v1.B/C", id);
    assert!(setting.records.enter(&key, [8; 32]).is_none());
    for fingerprint in [[8; 32], FINGERPRINT] {
        let told = setting.records.enter(&key, fingerprint);
        assert!(matches!(told, Some(Ok(Opened::InFlight))), "{told:?}");
    }
    setting.records.leave(&key);
    let record = new(setting.open(1).await);
    assert!(matches!(setting.records.enter(&key, [8; 32]), Some(Ok(Opened::Other))));
    drop(record);
}

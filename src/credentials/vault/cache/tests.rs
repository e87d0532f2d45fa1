use std::collections::VecDeque;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep};

use super::super::opened::{ABSENCE, LIFE, PATIENCE};
use super::*;
use crate::error::Kind;
use crate::store;

/// How long the store is waited for in these tests, as in a configuration.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A store whose answers are given, each with how long it takes; without one it is frozen.
#[derive(Clone, Default)]
struct Fake {
    answers: Arc<Mutex<VecDeque<(Duration, Looked)>>>,
    looks: Arc<Mutex<Vec<String>>>,
}

fn pair(name: &str) -> KeyPair {
    KeyPair { access_key: name.to_owned(), secret_key: "secret".into() }
}

fn away() -> Looked {
    Err(Arc::new(store::Error::Conflict))
}

impl Fake {
    fn cache(&self) -> Cache {
        let fake = self.clone();
        let look_up = move |account: &str| {
            fake.looks.lock().unwrap().push(account.to_owned());
            let answer = fake.answers.lock().unwrap().pop_front();
            let (time, looked) = answer.unwrap_or((TIMEOUT, away()));
            async move {
                sleep(time).await;
                looked
            }
            .boxed()
        };
        Cache::new(Box::new(look_up), TaskTracker::new())
    }

    fn answer(&self, millis: u64, looked: Looked) {
        self.answers.lock().unwrap().push_back((Duration::from_millis(millis), looked));
    }

    fn looks(&self) -> usize {
        self.looks.lock().unwrap().len()
    }
}

/// What a caller is told, and how long it waited.
async fn find(cache: &Cache, account: &str) -> (Result<Option<String>, Kind>, Duration) {
    let start = Instant::now();
    let found = cache.find(account).await;
    let told = found.map(|pair| pair.map(|pair| pair.access_key));
    (told.map_err(|error| error.kind().clone()), start.elapsed())
}

async fn given(name: &str) -> (Fake, Cache) {
    let fake = Fake::default();
    let cache = fake.cache();
    fake.answer(1, Ok(Some(pair(name))));
    assert_eq!(find(&cache, "a").await.0, Ok(Some(name.to_owned())));
    (fake, cache)
}

#[tokio::test(start_paused = true)]
async fn a_key_is_looked_after_once_its_time_is_over() {
    let (fake, cache) = given("k").await;
    sleep(LIFE - Duration::from_millis(1)).await;
    cache.find("a").await.unwrap();
    assert_eq!(fake.looks(), 1);
    sleep(Duration::from_millis(1)).await;
    fake.answer(5, Ok(Some(pair("another"))));
    let (told, waited) = find(&cache, "a").await;
    assert_eq!((told, fake.looks()), (Ok(Some("another".to_owned())), 2));
    assert!(waited < SOON);
    sleep(LIFE).await;
    fake.answer(5, Ok(None));
    assert_eq!(find(&cache, "a").await.0, Ok(None), "it is gone");
}

/// However short a caller's deadline is and however long the store is frozen.
#[tokio::test(start_paused = true)]
async fn while_the_store_is_frozen_a_key_that_was_in_use_goes_on_at_once() {
    let (fake, cache) = given("k").await;
    sleep(LIFE).await;
    let start = Instant::now();
    for _ in 0..200 {
        let (told, waited) = find(&cache, "a").await;
        assert_eq!(told, Ok(Some("k".to_owned())));
        assert!(waited <= SOON, "{waited:?}");
        sleep(Duration::from_millis(50)).await;
    }
    let rounds = start.elapsed().as_millis().div_ceil((TIMEOUT + PATIENCE).as_millis());
    let looks = u128::try_from(fake.looks() - 1).unwrap();
    assert_eq!(looks, rounds, "one look at a time, and a pause after it");
    fake.answer(1, Ok(Some(pair("new"))));
    sleep(TIMEOUT + PATIENCE).await;
    assert_eq!(find(&cache, "a").await.0, Ok(Some("new".to_owned())), "the store is back");
}

#[tokio::test(start_paused = true)]
async fn callers_of_one_account_share_a_look_that_no_one_of_them_can_cut_off() {
    let fake = Fake::default();
    let cache = fake.cache();
    fake.answer(50, Ok(Some(pair("k"))));
    let gone = timeout(Duration::from_millis(10), cache.find("a")).await;
    assert!(gone.is_err());
    let all = futures_util::future::join_all((0..100).map(|_| find(&cache, "a"))).await;
    assert!(all.iter().all(|(told, _)| *told == Ok(Some("k".to_owned()))));
    assert_eq!(fake.looks(), 1);

    let failed = futures_util::future::join_all((0..100).map(|_| find(&cache, "b"))).await;
    assert!(failed.iter().all(|(told, _)| *told == Err(Kind::StoreUnavailable)));
    assert_eq!(fake.looks(), 2);
}

#[tokio::test(start_paused = true)]
async fn absence_is_remembered_for_a_moment_or_until_a_key_is_put() {
    let fake = Fake::default();
    let cache = fake.cache();
    for _ in 0..2 {
        fake.answer(1, Ok(None));
        for _ in 0..10 {
            assert_eq!(find(&cache, "a").await.0, Ok(None));
        }
        sleep(ABSENCE).await;
    }
    assert_eq!(fake.looks(), 2);
    fake.answer(1, Ok(None));
    cache.find("a").await.unwrap();
    cache.opened().replace("a", Some(pair("put")));
    fake.answer(1, Ok(Some(pair("put"))));
    assert_eq!(find(&cache, "a").await.0, Ok(Some("put".to_owned())));
}

/// What was read before a change is told to those who asked before it only, and a change
/// of one account costs no other its look.
#[tokio::test(start_paused = true)]
async fn a_look_counts_for_nobody_who_asks_after_a_change() {
    let fake = Fake::default();
    let cache = fake.cache();
    fake.answer(50, Ok(Some(pair("deleted"))));
    fake.answer(50, Ok(Some(pair("other"))));
    let (early, other, ()) = tokio::join!(find(&cache, "a"), find(&cache, "b"), async {
        sleep(Duration::from_millis(10)).await;
        cache.opened().replace("a", None);
    });
    assert_eq!(early.0, Ok(Some("deleted".to_owned())));
    fake.answer(1, Ok(None));
    assert_eq!(find(&cache, "a").await.0, Ok(None));
    assert_eq!(other.0, find(&cache, "b").await.0);
    assert_eq!(*fake.looks.lock().unwrap(), ["a", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_is_used_again_only_after_a_look_or_in_an_outage() {
    let (fake, cache) = given("k").await;
    cache.opened().refresh("a");
    fake.answer(1000, Ok(Some(pair("new"))));
    let (told, waited) = find(&cache, "a").await;
    assert_eq!((told, waited), (Ok(Some("new".to_owned())), Duration::from_secs(1)));
    cache.opened().refresh("a");
    let (told, waited) = find(&cache, "a").await;
    assert_eq!((told, waited), (Ok(Some("new".to_owned())), TIMEOUT));
    assert_eq!(find(&cache, "a").await.1, Duration::ZERO);
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::service_fn;
use tower::util::BoxCloneSyncService;

use super::*;
use crate::callers::Caller;
use crate::error::Outcome;
use crate::operation::{Catalogue, Credential};
use crate::stack::testing;

const SECOND: Duration = Duration::from_secs(1);

/// A partner that answers after three seconds, and counts.
#[derive(Clone, Default)]
struct Counted {
    begun: Arc<AtomicU32>,
    ended: Arc<AtomicU32>,
}

struct Setting {
    partner: Counted,
    stack: BoxCloneSyncService<Exchange, Reply, Error>,
    model: Call,
}

impl Setting {
    async fn new(result: fn() -> Result<Reply, Error>) -> Self {
        let partner = Counted::default();
        let counted = partner.clone();
        let answering = service_fn(move |exchange: Exchange| {
            let counted = counted.clone();
            async move {
                counted.begun.fetch_add(1, Ordering::SeqCst);
                exchange.progress.begin();
                sleep(3 * SECOND).await;
                exchange.progress.end(Outcome::Unknown);
                counted.ended.fetch_add(1, Ordering::SeqCst);
                result()
            }
            .boxed()
        });
        let layer = CoalesceLayer::new(&testing::context().await);
        let stack = BoxCloneSyncService::new(layer.layer(answering));
        let operation = testing::read_operation(&[Credential::Signature]);
        let caller = Caller::new("one", 1, true);
        Self { partner, stack, model: Call { operation, caller, ..testing::call() } }
    }

    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, Error>> + Send + 'static {
        self.stack.clone().oneshot(Exchange::new(call))
    }

    /// The model with this much time.
    fn with_time(
        &self,
        time: Duration,
    ) -> impl Future<Output = Result<Reply, Error>> + Send + 'static {
        self.call(Call { deadline: Instant::now() + time, ..self.model.clone() })
    }

    fn counts(&self) -> (u32, u32) {
        let Counted { begun, ended } = &self.partner;
        (begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst))
    }
}

fn answer() -> Result<Reply, Error> {
    Ok(Reply::new(StatusCode::OK, HeaderMap::new(), Bytes::from_static(b"{}")))
}

fn failure() -> Result<Reply, Error> {
    let error = Error::new(Kind::Unreachable, Outcome::Unknown).with_host("example.com");
    Err(error.with_source("the source"))
}

/// The answers of calls that are made at once.
async fn all<C>(calls: impl IntoIterator<Item = C>) -> Vec<Result<Reply, Error>>
where
    C: Future<Output = Result<Reply, Error>> + Send + 'static,
{
    calls.into_iter().collect::<JoinSet<_>>().join_all().await
}

#[tokio::test(start_paused = true)]
async fn identical_reads_in_flight_are_one_and_later_ones_are_not() {
    let setting = Setting::new(answer).await;
    let calls = [(); 3].map(|()| setting.model.clone());
    let answers = all(calls.map(|call| setting.call(call))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|reply| reply.body == "{}")));
    assert_eq!(setting.counts(), (1, 1));
    setting.call(setting.model.clone()).await.unwrap();
    assert_eq!(setting.counts(), (2, 2), "nothing is kept");
}

#[tokio::test(start_paused = true)]
async fn every_one_is_told_the_error() {
    let setting = Setting::new(failure).await;
    for error in all([(), (), ()].map(|()| setting.call(setting.model.clone()))).await {
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.host()), (&Kind::Unreachable, Some("example.com")));
    }
    assert_eq!(setting.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_differs_in_anything_is_another_call() {
    let setting = Setting::new(answer).await;
    let model = &setting.model;
    let mut headers = HeaderMap::new();
    headers.insert("x-a", HeaderValue::from_static("b"));
    let mut rpcs = Catalogue::embedded().unwrap().operations().iter().copied();
    let other_rpc = rpcs.find(|operation| operation.effect == Effect::Read).unwrap();
    let calls = [
        model.clone(),
        Call { account: Some("a".to_owned()), ..model.clone() },
        Call { user_token: Some("a".into()), ..model.clone() },
        Call { user_token: Some("b".into()), ..model.clone() },
        Call { target: "/other".to_owned(), ..model.clone() },
        Call { headers, ..model.clone() },
        Call { body: None, ..model.clone() },
        Call { body: Some(testing::json("")), ..model.clone() },
        Call { operation: other_rpc, ..model.clone() },
        Call { caller: Caller::new("two", 1, true), ..model.clone() },
    ];
    let count = u32::try_from(calls.len()).unwrap();
    all(calls.map(|call| setting.call(call))).await;
    assert_eq!(setting.counts(), (count, count));
}

#[tokio::test(start_paused = true)]
async fn writes_and_the_reads_of_callers_that_have_not_asked_for_it_are_not_joined() {
    let setting = Setting::new(answer).await;
    let write = testing::operation(&[Credential::Signature]);
    let write = Call { operation: write, ..setting.model.clone() };
    let other = Call { caller: Caller::new("two", 1, false), ..setting.model.clone() };
    let calls = [write.clone(), write, other.clone(), other, setting.model.clone()];
    all(calls.map(|call| setting.call(call))).await;
    assert_eq!(setting.counts(), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn the_first_who_goes_away_takes_nothing_from_the_others() {
    let setting = Setting::new(answer).await;
    let first = timeout(SECOND, setting.call(setting.model.clone()));
    let second = setting.call(setting.model.clone());
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err() && second.is_ok());
    assert_eq!(setting.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_is_given_up() {
    let setting = Setting::new(answer).await;
    let early = |seconds| timeout(seconds * SECOND, setting.call(setting.model.clone()));
    let (first, second) = tokio::join!(early(1), early(2));
    assert!(first.is_err() && second.is_err());
    sleep(10 * SECOND).await;
    assert_eq!(setting.counts(), (1, 0));
    let next = Call { deadline: Instant::now() + 10 * SECOND, ..setting.model.clone() };
    assert!(setting.call(next).await.is_ok(), "the next begins anew");
    assert_eq!(setting.counts(), (2, 1));
}

/// G16: each waits as long as they said, and one with more time than the first does not get
/// less.
#[tokio::test(start_paused = true)]
async fn g16_those_with_time_left_when_the_firsts_is_over_make_the_call_anew() {
    let setting = Setting::new(answer).await;
    let call = |seconds| {
        let call = Call { deadline: Instant::now() + seconds * SECOND, ..setting.model.clone() };
        let exchange = Exchange::new(call);
        (exchange.progress.clone(), setting.stack.clone().oneshot(exchange))
    };
    let (first, second, third) = (call(2), call(10), call(10));
    let progress = third.0.clone();
    let results = tokio::join!(first.1, second.1, third.1);
    assert_eq!(results.0.unwrap_err().kind(), &Kind::Timeout);
    assert!(results.1.is_ok() && results.2.is_ok());
    assert_eq!(setting.counts(), (2, 1), "one for the first's time, and one of the others'");
    assert_eq!(progress.attempts(), 1, "of the call whose answer it is");
}

/// The first's time was too short for its turn, which says nothing of the others' if they
/// have time for it. With a wait of five seconds, told after three, one needs more than eight.
#[tokio::test(start_paused = true)]
async fn g16_a_refusal_for_the_firsts_short_time_is_not_told_to_those_with_time_for_their_turn() {
    let kind = Kind::RateLimited { retry_after: 5 * SECOND };
    let limited = || {
        let retry_after = 5 * SECOND;
        Err(Error::new(Kind::RateLimited { retry_after }, Outcome::NotSent))
    };
    for (seconds, calls) in [([4, 8, 7, 6, 5], 1), ([4, 8, 9, 9, 10], 2)] {
        let setting = Setting::new(limited).await;
        let results = all(seconds.map(|seconds| setting.with_time(seconds * SECOND))).await;
        for result in results {
            assert_eq!(result.unwrap_err().kind(), &kind);
        }
        assert_eq!(setting.counts(), (calls, calls), "{seconds:?}");
    }
}

/// R15: where there is no room, one request for all of them is enough.
#[tokio::test(start_paused = true)]
async fn r15_a_refusal_for_want_of_room_is_told_to_all_at_once() {
    let setting = Setting::new(|| Err(Error::new(Kind::Overloaded, Outcome::NotSent))).await;
    let begun = Instant::now();
    let results = all((1..100).map(|more| setting.with_time((4 + more) * SECOND))).await;
    assert!(results.iter().all(|it| it.as_ref().is_err_and(|e| e.kind() == &Kind::Overloaded)));
    assert_eq!((setting.counts(), begun.elapsed()), ((1, 1), 3 * SECOND));
}

/// What is told when somebody's time is over before the answer is there.
#[tokio::test(start_paused = true)]
async fn g16_a_waiter_knows_what_became_of_the_shared_call() {
    let setting = Setting::new(answer).await;
    let exchanges = [(); 2].map(|()| Exchange::new(setting.model.clone()));
    for exchange in exchanges.clone() {
        let progress = exchange.progress.clone();
        let given_up = timeout(SECOND, setting.stack.clone().oneshot(exchange)).await;
        assert!(given_up.is_err());
        assert_eq!((progress.attempts(), progress.close()), (1, Outcome::Unknown));
    }
}

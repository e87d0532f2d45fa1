use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use http::HeaderMap;
use tokio::time::sleep;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

use super::super::breaker::BreakerLayer;
use super::super::{Concurrency, Limits, Rate, Tunable, testing};
use super::*;
use crate::callers::Caller;
use crate::stack::exchange::Phase;

mod circuits;
mod hints;

const SECOND: Duration = Duration::from_secs(1);

/// How a partner answers.
type Answer = Result<Reply, Error>;

/// The layer before a partner that a test plays.
struct Setting {
    service: BoxCloneSyncService<Exchange, Reply, Error>,
    turns: Turns,
    limits: Tunable,
    context: super::super::Context,
    /// When each request came, and whose it was.
    sent: Arc<Mutex<Vec<(Instant, String)>>>,
    /// The most requests that were open at once.
    most: Arc<AtomicU32>,
}

async fn given<F>(limits: Limits, partner: F) -> Setting
where
    F: Fn(Exchange) -> BoxFuture<'static, Answer> + Clone + Send + Sync + 'static,
{
    let (context, limits) = (testing::context().await, Tunable::new(limits));
    let breakers = Breakers::new("example", limits.clone(), context.random.clone());
    let base_url = "https://api.example";
    let turns = turns("example", base_url, limits.clone(), breakers.clone(), &context);
    let (sent, most) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicU32>::default());
    let open = Arc::<AtomicU32>::default();
    let noted = (Arc::clone(&sent), Arc::clone(&most));
    let inner = service_fn(move |exchange: Exchange| {
        let caller = exchange.call.caller.name().to_owned();
        noted.0.lock().unwrap().push((Instant::now(), caller));
        let progress = exchange.progress.clone();
        progress.begin();
        noted.1.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let (answer, open) = (partner(exchange), Arc::clone(&open));
        async move {
            let _time = progress.timed(Phase::Attempt);
            let answer = answer.await;
            open.fetch_sub(1, Ordering::SeqCst);
            answer
        }
    });
    let inner = BreakerLayer::new(breakers).layer(boxed(inner));
    let service = BoxCloneSyncService::new(AdmitLayer::new(turns.clone()).layer(inner));
    Setting { service, turns, limits, context, sent, most }
}

/// A service whose futures are boxed, as those of layers are.
fn boxed<S>(inner: S) -> BoxCloneSyncService<Exchange, Reply, Error>
where
    S: Service<Exchange, Response = Reply, Error = Error, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    BoxCloneSyncService::new(inner)
}

fn reply() -> Reply {
    Reply::new(StatusCode::OK, HeaderMap::new(), bytes::Bytes::new())
}

/// A partner that takes some time and is content.
fn content(time: Duration) -> impl Fn(Exchange) -> BoxFuture<'static, Answer> + Clone {
    move |_| {
        Box::pin(async move {
            sleep(time).await;
            Ok(reply())
        })
    }
}

fn refusal(status: u16, retry_after: Option<Duration>) -> Error {
    let status = StatusCode::from_u16(status).unwrap();
    let failure = PartnerFailure {
        status,
        meaning: None,
        code: None,
        message: None,
        fields: Vec::new(),
        retry_after,
    };
    Error::new(Kind::Partner(failure), Outcome::Rejected)
}

/// A partner that refuses the first request so and takes the others.
fn refuses_once(error: fn() -> Error) -> impl Fn(Exchange) -> BoxFuture<'static, Answer> + Clone {
    let count = Arc::<AtomicU32>::default();
    move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move { if first { Err(error()) } else { Ok(reply()) } })
    }
}

fn call_of(caller: &str, patience: Duration) -> Call {
    let caller = Caller::new(caller, 1, false);
    Call { caller, deadline: Instant::now() + patience, ..testing::call() }
}

impl Setting {
    async fn call(&self, call: Call) -> Answer {
        self.service.clone().oneshot(Exchange::new(call)).await
    }

    fn sent(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}

fn rated(requests: u32, burst: u32) -> Limits {
    Limits { rate: Some(Rate { requests, per: SECOND, burst }), ..Limits::default() }
}

/// The wait that an error tells of.
fn told_wait(result: Answer) -> Duration {
    let error = result.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    match error.kind() {
        Kind::RateLimited { retry_after } => *retry_after,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn r11_those_who_wait_already_are_told_as_soon_as_it_is_too_late_for_them() {
    let slow = |_| -> BoxFuture<'static, Answer> {
        Box::pin(async {
            sleep(SECOND / 2).await;
            Err(refusal(429, Some(Duration::from_secs(60))))
        })
    };
    let setting = given(rated(1, 1), slow).await;
    let begun = Instant::now();
    let results = join_all((0..4).map(|_| setting.call(call_of("a", 10 * SECOND)))).await;
    assert_eq!(begun.elapsed(), SECOND / 2);
    let waits: Vec<_> = results.into_iter().skip(1).map(told_wait).collect();
    assert_eq!(waits, [63, 64, 64].map(Duration::from_secs));
    assert_eq!(setting.turns.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn r12_a_quota_that_is_used_up_closes_the_gate_before_the_refusal() {
    let says = |remaining| {
        move |exchange: Exchange| -> BoxFuture<'static, Answer> {
            let reset = Duration::from_secs(30);
            exchange.quota.set(Quota { remaining, limit: Some(600), reset }).unwrap();
            Box::pin(async { Ok(reply()) })
        }
    };
    let setting = given(Limits::default(), says(0)).await;
    setting.call(call_of("a", 10 * SECOND)).await.unwrap();
    let wait = told_wait(setting.call(call_of("a", 10 * SECOND)).await);
    assert_eq!(wait, SECOND.mul_f64(31.5));
    let lane = &setting.turns.snapshot().lanes[0];
    assert_eq!((lane.closed_for, lane.heard.unwrap().0.remaining), (Some(wait), 0));
    // Little is left: one each half second.
    let setting = given(Limits::default(), says(60)).await;
    let begun = Instant::now();
    for _ in 0..5 {
        setting.call(call_of("a", 10 * SECOND)).await.unwrap();
    }
    assert_eq!(begun.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn r13_requests_keep_to_the_rate_and_the_waiting_is_told() {
    let setting = given(rated(1, 2), content(Duration::ZERO)).await;
    let begun = Instant::now();
    let exchanges: Vec<_> = (0..6).map(|_| Exchange::new(call_of("a", 10 * SECOND))).collect();
    let calls = exchanges.iter().map(|it| setting.service.clone().oneshot(it.clone()));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    let sent: Vec<_> =
        setting.sent.lock().unwrap().iter().map(|(when, _)| (*when - begun).as_secs()).collect();
    assert_eq!(sent, [0, 0, 1, 2, 3, 4]);
    let waited: Vec<_> = exchanges.iter().map(|it| it.progress.spent().queue.as_secs()).collect();
    assert_eq!(waited, [0, 0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn r14_a_caller_that_floods_leaves_the_other_its_share() {
    let limits = Limits { max_waiting: 256, ..rated(10, 1) };
    let setting = given(limits, content(Duration::ZERO)).await;
    let flood = (0..1_000).map(|_| setting.call(call_of("flood", 100 * SECOND)));
    let other = (0..20).map(|_| setting.call(call_of("other", 100 * SECOND)));
    let (_, of_other) = tokio::join!(join_all(flood), join_all(other));
    assert!(of_other.iter().all(Result::is_ok), "each of them has its place");
    let sent = setting.sent.lock().unwrap();
    let begun = sent[0].0;
    let mut of_other = sent.iter().filter(|(_, caller)| caller == "other").map(|(when, _)| *when);
    // 20 of its own and as many of the flood, ten in a second.
    assert!(of_other.next_back().unwrap() - begun <= 4 * SECOND + SECOND / 5);
    assert!(sent.len() <= 1 + 256 + 20);
}

#[tokio::test(start_paused = true)]
async fn r15_no_more_requests_are_open_than_there_are_slots() {
    let concurrency = Concurrency { initial: 3, min: 3, max: 3 };
    let limits = Limits { concurrency, ..Limits::default() };
    let setting = given(limits, content(SECOND)).await;
    let begun = Instant::now();
    let calls = join_all((0..9).map(|_| setting.call(call_of("a", 10 * SECOND)))).await;
    assert!(calls.iter().all(Result::is_ok));
    assert_eq!((setting.most.load(Ordering::SeqCst), begun.elapsed()), (3, 3 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn r16_unanswered_requests_lower_the_limit_and_local_errors_do_not() {
    let error_of = |kind: fn() -> Error| {
        move |_: Exchange| -> BoxFuture<'static, Answer> { Box::pin(async move { Err(kind()) }) }
    };
    let limit = async |setting: Setting| {
        for _ in 0..3 {
            setting.call(call_of("a", 10 * SECOND)).await.unwrap_err();
        }
        setting.turns.snapshot().concurrency
    };
    let weak: [fn() -> Error; 4] = [
        || Error::new(Kind::Timeout, Outcome::Unknown),
        || Error::new(Kind::Unreachable, Outcome::Unknown),
        || refusal(503, None),
        || refusal(504, None),
    ];
    for kind in weak {
        assert_eq!(limit(given(Limits::default(), error_of(kind)).await).await, 14);
    }
    let local: [fn() -> Error; 5] = [
        || Error::new(Kind::Unreachable, Outcome::NotSent),
        || Error::new(Kind::Timeout, Outcome::NotSent),
        || Error::new(Kind::TokenUnavailable { permanent: false }, Outcome::NotSent),
        || refusal(500, None),
        || refusal(400, None),
    ];
    for kind in local {
        assert_eq!(limit(given(Limits::default(), error_of(kind)).await).await, 20);
    }
}

/// R16: a caller that gives its reads little time tells nothing of the partner.
#[tokio::test(start_paused = true)]
async fn r16_a_read_that_is_cut_off_by_its_deadline_lowers_the_limit_if_the_partner_had_its_time() {
    for (deadline, cut_after, expected) in
        [(10.0, 10.0, 18), (1.0, 1.0, 18), (0.9, 0.9, 20), (10.0, 9.0, 20)]
    {
        let setting = given(Limits::default(), content(100 * SECOND)).await;
        let call = setting.call(call_of("a", Duration::from_secs_f64(deadline)));
        let cut_after = Duration::from_secs_f64(cut_after);
        assert!(tokio::time::timeout(cut_after, call).await.is_err());
        let snapshot = setting.turns.snapshot();
        let expected = (expected, 0);
        assert_eq!((snapshot.concurrency, snapshot.in_flight), expected, "{cut_after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_passes_its_turn_on() {
    let concurrency = Concurrency { initial: 1, min: 1, max: 1 };
    let setting = given(Limits { concurrency, ..rated(1, 1) }, content(SECOND)).await;
    // Each waits for something else: the slot, the rate, the turn.
    let impatient = (0_u32..40).map(|n| {
        let patience = Duration::from_millis(100) * n;
        tokio::time::timeout(patience, setting.call(call_of("a", 100 * SECOND)))
    });
    let patient = (0..5).map(|_| setting.call(call_of("b", 100 * SECOND)));
    let (_, patient) = tokio::join!(join_all(impatient), join_all(patient));
    assert!(patient.iter().all(Result::is_ok));
    let snapshot = setting.turns.snapshot();
    assert_eq!((snapshot.waiting, snapshot.in_flight, snapshot.lanes[0].waiting), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_kept_waiting_when_the_gateway_stops() {
    let setting = given(rated(1, 1), content(Duration::ZERO)).await;
    setting.call(call_of("a", 10 * SECOND)).await.unwrap();
    let stop = async {
        sleep(SECOND / 2).await;
        setting.context.stopping.cancel();
    };
    let begun = Instant::now();
    let (result, ()) = tokio::join!(setting.call(call_of("a", 10 * SECOND)), stop);
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::ShuttingDown, Outcome::NotSent));
    assert_eq!(begun.elapsed(), SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn a_sub_account_that_signs_has_a_quota_of_its_own() {
    let of = |account: Option<&str>, credential| {
        let call = testing::call_with(credential);
        Exchange::new(Call { account: account.map(str::to_owned), ..call })
    };
    let setting = given(rated(1, 1), content(Duration::ZERO)).await;
    let (signs, shares) = (Credential::AccountSignature, Credential::Signature);
    let begun = Instant::now();
    for exchange in [of(None, shares), of(Some("a"), signs), of(Some("b"), signs)] {
        setting.service.clone().oneshot(exchange).await.unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // The partner account's own key signs both of these.
    for exchange in [of(Some("a"), shares), of(None, signs)] {
        setting.service.clone().oneshot(exchange).await.unwrap();
    }
    assert_eq!(begun.elapsed(), 2 * SECOND);
    let snapshot = setting.turns.snapshot();
    let accounts: Vec<_> = snapshot.lanes.iter().map(|lane| lane.account.as_deref()).collect();
    assert_eq!(accounts, [None, Some("a"), Some("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_limits_counts_for_those_who_wait_too() {
    let setting = given(
        Limits { rate: Some(Rate { requests: 1, per: 3_600 * SECOND, burst: 1 }), ..rated(1, 1) },
        content(Duration::ZERO),
    )
    .await;
    setting.call(call_of("a", 10 * SECOND)).await.unwrap();
    let change = async {
        sleep(SECOND / 2).await;
        setting.limits.set(rated(100, 1));
    };
    let begun = Instant::now();
    let (result, ()) = tokio::join!(setting.call(call_of("a", 5_000 * SECOND)), change);
    result.unwrap();
    assert!(begun.elapsed() <= SECOND + SECOND / 50, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn r14_without_redis_each_replica_keeps_to_its_share() {
    let limits = Limits { replicas: 4, ..rated(8, 8) };
    let setting = given(limits, content(Duration::ZERO)).await;
    let begun = Instant::now();
    let calls = (0..8).map(|_| setting.call(call_of("a", 10 * SECOND)));
    assert!(join_all(calls).await.iter().all(Result::is_ok));
    // A burst of two, then two in a second.
    assert_eq!(begun.elapsed(), 3 * SECOND);
}

/// R15 in figures: what overload does to those who are let in, in virtual time, before a
/// partner that bears twenty requests at once and takes 50 ms for each.
#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn r15_under_ten_times_the_load_the_queue_bounds_the_time_of_those_let_in() {
    let time = Duration::from_millis(50);
    for (max_waiting, times) in [(20, 2), (256, 14)] {
        let concurrency = Concurrency { initial: 20, min: 20, max: 20 };
        let limits = Limits { max_waiting, concurrency, ..Limits::default() };
        let setting = given(limits, content(time)).await;
        // 4,000 in a second, where 400 can be served.
        let calls = (0_u32..20_000).map(|n| {
            let setting = &setting;
            async move {
                sleep(Duration::from_micros(250) * n).await;
                let begun = Instant::now();
                let answer = setting.call(call_of("a", 30 * SECOND)).await;
                answer.map(|_| begun.elapsed())
            }
        });
        let mut taken: Vec<_> = join_all(calls).await.into_iter().filter_map(Result::ok).collect();
        taken.sort();
        let (accepted, p99) = (taken.len(), taken[taken.len() * 99 / 100]);
        println!(
            "max_waiting {max_waiting}: {accepted} of 20000 accepted, p99 {p99:?} of {time:?}"
        );
        assert!(accepted >= 1_900, "the partner is kept busy: {accepted}");
        assert!(p99 <= times * time + Duration::from_millis(2), "{p99:?}");
        assert_eq!(setting.turns.snapshot().waiting, 0);
    }
}

//! The layer between a call and a partner that is a script; the clock and the draws are
//! the tests' own, so every pause is known.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, layer::layer_fn, service_fn};

use super::*;
use crate::call::{Body, Call, Spent};
use crate::error::{Kind, Outcome};
use crate::operation::{Credential, Effect};
use crate::stack::testing::{self, Example};
use crate::stack::{Context, Limits as All, Stack, attempt, deadline, judge, trace};
use crate::telemetry::metrics::Format;

mod scenarios;
mod storm;

const SECOND: Duration = Duration::from_secs(1);

/// What becomes of one request.
#[derive(Clone, Debug)]
enum Act {
    /// This answer, with these headers.
    Answer(u16, Vec<(&'static str, &'static str)>),
    /// No connection.
    Unreachable,
    /// The connection ends before the answer.
    Broken,
    /// The attempt's own time is over.
    Late,
    /// It is not let through to the partner.
    Refuse(Kind),
}

/// A partner that does one act after the other, and the last one again and again.
#[derive(Debug)]
struct Script {
    acts: Mutex<VecDeque<Act>>,
    latency: Duration,
    start: Instant,
    /// When requests came.
    times: Mutex<Vec<Duration>>,
}

struct Setting {
    stack: Stack,
    script: Arc<Script>,
    limits: Tunable,
    budget: Budget,
    stopping: CancellationToken,
    metrics: Metrics,
}

/// How a setting differs from the usual one.
struct Change {
    limits: Limits,
    draw: f64,
    latency: Duration,
}

impl Default for Change {
    fn default() -> Self {
        Self { limits: Limits::default(), draw: 1.0, latency: Duration::ZERO }
    }
}

async fn given(acts: impl IntoIterator<Item = Act>) -> Setting {
    given_with(Change::default(), acts).await
}

async fn given_with(change: Change, acts: impl IntoIterator<Item = Act>) -> Setting {
    let Change { limits, draw, latency } = change;
    let context = Context { random: Random::from_fn(move || draw), ..testing::context().await };
    let script = Arc::new(Script {
        acts: Mutex::new(acts.into_iter().collect()),
        latency,
        start: Instant::now(),
        times: Mutex::default(),
    });
    let limits = Tunable::new(All { retry: limits, ..All::default() });
    let budget = Budget::new(limits.clone());
    let (host, example): (Arc<str>, _) = ("host".into(), Arc::new(Example));
    let layers = ServiceBuilder::new()
        .layer(trace::TraceLayer::new(Arc::clone(&host)))
        .layer(deadline::DeadlineLayer::new(&context))
        .layer(RetryLayer::new(limits.clone(), budget.clone(), &context))
        .layer(gate(&script))
        .layer(attempt::AttemptLayer::new(example.clone(), (Arc::clone(&host), None), &context))
        .layer(judge::JudgeLayer::new(example, host, context.clock.clone()));
    let stack = BoxCloneSyncService::new(layers.service(wire(&script)));
    let Context { stopping, metrics, .. } = context;
    Setting { stack, script, limits, budget, stopping, metrics }
}

/// What stands between a call and its attempt.
fn gate<S: Next>(script: &Arc<Script>) -> impl Layer<S, Service: Next> + Clone + use<S> {
    let script = Arc::clone(script);
    layer_fn(move |inner: S| {
        let script = Arc::clone(&script);
        service_fn(move |exchange: Exchange| {
            let (script, inner) = (Arc::clone(&script), inner.clone());
            async move {
                match script.refusal() {
                    Some(kind) => Err(Error::new(kind, Outcome::NotSent)),
                    None => inner.oneshot(exchange).await,
                }
            }
        })
    })
}

fn wire(script: &Arc<Script>) -> impl Next + use<> {
    let script = Arc::clone(script);
    service_fn(move |_: Exchange| {
        let script = Arc::clone(&script);
        async move {
            script.times.lock().unwrap().push(script.start.elapsed());
            sleep(script.latency).await;
            match script.next() {
                Act::Answer(status, headers) => Ok(answer(status, &headers)),
                Act::Unreachable => Err(Error::new(Kind::Unreachable, Outcome::NotSent)),
                Act::Broken => Err(Error::new(Kind::Unreachable, Outcome::Unknown)),
                Act::Late => Err(Error::new(Kind::Timeout, Outcome::Unknown)),
                Act::Refuse(_) => unreachable!("the gate is before it"),
            }
        }
    })
}

fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Reply {
    let headers = headers
        .iter()
        .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
        .collect::<HeaderMap>();
    Reply::new(StatusCode::from_u16(status).unwrap(), headers, Bytes::from_static(b"{}"))
}

impl Script {
    fn next(&self) -> Act {
        let mut acts = self.acts.lock().unwrap();
        if acts.len() > 1 { acts.pop_front() } else { acts.front().cloned() }.unwrap()
    }

    fn refusal(&self) -> Option<Kind> {
        let mut acts = self.acts.lock().unwrap();
        let Some(Act::Refuse(kind)) = acts.front().cloned() else { return None };
        if acts.len() > 1 {
            acts.pop_front();
        }
        Some(kind)
    }

    /// When requests came, in milliseconds since the start.
    fn times(&self) -> Vec<u128> {
        self.times.lock().unwrap().iter().map(Duration::as_millis).collect()
    }
}

impl Setting {
    async fn call(&self, call: Call) -> Result<Reply, Error> {
        self.stack.clone().oneshot(call).await
    }
}

fn status(status: u16) -> Act {
    Act::Answer(status, Vec::new())
}

fn hinted(status: u16, seconds: &'static str) -> Act {
    Act::Answer(status, vec![("retry-after", seconds)])
}

fn ok() -> Act {
    status(200)
}

/// A WRITE_ONCE with a minute to go.
fn write() -> Call {
    Call { deadline: Instant::now() + 60 * SECOND, ..testing::call() }
}

/// A READ with a minute to go.
fn read() -> Call {
    Call { operation: testing::read_operation(&[Credential::Signature]), ..write() }
}

/// What the caller is told: the partner's status or else the kind, the outcome and the
/// number of attempts.
fn told(result: Result<Reply, Error>) -> (String, Outcome, u32) {
    let error = result.unwrap_err();
    let what = match error.http_status() {
        Some(status) => status.as_str().to_owned(),
        None => format!("{:?}", error.kind()),
    };
    (what, error.outcome(), error.attempts())
}

/// G34: repeats at two layers would multiply.
#[tokio::test(start_paused = true)]
async fn g34_a_call_that_its_caller_repeats_is_not_repeated_here() {
    for previous_attempts in [1, 2, u32::MAX] {
        let setting = given([status(503), ok()]).await;
        let call = Call { previous_attempts, ..read() };
        assert_eq!(told(setting.call(call).await), ("503".into(), Outcome::Unknown, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn r19_a_request_beyond_64_kib_is_not_repeated() {
    for (size, attempts) in [(64 * 1024, 2), (64 * 1024 + 1, 1)] {
        let setting = given([status(503), ok()]).await;
        let body = Body { bytes: Bytes::from(vec![b' '; size]), ..testing::json("") };
        let result = setting.call(Call { body: Some(body), ..read() }).await;
        assert_eq!((result.is_ok(), setting.script.times().len()), (attempts == 2, attempts));
    }
}

/// The breaker or the queue may stop a repeat: what the partner said is the news.
#[tokio::test(start_paused = true)]
async fn r2_a_repeat_that_is_refused_here_leaves_the_error_before_it() {
    let retry_after = SECOND;
    for kind in [Kind::CircuitOpen { retry_after }, Kind::Overloaded, Kind::StoreUnavailable] {
        let setting = given([status(502), Act::Refuse(kind.clone())]).await;
        assert_eq!(told(setting.call(read()).await), ("502".into(), Outcome::Unknown, 1));
        let first = given([Act::Refuse(kind.clone())]).await;
        let expected = (format!("{kind:?}"), Outcome::NotSent, 0);
        assert_eq!(told(first.call(read()).await), expected, "and is told where it is the first");
    }
}

/// R2: the budget and the counters are for repeats that were made. However one is kept from
/// the partner, it costs nothing.
#[tokio::test(start_paused = true)]
async fn r2_a_repeat_that_is_not_made_is_not_counted() {
    let counted = |setting: &Setting| {
        let page = setting.metrics.page(Format::OpenMetrics).unwrap();
        let line = page.lines().find(|line| line.starts_with("partner_gateway_retries_total{"));
        line.map(str::to_owned)
    };
    let circuit_open = Kind::CircuitOpen { retry_after: SECOND };
    let setting = given([status(503), Act::Refuse(circuit_open)]).await;
    setting.call(read()).await.unwrap_err();
    let refused = (setting.budget.balance(), counted(&setting));

    let setting = given([hinted(503, "5"), ok()]).await;
    tokio::time::timeout(SECOND, setting.call(read())).await.unwrap_err();
    let gone = (setting.budget.balance(), counted(&setting));

    let setting = given([hinted(429, "10"), ok()]).await;
    let stop = async {
        sleep(SECOND).await;
        setting.stopping.cancel();
    };
    // The write goes on for itself, and ends when it sees the stop.
    let (result, ()) = tokio::join!(setting.call(write()), stop);
    result.unwrap_err();
    sleep(SECOND).await;
    let stopped = (setting.budget.balance(), counted(&setting));

    for (balance, counted) in [refused, gone, stopped] {
        assert_eq!((balance.left, balance.repeated, counted), (10, 0, None));
    }
    // One that is made counts also when its caller does not wait for its end.
    let late = Change { latency: SECOND, ..Change::default() };
    let setting = given_with(late, [status(503), ok()]).await;
    tokio::time::timeout(SECOND * 3 / 2, setting.call(read())).await.unwrap_err();
    let balance = setting.budget.balance();
    assert_eq!((balance.left, balance.repeated), (9, 1));
    let line = r#"partner_gateway_retries_total{partner="example",reason="503"} 1"#;
    assert_eq!(counted(&setting).as_deref(), Some(line));
}

/// R4: the budget is for repeats.
#[tokio::test(start_paused = true)]
async fn r4_an_empty_budget_lets_every_first_attempt_through() {
    let limits = Limits { budget_percent: 0, budget_reserve: 0, ..Limits::default() };
    let setting = given_with(Change { limits, ..Change::default() }, [status(500), ok()]).await;
    assert_eq!(told(setting.call(read()).await), ("500".into(), Outcome::Unknown, 1));
    for _ in 0..100 {
        assert_eq!(setting.call(read()).await.unwrap().attempts, 1);
    }
    assert_eq!(setting.budget.balance().refused, 1);
}

/// R4: a call that the partner never saw earns no repeats, and one that was given up does.
#[tokio::test(start_paused = true)]
async fn r4_only_calls_that_were_sent_count_in_the_budget() {
    let limits = Limits { budget_percent: 100, budget_reserve: 0, ..Limits::default() };
    for max_attempts in [1, 3] {
        let change = || Change {
            limits: Limits { max_attempts, ..limits },
            latency: SECOND,
            ..Change::default()
        };
        let refused = given_with(change(), [Act::Refuse(Kind::Overloaded)]).await;
        refused.call(read()).await.unwrap_err();
        assert_eq!(refused.budget.balance().left, 0);
        let sent = given_with(change(), [ok()]).await;
        sent.call(read()).await.unwrap();
        assert_eq!(sent.budget.balance().left, 1);
        let hasty = Call { deadline: Instant::now() + SECOND / 2, ..read() };
        sent.call(hasty).await.unwrap_err();
        assert_eq!(sent.budget.balance().left, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_count_from_the_next_call_on() {
    let setting = given([status(503)]).await;
    for max_attempts in [3, 1, 2] {
        let retry = Limits { max_attempts, ..Limits::default() };
        setting.limits.set(All { retry, ..All::default() });
        assert_eq!(told(setting.call(read()).await).2, max_attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_pause_and_nothing_is_sent_after_it() {
    for call in [read, write] {
        let setting = given([hinted(429, "10"), ok()]).await;
        let stop = async {
            sleep(SECOND).await;
            setting.stopping.cancel();
        };
        let (result, ()) = tokio::join!(setting.call(call()), stop);
        // Both are true, and which of them is told first is left to chance.
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), Kind::ShuttingDown | Kind::Partner(_)), "{error:?}");
        assert_eq!((error.outcome(), error.attempts()), (Outcome::Rejected, 1));
        sleep(60 * SECOND).await;
        assert_eq!(setting.script.times(), [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn g16_the_time_of_a_call_is_told_by_what_it_was_spent_on() {
    let latency = Duration::from_millis(30);
    let change = || Change { latency, ..Change::default() };
    let spent = |attempts, backoff| Spent {
        attempts: attempts * latency,
        backoff: Duration::from_millis(backoff),
        ..Spent::default()
    };
    let setting = given_with(change(), [status(503), status(503), ok()]).await;
    assert_eq!(setting.call(read()).await.unwrap().spent, spent(3, 300));
    let setting = given_with(change(), [status(503), status(404)]).await;
    assert_eq!(setting.call(read()).await.unwrap_err().spent(), spent(2, 100));
    // Of what is under way the part until now, whether it goes on or not.
    for call in [read, write] {
        let setting = given_with(Change { latency: SECOND, ..Change::default() }, [ok()]).await;
        let call = Call { deadline: Instant::now() + SECOND / 2, ..call() };
        let expected = Spent { attempts: SECOND / 2, ..Spent::default() };
        assert_eq!(setting.call(call).await.unwrap_err().spent(), expected);
    }
}

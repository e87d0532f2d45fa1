mod edges;
mod properties;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use secrecy::ExposeSecret;
use tokio::time::{advance, sleep};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A source that is driven by a script: what each fetch takes and gives; after its end
/// each takes nothing and gives an hour.
struct Setting {
    source: TokenSource,
    fetches: Arc<AtomicUsize>,
    events: Arc<Mutex<Vec<Event>>>,
    tasks: TaskTracker,
}

fn given(script: impl IntoIterator<Item = (Duration, Result<u64, Refusal>)>) -> Setting {
    given_with(Random::from_fn(|| 0.5), script)
}

fn given_with(
    random: Random,
    script: impl IntoIterator<Item = (Duration, Result<u64, Refusal>)>,
) -> Setting {
    let script = Mutex::new(script.into_iter().collect::<VecDeque<_>>());
    let fetches = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&fetches);
    let fetch: Fetch = Box::new(move || {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let next = script.lock().unwrap().pop_front();
        async move {
            let (time, result) = next.unwrap_or((Duration::ZERO, Ok(3600)));
            sleep(time).await;
            let lifetime = Some(Duration::from_secs(result?)).filter(|life| !life.is_zero());
            Ok(Issued { secret: format!("token-{number}").into(), lifetime })
        }
        .boxed()
    });
    let events = Arc::<Mutex<Vec<_>>>::default();
    let told = Arc::clone(&events);
    let report: Report = Box::new(move |event| told.lock().unwrap().push(event));
    let tasks = TaskTracker::new();
    let source = TokenSource::with_random(fetch, tasks.clone(), report, random);
    Setting { source, fetches, events, tasks }
}

impl Setting {
    async fn token(&self) -> String {
        self.source.token().await.unwrap().secret.expose_secret().to_owned()
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

fn transient() -> Result<u64, Refusal> {
    Err(Refusal::transient("busy"))
}

fn permanent() -> Result<u64, Refusal> {
    Err(Refusal { permanent: true, ..Refusal::transient("wrong secret") })
}

/// Lets tasks that were started do what takes no time.
async fn settle() {
    advance(Duration::from_millis(1)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn o1_a_thousand_callers_share_one_fetch_and_one_may_go() {
    let setting = given([(SECOND, Ok(3600))]);
    let mut first = Box::pin(setting.source.token());
    assert!(first.as_mut().now_or_never().is_none());
    let others = join_all((0..1000).map(|_| setting.token()));
    let others = setting.tasks.spawn(async {}).then(|_| others);
    drop(first);
    assert!(others.await.iter().all(|token| token == "token-1"));
    assert_eq!(setting.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn o1_a_fetch_goes_on_when_its_only_caller_is_gone() {
    let setting = given([(SECOND, Ok(3600))]);
    assert!(setting.source.token().now_or_never().is_none());
    sleep(2 * SECOND).await;
    assert_eq!(setting.source.token().now_or_never().map(|t| t.is_ok()), Some(true));
    assert_eq!(setting.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn o2_a_token_is_renewed_behind_the_callers_backs_after_80_percent() {
    for life in [1, 30, 60, 3600, 86_400] {
        let script = [(Duration::ZERO, Ok(life)), (Duration::from_millis(50), Ok(life))];
        let setting = given_with(Random::from_fn(|| 0.0), script);
        assert_eq!(setting.token().await, "token-1");
        let life = Duration::from_secs(life);
        advance(life.mul_f64(0.79)).await;
        assert_eq!((setting.token().await, setting.fetches()), ("token-1".into(), 1));
        advance(life.mul_f64(0.01)).await;
        for _ in 0..9 {
            assert_eq!(setting.token().await, "token-1", "the old one is good");
        }
        sleep(Duration::from_millis(51)).await;
        assert_eq!((setting.token().await, setting.fetches()), ("token-2".into(), 2), "{life:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn o2_a_token_is_not_sent_when_less_than_the_margin_is_left() {
    for (life, sent_until) in [(3600, 3570), (300, 270), (60, 54), (10, 9)] {
        let setting = given([(Duration::ZERO, Ok(life)), (Duration::from_secs(99), Ok(life))]);
        setting.token().await;
        advance(Duration::from_secs(sent_until) - Duration::from_millis(1)).await;
        assert!(setting.source.token().now_or_never().is_some(), "{life}");
        advance(Duration::from_millis(1)).await;
        assert!(setting.source.token().now_or_never().is_none(), "{life}");
    }
}

#[tokio::test(start_paused = true)]
async fn o3_failed_renewals_are_not_seen_while_the_token_is_good() {
    let setting = given(
        [(Duration::ZERO, Ok(3600))]
            .into_iter()
            .chain(std::iter::repeat_n((Duration::ZERO, transient()), 1000)),
    );
    setting.token().await;
    advance(Duration::from_secs(2880)).await;
    for _ in 0..600 {
        assert_eq!(setting.token().await, "token-1");
        settle().await;
        advance(SECOND).await;
    }
    // After 0, 11, 33, 77 s, then every 66 s.
    assert!((11..=14).contains(&setting.fetches()), "{}", setting.fetches());
    advance(Duration::from_secs(100)).await;
    assert!(!setting.source.token().await.unwrap_err().permanent, "past its life");
}

#[tokio::test(start_paused = true)]
async fn o4_only_the_refused_token_is_dropped() {
    let setting = given([]);
    let first = setting.source.token().await.unwrap();
    assert!(setting.source.invalidate(&first));
    assert!(setting.source.invalidate(&first), "the next one is on its way");
    let second = setting.source.token().await.unwrap();
    assert!(setting.source.invalidate(&first), "the next one is there already");
    assert_eq!(setting.token().await, "token-2");
    advance(30 * SECOND).await;
    assert!(setting.source.invalidate(&second));
    assert_eq!((setting.token().await, setting.fetches()), ("token-3".into(), 3));
}

/// Neither one that came because a short-lived one had expired, nor one that must not be
/// cached.
#[tokio::test(start_paused = true)]
async fn o4_no_token_is_replaced_within_half_a_minute_of_another() {
    for life in [10, 0] {
        let script = std::iter::repeat_n((Duration::ZERO, Ok(life)), 10);
        let setting = given(script);
        let refuse = async || {
            let token = setting.source.token().await.unwrap();
            setting.source.invalidate(&token)
        };
        assert!(refuse().await, "{life}");
        for _ in 0..3 {
            advance(9 * SECOND).await;
            assert!(!refuse().await, "{life}");
        }
        // Thirty seconds after the replacement was refused, too.
        advance(12 * SECOND).await;
        assert!(refuse().await, "{life}");
    }
}

#[tokio::test(start_paused = true)]
async fn o4_a_partner_that_refuses_every_token_is_asked_twice_a_minute_at_most() {
    let setting = given([]);
    for _ in 0..600 {
        let token = setting.source.token().await.unwrap();
        setting.source.invalidate(&token);
        advance(Duration::from_millis(100)).await;
    }
    assert!(setting.fetches() <= 3, "{}", setting.fetches());
}

#[tokio::test(start_paused = true)]
async fn o5_permanent_failures_are_asked_about_from_1_to_15_minutes() {
    let setting = given(std::iter::repeat_n((Duration::ZERO, permanent()), 1000));
    assert!(setting.source.token().await.unwrap_err().permanent);
    assert!(setting.source.token().now_or_never().unwrap().is_err(), "at once");
    for _ in 0..3600 {
        assert!(setting.source.token().await.is_err());
        advance(SECOND).await;
    }
    // After 0, 1, 3, 7, 15, 30, 45 minutes.
    assert!((7..=8).contains(&setting.fetches()), "{}", setting.fetches());
}

#[tokio::test(start_paused = true)]
async fn o5_transient_failures_are_asked_about_soon() {
    let setting = given(std::iter::repeat_n((Duration::ZERO, transient()), 1000));
    for _ in 0..600 {
        assert!(!setting.source.token().await.unwrap_err().permanent);
        advance(SECOND / 10).await;
    }
    // Every 0.75 s on average.
    assert!((70..=85).contains(&setting.fetches()), "{}", setting.fetches());
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_back_off() {
    let setting = given([(Duration::ZERO, transient()), (Duration::ZERO, transient())]);
    for _ in 0..2 {
        assert!(setting.source.token().await.is_err());
        advance(SECOND).await;
    }
    let token = setting.source.token().await.unwrap();
    assert!(setting.source.invalidate(&token));
    assert_eq!(setting.token().await, "token-4");
}

#[tokio::test(start_paused = true)]
async fn o7_a_token_without_life_is_used_once_and_fetched_once_a_second() {
    let setting = given(std::iter::repeat_n((Duration::ZERO, Ok(0)), 10));
    let together = join_all((0..5).map(|_| setting.token())).await;
    assert!(together.iter().all(|token| token == "token-1"));
    let start = Instant::now();
    assert_eq!(setting.token().await, "token-2");
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(*setting.events.lock().unwrap(), [Event::Issued(None); 2]);
}

#[tokio::test(start_paused = true)]
async fn o8_the_life_is_counted_from_the_start_of_the_request() {
    let setting = given([(Duration::from_secs(20), Ok(100))]);
    setting.token().await;
    let left = Some(Duration::from_secs(70));
    assert_eq!(*setting.events.lock().unwrap(), [Event::Issued(left)]);
    let setting = given([(Duration::from_secs(20), Ok(10))]);
    assert!(!setting.source.token().await.unwrap_err().permanent, "past its life when it came");
}

#[tokio::test(start_paused = true)]
async fn o12_debug_does_not_show_the_token() {
    let setting = given([]);
    let token = setting.source.token().await.unwrap();
    assert!(!format!("{token:?} {:?}", setting.source).contains("token-1"));
}

//! What holds for any order of events: expiry, refusals of any generation, failures, slow
//! and lost answers, callers that go away, idle hours.

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::JoinSet;

use super::*;

/// The slowest answer.
const SLOWEST: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
enum Step {
    /// So many callers ask.
    Ask(usize),
    /// Every caller that waits goes away.
    Leave,
    /// The partner refuses one of the last tokens that callers got.
    Refuse(usize),
    /// A new secret is read.
    ChangeSecret,
    /// Time passes.
    Pass(Duration),
}

#[derive(Clone, Debug)]
enum Answer {
    Token(u64),
    Transient,
    Permanent,
    Later(u64),
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..50_usize).prop_map(Step::Ask),
        1 => Just(Step::Leave),
        2 => (0..3_usize).prop_map(Step::Refuse),
        1 => Just(Step::ChangeSecret),
        3 => (0..2000_u64).prop_map(|millis| Step::Pass(Duration::from_millis(millis))),
        3 => (1..100_u64).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
        1 => (1..72_u64).prop_map(|hours| Step::Pass(Duration::from_secs(3600 * hours))),
    ]
}

fn answer() -> impl Strategy<Value = (Duration, Answer)> {
    let time = prop_oneof![Just(0), 1..500_u64, 500..20_000_u64].prop_map(Duration::from_millis);
    let life = prop_oneof![Just(0), 1..100_u64, Just(3600), Just(86_400)];
    let answer = prop_oneof![
        6 => life.prop_map(Answer::Token),
        2 => Just(Answer::Transient),
        1 => Just(Answer::Permanent),
        1 => (1..2000_u64).prop_map(Answer::Later),
        1 => Just(Answer::Lost),
    ];
    (time, answer)
}

/// A fetch as the token endpoint saw it.
#[derive(Clone, Debug)]
struct Fetched {
    start: Instant,
    end: Option<Instant>,
    answer: Answer,
}

/// What happened.
#[derive(Default)]
struct Seen {
    fetches: Vec<Fetched>,
    /// When a token was dropped because it was refused.
    dropped: Vec<Instant>,
    /// When a pause was lifted.
    forgiven: Vec<Instant>,
    /// The tokens that callers got, oldest first.
    got: Vec<Arc<Token>>,
}

type Shared<T> = Arc<Mutex<T>>;

fn endpoint(seen: &Shared<Seen>, script: Vec<(Duration, Answer)>) -> Fetch {
    let (seen, script) = (Arc::clone(seen), Mutex::new(script.into_iter()));
    Box::new(move || {
        let next = script.lock().unwrap().next();
        let (time, answer) = next.unwrap_or((Duration::ZERO, Answer::Token(3600)));
        let mut all = seen.lock().unwrap();
        assert!(all.fetches.iter().all(|fetch| fetch.end.is_some()), "two fetches at once");
        let number = all.fetches.len();
        all.fetches.push(Fetched { start: Instant::now(), end: None, answer: answer.clone() });
        let seen = Arc::clone(&seen);
        async move {
            sleep(time).await;
            seen.lock().unwrap().fetches[number].end = Some(Instant::now());
            let life = match answer {
                Answer::Token(life) => Some(Duration::from_secs(life)),
                Answer::Transient => return Err(Refusal::transient("busy")),
                Answer::Permanent => {
                    return Err(Refusal { permanent: true, ..Refusal::transient("wrong") });
                }
                Answer::Later(seconds) => {
                    let retry_after = Some(Duration::from_secs(seconds));
                    return Err(Refusal { retry_after, ..Refusal::transient("too many") });
                }
                // As a task that is aborted: the source must not wait for it.
                Answer::Lost => std::panic::resume_unwind(Box::new("lost")),
            };
            let lifetime = life.filter(|life| !life.is_zero());
            Ok(Issued { secret: number.to_string().into(), lifetime })
        }
        .boxed()
    })
}

/// O1, O2, O7, O8: what a caller got is good, was waited for no longer than a fetch
/// takes, and is no older than what was given out before.
fn check_answer(seen: &mut Seen, asked: Instant, latest: u64, result: Result<Arc<Token>, Refusal>) {
    let now = Instant::now();
    // One that is under way, or the pause of a token that must not be kept and a fetch;
    // twice, when what came was over before its caller had its turn.
    assert!(now - asked <= 2 * (SLOWEST + SECOND), "a caller waited {:?}", now - asked);
    let Ok(token) = result else { return };
    let number: usize = token.secret.expose_secret().parse().unwrap();
    let fetch = &seen.fetches[number];
    let Answer::Token(life) = fetch.answer else { panic!("no token was issued") };
    match life {
        0 => assert_eq!(fetch.end, Some(now), "given to those that waited for it only"),
        _ => {
            let life = Duration::from_secs(life);
            let margin = Duration::from_secs(30).min(life / 10);
            assert!(now < fetch.start + life - margin, "an expired token was given out");
        }
    }
    assert!(token.generation >= latest, "an older token than a caller had before it asked");
    seen.got.push(token);
}

/// O3, O4, O5: the token endpoint is never hammered.
fn check_fetches(seen: &Seen) {
    for pair in seen.fetches.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        let end = first.end.expect("one at a time");
        let between =
            |moments: &[Instant]| moments.iter().any(|m| (end..=second.start).contains(m));
        let is_forgiven = between(&seen.forgiven);
        let pause = second.start - end;
        match first.answer {
            Answer::Permanent => assert!(is_forgiven || pause >= 60 * SECOND, "{pause:?}"),
            Answer::Later(told) => {
                let told = Duration::from_secs(told.min(15 * 60));
                assert!(is_forgiven || pause >= told, "{pause:?}");
            }
            Answer::Transient | Answer::Lost => {
                assert!(is_forgiven || pause >= SECOND / 10, "{pause:?}");
            }
            Answer::Token(life) => {
                let least = if life == 0 { SECOND } else { SECOND / 10 };
                let spacing = second.start - first.start;
                let is_dropped =
                    seen.dropped.iter().any(|m| (first.start..=second.start).contains(m));
                assert!(is_forgiven || is_dropped || spacing >= least, "{spacing:?}");
            }
        }
    }
    let mut replaced = seen.dropped.windows(2);
    assert!(replaced.all(|pair| pair[1] - pair[0] >= 30 * SECOND), "replaced too often");
}

/// A source, its callers, and what they see.
struct World {
    seen: Shared<Seen>,
    source: TokenSource,
    callers: JoinSet<()>,
}

impl World {
    fn new(seed: u64, script: Vec<(Duration, Answer)>) -> Self {
        let seen = Shared::<Seen>::default();
        let told = Arc::clone(&seen);
        let report: Report = Box::new(move |event| {
            let mut seen = told.lock().unwrap();
            match event {
                Event::Dropped => seen.dropped.push(Instant::now()),
                Event::Forgiven => seen.forgiven.push(Instant::now()),
                Event::Issued(_) | Event::Failed { .. } => {}
            }
        });
        let dice = Mutex::new(fastrand::Rng::with_seed(seed));
        let random = Random::from_fn(move || dice.lock().unwrap().f64());
        let fetch = endpoint(&seen, script);
        let source = TokenSource::with_random(fetch, TaskTracker::new(), report, random);
        Self { seen, source, callers: JoinSet::new() }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Ask(count) => (0..count).for_each(|_| self.ask()),
            Step::Leave => self.callers.abort_all(),
            Step::Refuse(back) => self.refuse(back),
            Step::ChangeSecret => self.source.secret_changed(),
            Step::Pass(time) => sleep(time).await,
        }
    }

    fn ask(&mut self) {
        let (source, seen) = (self.source.clone(), Arc::clone(&self.seen));
        self.callers.spawn(async move {
            let asked = Instant::now();
            let latest = seen.lock().unwrap().got.last().map_or(0, |token| token.generation);
            let result = source.token().await;
            check_answer(&mut seen.lock().unwrap(), asked, latest, result);
        });
    }

    /// O4: what was dropped is not given out again.
    fn refuse(&self, back: usize) {
        let token = self.seen.lock().unwrap().got.iter().nth_back(back).cloned();
        let Some(token) = token.filter(|token| self.source.invalidate(token)) else { return };
        if let Some(Ok(next)) = self.source.token().now_or_never() {
            assert_ne!(next.generation, token.generation, "a dropped token was given out again");
        }
    }

    /// Every caller that is done saw what it should.
    fn check_callers(&mut self) {
        while let Some(ended) = self.callers.try_join_next() {
            assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
        }
    }

    /// Whatever has happened, it is not the end.
    async fn check_recovery(&self) {
        for _ in 0..300 {
            sleep(3600 * SECOND).await;
            if self.source.token().await.is_ok() {
                return;
            }
        }
        panic!("no token for good");
    }
}

async fn run(seed: u64, steps: Vec<Step>, script: Vec<(Duration, Answer)>) {
    let mut world = World::new(seed, script);
    for step in steps {
        world.take(step).await;
        tokio::task::yield_now().await;
        world.check_callers();
    }
    sleep(3 * SLOWEST).await;
    world.check_callers();
    assert!(world.callers.is_empty(), "a caller is left waiting");
    check_fetches(&world.seen.lock().unwrap());
    world.check_recovery().await;
}

proptest! {
    #[test]
    fn o1_to_o8_hold_for_any_order_of_events(
        seed in any::<u64>(),
        steps in vec(step(), 1..60),
        script in vec(answer(), 0..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(seed, steps, script));
    }
}

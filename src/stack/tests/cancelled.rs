//! Whoever goes away in the middle of a call, and after whichever step of it.
//!
//! Each test makes one call again and again, and takes its caller away after one poll more
//! each time, until the call ends before that. A write has a task of its own, which goes on;
//! so another test cuts that task off in the same manner. Nothing may be done twice, what was
//! done must be told for what it is, and nothing may be held once everything has ended.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::*;
use crate::callers::Caller;
use crate::operation::Effect;
use crate::store::RequestState;
use steps::Ends;

mod checks;
mod steps;

/// How long is waited for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
const KEY: &str = r#"{"account":"S-1","access":"ak-1","secret":"sk-1"}"#;

/// What a call meets on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The first attempt is refused, and is made again after a pause.
    Refused,
    /// A token has to be fetched; it is refused, and another one does.
    Token,
    /// The only slot is taken.
    Queued,
    /// The partner does what it is asked, and its answer is lost.
    Lost,
    /// The partner has failed, and a read has to show that it is back.
    Probe,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    effect: Effect,
    way: Way,
    is_shared: bool,
    request_id: Option<Uuid>,
}

/// One call to one partner, who has sent and kept nothing before.
struct Setting {
    case: Case,
    /// Which run it is.
    at: String,
    server: Server,
    /// How often the partner did what it was asked.
    effects: Arc<AtomicUsize>,
    built: Built,
    context: Context,
    /// The time of day.
    seconds: Arc<AtomicI64>,
    /// Ends the call that has the slot.
    let_go: Arc<Notify>,
}

fn case(effect: Effect, way: Way) -> Case {
    Case { effect, way, is_shared: false, request_id: None }
}

/// An answer that takes a call several polls to read.
fn slowly(status: u16, headers: &str, body: &str) -> Act {
    let mut head = answer(status, headers, body);
    let mut rest = head.split_off(head.len() - body.len());
    let end = rest.split_off(rest.len() / 2);
    Act::SendInParts(vec![head, rest, end])
}

/// What the partner does with each request, on this way.
fn script(
    way: Way,
    effects: Arc<AtomicUsize>,
    let_go: Arc<Notify>,
) -> impl Fn(&Request, usize) -> Act {
    let asked = AtomicUsize::new(0);
    move |request, number| match request.target() {
        "/token" => {
            let text = format!(
                r#"{{"access_token":"t-{number}","token_type":"Bearer","expires_in":3600}}"#
            );
            slowly(200, "", &text)
        }
        "/held" => Act::SendWhen(Arc::clone(&let_go), answer(200, "", "{}")),
        "/failing" => slowly(500, "", ""),
        "/after" => slowly(200, "", "{}"),
        _ => match (way, asked.fetch_add(1, Ordering::SeqCst)) {
            // A hint of nothing: the next attempt need not wait.
            (Way::Refused, 0) => slowly(503, "retry-after: 0\r\n", ""),
            (Way::Token, 0) => slowly(401, "", ""),
            (way, number) => {
                effects.fetch_add(1, Ordering::SeqCst);
                match (way, number) {
                    (Way::Lost, 0) => Act::SendAndClose(b"HTTP/1.1 200 x\r\n".to_vec()),
                    _ => slowly(200, "", KEY),
                }
            }
        },
    }
}

/// One slot, so that one that is lost is missed; and a budget in which one repeat counts.
fn limits(way: Way) -> Limits {
    let mut limits = Limits {
        concurrency: Concurrency { initial: 1, min: 1, max: 1 },
        retry: Retry {
            base_delay: Duration::from_millis(2),
            budget_percent: 100,
            budget_window: Duration::from_secs(3600),
            ..Retry::default()
        },
        ..Limits::default()
    };
    if way == Way::Probe {
        let open = Duration::from_millis(1);
        limits.breaker = Breaker { min_attempts: 1, open, max_open: open, ..limits.breaker };
    }
    limits
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(1)).await;
    }
}

impl Setting {
    async fn new(case: Case, at: String) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let (effects, let_go) = (Arc::default(), Arc::new(Notify::new()));
        let server = Server::start(script(case.way, Arc::clone(&effects), Arc::clone(&let_go)));
        let server = server.await;
        let mut settings = Settings::new(server.url());
        settings.limits = limits(case.way);
        settings.credentials.client = Some(Client { id: "id".into(), secret: "secret".into() });
        settings.credentials.key_pair =
            Some(KeyPair { access_key: "ak".into(), secret_key: "sk".into() });
        let seconds = Arc::new(AtomicI64::new(1_000));
        let now = Arc::clone(&seconds);
        let now = move || Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap();
        let context = testing::context_at(Clock::from_fn(now)).await;
        let built = build(Arc::new(Example), settings, &context).unwrap();
        Self { case, at, server, effects, built, context, seconds, let_go }
    }

    fn to(&self, effect: Effect, target: &str) -> Call {
        let credential = match self.case.way {
            Way::Token => Credential::ClientToken,
            _ => Credential::Signature,
        };
        let caller = Caller::new("a caller", 1, self.case.is_shared);
        let operation = testing::operation_of(&[credential], effect);
        let (target, deadline) = (target.to_owned(), Instant::now() + PATIENCE);
        Call { operation, target, deadline, caller, ..call() }
    }

    /// The call that is watched; each time the same.
    fn call(&self) -> Call {
        let Case { effect, request_id, .. } = self.case;
        Call { request_id, ..self.to(effect, "/things") }
    }

    async fn make(&self, call: Call) -> Result<Reply, Error> {
        self.built.stack.clone().oneshot(call).await
    }

    /// Has the partner fail, and waits until it may be asked again.
    async fn fail(&self) {
        self.make(self.to(Effect::Read, "/failing")).await.unwrap_err();
        let breakers = &self.built.state.breakers;
        until("half-open", || breakers.look()[0].position == Standing::HalfOpen).await;
    }

    /// Takes the slot, until the watched call waits for it or `is_gone`.
    async fn take_slot(&self, is_gone: &Arc<AtomicBool>) {
        let other = self.built.stack.clone().oneshot(self.to(Effect::Read, "/held"));
        self.context.tasks.spawn(other);
        until("the slot is taken", || !self.server.requests_to("/held").is_empty()).await;
        let turns = self.built.state.turns.clone();
        let (let_go, is_gone) = (Arc::clone(&self.let_go), Arc::clone(is_gone));
        self.context.tasks.spawn(async move {
            let may = || turns.snapshot().waiting > 0 || is_gone.load(Ordering::SeqCst);
            until("it waits or is gone", may).await;
            let_go.notify_one();
        });
    }

    /// Waits until everything that goes on without its caller has come to its end.
    async fn settle(&self) {
        self.context.tasks.close();
        let ended = timeout(PATIENCE, self.context.tasks.wait()).await;
        assert!(ended.is_ok(), "{}: a task does not end", self.at);
        self.context.tasks.reopen();
    }

    fn effects(&self) -> usize {
        self.effects.load(Ordering::SeqCst)
    }

    /// What is left for repeats, and how many there were.
    fn budget(&self) -> (u64, u64) {
        let balance = self.built.state.retry_budget.balance();
        (balance.left, balance.repeated)
    }

    /// How many keys are kept; how many intents are open, and how many flagged.
    async fn keys(&self) -> (u64, u64, u64) {
        let credentials = self.context.store.count_credentials().await.unwrap();
        let intents = self.context.store.count_intents().await.unwrap();
        let kept = credentials.iter().map(|(.., number)| number).sum();
        let open = intents.iter().map(|(_, open, _)| open).sum();
        (kept, open, intents.iter().map(|(.., flagged)| flagged).sum())
    }

    async fn records(&self) -> Vec<(RequestState, u64)> {
        let counts = self.context.store.count_requests().await.unwrap();
        counts.into_iter().map(|(_, state, number)| (state, number)).collect()
    }
}

/// Makes the call and takes `who` away after step number `last`, if it comes to that. Whether
/// the call has come to its own end before.
async fn run(case: Case, who: Ends, last: u32) -> bool {
    let setting = Setting::new(case, format!("{case:?}, {who:?} after step {last}")).await;
    if case.way == Way::Probe {
        setting.fail().await;
    }
    let (before, is_gone) = (setting.budget(), Arc::default());
    if case.way == Way::Queued {
        setting.take_slot(&is_gone).await;
    }
    let begun = setting.context.status.attempts();
    let call = setting.built.stack.clone().oneshot(setting.call());
    let told = steps::after(who, last, call).await;
    is_gone.store(true, Ordering::SeqCst);
    setting.settle().await;

    let attempts = setting.context.status.attempts() - begun;
    setting.holds_nothing(before, attempts);
    match who {
        Ends::Caller if case.effect == Effect::Read => setting.is_given_up(attempts, last).await,
        Ends::Caller => setting.has_ended(last > 0).await,
        Ends::Work => setting.is_told(told.as_ref()).await,
    }
    setting.goes_on().await;
    match told {
        None => false,
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            let is_cut_off = who == Ends::Work && *error.kind() == Kind::Internal;
            assert!(is_cut_off || case.way == Way::Lost, "{}: {error:?}", setting.at);
            !is_cut_off
        }
    }
}

/// Takes `who` away after each step of the call in turn; how often that was before its end.
async fn every_step(case: Case, who: Ends) -> usize {
    // Several at once, for each waits as long as it works; and the intent of a write that is
    // cut off is flagged after a second, so all of those wait together.
    let at_once = if who == Ends::Work && case.effect != Effect::Read { 24 } else { 4 };
    let (mut last, mut tried) = (u32::from(who == Ends::Work), 0);
    loop {
        let ended = join_all((last..last + at_once).map(|last| run(case, who, last))).await;
        tried += ended.iter().filter(|has_ended| !**has_ended).count();
        last += at_once;
        if ended.last() == Some(&true) {
            return tried;
        }
    }
}

/// What comes after the refusal is a call that meets nothing.
const WAYS: [Way; 3] = [Way::Refused, Way::Token, Way::Queued];
const ID: Option<Uuid> = Some(Uuid::from_u128(7));

#[tokio::test]
async fn t9_a_read_whose_caller_goes_away_holds_nothing() {
    for way in WAYS.into_iter().chain([Way::Probe]) {
        let tried = every_step(case(Effect::Read, way), Ends::Caller).await;
        assert!(tried > 2, "{way:?}: {tried}");
    }
}

#[tokio::test]
async fn t9_a_shared_read_whose_caller_goes_away_or_which_is_cut_off_holds_nothing() {
    let callers = WAYS.map(|way| (way, Ends::Caller));
    for (way, who) in callers.into_iter().chain([(Way::Refused, Ends::Work)]) {
        let case = Case { is_shared: true, ..case(Effect::Read, way) };
        let tried = every_step(case, who).await;
        assert!(tried > 2, "{way:?}, {who:?}: {tried}");
    }
}

#[tokio::test]
async fn g17_t9_an_idempotent_write_ends_though_its_caller_goes_away() {
    for way in [Way::Refused, Way::Token] {
        let tried = every_step(case(Effect::Idempotent, way), Ends::Caller).await;
        assert!(tried > 5, "{way:?}: {tried}");
    }
}

#[tokio::test]
async fn g17_t9_a_write_is_made_once_though_its_caller_goes_away() {
    for way in [Way::Refused, Way::Token, Way::Lost] {
        let tried = every_step(case(Effect::WriteOnce, way), Ends::Caller).await;
        assert!(tried > 5, "{way:?}: {tried}");
    }
}

#[tokio::test]
async fn g17_t9_a_write_whose_caller_goes_away_is_told_to_whoever_asks_again() {
    for way in WAYS.into_iter().chain([Way::Lost]) {
        let case = Case { request_id: ID, ..case(Effect::WriteOnce, way) };
        let tried = every_step(case, Ends::Caller).await;
        assert!(tried > 5, "{way:?}: {tried}");
    }
}

#[tokio::test]
async fn r8_t9_a_write_that_is_cut_off_is_never_sent_again() {
    let every_step =
        |way| every_step(Case { request_id: ID, ..case(Effect::WriteOnce, way) }, Ends::Work);
    let tried = join_all([Way::Token, Way::Queued, Way::Lost].map(every_step)).await;
    assert!(tried.iter().all(|tried| *tried > 5), "{tried:?}");
}

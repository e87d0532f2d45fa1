//! One partner fails all it is asked, slowly, and a thousand callers do not stop asking:
//! the other partners are served as ever, the failing one is not asked much more often
//! than calls are admitted, and the gateway does not grow (R2, R15).
//!
//! What the others notice is held against the calm before: the same callers, and a partner
//! that answers them. So it is the failing that is measured, and not how much a machine
//! can do besides. `scripts/storm` runs it in full, and allows for nothing; with all other
//! tests the partner is slow by a second only, the storm is short, and the machine may be
//! busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::byte_boundary::{self, Effect};
use crate::support::client::{Answer, Client};
use crate::support::process::Process;
use crate::support::upstream::{self, Asked, Reaction};
use crate::support::usage;

const CALLERS: usize = 1_000;
/// Each connection takes a hundred calls at once.
const CONNECTIONS: usize = 12;
/// How long a caller waits before it asks again.
const THINKING: Duration = Duration::from_secs(5);
/// What the other partners are asked for, again and again.
const QUICK: [&str; 2] =
    ["trolley.v1.WebhookService/ListWebhooks", "trustist.v1.InvitationService/ListInvitations"];
/// What an allocator may keep of a thousand calls that waited at once, in bytes.
const SLACK: u64 = 24 << 20;
/// The storm, and nothing else on the machine.
const FULL: Scale = Scale {
    latency: Duration::from_secs(10),
    length: Duration::from_secs(60),
    noise: Duration::ZERO,
    tries: 1,
};
/// A gust, with all other tests. What a busy machine may add to the slowest of the quick calls
/// is added however quick they are.
const SHORT: Scale = Scale {
    latency: Duration::from_secs(1),
    length: Duration::from_secs(6),
    noise: Duration::from_millis(50),
    tries: 3,
};
/// How often the gateway makes a call, by default.
const ATTEMPTS: usize = 3;
/// The window of the budget for repeats, and what there is in each whatever the number of
/// calls, by default.
const WINDOW: usize = 10;
const RESERVE: usize = 10;
/// As many requests at once as want to, and however many fail: what limits the repeats is
/// their budget alone.
const BUDGET_ALONE: &str = "[partners.trustap.breaker]\nmin_attempts = 1000000000\n\
    [partners.trustap.concurrency]\ninitial = 400\nmin = 400\nmax = 400\n";

/// How large a storm is, and what is allowed for.
#[derive(Clone, Copy, Debug)]
struct Scale {
    latency: Duration,
    length: Duration,
    /// By which the others may be slower in any case.
    noise: Duration,
    /// How often a busy machine may spoil it.
    tries: usize,
}

/// What callers of the failing partner came to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    calls: usize,
    /// Calls of which the partner was sent something.
    admitted: usize,
    /// Those of them that may be made again.
    reads: usize,
    sent: usize,
}

/// The partners, and a gateway to them.
struct Stage {
    process: Process,
    clients: Vec<Client>,
    others: [Client; 2],
    is_failing: Arc<AtomicBool>,
    arrived: Arc<AtomicUsize>,
    scale: Scale,
    _folder: tempfile::TempDir,
}

/// What a thousand callers came to, and what the others noticed.
#[derive(Clone, Copy, Debug)]
struct Weather {
    /// Of each other partner.
    p99: [Duration; 2],
    tally: Tally,
    arrived: usize,
    /// Until the last caller had its answer.
    time: Duration,
    /// Bytes of memory a third in, and at the end.
    memory: (u64, u64),
}

// === impl Scale ===

impl Scale {
    fn wanted() -> Self {
        let is_full = std::env::var_os("STORM_FULL").is_some();
        if is_full { FULL } else { SHORT }
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, effect: Effect, told: &Result<Answer, Status>) {
        let attempts = byte_boundary::attempts(told);
        let is_admitted = attempts > 0;
        self.calls += 1;
        self.admitted += usize::from(is_admitted);
        self.reads += usize::from(is_admitted && effect == Effect::Read);
        self.sent += attempts;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            admitted: self.admitted + other.admitted,
            reads: self.reads + other.reads,
            sent: self.sent + other.sent,
        }
    }

    fn repeats(&self) -> usize {
        self.sent - self.admitted
    }
}

// === impl Stage ===

impl Stage {
    /// A gateway that has made no call to the failing partner yet, with these settings of
    /// it besides.
    async fn new(scale: Scale, more: &str) -> Self {
        let (is_failing, arrived) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (fails, counted) = (Arc::clone(&is_failing), Arc::clone(&arrived));
        let failing = upstream::start(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            match fails.load(Ordering::SeqCst) {
                true => Reaction::answer(StatusCode::SERVICE_UNAVAILABLE, "{}").late(scale.latency),
                false => Reaction::answer(StatusCode::OK, r#"{"id":1}"#),
            }
        });
        let (failing, quick) = (failing.await, upstream::start(quick).await);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gateway.toml");
        let settings = format!(
            "[partners.trustap]\nbase_url = 'http://{failing}/api/v1'\napi_key = 'k'\n{more}\
            [partners.trolley]\nbase_url = 'http://{quick}'\naccess_key = 'a'\nsecret_key = 's'\n\
            [partners.trolley.rate_limit]\nrequests = 0\n\
            [partners.trustist]\nbase_url = 'http://{quick}'\n\
            client_id = 'c'\nclient_secret = 's'\n"
        );
        std::fs::write(&config, settings).unwrap();
        let process = Process::serve(&["--config", config.to_str().unwrap()], &[]).await;
        let client = || Client::connect(process.grpc);
        let others = [client().await, client().await];
        let clients = join_all((0..CONNECTIONS).map(|_| client())).await;
        let stage = Self { process, clients, others, is_failing, arrived, scale, _folder: folder };
        // The first calls make connections, and fetch a token.
        stage.p99(Duration::from_millis(300)).await;
        stage
    }

    /// The slowest of the calls to each other partner, but for one in a hundred.
    async fn p99(&self, time: Duration) -> [Duration; 2] {
        let [first, second] = &self.others;
        tokio::join!(p99(first, QUICK[0], time), p99(second, QUICK[1], time)).into()
    }

    async fn weather(&self, is_failing: bool) -> Weather {
        self.is_failing.store(is_failing, Ordering::SeqCst);
        self.arrived.store(0, Ordering::SeqCst);
        let (length, pid) = (self.scale.length, self.process.id());
        let start = Instant::now();
        let callers =
            (0..CALLERS).map(|n| caller(&self.clients[n % CONNECTIONS], n, start + length));
        let during = async {
            sleep(length / 3).await;
            let before = usage::memory(pid);
            (self.p99(length * 2 / 3).await, (before, usage::memory(pid)))
        };
        let (tallies, (p99, memory)) = tokio::join!(join_all(callers), during);
        let time = start.elapsed();
        let tally = tallies.into_iter().fold(Tally::default(), Tally::plus);
        Weather { p99, tally, arrived: self.arrived.load(Ordering::SeqCst), time, memory }
    }

    /// How the budget for repeats at the failing partner stands, as operators see it.
    async fn budget(&self) -> Value {
        let request = json!({"name": "trustap"});
        let told = self.others[0].call("gateway.v1.PartnerService/GetPartner", request).await;
        told.unwrap().reply["retryBudget"].clone()
    }
}

// === impl Weather ===

impl Weather {
    /// How many repeats the budget has at most: a fifth of the calls that the partner was
    /// sent, and the reserve once in each window that begins. The budget counts by whole
    /// seconds, so one more may be touched.
    fn most_repeats(&self) -> usize {
        let seconds = usize::try_from(self.time.as_secs()).unwrap() + 2;
        self.tally.admitted / 5 + RESERVE * seconds.div_ceil(WINDOW)
    }

    /// Requests that no caller was told of: the breaker looks by itself now and then
    /// whether the partner is back.
    fn probes(&self) -> usize {
        self.arrived - self.tally.sent
    }
}

/// The other partners: each answers at once.
#[expect(clippy::needless_pass_by_value, reason = "upstream::start wants it so")]
fn quick(asked: Asked) -> Reaction {
    let body = match asked.uri.path() {
        "/token" => r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#,
        "/invitations" => "[]",
        _ => r#"{"ok":true,"subscriptions":[]}"#,
    };
    Reaction::answer(StatusCode::OK, body)
}

/// Asks the failing partner until the end.
async fn caller(client: &Client, number: usize, end: Instant) -> Tally {
    let effect = if number.is_multiple_of(2) { Effect::Read } else { Effect::WriteOnce };
    let mut tally = Tally::default();
    // Not all at once: a wave is not what is measured.
    let share = u32::try_from(number).unwrap() * THINKING / u32::try_from(CALLERS).unwrap();
    sleep(share).await;
    loop {
        let (rpc, request) = effect.call();
        // The gateway gives each call 30 s. A timer of the client's would now and then be
        // before the answer, which tells what was sent.
        tally.add(effect, &client.call(rpc, request).await);
        if Instant::now() + THINKING >= end {
            return tally;
        }
        sleep(THINKING).await;
    }
}

/// The slowest of the calls, but for one in a hundred.
async fn p99(client: &Client, rpc: &str, time: Duration) -> Duration {
    let (start, mut taken) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let begun = Instant::now();
        client.call(rpc, json!({})).await.unwrap();
        taken.push(begun.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    taken.sort_unstable();
    taken[taken.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
async fn r2_r15_a_partner_that_fails_slowly_leaves_the_others_alone() {
    let scale = Scale::wanted();
    // What else a machine does can only make calls slower, and seldom does three times.
    for remaining in (0..scale.tries).rev() {
        let stage = Stage::new(scale, "").await;
        let alone = stage.p99(scale.length / 3).await;
        let calm = stage.weather(false).await;
        drop(stage);
        // The calm's calls would pay for repeats of the storm's.
        let stage = Stage::new(scale, "").await;
        let storm = stage.weather(true).await;

        let (repeats, most) = (storm.tally.repeats(), storm.most_repeats());
        println!("p99 alone {alone:?}\ncalm: {calm:?}\nstorm: {storm:?}");
        println!("{repeats} repeats of at most {most}, {} probes", storm.probes());
        assert_contained(&storm);
        let quiet = [0, 1].map(|other: usize| calm.p99[other].max(alone[other]));
        let most = quiet.map(|quiet| (quiet * 3 / 2).max(quiet + scale.noise));
        if storm.p99.iter().zip(most).all(|(storm, most)| *storm <= most) {
            return;
        }
        assert!(remaining > 0, "the others are slower than {quiet:?}: {storm:?}");
    }
}

/// The partner is not asked much more often than there are calls, and nothing piles up.
fn assert_contained(storm: &Weather) {
    let Weather { tally, arrived, memory: (before, after), .. } = *storm;
    assert!(tally.admitted > 0 && tally.calls >= CALLERS, "{tally:?}");
    assert!(arrived >= tally.sent, "{arrived}: {tally:?}");
    assert!(tally.repeats() <= storm.most_repeats(), "{storm:?}");
    // At most one in each second that there is.
    let seconds = usize::try_from(storm.time.as_secs()).unwrap() + 1;
    assert!(storm.probes() <= seconds, "{} probes: {storm:?}", storm.probes());
    assert!(after <= before + SLACK, "it grows: {before} to {after} bytes");
}

/// The breaker stops most of a storm before there is much to repeat. Out of its way, the
/// budget is all that holds the repeats: without it each read would be made three times.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
async fn r2_without_a_breaker_it_is_the_budget_that_bounds_the_repeats() {
    let latency = Duration::from_millis(100);
    let length = Duration::from_secs(6);
    let scale = Scale { latency, length, ..Scale::wanted() };
    let stage = Stage::new(scale, BUDGET_ALONE).await;

    let storm = stage.weather(true).await;
    let budget = stage.budget().await;

    let Weather { tally, arrived, .. } = storm;
    let (repeats, most) = (tally.repeats(), storm.most_repeats());
    let unbounded = tally.reads * (ATTEMPTS - 1);
    println!("{repeats} repeats of at most {most}, {unbounded} without a budget: {storm:?}");
    assert_eq!((tally.admitted, arrived), (tally.calls, tally.sent), "nothing else holds it");
    assert!(repeats <= most, "{most}: {storm:?}");
    assert!(unbounded > 2 * most, "nothing to hold: {unbounded} of {most}");
    assert!(repeats >= tally.admitted / 10, "the budget is used: {storm:?}");
    let [repeated, refused] = ["repeated", "refused"].map(|it| budget[it].as_str().unwrap());
    assert_eq!(repeated.parse(), Ok(repeats), "operators see it: {budget}");
    assert_ne!(refused, "0", "{budget}");
}

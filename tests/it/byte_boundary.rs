//! A partner that fails at every byte (R6).
//!
//! Between the gateway and a healthy partner is a proxy that lets one connection fail
//! after so many bytes of a request, or of an answer. Every position is tried, with every
//! way to fail, on every kind of connection, for each class of effect; the failures before
//! the first byte and those of HTTP/2's own are in the files below. What must hold:
//!
//! - a WRITE_ONCE is done once at most, and its caller is told the truth: a success was
//!   done, NOT_SENT and REJECTED were not, and all else is UNKNOWN;
//! - what may be repeated is answered, by one more attempt;
//! - the partner never gets more requests than the gateway says that it has sent.
//!
//! `scripts/byte-boundary` tries all of it. With all other tests, a part of the places is
//! tried where a connection stalls or says nonsense: which one a seed chooses.

mod before;
mod frames;
mod partner;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use self::partner::{MARK, Partner, Tls};
use crate::partners::info;
use crate::support::client::Answer;
use crate::support::gateway::Gateway;
use crate::support::proxy::{Cut, Fault, Proxy, Seen, Way};

/// Gateways that take cases at once.
const GATEWAYS_EACH: usize = 10;
/// Longer than a healthy partner needs on a busy machine.
const STALLED: Duration = Duration::from_millis(500);
const FAULTS: [Fault; 4] = [Fault::Close, Fault::Reset, Fault::Stall, Fault::Garbage];
const EFFECTS: [Effect; 3] = [Effect::Read, Effect::Idempotent, Effect::WriteOnce];
const LANES: [Lane; 6] = [
    Lane { wire: Wire::Http1, is_reused: false },
    Lane { wire: Wire::Http1, is_reused: true },
    Lane { wire: Wire::Http2, is_reused: false },
    Lane { wire: Wire::Http2, is_reused: true },
    Lane { wire: Wire::Tls, is_reused: false },
    Lane { wire: Wire::Tls, is_reused: true },
];

/// What repeating does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    Read,
    Idempotent,
    WriteOnce,
}

/// What is spoken to the partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wire {
    Http1,
    /// Without TLS, and without asking.
    Http2,
    /// HTTP/1.1 within TLS.
    Tls,
}

/// On what kind of connection a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lane {
    wire: Wire,
    /// Whether the connection has carried a call before.
    is_reused: bool,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    lane: Lane,
    effect: Effect,
    cut: Cut,
}

/// A gateway, its partner, and the proxy between them.
struct Bench {
    gateway: Gateway,
    partner: Partner,
    proxy: Proxy,
    /// Whether the last case may have left a dead connection that the gateway has not
    /// looked at yet: nothing shows when it sees a reset.
    has_reset: AtomicBool,
    _tls: Option<Tls>,
}

/// What cases came to, by their lane and fault.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cases: usize,
    answered: usize,
    not_sent: usize,
    unknown: usize,
    unreadable: usize,
    acted: usize,
    reused: usize,
    /// Those that took more than one attempt more: a machine may be too busy for one.
    late: usize,
}

type Tallies = BTreeMap<(Lane, Fault), Tally>;

// === impl Effect ===

impl Effect {
    /// An rpc of this class, and a request of it.
    pub(crate) fn call(self) -> (&'static str, Value) {
        match self {
            Self::Read => (
                "trustap.v1.OnlineTransactionService/GetTransaction",
                json!({"transactionId": "1309"}),
            ),
            Self::Idempotent => (
                "trustap.v1.F2fTransactionService/EndF2fComplaintPeriodWithGuestBuyer",
                json!({"transactionId": "1309"}),
            ),
            Self::WriteOnce => (
                "trustap.v1.UserService/CreateGuestUser",
                json!({
                    "countryCode": "IE", "email": "a@example.com", "firstName": "A", "lastName": "B",
                    "tosAcceptance": {"ip": "192.0.2.1", "unixTimestamp": "1782950400"},
                }),
            ),
        }
    }
}

/// Settings of a gateway to a partner at `url`, which nothing but failures slows down.
pub(crate) fn settings(url: &str, more: &str, stalled: Duration) -> String {
    // A connection that does not come about is known as such before the head is missed.
    let (connect, head) = (stalled.as_millis(), stalled.as_millis() + 100);
    format!(
        "[partners.trustap]\nbase_url = '{url}/api/v1'\napi_key = 'k'\n{more}\n\
        [partners.trustap.timeouts]\n\
        connect = '{connect}ms'\nhead = '{head}ms'\nbody_idle = '{head}ms'\n\
        {UNHINDERED}"
    )
}

/// No breaker, no narrow slots, and as many more attempts as anybody wants.
const UNHINDERED: &str = "\
    [partners.trustap.retry]\nbase_delay = '1ms'\nmax_attempts = 5\nbudget_percent = 100\nbudget_reserve = 1000\n\
    [partners.trustap.breaker]\nenabled = false\n\
    [partners.trustap.concurrency]\ninitial = 100\nmin = 100\nmax = 100\n";

/// How often the partner was asked, by what the caller is told.
pub(crate) fn attempts(told: &Result<Answer, Status>) -> usize {
    let metadata = match told {
        Ok(answer) => &answer.metadata,
        Err(status) => status.metadata(),
    };
    metadata.get("x-gateway-attempts").unwrap().to_str().unwrap().parse().unwrap()
}

pub(crate) fn outcome(status: &Status) -> Option<String> {
    info(status).metadata.get("outcome").cloned()
}

// === impl Bench ===

impl Bench {
    async fn new(wire: Wire) -> Self {
        let tls = (wire == Wire::Tls).then(Tls::new);
        let partner = Partner::start(tls.as_ref()).await;
        let proxy = Proxy::start(partner.address).await;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut more = format!("http2_prior_knowledge = {}", wire == Wire::Http2);
        if let Some(tls) = &tls {
            more += &format!("\nroot_ca_file = '{}'", tls.root_ca_file.display());
        }
        let url = format!("{scheme}://{}", proxy.address);
        let gateway = Gateway::configured(&settings(&url, &more, STALLED)).await;
        Self { gateway, partner, proxy, has_reset: AtomicBool::new(false), _tls: tls }
    }

    async fn call(&self, effect: Effect) -> Result<Answer, Status> {
        let (rpc, request) = effect.call();
        self.gateway.client.call(rpc, request).await
    }

    async fn warm_up(&self) {
        while self.call(Effect::Read).await.is_err() {}
    }

    /// Makes the connections what a lane says, and arms the proxy.
    async fn prepare(&self, is_reused: bool, cut: Option<Cut>) {
        self.proxy.quiesce().await;
        self.proxy.arm(None);
        if self.has_reset.swap(false, Ordering::Relaxed) {
            self.warm_up().await;
            self.proxy.quiesce().await;
        }
        if is_reused {
            self.warm_up().await;
        }
        self.partner.take_acted();
        self.proxy.arm(cut);
    }

    /// How many bytes a call takes in each direction.
    async fn measure(&self, is_reused: bool, effect: Effect) -> Seen {
        self.prepare(is_reused, None).await;
        self.call(effect).await.unwrap();
        self.proxy.seen()
    }

    async fn run(&self, case: &Case, tallies: &Mutex<Tallies>) {
        self.prepare(case.lane.is_reused, Some(case.cut)).await;
        let told = self.call(case.effect).await;
        self.proxy.quiesce().await;
        self.has_reset.store(case.cut.fault == Fault::Reset, Ordering::Relaxed);
        let (seen, acted) = (self.proxy.seen(), self.partner.take_acted());
        let what = format!("{case:?}: {seen:?}, acted {acted}: {told:?}");
        assert!(acted <= attempts(&told), "more requests than attempts: {what}");
        match case.effect {
            Effect::WriteOnce => {
                assert_truth(&told, acted, &what);
                // Where all bytes are the request's, one is enough to forbid another.
                let is_begun = case.lane.wire == Wire::Http1 && seen.has_failed && seen.request > 0;
                assert!(!is_begun || seen.later == 0, "sent again: {what}");
            }
            Effect::Read | Effect::Idempotent => assert_answered(&told, case, &what),
        }
        let mut tallies = tallies.lock().unwrap();
        let tally = tallies.entry((case.lane, case.cut.fault)).or_default();
        tally.cases += 1;
        tally.acted += acted;
        tally.late += usize::from(attempts(&told) > 2);
        tally.reused += usize::from(seen.is_reused);
        match &told {
            Ok(_) => tally.answered += 1,
            Err(status) if status.code() == Code::Internal => tally.unreadable += 1,
            Err(status) if outcome(status).as_deref() == Some("NOT_SENT") => tally.not_sent += 1,
            Err(_) => tally.unknown += 1,
        }
    }
}

/// What a caller is told of a write is so.
fn assert_truth(told: &Result<Answer, Status>, acted: usize, what: &str) {
    assert!(acted <= 1, "done twice: {what}");
    match told {
        Ok(_) => assert_eq!(acted, 1, "{what}"),
        Err(status) => match outcome(status).as_deref() {
            Some("NOT_SENT" | "REJECTED") => assert_eq!(acted, 0, "{what}"),
            Some("UNKNOWN") => {
                let pushback = status.metadata().get("grpc-retry-pushback-ms");
                assert!(pushback.is_some_and(|value| value == "-1"), "{what}");
            }
            _ => panic!("no outcome: {what}"),
        },
    }
}

/// What may be repeated is answered by one more attempt.
fn assert_answered(told: &Result<Answer, Status>, case: &Case, what: &str) {
    match told {
        Ok(answer) => {
            let is_whole = answer.reply.to_string().contains(MARK);
            assert!(is_whole, "another answer: {what}");
        }
        // A head that is whole and a body that is not JSON: it has acted and says so.
        Err(status) => {
            let is_nonsense = (case.cut.way, case.cut.fault) == (Way::Answer, Fault::Garbage);
            let is_told = info(status).reason == "PARTNER_BAD_RESPONSE";
            assert!(is_nonsense && is_told, "not answered: {what}");
        }
    }
}

/// Every position of every lane, in an order that a seed gives.
async fn cases(every: usize, random: &mut fastrand::Rng) -> Vec<Case> {
    let mut cases = Vec::new();
    for lane in LANES {
        let bench = Bench::new(lane.wire).await;
        for effect in EFFECTS {
            let seen = bench.measure(lane.is_reused, effect).await;
            for (way, length) in [(Way::Request, seen.request), (Way::Answer, seen.answer)] {
                assert!(length > 20, "{lane:?} {effect:?} {way:?}: {length} bytes");
                for fault in FAULTS {
                    // What loses money first: a write that is cut off.
                    let is_first =
                        effect == Effect::WriteOnce && matches!(fault, Fault::Close | Fault::Reset);
                    let step = if is_first { 1 } else { every };
                    let places = (random.usize(0..step)..=length).step_by(step);
                    cases.extend(places.map(|after| Case {
                        lane,
                        effect,
                        cut: Cut { way, after, fault },
                    }));
                }
            }
        }
    }
    random.shuffle(&mut cases);
    cases
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
async fn r6_a_partner_may_fail_at_any_byte() {
    let number = |name, otherwise| match std::env::var_os(name) {
        Some(text) => text.to_str().unwrap().parse().unwrap(),
        None => otherwise,
    };
    let every = number("BYTE_BOUNDARY_EVERY", 5);
    let seed = number("BYTE_BOUNDARY_SEED", 20_261_121);
    let mut random = fastrand::Rng::with_seed(u64::try_from(seed).unwrap());
    let cases = cases(every, &mut random).await;
    let (tallies, mut working) = (Arc::<Mutex<Tallies>>::default(), JoinSet::new());
    for wire in [Wire::Http1, Wire::Http2, Wire::Tls] {
        let own: Vec<_> = cases.iter().filter(|case| case.lane.wire == wire).copied().collect();
        let own = Arc::new(Mutex::new(own));
        for _ in 0..GATEWAYS_EACH {
            let (own, tallies) = (Arc::clone(&own), Arc::clone(&tallies));
            working.spawn(async move {
                let bench = Bench::new(wire).await;
                loop {
                    let Some(case) = own.lock().unwrap().pop() else { return };
                    bench.run(&case, &tallies).await;
                }
            });
        }
    }
    while let Some(ended) = working.join_next().await {
        ended.unwrap();
    }
    let tallies = tallies.lock().unwrap();
    for ((lane, fault), tally) in tallies.iter() {
        println!("{lane:?} {fault:?}: {tally:?}");
    }
    let total: usize = tallies.values().map(|tally| tally.cases).sum();
    println!("seed {seed}, every {every}: {total} cases");
    assert_eq!(total, cases.len());
    let late: usize = tallies.values().map(|tally| tally.late).sum();
    assert!(late * 50 <= total, "{late} cases took more than one attempt more");
    for ((lane, fault), tally) in tallies.iter() {
        let share = tally.reused * 100 / tally.cases;
        let expected = if lane.is_reused { share > 90 } else { share == 0 };
        assert!(expected, "{lane:?} {fault:?}: {tally:?}");
        assert!(tally.acted > 0 && tally.answered > 0, "{lane:?} {fault:?}: {tally:?}");
    }
}

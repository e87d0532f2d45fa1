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
//! A busy machine can make an attempt fail that nothing was done to. So what was not
//! answered by one more attempt is tried once more, alone, and must be answered then: a
//! place that is bad by itself is bad again.
//!
//! `scripts/byte-boundary` tries all of it. With all other tests, a part of the places is
//! tried where it is not a write that is cut off: which one a seed chooses.

mod before;
mod bench;
mod cases;
mod frames;
mod partner;
mod tally;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Status;

use self::bench::{Bench, Late};
use self::cases::{Case, Wire};
use self::tally::Tallies;
use crate::partners::info;
use crate::support::client::Answer;
use crate::support::proxy::Fault;

/// Gateways that take cases at once. What fails at once keeps the machine busy, and what
/// stalls is waited for: each has gateways of its own, or the one would make the other late.
const BUSY: usize = 8;
const WAITING: usize = 60;
/// Longer than a healthy partner needs on a busy machine.
const STALLED: Duration = Duration::from_millis(500);
const FAULTS: [Fault; 4] = [Fault::Close, Fault::Reset, Fault::Stall, Fault::Garbage];
const EFFECTS: [Effect; 3] = [Effect::Read, Effect::Idempotent, Effect::WriteOnce];

/// What repeating does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    Read,
    Idempotent,
    WriteOnce,
}

/// Cases that are under way.
#[derive(Debug, Default)]
struct Run {
    tallies: Mutex<Tallies>,
    late: Mutex<Vec<(Case, Late)>>,
}

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

// === impl Run ===

impl Run {
    /// Tries all cases, many at a time.
    async fn all(self: &Arc<Self>, cases: &[Case]) {
        let mut working = JoinSet::new();
        for (is_stall, gateways) in [(false, BUSY), (true, WAITING)] {
            let is_kind = |case: &&Case| (case.cut.fault == Fault::Stall) == is_stall;
            let kind: Vec<Case> = cases.iter().filter(is_kind).copied().collect();
            for wire in Wire::ALL {
                let is_own = |case: &&Case| case.lane.wire == wire;
                let own: Vec<Case> = kind.iter().filter(is_own).copied().collect();
                let share = (gateways * own.len()).div_ceil(kind.len());
                let own = Arc::new(Mutex::new(own));
                for _ in 0..share {
                    working.spawn(Arc::clone(self).some(wire, Arc::clone(&own)));
                }
            }
        }
        while let Some(ended) = working.join_next().await {
            ended.unwrap();
        }
    }

    /// Takes cases until none is left.
    async fn some(self: Arc<Self>, wire: Wire, cases: Arc<Mutex<Vec<Case>>>) {
        let bench = Bench::new(wire).await;
        loop {
            let Some(case) = cases.lock().unwrap().pop() else { return };
            match bench.run(&case).await {
                Ok(ending) => self.tallies.lock().unwrap().add(&case, &ending),
                Err(late) => self.late.lock().unwrap().push((case, late)),
            }
        }
    }

    /// Tries once more what was late, one case after the other, and says what is late again.
    #[expect(clippy::print_stdout, reason = "who is late often should be looked at")]
    async fn late_alone(&self) -> Vec<String> {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        let mut late_again = Vec::new();
        for (case, Late(first)) in late {
            println!("late: {first}");
            match Bench::new(case.lane.wire).await.run(&case).await {
                Ok(ending) => {
                    let mut tallies = self.tallies.lock().unwrap();
                    tallies.add(&case, &ending);
                    tallies.add_late(&case);
                }
                Err(Late(again)) => late_again.push(again),
            }
        }
        late_again
    }
}

fn number(name: &str, otherwise: usize) -> usize {
    match std::env::var_os(name) {
        Some(text) => text.to_str().unwrap().parse().unwrap(),
        None => otherwise,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
async fn r6_a_partner_may_fail_at_any_byte() {
    let every = number("BYTE_BOUNDARY_EVERY", 5);
    let seed = number("BYTE_BOUNDARY_SEED", 20_261_121);
    let mut random = fastrand::Rng::with_seed(u64::try_from(seed).unwrap());
    let begin = tokio::time::Instant::now();
    let cases = cases::all(every, &mut random).await;
    let run = Arc::<Run>::default();
    run.all(&cases).await;
    let late_again = run.late_alone().await;
    let tallies = run.tallies.lock().unwrap();
    tallies.print();
    println!("seed {seed}, every {every}: {} cases in {:?}", tallies.cases(), begin.elapsed());
    assert!(late_again.is_empty(), "one retry did not do, twice: {late_again:#?}");
    assert_eq!(tallies.cases(), cases.len());
    tallies.assert_sound();
}

//! One case: a connection is made what its lane says, fails where it should, and what the
//! partner did is compared with what the caller is told.

use std::sync::atomic::{AtomicBool, Ordering};

use tonic::{Code, Status};

use super::cases::{Case, Wire};
use super::partner::{MARK, Partner, Tls};
use super::{Effect, STALLED, attempts, outcome, settings};
use crate::partners::info;
use crate::support::client::Answer;
use crate::support::gateway::Gateway;
use crate::support::proxy::{Cut, Fault, Proxy, Seen};

/// What one failure may cost: the attempt that it fails, and one that is answered.
const ONE_RETRY: usize = 2;

/// A gateway, its partner, and the proxy between them.
pub(super) struct Bench {
    wire: Wire,
    gateway: Gateway,
    partner: Partner,
    proxy: Proxy,
    /// Whether the last case may have left a dead connection that the gateway has not
    /// looked at yet: nothing shows when it sees a reset.
    has_reset: AtomicBool,
    _tls: Option<Tls>,
}

/// What a case came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) told: Told,
    pub(super) acted: usize,
    pub(super) seen: Seen,
}

/// What the caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Answer,
    Unreadable,
    NotSent,
    Unknown,
}

/// What could be repeated, and was not answered by one retry.
#[derive(Debug)]
pub(super) struct Late(pub(super) String);

// === impl Bench ===

impl Bench {
    pub(super) async fn new(wire: Wire) -> Self {
        let tls = wire.tls();
        let partner = Partner::start(tls.as_ref()).await;
        let proxy = Proxy::start(partner.address).await;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut more = format!("http2_prior_knowledge = {}", wire == Wire::Http2);
        if let Some(tls) = &tls {
            more += &format!("\nroot_ca_file = '{}'", tls.root_ca_file.display());
        }
        let url = format!("{scheme}://{}", proxy.address);
        let gateway = Gateway::configured(&settings(&url, &more, STALLED)).await;
        Self { wire, gateway, partner, proxy, has_reset: AtomicBool::new(false), _tls: tls }
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
        self.partner.take_acted().await;
        self.proxy.arm(cut);
    }

    /// How many bytes a call takes in each direction.
    pub(super) async fn measure(&self, is_reused: bool, effect: Effect) -> Seen {
        self.prepare(is_reused, None).await;
        self.call(effect).await.unwrap();
        assert_eq!(self.partner.spoken(), Some(self.wire.version()));
        self.proxy.seen()
    }

    /// Tries one case.
    ///
    /// # Errors
    /// What could be repeated and is late. All else that must not be stops the test.
    pub(super) async fn run(&self, case: &Case) -> Result<Ending, Late> {
        self.prepare(case.lane.is_reused, Some(case.cut)).await;
        let told = self.call(case.effect).await;
        self.proxy.quiesce().await;
        // An attempt that failed has looked at its connection.
        let may_be_unseen = case.cut.fault == Fault::Reset && attempts(&told) == 1;
        self.has_reset.store(may_be_unseen && told.is_ok(), Ordering::Relaxed);
        let (seen, acted) = (self.proxy.seen(), self.partner.take_acted().await);
        let what = || format!("{case:?}: {seen:?}, acted {acted}: {told:?}");
        assert!(acted <= attempts(&told), "more requests than attempts: {}", what());
        assert!(acted == 0 || self.partner.spoken() == Some(self.wire.version()), "{}", what());
        match case.effect {
            Effect::WriteOnce => {
                assert_truth(&told, acted, what);
                assert!(!is_begun(case, &seen) || seen.later == 0, "sent again: {}", what());
            }
            Effect::Read | Effect::Idempotent if is_on_time(&told, case, what) => {}
            Effect::Read | Effect::Idempotent => return Err(Late(what())),
        }
        Ok(Ending { told: Told::of(&told), acted, seen })
    }
}

// === impl Told ===

impl Told {
    fn of(told: &Result<Answer, Status>) -> Self {
        match told {
            Ok(_) => Self::Answer,
            Err(status) if status.code() == Code::Internal => Self::Unreadable,
            Err(status) if outcome(status).as_deref() == Some("NOT_SENT") => Self::NotSent,
            Err(_) => Self::Unknown,
        }
    }
}

/// Whether a part of the request was sent before the connection failed. That can be said
/// where all bytes are the request's: then one is enough to forbid another.
fn is_begun(case: &Case, seen: &Seen) -> bool {
    let is_all_request = match case.lane.wire {
        Wire::Http1 => true,
        // The handshake was made for the call before.
        Wire::Http1Tls => seen.is_reused,
        Wire::Http2 | Wire::Http2Tls => false,
    };
    is_all_request && seen.has_failed && seen.request > 0
}

/// What a caller is told of a write is so.
fn assert_truth(told: &Result<Answer, Status>, acted: usize, what: impl Fn() -> String) {
    assert!(acted <= 1, "done twice: {}", what());
    match told {
        Ok(_) => assert_eq!(acted, 1, "{}", what()),
        Err(status) => match outcome(status).as_deref() {
            Some("NOT_SENT" | "REJECTED") => assert_eq!(acted, 0, "{}", what()),
            Some("UNKNOWN") => {
                let pushback = status.metadata().get("grpc-retry-pushback-ms");
                assert!(pushback.is_some_and(|value| value == "-1"), "{}", what());
            }
            _ => panic!("no outcome: {}", what()),
        },
    }
}

/// Whether what may be repeated is answered, by one more attempt at most.
fn is_on_time(told: &Result<Answer, Status>, case: &Case, what: impl Fn() -> String) -> bool {
    let is_answered = match told {
        Ok(answer) => {
            let is_whole = answer.reply.to_string().contains(MARK);
            assert!(is_whole, "another answer: {}", what());
            true
        }
        // A head that is whole and a body that is not JSON: it has acted and says so. TLS
        // lets nobody put in a body of his own.
        Err(status) => {
            let is_nonsense = case.cut.fault == Fault::Garbage && case.is_in_body;
            let is_told = info(status).reason == "PARTNER_BAD_RESPONSE";
            is_nonsense && is_told && !case.lane.wire.is_tls()
        }
    };
    is_answered && attempts(told) <= ONE_RETRY
}

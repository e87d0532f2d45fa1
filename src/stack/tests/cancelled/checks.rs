//! What must be true once a call, its caller and its work have ended, whoever went away.

use super::*;

/// Longer than any record is kept.
const MONTH: i64 = 31 * 24 * 3600;

impl Setting {
    /// R2, R15, R17: nothing is held, and what was sent is counted.
    pub(super) fn holds_nothing(&self, before: (u64, u64), attempts: u64) {
        let turns = self.built.state.turns.snapshot();
        assert_eq!((turns.waiting, turns.in_flight, turns.concurrency), (0, 0, 1), "{}", self.at);
        for lane in turns.lanes {
            let held = (lane.waiting, lane.in_flight, lane.wait, lane.closed_for);
            assert_eq!(held, (0, 0, Duration::ZERO, None), "{}", self.at);
        }
        let repeats = if self.case.way == Way::Refused { attempts.saturating_sub(1) } else { 0 };
        let calls = u64::from(attempts > 0) + u64::from(self.case.way == Way::Queued);
        let budget = (before.0 + calls - repeats, before.1 + repeats);
        assert_eq!(self.budget(), budget, "{}: {attempts} attempts", self.at);
        for look in self.built.state.breakers.look() {
            let is_open = matches!(look.position, Standing::Open(_));
            let is_half_open = look.position == Standing::HalfOpen && self.case.way != Way::Probe;
            assert!(!is_open && !is_half_open, "{}: {look:?}", self.at);
        }
    }

    /// G17: a read is given up with its caller. One that still waits for its turn is not sent.
    pub(super) async fn is_given_up(&self, attempts: u64, last: u32) {
        assert_eq!(self.keys().await, (0, 0, 0), "{}", self.at);
        let may_be_sent = self.case.way != Way::Queued || last > 1;
        assert!(may_be_sent || attempts == 0, "{}: it was sent", self.at);
    }

    /// A write that has begun has come to its end: its key is kept, and its record tells.
    pub(super) async fn has_ended(&self, has_begun: bool) {
        let is_lost = self.case.way == Way::Lost;
        assert_eq!(self.effects(), usize::from(has_begun), "{}", self.at);
        let keys = match has_begun {
            false => (0, 0, 0),
            true if is_lost => (0, 0, 1),
            true => (1, 0, 0),
        };
        assert_eq!(self.keys().await, keys, "{}", self.at);
        if keys.0 > 0 {
            self.signs_with_its_key().await;
        }
        let records = self.records().await;
        if self.case.request_id.is_none() {
            return assert_eq!(records, [], "{}", self.at);
        }
        let state = if is_lost { RequestState::Unknown } else { RequestState::Done };
        assert_eq!(records, Vec::from_iter(has_begun.then_some((state, 1))), "{}", self.at);
        match self.make(self.call()).await {
            Ok(again) => assert_eq!((again.replayed, is_lost), (has_begun, false), "{}", self.at),
            Err(error) if has_begun => assert_eq!(*error.kind(), Kind::OutcomeUnknown),
            Err(error) => assert_eq!(error.outcome(), Outcome::Unknown, "{}", self.at),
        }
        assert_eq!(self.effects(), 1, "{}", self.at);
        self.is_forgotten().await;
    }

    async fn signs_with_its_key(&self) {
        let operation = testing::read_operation(&[Credential::AccountSignature]);
        let account = Some("S-1".to_owned());
        let call = Call { operation, account, ..self.to(Effect::Read, "/after") };
        self.make(call).await.unwrap();
        let requests = self.server.requests_to("/after");
        assert!(requests[0].header("x-signature").unwrap().starts_with("ak-1 sk-1"));
    }

    /// A record that is gone from the store is in nobody's memory.
    async fn is_forgotten(&self) {
        self.settle().await;
        self.seconds.fetch_add(MONTH, Ordering::SeqCst);
        self.context.store.expire_requests(&self.context.retention).await.unwrap();
        assert_eq!(self.records().await, [], "{}", self.at);
        let before = self.effects();
        // What comes of it is not the question here.
        let _ = self.make(self.call()).await;
        assert_eq!(self.effects(), before + 1, "{}: it was not made anew", self.at);
        self.settle().await;
    }

    /// R8, S14: of a call whose work was cut off nobody is told a lie, and asking again does
    /// nothing twice.
    pub(super) async fn is_told(&self, told: Option<&Result<Reply, Error>>) {
        let done = self.effects();
        let outcome = match told {
            Some(Err(error)) => error.outcome(),
            _ => Outcome::Unknown,
        };
        assert!(done == 0 || outcome == Outcome::Unknown, "{}: {outcome:?}", self.at);
        let (kept, _, flagged) = self.keys().await;
        let is_known = done == 0 || kept + flagged > 0 || self.case.effect == Effect::Read;
        assert!(is_known, "{}: nobody knows of a key", self.at);
        if self.case.request_id.is_none() {
            return;
        }
        let records = self.records().await;
        let has_open = records.iter().any(|(state, _)| *state == RequestState::Started);
        assert!(!has_open, "{}: {records:?}", self.at);
        match self.make(self.call()).await {
            Ok(reply) if reply.replayed => assert_eq!(done, 1, "{}", self.at),
            Ok(_) => assert_eq!(done, 0, "{}", self.at),
            Err(error) if done > 0 => assert_eq!(*error.kind(), Kind::OutcomeUnknown),
            Err(error) => assert_eq!(error.outcome(), Outcome::Unknown, "{}: {error:?}", self.at),
        }
        self.settle().await;
        assert!(self.effects() <= 1, "{}", self.at);
        self.is_forgotten().await;
    }

    /// The next call has its turn, its credential and its answer.
    pub(super) async fn goes_on(&self) {
        let next = self.make(self.to(Effect::Read, "/after")).await;
        assert!(next.is_ok(), "{}: {next:?}", self.at);
        if self.case.effect == Effect::Read {
            let same = self.make(self.call()).await;
            assert!(same.is_ok(), "{}: {same:?}", self.at);
        }
        assert!(self.built.state.breakers.are_closed(), "{}", self.at);
    }
}

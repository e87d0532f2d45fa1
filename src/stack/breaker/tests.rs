use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::HeaderMap;
use tokio::time::Instant;
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::call::Call;
use crate::operation::{Credential, Effect};
use crate::random::Random;
use crate::stack::limits::{Limits, Tunable};
use crate::stack::testing;

fn failure(status: u16, meaning: Option<Meaning>) -> PartnerFailure {
    PartnerFailure {
        status: StatusCode::from_u16(status).unwrap(),
        meaning,
        code: None,
        message: None,
        fields: Vec::new(),
        retry_after: None,
    }
}

fn answered(status: u16, meaning: Option<Meaning>, outcome: Outcome) -> Result<Reply, Error> {
    Err(Error::new(Kind::Partner(failure(status, meaning)), outcome))
}

#[test]
fn r17_only_what_tells_of_a_failing_partner_is_a_failure() {
    let rejected = Outcome::Rejected;
    let unknown = Outcome::Unknown;
    let second = Duration::from_secs(1);
    let success = Reply::new(StatusCode::OK, HeaderMap::new(), bytes::Bytes::new());
    let bad = Kind::BadResponse { status: StatusCode::FOUND, problem: String::new() };
    for (result, expected) in [
        (Ok(success), Verdict::Alive),
        (answered(400, None, rejected), Verdict::Alive),
        (answered(401, None, rejected), Verdict::Alive),
        (answered(404, None, rejected), Verdict::Alive),
        (answered(409, None, rejected), Verdict::Alive),
        (answered(408, None, unknown), Verdict::Failing),
        (answered(429, None, rejected), Verdict::Neutral),
        (answered(200, Some(Meaning::RateLimited), rejected), Verdict::Neutral),
        (answered(200, Some(Meaning::Internal), unknown), Verdict::Failing),
        (answered(200, Some(Meaning::InvalidArgument), rejected), Verdict::Alive),
        (answered(500, None, unknown), Verdict::Failing),
        (answered(501, None, unknown), Verdict::Failing),
        (answered(503, None, rejected), Verdict::Failing),
        (Err(Error::new(Kind::Unreachable, Outcome::NotSent)), Verdict::Failing),
        (Err(Error::new(Kind::Unreachable, unknown)), Verdict::Failing),
        (Err(Error::new(Kind::Timeout, unknown)), Verdict::Failing),
        (Err(Error::new(bad, unknown)), Verdict::Failing),
        (Err(Error::new(Kind::Internal, Outcome::NotSent)), Verdict::Neutral),
        (Err(Error::new(Kind::ShuttingDown, unknown)), Verdict::Neutral),
        (
            Err(Error::new(Kind::RateLimited { retry_after: second }, Outcome::NotSent)),
            Verdict::Neutral,
        ),
        (
            Err(Error::new(Kind::TokenUnavailable { permanent: false }, Outcome::NotSent)),
            Verdict::Neutral,
        ),
    ] {
        assert_eq!(verdict(&result), expected, "{result:?}");
    }
}

/// What the partner of these tests does with an attempt.
#[derive(Clone, Copy)]
enum Does {
    /// Fails, after it was sent.
    Fails,
    /// Fails before anything is sent.
    SendsNothing,
    /// Never answers what it was sent.
    Hangs,
}

struct Setting {
    breakers: Breakers,
    sent: Arc<AtomicU32>,
}

impl Setting {
    fn new() -> Self {
        let mut limits = Limits::default();
        limits.breaker.min_attempts = 1;
        let random = Random::from_fn(|| 0.0);
        Self {
            breakers: Breakers::new("example", Tunable::new(limits), random),
            sent: Arc::default(),
        }
    }

    fn exchange(deadline: Duration) -> Exchange {
        let operation = testing::read_operation(&[Credential::Signature]);
        let deadline = Instant::now() + deadline;
        Exchange::new(Call { operation, deadline, ..testing::call() })
    }

    async fn call(&self, exchange: Exchange, does: Does) -> Result<Reply, Error> {
        let sent = Arc::clone(&self.sent);
        let partner = service_fn(move |exchange: Exchange| {
            let sent = Arc::clone(&sent);
            async move {
                let progress = exchange.progress;
                if !matches!(does, Does::SendsNothing) {
                    progress.begin();
                    sent.fetch_add(1, Ordering::SeqCst);
                }
                let _time = progress.timed(crate::stack::exchange::Phase::Attempt);
                if matches!(does, Does::Hangs) {
                    std::future::pending::<()>().await;
                }
                Err(Error::new(Kind::Unreachable, Outcome::NotSent))
            }
        });
        BreakerLayer::new(self.breakers.clone()).layer(partner).oneshot(exchange).await
    }

    fn is_open(&self) -> bool {
        self.breakers.check(Effect::Read).is_err()
    }
}

const LATER: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn r17_a_partner_that_is_left_alone_is_sent_nothing_and_the_wait_is_told() {
    let setting = Setting::new();
    setting.call(Setting::exchange(LATER), Does::Fails).await.unwrap_err();
    let error = setting.call(Setting::exchange(LATER), Does::Fails).await.unwrap_err();
    let retry_after = Duration::from_secs(5);
    assert_eq!(
        (error.kind(), error.outcome()),
        (&Kind::CircuitOpen { retry_after }, Outcome::NotSent)
    );
    assert_eq!(setting.sent.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn r17_what_was_never_sent_tells_nothing_about_the_partner() {
    let setting = Setting::new();
    setting.call(Setting::exchange(LATER), Does::SendsNothing).await.unwrap_err();
    assert!(!setting.is_open());
}

/// R17: a caller that goes away is no failure of the partner's; a partner that lets a
/// caller wait until its time is over is.
#[tokio::test(start_paused = true)]
async fn r17_an_attempt_that_is_given_up_counts_if_the_partner_had_its_time() {
    for (deadline, given_up, expected) in
        [(10.0, 10.0, true), (1.0, 1.0, true), (0.9, 0.9, false), (10.0, 9.0, false)]
    {
        let setting = Setting::new();
        let exchange = Setting::exchange(Duration::from_secs_f64(deadline));
        let call = setting.call(exchange, Does::Hangs);
        let result = tokio::time::timeout(Duration::from_secs_f64(given_up), call).await;
        assert!(result.is_err());
        assert_eq!(setting.is_open(), expected, "{given_up} s of {deadline} s");
    }
}

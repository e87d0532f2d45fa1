//! Long spans, on a paused clock: the layers between a call and an HTTP client that is
//! played here, and the real sources of tokens.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::time::{advance, sleep};
use tower::{ServiceBuilder, service_fn};

use super::*;
use crate::credentials::{Authenticator, Means, Settings as Credentials};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A partner whose parts can be switched off.
#[derive(Default)]
struct Partner {
    /// Whether the token endpoint answers 503.
    is_down: AtomicBool,
    /// Whether the token endpoint does not answer.
    hangs: AtomicBool,
    /// Whether every token is refused.
    refuses: AtomicBool,
    /// When a token was asked for.
    asked: Mutex<Vec<Instant>>,
    /// When each token that was issued ends.
    ends: Mutex<Vec<Instant>>,
}

fn reply(status: u16, body: String) -> Reply {
    Reply::new(StatusCode::from_u16(status).unwrap(), HeaderMap::new(), Bytes::from(body))
}

impl Partner {
    async fn token(&self) -> Result<Reply, Error> {
        self.asked.lock().unwrap().push(Instant::now());
        if self.hangs.load(Ordering::SeqCst) {
            sleep(10 * SECOND).await;
            return Err(Error::new(Kind::Timeout, Outcome::Unknown));
        }
        if self.is_down.load(Ordering::SeqCst) {
            return Ok(reply(503, String::new()));
        }
        let mut ends = self.ends.lock().unwrap();
        ends.push(Instant::now() + 60 * MINUTE);
        let number = ends.len() - 1;
        let token =
            format!(r#"{{"access_token":"{number}","token_type":"Bearer","expires_in":3600}}"#);
        Ok(reply(200, token))
    }

    fn answer(&self, call: &Call) -> Reply {
        let token = call.headers["authorization"].to_str().unwrap();
        let number: usize = token.strip_prefix("Bearer ").unwrap().parse().unwrap();
        let end = self.ends.lock().unwrap()[number];
        assert!(Instant::now() < end, "an expired token was sent");
        match self.refuses.load(Ordering::SeqCst) {
            true => reply(401, String::new()),
            false => reply(200, "{}".to_owned()),
        }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// The stack before such a partner; the clock stands still.
async fn given() -> (Stack, Arc<Partner>) {
    let (partner, context) = (Arc::<Partner>::default(), testing::context().await);
    // After the store was opened, which takes real time.
    tokio::time::pause();
    let client = Client { id: "client".into(), secret: "secret".into() };
    let settings = Credentials { client: Some(client), ..Credentials::default() };
    let endpoint = Arc::clone(&partner);
    let means = Means {
        secret_files: context.secret_files.clone(),
        clock: context.clock.clone(),
        tasks: context.tasks.clone(),
        stopping: context.stopping.clone(),
        status: Arc::clone(&context.status),
        store: context.store.clone(),
        post: Box::new(move |_, _| {
            let endpoint = Arc::clone(&endpoint);
            Box::pin(async move { endpoint.token().await })
        }),
        post_form: None,
        redis: None,
        base_url: String::new(),
    };
    let authenticator = Arc::new(Authenticator::new(Arc::new(Example), settings, means));
    let (host, example): (Arc<str>, _) = ("host".into(), Arc::new(Example));
    let wire = Arc::clone(&partner);
    let wire = service_fn(move |exchange: Exchange| {
        std::future::ready(Ok::<_, Error>(wire.answer(&exchange.call)))
    });
    let layers = ServiceBuilder::new()
        .layer(trace::TraceLayer::new(Arc::clone(&host)))
        .layer(deadline::DeadlineLayer::new(&context))
        .layer(reauthenticate::ReauthenticateLayer::new(
            Arc::clone(&authenticator),
            Tunable::new(Limits::default()),
            &context,
        ))
        .layer(authenticate::AuthenticateLayer::new(authenticator, Arc::clone(&host), &context))
        .layer(attempt::AttemptLayer::new(example.clone(), (Arc::clone(&host), None), &context))
        .layer(judge::JudgeLayer::new(example, host, context.clock.clone()));
    (BoxCloneSyncService::new(layers.service(wire)), partner)
}

/// Whatever minute of the token's life it begins in.
#[tokio::test]
async fn o3_ten_minutes_without_the_token_endpoint_of_an_hours_token_fail_no_call() {
    for begin in 1..=60 {
        let (stack, partner) = given().await;
        let start = Instant::now();
        while start.elapsed() < 120 * MINUTE {
            let minute = start.elapsed().as_secs() / 60;
            let is_down = (begin..begin + 10).contains(&minute);
            partner.is_down.store(is_down, Ordering::SeqCst);
            let answer = stack.clone().oneshot(bearer_call()).await;
            assert!(answer.is_ok(), "from minute {begin}, {:?}: {answer:?}", start.elapsed());
            sleep(5 * SECOND).await;
        }
        assert!(partner.asked() < 20, "{}", partner.asked());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn o3_past_expiry_calls_are_unavailable_at_once_and_soon_again_when_it_is_back() {
    let (stack, partner) = given().await;
    stack.clone().oneshot(bearer_call()).await.unwrap();
    partner.is_down.store(true, Ordering::SeqCst);
    advance(60 * MINUTE).await;
    for _ in 0..600 {
        let asked = Instant::now();
        let error = stack.clone().oneshot(bearer_call()).await.unwrap_err();
        assert_eq!(error.kind(), &Kind::TokenUnavailable { permanent: false });
        assert_eq!((error.outcome(), asked.elapsed()), (Outcome::NotSent, Duration::ZERO));
        sleep(SECOND / 10).await;
    }
    // O5: not with every call.
    assert!(partner.asked() < 130, "{}", partner.asked());
    partner.is_down.store(false, Ordering::SeqCst);
    let back = Instant::now();
    while stack.clone().oneshot(bearer_call()).await.is_err() {
        sleep(SECOND / 10).await;
    }
    assert!(back.elapsed() <= 2 * SECOND, "{:?}", back.elapsed());
}

#[tokio::test]
async fn o1_a_token_endpoint_that_hangs_holds_no_call_past_its_deadline() {
    let (stack, partner) = given().await;
    partner.hangs.store(true, Ordering::SeqCst);
    let asked = Instant::now();
    let call = Call { deadline: asked + 3 * SECOND, ..bearer_call() };
    let error = stack.clone().oneshot(call).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::Timeout, Outcome::NotSent));
    assert!(asked.elapsed() <= 3 * SECOND + SECOND / 100, "{:?}", asked.elapsed());
    let error = stack.oneshot(Call { deadline: asked + 60 * SECOND, ..bearer_call() }).await;
    assert_eq!(error.unwrap_err().kind(), &Kind::TokenUnavailable { permanent: false });
    assert!(asked.elapsed() <= 10 * SECOND + SECOND / 100, "{:?}", asked.elapsed());
    assert_eq!(partner.asked(), 1, "the same request");
}

#[tokio::test]
async fn o4_a_partner_that_refuses_every_token_costs_one_request_in_half_a_minute() {
    let (stack, partner) = given().await;
    partner.refuses.store(true, Ordering::SeqCst);
    for _ in 0..3600 {
        let error = stack.clone().oneshot(bearer_call()).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::CredentialsRejected(..)), "{error:?}");
        sleep(SECOND).await;
    }
    let asked = partner.asked.lock().unwrap().clone();
    // The very first one was not had for another.
    assert!(asked[1..].windows(2).all(|pair| pair[1] - pair[0] >= 30 * SECOND));
    assert!(asked.len() > 100, "it does not give up for good: {}", asked.len());
    partner.refuses.store(false, Ordering::SeqCst);
    assert!(stack.oneshot(bearer_call()).await.is_ok());
}

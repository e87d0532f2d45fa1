//! The whole stack against a server on a socket.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use jiff::Timestamp;
use tokio::time::Instant;
use tower::ServiceExt as _;

use uuid::Uuid;

use super::testing::{Act, Example, Request, Server, answer, call, call_with};
use super::*;
use crate::credentials::{Client, KeyPair};
use crate::error::{Kind, Outcome};
use crate::operation::Credential;
use crate::partner::TokenState;
use crate::telemetry::metrics::Format;

mod cancelled;
mod grants;
mod late;
mod log;
mod outage;

struct Setting {
    server: Server,
    stack: Stack,
    tasks: TaskTracker,
    stopping: CancellationToken,
    status: Arc<Status>,
    metrics: Metrics,
}

/// The stack before a server that does what `script` says.
async fn given(script: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Setting {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let server = Server::start(script).await;
    let mut settings = Settings::new(server.url());
    settings.credentials.client = Some(Client { id: "client".into(), secret: "cs-canary".into() });
    settings.credentials.key_pair =
        Some(KeyPair { access_key: "ak-canary".into(), secret_key: "sk-canary".into() });
    // A second passes whenever the time is asked for.
    let seconds = AtomicI64::new(1_000);
    let clock = Clock::from_fn(move || {
        Timestamp::from_second(seconds.fetch_add(1, Ordering::SeqCst)).unwrap()
    });
    let context = Context { clock, ..testing::context().await };
    let Built { stack, .. } = build(Arc::new(Example), settings, &context).unwrap();
    let Context { tasks, stopping, status, metrics, .. } = context;
    Setting { server, stack, tasks, stopping, status, metrics }
}

impl Setting {
    async fn call(&self, call: Call) -> Result<Reply, Error> {
        self.stack.clone().oneshot(call).await
    }

    /// Waits until everything that goes on without its caller has come to its end.
    async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Gives out tokens with the number of the request in them.
fn token(number: usize) -> Act {
    let body = format!(
        r#"{{"access_token":"tk-canary-{number}","token_type":"Bearer","expires_in":3600}}"#
    );
    Act::Send(answer(200, "", body))
}

fn is_token(request: &Request) -> bool {
    request.target() == "/token"
}

fn bearer_call() -> Call {
    call_with(Credential::ClientToken)
}

fn refused() -> Act {
    Act::Send(answer(401, "", ""))
}

fn done() -> Act {
    Act::Send(answer(200, "x-request-id: theirs-1\r\n", r#"{"id":7}"#))
}

#[tokio::test]
async fn a_call_goes_out_with_its_token_and_comes_back() {
    let setting =
        given(|request, number| if is_token(request) { token(number) } else { done() }).await;
    for _ in 0..3 {
        let reply = setting.call(bearer_call()).await.unwrap();
        assert_eq!((&*reply.body, reply.attempts), (&br#"{"id":7}"#[..], 1));
        assert_eq!(reply.partner_request_id.as_deref(), Some("theirs-1"));
    }
    let calls = setting.server.requests_to("/things?a=b%20c");
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|c| c.header("authorization") == Some("Bearer tk-canary-0")));
    assert_eq!(setting.server.requests_to("/token").len(), 1);
    assert_eq!((setting.status.attempts(), setting.status.failures()), (3, 0));
    assert!(matches!(setting.status.token(Timestamp::UNIX_EPOCH), Some(TokenState::Valid(_))));
}

#[tokio::test]
async fn o4_a_refused_token_is_replaced_once_for_all_calls() {
    let setting = given(|request, number| match request.header("authorization") {
        None => token(number),
        Some("Bearer tk-canary-0") => refused(),
        Some(_) => done(),
    })
    .await;
    let calls = join_all((0..50).map(|_| setting.call(bearer_call()))).await;
    assert!(calls.iter().all(|result| result.as_ref().is_ok_and(|reply| reply.attempts <= 2)));
    assert!(calls.iter().any(|result| result.as_ref().is_ok_and(|reply| reply.attempts == 2)));
    assert_eq!(setting.server.requests_to("/token").len(), 2);
}

#[tokio::test]
async fn o4_a_second_refusal_is_final_and_costs_no_more_tokens() {
    let setting =
        given(|request, number| if is_token(request) { token(number) } else { refused() }).await;
    for (round, attempts) in [(1, 2), (2, 1), (3, 1)] {
        let error = setting.call(bearer_call()).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::CredentialsRejected(..)), "{error:?}");
        assert_eq!((error.outcome(), error.attempts()), (Outcome::Rejected, attempts), "{round}");
        assert_eq!(error.host(), Some("127.0.0.1"));
    }
    assert_eq!(setting.server.requests_to("/token").len(), 2);
    // The attempt with the second token was one more.
    let page = setting.metrics.page(Format::OpenMetrics).unwrap();
    let line = r#"partner_gateway_retries_total{partner="example",reason="401"} 1"#;
    assert!(page.lines().any(|found| found == line), "{page}");
}

#[tokio::test]
async fn o4_a_path_that_refuses_every_token_costs_one_however_many_others_are_accepted() {
    let setting = given(|request, number| match request.target() {
        "/token" => token(number),
        "/refused" => refused(),
        _ => done(),
    })
    .await;
    for _ in 0..20 {
        let call = Call { target: "/refused".to_owned(), ..bearer_call() };
        let error = setting.call(call).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::CredentialsRejected(..)), "{error:?}");
        setting.call(bearer_call()).await.unwrap();
    }
    assert_eq!(setting.server.requests_to("/token").len(), 2);
}

#[tokio::test]
async fn a_refused_signature_is_made_anew_for_its_moment() {
    let setting = given(|_, number| if number == 0 { refused() } else { done() }).await;
    assert_eq!(setting.call(call()).await.unwrap().attempts, 2);
    let requests = setting.server.requests();
    let signatures: Vec<_> = requests.iter().map(|r| r.header("x-signature").unwrap()).collect();
    assert_ne!(signatures[0], signatures[1]);
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn a_refused_client_secret_is_not_sent_again() {
    let setting = given(|_, _| refused()).await;
    let error = setting.call(call_with(Credential::ClientSecret)).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::CredentialsRejected(..)));
    assert_eq!((error.attempts(), setting.server.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_refusal_that_may_have_had_an_effect_is_not_repeated() {
    let setting = given(|_, _| Act::Send(answer(500, "", r#"{"code":"bad_key"}"#))).await;
    let error = setting.call(call()).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::CredentialsRejected(..)));
    assert_eq!((error.outcome(), setting.server.requests().len()), (Outcome::Unknown, 1));
}

#[tokio::test]
async fn answers_are_judged_and_never_repeated() {
    for (status, headers, body, outcome) in [
        (400, "", r#"{"code":"wrong"}"#, Outcome::Rejected),
        (404, "", "", Outcome::Rejected),
        (408, "", "", Outcome::Unknown),
        (429, "retry-after: 30\r\n", "", Outcome::Rejected),
        (500, "", r#"{"code":"x"}"#, Outcome::Unknown),
        (502, "", "<html>", Outcome::Unknown),
        (503, "", "", Outcome::Unknown),
        (503, "retry-after: 30\r\n", "", Outcome::Rejected),
        (503, "", r#"{"code":"x"}"#, Outcome::Unknown),
        (503, "", r#"{"code":"wrong"}"#, Outcome::Rejected),
        (503, "retry-after: 30\r\n", r#"{"code":"fault"}"#, Outcome::Unknown),
        (400, "", r#"{"code":"fault"}"#, Outcome::Unknown),
    ] {
        let setting = given(move |_, _| Act::Send(answer(status, headers, body))).await;
        let error = setting.call(call()).await.unwrap_err();
        let failure = error.partner_failure().unwrap();
        assert_eq!((error.outcome(), error.attempts()), (outcome, 1), "{status}");
        assert_eq!(failure.retry_after.is_some(), !headers.is_empty());
        assert_eq!(setting.server.requests().len(), 1);
        let last = setting.status.last_failure().unwrap();
        assert_eq!((last.kind, last.http_status), ("REFUSED_BY_PARTNER", Some(failure.status)));
        assert_eq!(
            (last.rpc.as_str(), setting.status.failures()),
            ("example.v1.ThingService/MakeThing", 1)
        );
    }
}

#[tokio::test]
async fn s11_a_redirect_is_a_bad_response_of_unknown_outcome() {
    let setting = given(|_, _| Act::Send(answer(307, "location: /elsewhere\r\n", ""))).await;
    let error = setting.call(call()).await.unwrap_err();
    assert_eq!(error.http_status(), Some(StatusCode::TEMPORARY_REDIRECT));
    assert!(matches!(error.kind(), Kind::BadResponse { .. }));
    assert_eq!((error.outcome(), setting.server.requests().len()), (Outcome::Unknown, 1));
}

#[tokio::test]
async fn g4_a_refused_call_whose_next_token_fails_is_rejected() {
    let setting = given(|request, number| match (is_token(request), number) {
        (true, 0) => token(number),
        (true, _) => Act::Send(answer(500, "", "")),
        (false, _) => refused(),
    })
    .await;
    let error = setting.call(bearer_call()).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::TokenUnavailable { permanent: false });
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Rejected, 1));
}

#[tokio::test]
async fn g2_a_token_endpoint_that_fails_is_told_apart_from_the_call() {
    for (status, permanent) in [(401, true), (404, true), (500, false)] {
        let setting = given(move |_, _| Act::Send(answer(status, "", ""))).await;
        for _ in 0..3 {
            let error = setting.call(bearer_call()).await.unwrap_err();
            assert_eq!(error.kind(), &Kind::TokenUnavailable { permanent }, "{status}");
            assert_eq!((error.outcome(), error.attempts()), (Outcome::NotSent, 0));
        }
        assert_eq!(setting.server.requests().len(), 1, "the others are told at once");
        assert_eq!(setting.status.last_failure().unwrap().kind, "TOKEN_UNAVAILABLE");
        assert_eq!(setting.status.token(Timestamp::UNIX_EPOCH), Some(TokenState::None));
    }
}

#[tokio::test]
async fn a_key_shown_once_is_kept_for_the_next_call() {
    let setting = given(|_, _| {
        Act::Send(answer(200, "", r#"{"account":"S-1","access":"ak-1","secret":"sk-1"}"#))
    })
    .await;
    let of_account =
        || Call { account: Some("S-1".into()), ..call_with(Credential::AccountSignature) };
    let error = setting.call(of_account()).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::CredentialMissing { .. }));
    setting.call(call()).await.unwrap();
    setting.call(of_account()).await.unwrap();
    let signature = setting.server.requests()[1].header("x-signature").unwrap().to_owned();
    assert!(signature.starts_with("ak-1 sk-1"));
}

//! Calls with end users' access tokens, the token endpoint at a host of its own.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::credentials::{Grant, GrantClient};
use crate::error::Refused;

/// A partner, a strict token endpoint, and the kept grant of `u-1`.
struct Given {
    partner: Server,
    sso: Server,
    stack: Stack,
}

/// The first access token that a call gets is `at-2`, the grant having been used once.
async fn given(partner: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Given {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let uses = AtomicU64::new(0);
    let sso = Server::start(move |request, _| {
        let use_number = uses.fetch_add(1, Ordering::SeqCst);
        if !request.body.ends_with(&format!("&refresh_token=rt-canary-{use_number}")) {
            return Act::Send(answer(400, "", r#"{"error":"invalid_grant"}"#));
        }
        let next = use_number + 1;
        let body = format!(
            r#"{{"access_token":"at-canary-{next}","token_type":"bearer","expires_in":180,
                "refresh_token":"rt-canary-{next}","refresh_expires_in":1800}}"#
        );
        Act::SendLate(Duration::from_millis(20), answer(200, "", body))
    })
    .await;
    let partner = Server::start(partner).await;
    let mut settings = Settings::new(partner.url());
    settings.credentials.api_key = Some("key-canary".into());
    let client = Client { id: "client".into(), secret: "cs-canary".into() };
    let token_url = format!("{}/realms/r/token", sso.url());
    settings.credentials.grants = Some(GrantClient { client, token_url });
    settings.limits.max_waiting = 1_000;
    let context = testing::context().await;
    let Built { stack, authenticator, .. } = build(Arc::new(Example), settings, &context).unwrap();
    let grant = Grant::RefreshToken("rt-canary-0".into());
    authenticator.admit_grant(Some("u-1".to_owned()), grant).await.unwrap();
    Given { partner, sso, stack }
}

impl Given {
    async fn call(&self, credentials: &[Credential]) -> Result<Reply, Error> {
        let operation = testing::operation(credentials);
        let account = Some("u-1".to_owned());
        let call = Call { operation, account, ..call_with(Credential::UserToken) };
        self.stack.clone().oneshot(call).await
    }

    /// What the calls carried.
    fn carried(&self) -> Vec<String> {
        let requests = self.partner.requests();
        requests.iter().map(|r| r.header("authorization").unwrap().to_owned()).collect()
    }
}

const BEARER: &[Credential] = &[Credential::UserToken];
const BOTH: &[Credential] = &[Credential::ApiKey, Credential::UserToken];

#[tokio::test]
async fn o1_a_thousand_callers_for_one_user_make_one_refresh() {
    let given = given(|_, _| done()).await;
    let calls = join_all((0..1000).map(|_| given.call(BEARER))).await;
    assert!(calls.iter().all(Result::is_ok));
    assert!(given.carried().iter().all(|carried| carried == "Bearer at-canary-2"));
    let requests = given.sso.requests();
    assert_eq!(requests.len(), 2, "the proof of the grant and one refresh");
    assert!(requests[1].head.starts_with("POST /realms/r/token "), "{}", requests[1].head);
    assert_eq!(requests[1].header("authorization"), None);
}

#[tokio::test]
async fn o4_a_refused_token_of_a_user_is_replaced_once_for_all_calls() {
    let given = given(|request, _| match request.header("authorization") {
        Some("Bearer at-canary-2") => refused(),
        _ => done(),
    })
    .await;
    let calls = join_all((0..100).map(|_| given.call(BEARER))).await;
    assert!(calls.iter().all(|result| result.as_ref().is_ok_and(|reply| reply.attempts <= 2)));
    assert_eq!(given.sso.requests().len(), 3);
}

#[tokio::test]
async fn the_key_stands_in_when_the_grant_has_ended() {
    let given = given(|_, _| done()).await;
    given.call(BOTH).await.unwrap();
    // Somebody else uses the refresh token.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = "grant_type=x&refresh_token=rt-canary-2";
    let stolen = client.post(given.sso.url()).body(form).send().await.unwrap();
    assert!(stolen.status().is_success());
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(180)).await;
    tokio::time::resume();
    given.call(BOTH).await.unwrap();
    let error = given.call(BEARER).await.unwrap_err();
    let Kind::CredentialMissing { help } = error.kind() else { panic!("{error:?}") };
    assert!(help.contains("log in again") && !help.contains("canary"), "{help}");
    let basic = given.carried().pop().unwrap();
    assert!(basic.starts_with("Basic "), "{basic}");
}

/// Which credential an operation takes only the partner knows: one that takes no user's
/// token is called with the key, and the token is none the worse for it.
#[tokio::test]
async fn the_key_stands_in_where_the_partner_takes_no_users_token() {
    let given = given(|request, _| match request.header("authorization") {
        Some(value) if value.starts_with("Basic ") => done(),
        _ => refused(),
    })
    .await;
    for _ in 0..3 {
        assert_eq!(given.call(BOTH).await.unwrap().attempts, 2);
    }
    let carried = given.carried();
    assert_eq!(carried.iter().filter(|value| *value == "Bearer at-canary-2").count(), 3);
    assert_eq!(given.sso.requests().len(), 2, "no token was given up");
}

/// The refusal is the whole call's: a failure afterwards does not bring the token back.
#[tokio::test]
async fn the_key_stands_in_for_every_attempt_that_follows() {
    let given = given(|request, _| match request.header("authorization") {
        Some(value) if value.starts_with("Basic ") => Act::Send(answer(429, "", "")),
        _ => refused(),
    })
    .await;
    let error = given.call(BOTH).await.unwrap_err();
    assert_eq!((error.http_status(), error.attempts()), (Some(StatusCode::TOO_MANY_REQUESTS), 3));
    let are_basic: Vec<_> = given.carried().iter().map(|c| c.starts_with("Basic ")).collect();
    assert_eq!(are_basic, [false, true, true]);
}

#[tokio::test]
async fn what_was_refused_is_told() {
    let given = given(|_, _| refused()).await;
    let told = async |credentials: &[Credential]| {
        let error = given.call(credentials).await.unwrap_err();
        let Kind::CredentialsRejected(_, refused) = error.kind() else { panic!("{error:?}") };
        *refused
    };
    assert_eq!(told(BOTH).await, Refused::ApiKey);
    assert_eq!(told(BEARER).await, Refused::UsersGrant);
    assert_eq!(told(&[Credential::ApiKey]).await, Refused::ApiKey);
}

#[tokio::test]
async fn a_callers_own_token_that_is_refused_is_not_tried_again() {
    let given = given(|_, _| refused()).await;
    let mut call = call_with(Credential::UserToken);
    call.account = Some("u-1".to_owned());
    call.user_token = Some("own-canary".into());
    let error = given.stack.clone().oneshot(call).await.unwrap_err();
    let Kind::CredentialsRejected(_, refused) = error.kind() else { panic!("{error:?}") };
    assert_eq!(*refused, Refused::CallersToken);
    assert_eq!(given.carried(), ["Bearer own-canary"]);
}

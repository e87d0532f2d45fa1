use std::time::Duration;

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;

use super::testing::{self, Fault, Sso, Time, grants};
use super::*;
use crate::partner::TokenRequests;
use crate::store::{CredentialKind, Name};

mod edges;
mod outages;

#[derive(Clone)]
struct Setting {
    sso: Sso,
    store: Store,
    time: Time,
    grants: Grants,
}

/// The grant of `u-1` is kept.
async fn given() -> Setting {
    let setting = without_grant().await;
    setting.admit_code().await.unwrap();
    setting
}

async fn without_grant() -> Setting {
    let (sso, time) = (Sso::default(), Time::new());
    let store = Store::in_memory(time.clock()).await.unwrap();
    let grants = grants(&sso, &store, time.clock());
    Setting { sso, store, time, grants }
}

impl Setting {
    async fn admit_code(&self) -> Result<Record, Error> {
        let grant = Grant::AuthorizationCode {
            code: self.sso.log_in().into(),
            redirect_uri: "https://our.example/back?x=1".to_owned(),
            code_verifier: Some("verifier".into()),
        };
        self.grants.admit(Some("u-1".to_owned()), grant).await
    }

    async fn token(&self) -> Result<String, Missing> {
        token(&self.grants).await
    }

    /// Another replica with the same store.
    fn replica(&self) -> Grants {
        grants(&self.sso, &self.store, self.time.clock())
    }

    async fn kept(&self) -> (Record, String) {
        let (record, secret) = self.store.get(&name()).await.unwrap().unwrap();
        (record, secret.expose_secret().to_owned())
    }
}

async fn token(grants: &Grants) -> Result<String, Missing> {
    let (_, token) = grants.token("u-1").await?;
    Ok(token.secret.expose_secret().to_owned())
}

fn name() -> Name {
    let (partner, account) = ("example".to_owned(), "u-1".to_owned());
    Name { partner, kind: CredentialKind::UserGrant, account }
}

#[tokio::test]
async fn a_code_is_exchanged_with_its_verifier_and_kept() {
    let setting = without_grant().await;
    let record = setting.admit_code().await.unwrap();
    assert_eq!(
        setting.sso.requests(),
        ["grant_type=authorization_code&client_id=the-client&client_secret=cs-canary\
          &code=code-1&redirect_uri=https%3A%2F%2Four.example%2Fback%3Fx%3D1\
          &code_verifier=verifier"]
    );
    assert_eq!((record.name, record.origin), (name(), Origin::Imported));
    let life = |at: Option<jiff::Timestamp>| at.unwrap().as_second() - 1_800_000_000;
    assert_eq!((life(record.expires), life(record.renews)), (1800, 1440));
    assert!(setting.kept().await.1.contains("rt-2"));
}

#[tokio::test]
async fn a_refresh_token_is_used_once_before_it_is_kept() {
    let setting = without_grant().await;
    let shown = setting.sso.log_in();
    let grant = Grant::RefreshToken(shown.clone().into());
    let record = setting.grants.admit(None, grant.clone()).await.unwrap();
    assert_eq!(record.name.account, "u-1", "the partner told");
    assert!(setting.kept().await.1.contains("rt-2"), "the new one is kept");
    let form = &setting.sso.requests()[0];
    assert!(form.ends_with(&format!("&refresh_token={shown}")), "{form}");

    let again = setting.grants.admit(None, grant).await.unwrap_err();
    let Kind::InvalidRequest(violations) = again.kind() else { panic!("{again:?}") };
    assert_eq!(violations[0].field, "user_grant.refresh_token");
}

/// R20: alerts stand on these numbers, and no user is one.
#[tokio::test]
async fn r20_requests_are_counted_by_how_they_end() {
    let setting = without_grant().await;
    let counted = || setting.grants.0.renewal.endpoint.status.token_requests().unwrap();
    assert_eq!(counted(), TokenRequests::default());
    setting.admit_code().await.unwrap();
    setting.token().await.unwrap();
    setting.token().await.unwrap();
    assert_eq!(counted(), TokenRequests { issued: 2, ..TokenRequests::default() });

    setting.sso.fail(Fault::Busy);
    setting.admit_code().await.unwrap_err();
    setting.grants.admit(None, Grant::RefreshToken("unknown".into())).await.unwrap_err();
    setting.sso.fail(Fault::InvalidClient);
    setting.admit_code().await.unwrap_err();
    // The client is not shown again for a while: nothing is asked.
    setting.admit_code().await.unwrap_err();
    assert_eq!(counted(), TokenRequests { issued: 2, failed: 1, refused: 1, ended: 1 });
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_its_code_with_it() {
    let setting = without_grant().await;
    let putting = setting.admit_code();
    assert!(tokio::time::timeout(Duration::from_millis(10), putting).await.is_err());
    assert_eq!(setting.sso.count(), 1, "on its way");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(setting.token().await.is_ok());
}

#[tokio::test]
async fn a_grant_is_kept_for_whom_the_partner_tells_and_nobody_else() {
    let setting = without_grant().await;
    let grant = Grant::RefreshToken(setting.sso.log_in().into());
    let other = setting.grants.admit(Some("u-2".into()), grant).await.unwrap_err();
    let Kind::InvalidRequest(violations) = other.kind() else { panic!("{other:?}") };
    assert_eq!((&*violations[0].field, violations[0].reason), ("account", "OTHER_USER"));

    setting.sso.tell_no_user();
    let grant = Grant::RefreshToken(setting.sso.log_in().into());
    let nobody = setting.grants.admit(None, grant).await.unwrap_err();
    let Kind::InvalidRequest(violations) = nobody.kind() else { panic!("{nobody:?}") };
    assert_eq!((&*violations[0].field, violations[0].reason), ("account", "REQUIRED"));
    let grant = Grant::RefreshToken(setting.sso.log_in().into());
    setting.grants.admit(Some("u-1".into()), grant).await.unwrap();
}

#[tokio::test]
async fn a_grant_that_cannot_be_proven_is_not_kept() {
    let setting = without_grant().await;
    for (fault, permanent) in
        [(Fault::Busy, false), (Fault::NotReached, false), (Fault::InvalidClient, true)]
    {
        setting.sso.fail(fault);
        let error = setting.admit_code().await.unwrap_err();
        assert_eq!(error.kind(), &Kind::TokenUnavailable { permanent }, "{fault:?}");
        assert_eq!(error.outcome(), Outcome::NotSent);
    }
    assert!(setting.store.get(&name()).await.unwrap().is_none());
    assert_eq!(setting.sso.count(), 3, "a code is shown once");
}

#[tokio::test]
async fn o1_a_thousand_callers_for_one_user_make_one_refresh() {
    let setting = given().await;
    let tokens = join_all((0..1000).map(|_| setting.token())).await;
    assert!(tokens.iter().all(|token| token.as_ref().unwrap() == "at-3"));
    assert_eq!(setting.sso.count(), 2, "the exchange and one refresh");
    // At the moment of expiry again.
    setting.time.pass(180).await;
    let tokens = join_all((0..1000).map(|_| setting.token())).await;
    assert!(tokens.iter().all(|token| token.as_ref().unwrap() == "at-4"));
    assert_eq!(setting.sso.count(), 3);
}

#[tokio::test]
async fn the_new_refresh_token_is_durable_before_the_access_token_is_given() {
    let setting = given().await;
    for round in 0..3 {
        let token = setting.token().await.unwrap();
        let number: u64 = token.strip_prefix("at-").unwrap().parse().unwrap();
        let (record, kept) = setting.kept().await;
        assert!(kept.contains(&format!("rt-{number}")), "{round}: {kept}");
        assert_eq!(record.version, 2 + round);
        setting.time.pass(180).await;
    }
}

#[tokio::test]
async fn two_replicas_with_one_store_never_use_a_refresh_token_twice() {
    let setting = given().await;
    let replicas: Vec<_> = (0..4).map(|_| setting.replica()).collect();
    for _ in 0..5 {
        let all = join_all(replicas.iter().flat_map(|replica| (0..10).map(|_| token(replica))));
        assert!(all.await.iter().all(Result::is_ok));
        setting.time.pass(180).await;
    }
    // Each replica has an access token of its own; the grant is alive.
    assert_eq!(setting.sso.count(), 1 + 4 * 5);
    assert!(setting.kept().await.1.contains("live"));
}

#[tokio::test]
async fn a_partner_that_keeps_refresh_tokens_is_asked_with_the_same_one() {
    let setting = given().await;
    setting.sso.keep_refresh_tokens();
    for _ in 0..3 {
        setting.token().await.unwrap();
        setting.time.pass(180).await;
    }
    let used: Vec<_> = setting.sso.requests().split_off(1);
    assert!(used.iter().all(|form| form.ends_with("&refresh_token=rt-2")), "{used:?}");
}

#[tokio::test]
async fn a_grant_that_the_user_took_back_is_asked_for_once_and_stays_in_the_list() {
    let setting = given().await;
    setting.sso.revoke();
    for _ in 0..5 {
        assert!(matches!(setting.token().await, Err(Missing::Ended)));
        setting.time.pass(3600).await;
    }
    assert!(matches!(token(&setting.replica()).await, Err(Missing::Ended)));
    assert_eq!(setting.sso.count(), 2, "no hammering");
    let (record, kept) = setting.kept().await;
    assert_eq!(record.expires.unwrap().as_second(), 1_800_000_000);
    assert_eq!(record.renews, None);
    assert!(kept.starts_with(r#"{"state":"ended","refused":""#), "{kept}");

    // The user logs in again.
    setting.admit_code().await.unwrap();
    setting.token().await.unwrap();
}

#[tokio::test]
async fn another_replica_sees_a_new_grant_in_ten_seconds() {
    let setting = without_grant().await;
    let replica = setting.replica();
    assert!(matches!(token(&replica).await, Err(Missing::Absent)));
    setting.admit_code().await.unwrap();
    assert!(matches!(token(&replica).await, Err(Missing::Absent)));
    setting.time.pass(10).await;
    assert!(token(&replica).await.is_ok());
    assert!(setting.token().await.is_ok(), "and the one that was told at once");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_ends_the_grant_only_where_tokens_rotate() {
    let setting = given().await;
    setting.sso.keep_refresh_tokens();
    setting.sso.fail(Fault::LostAnswer);
    assert!(setting.token().await.is_ok());

    let setting = given().await;
    setting.sso.fail(Fault::LostAnswer);
    assert!(matches!(setting.token().await, Err(Missing::Ended)));

    let setting = given().await;
    setting.sso.fail(Fault::NotReached);
    assert!(setting.token().await.is_ok());
}

#[tokio::test]
async fn what_may_pass_fails_a_call_and_not_the_grant() {
    let setting = given().await;
    for fault in [Fault::Busy, Fault::InvalidClient] {
        setting.sso.fail(fault);
        assert!(matches!(setting.token().await, Err(Missing::Failed(_))), "{fault:?}");
        setting.time.pass(15 * 60).await;
        assert!(setting.token().await.is_ok(), "{fault:?}");
        setting.time.pass(180).await;
    }
}

#[tokio::test]
async fn o5_a_refused_client_is_shown_for_one_user_a_minute() {
    let setting = given().await;
    setting.sso.fail(Fault::InvalidClient);
    for user in ["u-1", "u-1", "u-2", "u-3"] {
        assert!(setting.grants.token(user).await.is_err());
    }
    assert!(token(&setting.replica()).await.is_ok(), "another replica knows nothing of it");
    assert_eq!(setting.sso.count(), 3);
    let again = setting.admit_code().await.unwrap_err();
    assert_eq!(again.kind(), &Kind::TokenUnavailable { permanent: true });
    setting.time.pass(60).await;
    setting.admit_code().await.unwrap();
}

#[tokio::test]
async fn s19_a_refused_new_secret_of_the_client_gives_way_to_the_one_before() {
    let setting = given().await;
    let secret = Rotating::new("test", testing::client("old"));
    let (sso, store) = (&setting.sso, &setting.store);
    let grants = testing::grants_of(secret.clone(), sso, store, setting.time.clock());
    secret.replace(testing::client("new"));
    sso.fail(Fault::InvalidClient);
    assert!(token(&grants).await.is_ok());
    let shown: Vec<_> = sso.requests().split_off(1);
    assert!(shown[0].contains("=new&") && shown[1].contains("=old&"), "{shown:?}");
}

#[tokio::test]
async fn a_rotated_token_beside_a_useless_access_token_is_kept() {
    let setting = given().await;
    setting.sso.fail(Fault::NoAccessToken);
    assert!(matches!(setting.token().await, Err(Missing::Failed(_))));
    assert!(setting.kept().await.1.contains("rt-3"));
    setting.time.pass(15 * 60).await;
    assert!(setting.token().await.is_ok());
}

#[tokio::test]
async fn a_deleted_grant_is_gone_at_once_here() {
    let setting = given().await;
    setting.token().await.unwrap();
    setting.store.delete_named(&name()).await.unwrap();
    setting.grants.forget("u-1");
    assert!(matches!(setting.token().await, Err(Missing::Absent)));
}

#[tokio::test]
async fn a_grant_that_is_put_anew_during_a_renewal_wins() {
    let setting = given().await;
    let replaced = async {
        while setting.sso.count() < 2 {
            tokio::task::yield_now().await;
        }
        // The endpoint has been asked with the old token, and has not answered.
        let (fresh, now) = (setting.sso.log_in().into(), setting.time.clock().now());
        let new = kept::new(name(), &fresh, Times::of(None, now), Origin::Imported);
        setting.store.put(new.unwrap()).await.unwrap();
    };
    let (token, ()) = tokio::join!(setting.token(), replaced);
    let number = token.unwrap().strip_prefix("at-").unwrap().to_owned();
    let (_, kept) = setting.kept().await;
    assert!(kept.contains(&format!("rt-{number}")), "{kept}");
    assert_eq!(setting.sso.count(), 3, "the old one is refused, the new one is not");
}

#[tokio::test]
async fn an_unused_grant_is_kept_alive_by_one_replica() {
    let setting = given().await;
    let stop = CancellationToken::new();
    let replicas: Vec<_> = (0..3).map(|_| setting.replica()).collect();
    replicas.iter().for_each(|replica| replica.keep_alive(stop.clone()));
    for _ in 0..10 {
        setting.time.pass(600).await;
        // Every replica looks.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    // 6000 seconds; due after 1440 of them each time, seen after 1800.
    assert_eq!(setting.sso.count(), 1 + 3, "{:?}", setting.sso.requests());
    assert!(setting.token().await.is_ok(), "after three lives of the first refresh token");
}

#[tokio::test]
async fn o12_debug_shows_no_secret() {
    let setting = given().await;
    let (source, token) = setting.grants.token("u-1").await.unwrap();
    let grant = Grant::AuthorizationCode {
        code: "canary".into(),
        redirect_uri: "https://our.example".into(),
        code_verifier: Some("canary".into()),
    };
    let shown = format!("{:?} {source:?} {token:?} {grant:?}", setting.grants);
    assert!(!shown.contains("canary") && !shown.contains("at-"), "{shown}");
}

use futures_util::FutureExt as _;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret;

use super::*;
use crate::call::Reply;
use crate::stack::testing::{self, Example, call_with};

fn pair(name: &str) -> KeyPair {
    KeyPair { access_key: format!("ak-{name}"), secret_key: format!("sk-{name}").into() }
}

fn everything() -> Settings {
    Settings {
        client: Some(Client { id: "the-client".into(), secret: "cs-canary".into() }),
        key_pair: Some(pair("parent")),
        accounts: [("S-1".to_owned(), pair("sub"))].into(),
        api_key: Some("key:canary".into()),
        ..Settings::default()
    }
}

async fn authenticator(settings: Settings) -> Authenticator {
    let post: Post = Box::new(|path, body| {
        assert_eq!(path, "/token");
        assert!(body.bytes.ends_with(b"&client_id=the-client&client_secret=cs-canary"));
        let body = r#"{"access_token":"tk-canary","token_type":"bearer","expires_in":60}"#;
        let reply = Reply::new(StatusCode::OK, HeaderMap::new(), body.into());
        async move { Ok(reply) }.boxed()
    });
    let context = testing::context().await;
    let means = Means {
        secret_files: SecretFiles::default(),
        clock: context.clock,
        tasks: context.tasks,
        stopping: context.stopping,
        status: context.status,
        store: context.store,
        post,
        post_form: None,
        redis: None,
        base_url: "http://localhost".to_owned(),
    };
    Authenticator::new(Arc::new(Example), settings, means)
}

async fn header(settings: Settings, credential: Credential, name: &str) -> String {
    let mut call = call_with(credential);
    let carried = authenticator(settings).await.authorize(&mut call).await.unwrap();
    let value = &call.headers[name];
    assert!(value.is_sensitive());
    let secret = carried.secrets.iter().any(|secret| {
        let value = value.to_str().unwrap();
        value.contains(secret.expose_secret())
    });
    assert!(secret, "the secret is known to be scrubbed");
    value.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_credential_is_put_where_it_belongs() {
    let bearer = header(everything(), Credential::ClientToken, "authorization").await;
    assert_eq!(bearer, "Bearer tk-canary");
    let basic = header(everything(), Credential::ApiKey, "authorization").await;
    assert_eq!(basic, "Basic a2V5OmNhbmFyeTo=");
    let parent = header(everything(), Credential::Signature, "x-signature").await;
    assert_eq!(parent, "ak-parent sk-parent 1000 POST /things?a=b%20c 7");
    let parent = header(everything(), Credential::AccountSignature, "x-signature").await;
    assert!(parent.starts_with("ak-parent"), "no account is named");
}

#[tokio::test]
async fn a_named_account_signs_with_its_own_key_and_never_with_another() {
    let authenticator = authenticator(everything()).await;
    let mut call = call_with(Credential::AccountSignature);
    call.account = Some("S-1".to_owned());
    authenticator.authorize(&mut call).await.unwrap();
    assert!(call.headers["x-signature"].to_str().unwrap().starts_with("ak-sub sk-sub"));

    call.account = Some("S-2-canary".to_owned());
    let error = authenticator.authorize(&mut call).await.unwrap_err();
    let Kind::CredentialMissing { help } = error.kind() else { panic!("{error:?}") };
    assert!(help.contains("configuration") && !help.contains("canary"), "{help}");
    assert_eq!(error.outcome(), Outcome::NotSent);
}

#[tokio::test]
async fn a_client_secret_comes_before_the_calls_own_form() {
    let mut call = call_with(Credential::ClientSecret);
    call.body.as_mut().unwrap().bytes = "scope=x".into();
    let carried = authenticator(everything()).await.authorize(&mut call).await.unwrap();
    let body = call.body.unwrap();
    assert_eq!(body.content_type, "application/x-www-form-urlencoded");
    assert_eq!(
        body.bytes,
        "grant_type=client_credentials&client_id=the-client&client_secret=cs-canary&scope=x"
    );
    assert!(matches!(carried.used, Used::Client(_)));
    assert!(!call.headers.contains_key(AUTHORIZATION));
}

#[tokio::test]
async fn the_first_credential_that_is_configured_is_used() {
    let both = [Credential::UserToken, Credential::ApiKey, Credential::ClientToken];
    let mut call = call_with(Credential::ApiKey);
    call.operation = testing::operation(&both);
    let token_only = Settings { api_key: None, ..everything() };
    authenticator(token_only).await.authorize(&mut call).await.unwrap();
    assert_eq!(call.headers[AUTHORIZATION], "Bearer tk-canary");
}

#[tokio::test]
async fn what_is_not_configured_is_named() {
    for (credential, what) in [
        (Credential::ClientToken, "the client id and secret"),
        (Credential::ClientSecret, "the client id and secret"),
        (Credential::Signature, "the access key and secret key"),
        (Credential::AccountSignature, "the access key and secret key"),
        (Credential::ApiKey, "the API key"),
    ] {
        let mut call = call_with(credential);
        let error =
            authenticator(Settings::default()).await.authorize(&mut call).await.unwrap_err();
        let Kind::CredentialMissing { help } = error.kind() else { panic!("{error:?}") };
        assert!(help.contains(what), "{help}");
    }
}

#[tokio::test]
async fn a_kept_key_signs_for_its_account_and_the_configured_one_comes_first() {
    let authenticator = authenticator(everything()).await;
    let mut call = call_with(Credential::AccountSignature);
    for (account, expected) in [("S-9", "ak-kept sk-kept"), ("S-1", "ak-sub sk-sub")] {
        authenticator.admit_key_pair(account, &pair("kept")).await.unwrap();
        call.account = Some(account.to_owned());
        authenticator.authorize(&mut call).await.unwrap();
        assert!(call.headers["x-signature"].to_str().unwrap().starts_with(expected));
    }
}

#[tokio::test]
async fn an_account_without_a_key_is_told_how_to_import_one() {
    let authenticator = authenticator(everything()).await;
    let mut call = call_with(Credential::AccountSignature);
    call.account = Some("S-9-canary".to_owned());
    let error = authenticator.authorize(&mut call).await.unwrap_err();
    let Kind::CredentialMissing { help } = error.kind() else { panic!("{error:?}") };
    assert!(help.contains("CredentialService/PutCredential"), "{help}");
    assert!(help.contains("configuration") && !help.contains("canary"), "{help}");
}

#[tokio::test]
async fn o12_debug_shows_no_secret() {
    let authenticator = authenticator(everything()).await;
    let mut call = call_with(Credential::ClientToken);
    let carried = authenticator.authorize(&mut call).await.unwrap();
    let shown =
        format!("{authenticator:?} {carried:?} {call:?} {:?} {:?}", everything(), call.headers);
    for secret in ["canary", "sk-", "ak-"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn only_another_credential_is_worth_another_attempt() {
    let authenticator = authenticator(everything()).await;
    let used = async |credential| {
        let carried = authenticator.authorize(&mut call_with(credential)).await.unwrap();
        authenticator.renew(&carried.used)
    };
    assert!(used(Credential::Signature).await, "another time is another signature");
    assert!(used(Credential::ClientToken).await);
    assert!(!used(Credential::ClientSecret).await);
    assert!(!used(Credential::ApiKey).await);
}

use std::sync::Arc;

use super::*;
use crate::credentials::grant::testing::{Fault, Sso};
use crate::credentials::{Authenticator, Client, Grant, GrantClient, Means, Settings};
use crate::operation::Credential;
use crate::stack::Context;
use crate::stack::testing::{Example, call_with, context, operation};

/// The grant that is kept of `u-1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    NoClient,
    Nothing,
    Live,
    /// The user has taken it back.
    Ended,
    /// The token endpoint cannot be reached.
    Unreachable,
    /// The token endpoint does not answer.
    Silent,
}

const BOTH: &[Credential] = &[Credential::ApiKey, Credential::UserToken];
const BEARER: &[Credential] = &[Credential::UserToken];
const KEY: &[Credential] = &[Credential::ApiKey];
const BASIC: &str = "Basic a2V5Og==";

async fn authenticator(kept: Kept, sso: &Sso) -> Authenticator {
    let client = Client { id: "the-client".into(), secret: "cs".into() };
    let grants = GrantClient { client, token_url: "https://sso.example/token".into() };
    let settings = Settings {
        api_key: Some("key".into()),
        grants: Some(grants).filter(|_| kept != Kept::NoClient),
        ..Settings::default()
    };
    let Context { clock, tasks, stopping, status, store, secret_files, redis, .. } =
        context().await;
    let means = Means {
        secret_files,
        clock,
        tasks,
        stopping,
        status,
        store,
        post: Box::new(|_, _| panic!("no token of the client is asked for")),
        post_form: Some(sso.post()).filter(|_| kept != Kept::NoClient),
        redis,
        base_url: String::new(),
    };
    let authenticator = Authenticator::new(Arc::new(Example), settings, means);
    if !matches!(kept, Kept::NoClient | Kept::Nothing) {
        let grant = Grant::RefreshToken(sso.log_in().into());
        authenticator.admit_grant(None, grant).await.unwrap();
    }
    match kept {
        Kept::Ended => sso.revoke(),
        Kept::Unreachable => (0..2).for_each(|_| sso.fail(Fault::NotReached)),
        Kept::Silent => sso.fail(Fault::Silence),
        Kept::NoClient | Kept::Nothing | Kept::Live => {}
    }
    authenticator
}

/// What is carried, or the kind of error and a part of its help.
async fn carried(
    credentials: &[Credential],
    brought: Option<&str>,
    user: Option<&str>,
    kept: Kept,
) -> Result<String, Error> {
    let authenticator = authenticator(kept, &Sso::default()).await;
    let mut call = call_with(Credential::ApiKey);
    call.operation = operation(credentials);
    call.user_token = brought.map(Into::into);
    call.account = user.map(Into::into);
    let carried = authenticator.authorize(&mut call).await?;
    let value = &call.headers[AUTHORIZATION];
    assert!(value.is_sensitive());
    let value = value.to_str().unwrap().to_owned();
    assert!(carried.secrets.iter().any(|secret| value.contains(secret.expose_secret())));
    Ok(value)
}

#[tokio::test]
async fn the_first_of_callers_token_grant_and_key_is_carried() {
    use Kept::{Ended, Live, NoClient, Nothing, Silent, Unreachable};
    for (credentials, brought, user, kept, expected) in [
        (BOTH, Some("own"), Some("u-1"), Live, "Bearer own"),
        (BEARER, Some("own"), Some("u-1"), Live, "Bearer own"),
        (BEARER, Some("own"), None, NoClient, "Bearer own"),
        (BOTH, None, Some("u-1"), Live, "Bearer at-3"),
        (BEARER, None, Some("u-1"), Live, "Bearer at-3"),
        (BOTH, None, Some("u-2"), Live, BASIC),
        (BOTH, None, None, Live, BASIC),
        (BOTH, None, Some("u-1"), Nothing, BASIC),
        (BOTH, None, Some("u-1"), NoClient, BASIC),
        (BOTH, None, Some("u-1"), Ended, BASIC),
        (BOTH, None, Some("u-1"), Unreachable, BASIC),
        (BOTH, None, Some("u-1"), Silent, BASIC),
        // An operation that takes none carries none.
        (KEY, Some("own"), Some("u-1"), Live, BASIC),
    ] {
        let found = carried(credentials, brought, user, kept).await.unwrap();
        assert_eq!(found, expected, "{credentials:?} {brought:?} {user:?} {kept:?}");
    }
}

#[tokio::test]
async fn without_any_the_error_says_what_to_do() {
    use Kept::{Ended, Live, NoClient, Nothing};
    for (user, kept, words) in [
        (None, Live, "name the user in the request"),
        (Some("u-1"), Nothing, "CredentialService/PutCredential"),
        (Some("u-2-canary"), Live, "CredentialService/PutCredential"),
        (Some("u-1"), Ended, "log in again"),
        (Some("u-1"), NoClient, "the configuration of example"),
    ] {
        let error = carried(BEARER, None, user, kept).await.unwrap_err();
        let Kind::CredentialMissing { help } = error.kind() else { panic!("{error:?}") };
        assert!(help.contains(words) && help.contains("x-partner-token"), "{kept:?}: {help}");
        assert!(!help.contains("canary"), "{help}");
        assert_eq!(error.outcome(), Outcome::NotSent);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_is_away_is_no_missing_credential() {
    let error = carried(BEARER, None, Some("u-1"), Kept::Unreachable).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::TokenUnavailable { permanent: false });
}

#[tokio::test]
async fn o4_a_refused_token_of_a_grant_is_replaced_and_a_callers_own_is_not() {
    let authenticator = authenticator(Kept::Live, &Sso::default()).await;
    let mut call = call_with(Credential::UserToken);
    call.account = Some("u-1".to_owned());
    let first = authenticator.authorize(&mut call).await.unwrap();
    assert!(authenticator.renew(&first.used));
    authenticator.authorize(&mut call).await.unwrap();
    assert_eq!(call.headers[AUTHORIZATION], "Bearer at-4");
    assert!(authenticator.renew(&first.used), "it was replaced since");
    authenticator.authorize(&mut call).await.unwrap();
    assert_eq!(call.headers[AUTHORIZATION], "Bearer at-4");

    call.user_token = Some("own".into());
    let own = authenticator.authorize(&mut call).await.unwrap();
    assert!(!authenticator.renew(&own.used));
}

#[tokio::test]
async fn a_callers_token_that_no_header_can_hold_is_its_own_mistake() {
    let error = carried(BEARER, Some("a\nb"), None, Kept::Nothing).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::InvalidRequest(_)), "{error:?}");
}

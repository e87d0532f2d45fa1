use std::sync::Mutex;

use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret as _;
use tower::{ServiceExt as _, service_fn};

use super::*;
use crate::credentials::vault;
use crate::error::Kind;
use crate::operation::Credential;
use crate::stack::idempotency::IdempotencyLayer;
use crate::stack::testing::{self, Example};
use crate::store::{CredentialKind, IntentFilter, Name, Store};

const SHOWN: &str = r#"{"account":"S-1","access":"ak-1","secret":"sk-1"}"#;

struct Setting {
    layer: KeepLayer,
    context: crate::stack::Context,
}

async fn given() -> Setting {
    let context = testing::context().await;
    let means = vault::Means {
        store: context.store.clone(),
        clock: context.clock.clone(),
        tasks: context.tasks.clone(),
        stopping: context.stopping.clone(),
    };
    let partner = Arc::new(Example);
    let layer = KeepLayer::new(partner, Vault::new("example", means), Duration::from_secs(10));
    Setting { layer, context }
}

fn reply(body: &str) -> Reply {
    Reply {
        attempts: 1,
        ..Reply::new(StatusCode::OK, HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()))
    }
}

/// The states of the intents that the store has: the reason of those that are flagged.
async fn intents(store: &Store) -> Vec<Option<String>> {
    let page = store.intents(&IntentFilter::default(), 10, None).await.unwrap();
    page.items.into_iter().map(|intent| intent.flag.map(|flag| flag.reason)).collect()
}

async fn kept(store: &Store) -> Option<String> {
    let (partner, account) = ("example".to_owned(), "S-1".to_owned());
    let name = Name { partner, kind: CredentialKind::KeyPair, account };
    let (_, secret) = store.get(&name).await.unwrap()?;
    Some(secret.expose_secret().to_owned())
}

impl Setting {
    /// The answer of a call that the partner answers so, with the intents that the store
    /// had while the partner was asked.
    async fn call(
        &self,
        answer: impl Fn() -> Result<Reply, Error> + Clone + Send + Sync + 'static,
    ) -> (Result<Reply, Error>, Vec<Option<String>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (store, noted) = (self.context.store.clone(), Arc::clone(&seen));
        let partner = service_fn(move |exchange: Exchange| {
            let (store, noted, answer) = (store.clone(), Arc::clone(&noted), answer.clone());
            async move {
                *noted.lock().unwrap() = intents(&store).await;
                exchange.progress.begin();
                let answer = answer();
                let outcome = answer.as_ref().map_or_else(Error::outcome, |_| Outcome::Unknown);
                exchange.progress.end(outcome);
                answer
            }
        });
        let service = self.layer.clone().layer(partner);
        let result = service.oneshot(Exchange::new(testing::call())).await;
        let seen = seen.lock().unwrap().clone();
        (result, seen)
    }

    /// The intents when everything that goes on has come to its end.
    async fn intents(&self) -> Vec<Option<String>> {
        self.context.stopping.cancel();
        self.context.tasks.close();
        self.context.tasks.wait().await;
        intents(&self.context.store).await
    }
}

#[tokio::test]
async fn s14_the_intent_is_there_before_the_call_and_the_key_before_the_answer() {
    let setting = given().await;
    let (result, seen) = setting.call(|| Ok(reply(SHOWN))).await;
    assert_eq!(seen, [None], "open while the partner is asked");
    assert!(result.unwrap().is_key_kept);
    let kept = kept(&setting.context.store).await.unwrap();
    assert!(kept.contains("ak-1") && kept.contains("sk-1"));
    assert!(setting.intents().await.is_empty());
}

/// Every end of a call, and what is left of its intent.
#[tokio::test]
async fn s14_an_intent_is_dropped_or_flagged_by_what_is_known() {
    let failed = |outcome| Err(Error::new(Kind::Unreachable, outcome));
    let flagged = |reason: &str| vec![Some(reason.to_owned())];
    for (body, outcome, expected) in [
        ("{}", None, vec![]),
        (r#"{"account":"S-1"}"#, None, flagged(UNREADABLE)),
        ("", Some(Outcome::NotSent), vec![]),
        ("", Some(Outcome::Rejected), vec![]),
        ("", Some(Outcome::Unknown), flagged(OUTCOME_UNKNOWN)),
    ] {
        let setting = given().await;
        let answer = move || outcome.map_or_else(|| Ok(reply(body)), failed);
        let (result, seen) = setting.call(answer).await;
        assert_eq!(seen, [None]);
        assert_eq!(result.is_ok(), outcome.is_none());
        assert!(!result.is_ok_and(|reply| reply.is_key_kept));
        assert_eq!(setting.intents().await, expected, "{body} {outcome:?}");
    }
}

#[tokio::test]
async fn s14_a_call_that_is_dropped_flags_its_intent() {
    let setting = given().await;
    let partner = service_fn(|_: Exchange| std::future::pending::<Result<Reply, Error>>());
    let service = setting.layer.clone().layer(partner);
    let call = service.oneshot(Exchange::new(testing::call()));
    let cut_off = tokio::time::timeout(Duration::from_millis(50), call).await;
    assert!(cut_off.is_err());
    assert_eq!(setting.intents().await, [Some("CALL_CUT_OFF".to_owned())]);
}

#[tokio::test]
async fn s14_a_panic_flags_the_intent() {
    let setting = given().await;
    let partner = service_fn(|_: Exchange| async { panic!("a bug") });
    let service = setting.layer.clone().layer(partner);
    let call = service.oneshot(Exchange::new(testing::call()));
    assert!(setting.context.tasks.spawn(call).await.is_err());
    assert_eq!(setting.intents().await, [Some("CALL_CUT_OFF".to_owned())]);
}

#[tokio::test]
async fn a_replay_makes_no_intent_and_still_says_that_the_key_is_kept() {
    let setting = given().await;
    let partner = service_fn(|_: Exchange| async { Ok::<_, Error>(reply(SHOWN)) });
    let layer = IdempotencyLayer::new(&setting.context, Duration::from_secs(10));
    let service = layer.layer(setting.layer.clone().layer(partner));
    let call = || {
        let request_id = Some(uuid::Uuid::from_u128(7));
        Exchange::new(crate::call::Call { request_id, ..testing::call() })
    };
    service.clone().oneshot(call()).await.unwrap();
    let replayed = service.oneshot(call()).await.unwrap();
    assert!(replayed.replayed && replayed.is_key_kept);
    assert!(setting.intents().await.is_empty());
}

#[tokio::test]
async fn only_an_operation_that_says_so_keeps_anything() {
    let setting = given().await;
    let partner = service_fn(|_: Exchange| async { Ok::<_, Error>(reply(SHOWN)) });
    let operation = testing::read_operation(&[Credential::Signature]);
    let call = crate::call::Call { operation, ..testing::call() };
    let answer = setting.layer.clone().layer(partner).oneshot(Exchange::new(call)).await.unwrap();
    assert!(!answer.is_key_kept);
    assert_eq!(kept(&setting.context.store).await, None);
}

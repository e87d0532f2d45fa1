use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use tokio::sync::Notify;
use tower::{ServiceExt as _, service_fn};
use uuid::Uuid;

use super::*;
use crate::callers::Caller;
use crate::clock::Clock;
use crate::stack::{self, testing};
use crate::store::Store;

const ID: Uuid = Uuid::from_u128(0x1111_1111_2222_4333_8444_5555_5555_5555);

fn call(id: Option<Uuid>, target: &str) -> Exchange {
    let call = testing::call();
    Exchange::new(Call { request_id: id, target: target.to_owned(), ..call })
}

fn reply(body: &'static str) -> Reply {
    Reply { attempts: 1, ..Reply::new(StatusCode::OK, HeaderMap::new(), body.into()) }
}

async fn layer() -> IdempotencyLayer {
    IdempotencyLayer::new(&testing::context().await, Duration::from_secs(30))
}

/// A partner that counts what it is sent and answers with the count.
fn counting(answer: Result<&'static str, Outcome>) -> (Arc<AtomicU32>, impl Next) {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let service = service_fn(move |exchange: Exchange| {
        counted.fetch_add(1, Ordering::Relaxed);
        exchange.progress.begin();
        exchange.progress.end(answer.err().unwrap_or(Outcome::Unknown));
        async move { answer.map(reply).map_err(|outcome| Error::new(Kind::Unreachable, outcome)) }
    });
    (count, service)
}

#[tokio::test]
async fn a_repeat_is_answered_from_the_first_success() {
    let (count, partner) = counting(Ok("first"));
    let service = layer().await.layer(partner);

    let first = service.clone().oneshot(call(Some(ID), "/a")).await.unwrap();
    let second = service.clone().oneshot(call(Some(ID), "/a")).await.unwrap();

    assert_eq!((first.replayed, first.attempts), (false, 1));
    assert_eq!((second.replayed, second.attempts), (true, 0));
    assert_eq!(first.body, second.body);
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn calls_without_an_id_are_each_sent() {
    let (count, partner) = counting(Ok("each"));
    let service = layer().await.layer(partner);
    service.clone().oneshot(call(None, "/a")).await.unwrap();
    service.clone().oneshot(call(None, "/a")).await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_same_id_for_another_payload_is_refused() {
    let (count, partner) = counting(Ok("first"));
    let service = layer().await.layer(partner);
    service.clone().oneshot(call(Some(ID), "/a")).await.unwrap();
    let error = service.oneshot(call(Some(ID), "/b")).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::RequestIdReused);
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

/// R8: an id belongs to one caller, one account and one rpc.
#[tokio::test]
async fn r8_the_same_id_of_another_caller_or_account_is_another_request() {
    let (count, partner) = counting(Ok("first"));
    let service = layer().await.layer(partner);
    let of = |caller: &str, account: Option<&str>| {
        let mut exchange = call(Some(ID), "/a");
        exchange.call.caller = Caller::new(caller, 1, false);
        exchange.call.account = account.map(str::to_owned);
        exchange
    };
    let requests =
        [("one", None), ("one", Some("")), ("one", Some("an account")), ("another", None)];
    for replayed in [false, true] {
        for (caller, account) in requests {
            let reply = service.clone().oneshot(of(caller, account)).await.unwrap();
            assert_eq!(reply.replayed, replayed, "{caller} {account:?}");
        }
    }
    assert_eq!(count.load(Ordering::Relaxed), 4);
}

/// R8: what was answered to one user is answered to no other, nor to a caller without a
/// token; and a renewed token is the same user's.
#[tokio::test]
async fn the_same_id_for_another_users_token_is_refused() {
    let of = |account: Option<&str>, token: &str| {
        let mut exchange = call(Some(ID), "/a");
        exchange.call.account = account.map(str::to_owned);
        exchange.call.user_token = Some(token.into());
        exchange
    };
    let jwt = |user: &str, serial: u8| {
        let claims = serde_json::json!({"sub": user, "jti": serial}).to_string();
        format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims))
    };
    for account in [None, Some("ann")] {
        let service = layer().await.layer(counting(Ok("first")).1);
        service.clone().oneshot(of(account, &jwt("ann", 1))).await.unwrap();
        for other in [of(account, &jwt("bob", 1)), of(account, "opaque"), {
            let mut none = call(Some(ID), "/a");
            none.call.account = account.map(str::to_owned);
            none
        }] {
            let error = service.clone().oneshot(other).await.unwrap_err();
            assert_eq!(error.kind(), &Kind::RequestIdReused, "{account:?}");
        }
        let renewed = service.oneshot(of(account, &jwt("ann", 2))).await.unwrap();
        assert!(renewed.replayed, "{account:?}");
    }
    // A token that does not tell whose it is.
    let service = layer().await.layer(counting(Ok("first")).1);
    service.clone().oneshot(of(None, "one")).await.unwrap();
    let error = service.clone().oneshot(of(None, "another")).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::RequestIdReused);
    assert!(service.oneshot(of(None, "one")).await.unwrap().replayed);
    let service = layer().await.layer(counting(Ok("first")).1);
    service.clone().oneshot(of(Some("user"), "one")).await.unwrap();
    assert!(service.oneshot(of(Some("user"), "renewed")).await.unwrap().replayed);
}

/// R6: an error that says less than what was sent does not free its id.
#[tokio::test]
async fn the_worst_of_all_attempts_decides_what_is_kept() {
    let partner = service_fn(|exchange: Exchange| async move {
        exchange.progress.begin();
        exchange.progress.end(Outcome::Unknown);
        Err::<Reply, _>(Error::new(Kind::Unreachable, Outcome::NotSent))
    });
    let service = layer().await.layer(partner);
    service.clone().oneshot(call(Some(ID), "/a")).await.unwrap_err();
    let error = service.oneshot(call(Some(ID), "/a")).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::OutcomeUnknown);
}

/// R8: a success that nobody can be told is none: whoever asks again has to read. It is not
/// sent again either when an answer's time would be over.
#[tokio::test]
async fn r8_a_success_that_cannot_be_read_leaves_an_unknown_outcome() {
    let now = Arc::new(AtomicI64::new(1_000));
    let told = Arc::clone(&now);
    let clock =
        Clock::from_fn(move || Timestamp::from_second(told.load(Ordering::Relaxed)).unwrap());
    let context = stack::Context {
        store: Store::in_memory(clock.clone()).await.unwrap(),
        clock,
        is_readable: |_, reply| &*reply.body != b"<html>",
        ..testing::context().await
    };
    let layer = IdempotencyLayer::new(&context, Duration::from_secs(30));
    let (count, partner) = counting(Ok("<html>"));
    let service = layer.layer(partner);
    let first = service.clone().oneshot(call(Some(ID), "/a")).await.unwrap();
    assert_eq!(&*first.body, b"<html>", "what is wrong with it is told by whoever reads it");
    for seconds in [0, 2 * 24 * 60 * 60] {
        now.fetch_add(seconds, Ordering::Relaxed);
        context.store.expire_requests(&context.retention).await.unwrap();
        let error = service.clone().oneshot(call(Some(ID), "/a")).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (&Kind::OutcomeUnknown, Outcome::Unknown));
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    let (_, readable) = counting(Ok("{}"));
    let service = layer.layer(readable);
    service.clone().oneshot(call(Some(Uuid::from_u128(2)), "/a")).await.unwrap();
    assert!(service.oneshot(call(Some(Uuid::from_u128(2)), "/a")).await.unwrap().replayed);
}

/// R8: never silently sent again.
#[tokio::test]
async fn an_unknown_outcome_stays_unknown() {
    let (count, partner) = counting(Err(Outcome::Unknown));
    let service = layer().await.layer(partner);
    service.clone().oneshot(call(Some(ID), "/a")).await.unwrap_err();
    let error = service.oneshot(call(Some(ID), "/a")).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::OutcomeUnknown, Outcome::Unknown));
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_call_without_effect_may_be_made_again() {
    for outcome in [Outcome::NotSent, Outcome::Rejected] {
        let (count, partner) = counting(Err(outcome));
        let service = layer().await.layer(partner);
        service.clone().oneshot(call(Some(ID), "/a")).await.unwrap_err();
        let error = service.oneshot(call(Some(ID), "/a")).await.unwrap_err();
        assert_eq!(error.kind(), &Kind::Unreachable);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}

/// A caller that goes away in the middle of an attempt leaves an unknown outcome; one
/// that goes away before leaves nothing.
#[tokio::test]
async fn a_dropped_call_settles_by_how_far_it_came() {
    for (begins, kept) in [(true, true), (false, false)] {
        let partner = service_fn(move |exchange: Exchange| {
            if begins {
                exchange.progress.begin();
            }
            std::future::pending::<Result<Reply, Error>>()
        });
        let context = testing::context().await;
        let layer = IdempotencyLayer::new(&context, Duration::from_secs(30));
        let service = layer.layer(partner);
        let first = service.clone().oneshot(call(Some(ID), "/a"));
        tokio::time::timeout(Duration::from_millis(50), first).await.unwrap_err();
        context.tasks.close();
        context.tasks.wait().await;

        let (count, answering) = counting(Ok("second"));
        let result = layer.layer(answering).oneshot(call(Some(ID), "/a")).await;
        assert_eq!(result.is_err(), kept);
        assert_eq!(count.load(Ordering::Relaxed), u32::from(!kept));
    }
}

/// G4: what is told of the id is that the first call may act.
fn is_in_flight(error: &Error) -> bool {
    error.kind() == &Kind::RequestInFlight && error.outcome() == Outcome::Unknown
}

#[tokio::test]
async fn of_a_thousand_duplicates_at_once_one_is_sent() {
    let release = Arc::new(Notify::new());
    let count = Arc::new(AtomicU32::new(0));
    let (waiting, counted) = (Arc::clone(&release), Arc::clone(&count));
    let partner = service_fn(move |_: Exchange| {
        let waiting = Arc::clone(&waiting);
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            waiting.notified().await;
            Ok::<_, Error>(reply("one"))
        }
    });
    let service = layer().await.layer(partner);
    let calls = (0..1000).map(|_| service.clone().oneshot(call(Some(ID), "/a")));
    let (results, ()) = tokio::join!(join_all(calls), async { release.notify_one() });
    let in_flight = results.iter().filter(|r| matches!(r, Err(e) if is_in_flight(e))).count();
    assert_eq!((results.iter().filter(|r| r.is_ok()).count(), in_flight), (1, 999));
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

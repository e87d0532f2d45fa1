use super::*;
use crate::clock::Clock;
use crate::store::{CredentialKind, Origin};

fn new(secret: &str) -> New {
    New {
        name: Name {
            partner: "acme".to_owned(),
            kind: CredentialKind::UserGrant,
            account: "u-1".to_owned(),
        },
        secret: secret.into(),
        expires: None,
        renews: None,
        origin: Origin::Imported,
    }
}

async fn kept(store: &Store) -> (i64, String) {
    let (record, secret) = store.get(&new("").name).await.unwrap().unwrap();
    (record.version, secret.expose_secret().to_owned())
}

#[tokio::test]
async fn a_successor_takes_the_place_of_what_it_was_made_from_and_once() {
    let store = Store::in_memory(Clock::system()).await.unwrap();
    let before = Predecessor::of(&store.put(new("one")).await.unwrap());
    for _ in 0..2 {
        assert!(store.succeed(&before, new("two")).await.unwrap().is_some());
        assert_eq!(kept(&store).await, (2, "two".to_owned()));
    }
    assert!(store.succeed(&before, new("other")).await.unwrap().is_none(), "there is a later one");
    let before = before.or(&"two".into());
    assert!(store.succeed(&before, new("three")).await.unwrap().is_some());
    assert_eq!(kept(&store).await, (3, "three".to_owned()));
}

#[tokio::test]
async fn a_record_that_was_deleted_has_no_successor_whatever_is_put_after_it() {
    let store = Store::in_memory(Clock::system()).await.unwrap();
    let before = Predecessor::of(&store.put(new("one")).await.unwrap()).or(&"one".into());
    store.delete_named(&new("").name).await.unwrap();
    assert!(store.succeed(&before, new("two")).await.unwrap().is_none());
    store.put(new("one")).await.unwrap();
    assert!(store.succeed(&before, new("two")).await.unwrap().is_none());
    assert_eq!(kept(&store).await, (1, "one".to_owned()));
}

#[tokio::test]
async fn what_is_due_and_postponed_comes_last() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let store = Store::in_memory(Clock::from_fn(move || now)).await.unwrap();
    let due = async || {
        let kind = CredentialKind::UserGrant;
        let names = store.due("acme", kind, now, 9).await.unwrap();
        names.into_iter().map(|name| name.account).collect::<Vec<_>>()
    };
    let name = |account: &str| Name { account: account.to_owned(), ..new("").name };
    for (account, second) in [("a", 100), ("b", 200), ("c", 300)] {
        let renews = Some(Timestamp::from_second(second).unwrap());
        store.put(New { name: name(account), renews, ..new("s") }).await.unwrap();
    }
    let (zero, minute) = (std::time::Duration::ZERO, std::time::Duration::from_secs(60));
    store.postpone(&name("a"), zero, zero).await.unwrap();
    store.postpone(&name("b"), minute, minute).await.unwrap();
    assert_eq!(due().await, ["c", "a"]);
}

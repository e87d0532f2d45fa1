//! Which replica renews a credential, and which credential is due.

use std::time::Duration;

use jiff::Timestamp;
use partner_gateway::store::{CredentialKind, New};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::place::{Place, name, new};

pub(super) async fn one_replica_holds_a_lease(place: Place) {
    let replicas = [place.open().await, place.open().await];
    replicas[0].put(new("M1", "one")).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..16_u128 {
        let store = replicas[usize::try_from(number % 2).unwrap()].clone();
        let holder = Uuid::from_u128(number + 1);
        let ttl = Duration::from_secs(10);
        tasks.spawn(async move {
            store.lease(&name("M1"), holder, ttl).await.unwrap().then_some(holder)
        });
    }
    let holders: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(holders.len(), 1);
    let (holder, other) = (holders[0], Uuid::from_u128(99));
    let lease = async |holder| {
        replicas[1].lease(&name("M1"), holder, Duration::from_secs(10)).await.unwrap()
    };
    // The holder takes it for longer, and nobody else may, until it is over or given up.
    place.advance(9);
    assert!(lease(holder).await);
    place.advance(9);
    assert!(!lease(other).await);
    replicas[0].release(&name("M1"), other).await.unwrap();
    assert!(!lease(other).await);
    place.advance(1);
    assert!(lease(other).await);
    assert!(!lease(holder).await);
    replicas[0].release(&name("M1"), other).await.unwrap();
    assert!(lease(holder).await);
    assert!(!replicas[0].lease(&name("M2"), holder, Duration::from_secs(1)).await.unwrap());
}

pub(super) async fn what_is_due_and_not_leased_is_found(place: Place) {
    let store = place.open().await;
    let in_seconds = |seconds| Some(place.now() + Duration::from_secs(seconds));
    for (account, renews) in [
        ("late", in_seconds(30)),
        ("soon", in_seconds(10)),
        ("never", None),
        ("then", in_seconds(60)),
    ] {
        store.put(New { renews, ..new(account, "secret") }).await.unwrap();
    }
    let due = async |seconds, limit| {
        let before = in_seconds(seconds).unwrap();
        let due = store.due("acme", CredentialKind::KeyPair, before, limit).await.unwrap();
        due.into_iter().map(|name| name.account).collect::<Vec<_>>()
    };
    assert_eq!(due(30, 10).await, ["soon", "late"]);
    assert_eq!(due(100, 2).await, ["soon", "late"]);
    assert_eq!(due(9, 10).await, [""; 0]);
    assert!(store.lease(&name("soon"), Uuid::from_u128(1), Duration::from_secs(5)).await.unwrap());
    assert_eq!(due(30, 10).await, ["late"]);
    let kind = CredentialKind::UserGrant;
    assert!(store.due("acme", kind, Timestamp::MAX, 10).await.unwrap().is_empty());
    place.advance(5);
    assert_eq!(due(25, 10).await, ["soon", "late"]);
}

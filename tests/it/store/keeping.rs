//! What is put is kept, once per name, and intents precede keys.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use partner_gateway::store::{
    CredentialKind, Error, Filter, IntentFilter, Kept, Name, New, NewIntent, Origin, Store,
};
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::place::{Place, name, new};

async fn secret_of(store: &Store, name: &Name) -> String {
    store.get(name).await.unwrap().unwrap().1.expose_secret().to_owned()
}

fn intent(place: &Place) -> NewIntent {
    NewIntent {
        partner: "acme".to_owned(),
        rpc: "acme.v1.Accounts/Create".to_owned(),
        call_id: Uuid::from_u128(1),
        settles_by: place.now() + Duration::from_secs(60),
    }
}

pub(super) async fn a_credential_reads_back_as_it_was_put(place: Place) {
    let store = place.open().await;
    store.prove_writable().await.unwrap();
    assert!(store.is_durable());
    let expires = place.now() + Duration::from_micros(3_600_000_001);
    let put = New {
        expires: Some(expires),
        renews: Some(Timestamp::MAX),
        origin: Origin::Imported,
        ..new("M1", "a secret, in any words: \u{1F511}")
    };
    let record = store.put(put).await.unwrap();

    assert_eq!((record.name.clone(), record.version), (name("M1"), 1));
    assert_eq!((record.created, record.updated), (place.now(), place.now()));
    assert_eq!((record.expires, record.last_used), (Some(expires), None));
    assert_eq!(record.origin, Origin::Imported);
    let (read, secret) = store.get(&name("M1")).await.unwrap().unwrap();
    assert_eq!(read, record);
    assert_eq!(secret.expose_secret(), "a secret, in any words: \u{1F511}");
    let (by_id, _) = store.get_by_id(record.id).await.unwrap().unwrap();
    assert_eq!(by_id, record);
    assert!(store.get_by_id(Uuid::from_u128(1)).await.unwrap().is_none());
}

pub(super) async fn a_name_is_kept_once_and_its_versions_are_counted(place: Place) {
    let store = place.open().await;
    let first = store.put(new("M1", "one")).await.unwrap();
    let others = [
        Name { partner: "other".to_owned(), ..name("M1") },
        Name { kind: CredentialKind::UserGrant, ..name("M1") },
        name("m1"),
    ];
    for other in &others {
        store.put(New { name: other.clone(), ..new("", "another") }).await.unwrap();
    }
    place.advance(10);
    let second = store.put(new("M1", "two")).await.unwrap();

    assert_eq!((second.id, second.version, second.created), (first.id, 2, first.created));
    assert_eq!(second.updated, place.now());
    assert_eq!(secret_of(&store, &name("M1")).await, "two");
    for other in &others {
        assert_eq!(secret_of(&store, other).await, "another");
    }
    assert!(store.get(&name("M2")).await.unwrap().is_none());
}

pub(super) async fn concurrent_puts_of_one_name_each_count(place: Place) {
    let replicas = [place.open().await, place.open().await];
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let store = replicas[number % 2].clone();
        tasks.spawn(async move { store.put(new("M1", &format!("secret {number}"))).await });
    }
    let versions: BTreeSet<_> =
        tasks.join_all().await.into_iter().map(|record| record.unwrap().version).collect();
    assert_eq!(versions, (1..=20).collect());
    let (record, secret) = replicas[0].get(&name("M1")).await.unwrap().unwrap();
    assert_eq!(record.version, 20);
    assert!(secret.expose_secret().starts_with("secret "));
}

pub(super) async fn of_concurrent_replacements_of_a_version_one_wins(place: Place) {
    let replicas = [place.open().await, place.open().await];
    replicas[0].put(new("M1", "first")).await.unwrap();
    for version in 1..=5 {
        let mut tasks = JoinSet::new();
        for number in 0..8 {
            let store = replicas[number % 2].clone();
            tasks.spawn(async move {
                let text = format!("{version} {number}");
                let (name, secret) = (name("M1"), text.as_str().into());
                let is_done = store.replace(&name, version, &secret, None, None).await.unwrap();
                is_done.then_some(text)
            });
        }
        let winners: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "version {version}");
        assert_eq!(secret_of(&replicas[0], &name("M1")).await, winners[0]);
    }
    let expiry = place.now();
    let late = replicas[0].replace(&name("M1"), 6, &"last".into(), Some(expiry), None).await;
    assert!(late.unwrap());
    let (record, _) = replicas[1].get(&name("M1")).await.unwrap().unwrap();
    assert_eq!((record.version, record.expires), (7, Some(expiry)));
    assert!(!replicas[0].replace(&name("M2"), 1, &"none".into(), None, None).await.unwrap());
}

pub(super) async fn a_deleted_credential_is_gone(place: Place) {
    let store = place.open().await;
    let one = store.put(new("M1", "one")).await.unwrap();
    let two = store.put(new("M2", "two")).await.unwrap();
    assert_eq!(store.delete(one.id).await.unwrap(), Some(one.clone()));
    assert_eq!(store.delete_named(&name("M2")).await.unwrap(), Some(two.clone()));
    assert_eq!(store.delete(one.id).await.unwrap(), None);
    assert_eq!(store.delete_named(&name("M2")).await.unwrap(), None);
    assert!(store.get(&name("M1")).await.unwrap().is_none());
    // A new one of the same name is another credential.
    let again = store.put(new("M1", "three")).await.unwrap();
    assert_eq!(again.version, 1);
    assert_ne!(again.id, one.id);
}

pub(super) async fn a_list_has_pages_and_filters(place: Place) {
    let store = place.open().await;
    for account in ["B-1", "B-2", "a%1", "a_1", "B-3", "Bé"] {
        store.put(new(account, "secret")).await.unwrap();
    }
    let grant = Name { kind: CredentialKind::UserGrant, ..name("B-1") };
    store.put(New { name: grant, ..new("", "secret") }).await.unwrap();
    let other = Name { partner: "other".to_owned(), ..name("B-1") };
    store.put(New { name: other, ..new("", "secret") }).await.unwrap();

    let accounts = async |filter: Filter, size: u32| {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let page = store.list(&filter, size, after).await.unwrap();
            let names = page.items.iter().map(|record| record.name.account.clone());
            pages.push(names.collect::<Vec<_>>().join(" "));
            // As a page's token goes to a caller and comes back.
            after = page.next.map(|next| next.to_string().parse().unwrap());
            if after.is_none() {
                return pages;
            }
        }
    };
    let all = Filter { partner: Some("acme".to_owned()), ..Filter::default() };
    let pairs = Filter { kind: Some(CredentialKind::KeyPair), ..all.clone() };
    assert_eq!(accounts(Filter::default(), 100).await, ["B-1 B-2 a%1 a_1 B-3 Bé B-1 B-1"]);
    assert_eq!(accounts(all, 3).await, ["B-1 B-2 a%1", "a_1 B-3 Bé", "B-1"]);
    assert_eq!(accounts(pairs.clone(), 3).await, ["B-1 B-2 a%1", "a_1 B-3 Bé"]);
    for (prefix, expected) in [("B-", "B-1 B-2 B-3"), ("a%", "a%1"), ("b", ""), ("Bé", "Bé")] {
        let filter = Filter { account_prefix: Some(prefix.to_owned()), ..pairs.clone() };
        assert_eq!(accounts(filter, 100).await, [expected], "{prefix}");
    }
    assert!("".parse::<partner_gateway::store::Cursor>().is_err());
}

pub(super) async fn a_list_stays_in_order_while_it_is_read(place: Place) {
    let store = place.open().await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(store.put(new(&format!("M{number}"), "secret")).await.unwrap().id);
    }
    let first = store.list(&Filter::default(), 3, None).await.unwrap();
    // One that was on the page goes, one of the next goes, one is added.
    store.delete(ids[2]).await.unwrap();
    store.delete(ids[3]).await.unwrap();
    ids.push(store.put(new("M9", "secret")).await.unwrap().id);
    let second = store.list(&Filter::default(), 3, first.next).await.unwrap();
    let seen: Vec<_> = second.items.iter().map(|record| record.id).collect();
    assert_eq!(seen, [ids[4], ids[5], ids[6]]);
    assert_eq!(second.next, None);
}

pub(super) async fn the_last_use_only_moves_forward(place: Place) {
    let store = place.open().await;
    store.put(new("M1", "one")).await.unwrap();
    store.put(new("M2", "two")).await.unwrap();
    let (early, late) = (place.now(), place.now() + Duration::from_secs(5));
    store.touch(&[(name("M1"), late), (name("M2"), early), (name("M3"), late)]).await.unwrap();
    store.touch(&[(name("M1"), early), (name("M2"), late)]).await.unwrap();
    store.touch(&[]).await.unwrap();
    for account in ["M1", "M2"] {
        let (record, _) = store.get(&name(account)).await.unwrap().unwrap();
        assert_eq!((record.last_used, record.version), (Some(late), 1), "{account}");
    }
    assert!(store.get(&name("M3")).await.unwrap().is_none());
}

pub(super) async fn an_intent_goes_when_its_key_is_kept(place: Place) {
    let store = place.open().await;
    let id = store.begin_intent(intent(&place)).await.unwrap();
    let open = store.intents(&IntentFilter::default(), 10, None).await.unwrap().items;
    assert_eq!((open.len(), open[0].id, open[0].flag.is_none()), (1, id, true));
    assert_eq!((open[0].call_id, open[0].created), (Uuid::from_u128(1), place.now()));
    assert_eq!(open[0].settles_by, intent(&place).settles_by);

    let kept = store.fulfil_intent(id, new("M1", "issued")).await.unwrap();
    let Kept::Committed(record) = kept else { panic!("{kept:?}") };
    assert_eq!((record.version, record.origin), (1, Origin::Issued));
    assert!(store.intents(&IntentFilter::default(), 10, None).await.unwrap().items.is_empty());
    assert_eq!(secret_of(&store, &name("M1")).await, "issued");

    // A key whose intent is gone, or was never there, is kept all the same.
    let kept = store.fulfil_intent(id, new("M1", "again")).await.unwrap();
    assert_eq!(kept.record().version, 2);
    let dropped = store.begin_intent(intent(&place)).await.unwrap();
    store.drop_intent(dropped).await.unwrap();
    store.drop_intent(dropped).await.unwrap();
    assert!(store.intents(&IntentFilter::default(), 10, None).await.unwrap().items.is_empty());
}

pub(super) async fn concurrent_fulfilments_all_reach_the_database(place: Place) {
    let replicas = [place.open().await, place.open().await];
    let mut tasks = JoinSet::new();
    for number in 0..24 {
        let (store, intent) = (replicas[number % 2].clone(), intent(&place));
        tasks.spawn(async move {
            let id = store.begin_intent(intent).await.unwrap();
            // Half of them are of one name.
            let account = format!("M{}", if number < 12 { 0 } else { number });
            store.fulfil_intent(id, new(&account, "issued")).await
        });
    }
    for kept in tasks.join_all().await {
        assert!(matches!(kept, Ok(Kept::Committed(_))), "{kept:?}");
    }
    assert_eq!(replicas[0].get(&name("M0")).await.unwrap().unwrap().0.version, 12);
    assert!(
        replicas[0].intents(&IntentFilter::default(), 10, None).await.unwrap().items.is_empty()
    );
}

pub(super) async fn what_is_kept_is_counted(place: Place) {
    let store = place.open().await;
    assert_eq!(store.count_credentials().await.unwrap(), []);
    assert_eq!(store.count_intents().await.unwrap(), []);
    for account in ["M1", "M2"] {
        store.put(new(account, "secret")).await.unwrap();
    }
    let ids = [(); 3].map(|()| store.begin_intent(intent(&place)));
    let ids = futures_util::future::join_all(ids).await;
    store.flag_intent(*ids[0].as_ref().unwrap(), "NO_ANSWER").await.unwrap();
    let (credentials, intents) = (store.count_credentials().await, store.count_intents().await);
    let acme = || "acme".to_owned();
    assert_eq!(credentials.unwrap(), [(acme(), CredentialKind::KeyPair, 2)]);
    assert_eq!(intents.unwrap(), [(acme(), 2, 1)]);
}

pub(super) async fn an_overdue_intent_is_flagged_and_can_still_be_fulfilled(place: Place) {
    let store = place.open().await;
    let id = store.begin_intent(intent(&place)).await.unwrap();
    place.advance(60);
    assert_eq!(store.flag_overdue().await.unwrap(), 0);
    place.advance(1);
    assert_eq!(store.flag_overdue().await.unwrap(), 1);
    assert_eq!(store.flag_overdue().await.unwrap(), 0);
    assert_eq!(store.flagged_intents().await.unwrap(), 1);
    let flagged = store.intents(&IntentFilter::default(), 10, None).await.unwrap().items;
    assert_eq!(flagged[0].flag.as_ref().unwrap().since, place.now());
    store.fulfil_intent(id, new("M1", "late")).await.unwrap();
    assert_eq!(store.flagged_intents().await.unwrap(), 0);
    assert_eq!(secret_of(&store, &name("M1")).await, "late");
}

pub(super) async fn intents_are_listed_and_dismissed(place: Place) {
    let store = place.open().await;
    let mut ids = Vec::new();
    for partner in ["acme", "acme", "other"] {
        let intent = NewIntent { partner: partner.to_owned(), ..intent(&place) };
        ids.push(store.begin_intent(intent).await.unwrap());
    }
    store.flag_intent(ids[1], "NO_ANSWER").await.unwrap();
    let list = async |partner: Option<&str>, flagged| {
        let filter = IntentFilter { partner: partner.map(str::to_owned), flagged };
        let items = store.intents(&filter, 10, None).await.unwrap().items;
        items.into_iter().map(|intent| intent.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None).await, ids);
    assert_eq!(list(Some("acme"), None).await, ids[..2]);
    assert_eq!(list(None, Some(true)).await, [ids[1]]);
    assert_eq!(list(None, Some(false)).await, [ids[0], ids[2]]);
    let page = store.intents(&IntentFilter::default(), 2, None).await.unwrap();
    let flag = page.items[1].flag.clone().unwrap();
    assert_eq!((flag.reason.as_str(), flag.since), ("NO_ANSWER", place.now()));
    let rest = store.intents(&IntentFilter::default(), 2, page.next).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
    assert!(store.dismiss_intent(ids[1]).await.unwrap());
    assert!(!store.dismiss_intent(ids[1]).await.unwrap());
    assert_eq!(store.flagged_intents().await.unwrap(), 0);
}

pub(super) async fn a_name_that_no_database_holds_is_refused_and_never_found(place: Place) {
    let store = place.open().await;
    let bad = name("M\0");
    assert!(matches!(store.put(new("M\0", "x")).await, Err(Error::InvalidName)));
    assert!(store.get(&bad).await.unwrap().is_none());
    assert!(store.delete_named(&bad).await.unwrap().is_none());
    assert!(!store.replace(&bad, 1, &"x".into(), None, None).await.unwrap());
    assert!(!store.lease(&bad, Uuid::nil(), Duration::from_secs(1)).await.unwrap());
    store.release(&bad, Uuid::nil()).await.unwrap();
    store.touch(&[(bad, place.now())]).await.unwrap();
    let filter = Filter { account_prefix: Some("M\0".to_owned()), ..Filter::default() };
    assert!(store.list(&filter, 10, None).await.unwrap().items.is_empty());
}

pub(super) async fn everything_is_there_after_a_restart(place: Place) {
    let store = place.open().await;
    let record = store.put(new("M1", "one")).await.unwrap();
    let id = store.begin_intent(intent(&place)).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(store.get(&name("M1")).await.unwrap().unwrap().0, record);
    let intents = store.intents(&IntentFilter::default(), 10, None).await.unwrap().items;
    assert_eq!(intents[0].id, id);
    // The process that SQLite's file belonged to is gone; another replica need not be.
    assert_eq!(intents[0].flag.is_some(), place.is_sqlite());
}

pub(super) async fn several_starts_at_once_migrate_once(place: Place) {
    for round in ["a new database", "one of an earlier version", "one that is up to date"] {
        let mut starts = JoinSet::new();
        for _ in 0..8 {
            let settings = place.settings(super::place::OLD);
            starts.spawn(Store::open(settings, partner_gateway::clock::Clock::system()));
        }
        for store in starts.join_all().await {
            let store = store.unwrap_or_else(|error| panic!("{round}: {error:?}"));
            store.put(new("M1", "secret")).await.unwrap();
        }
        let migrations = place.rows("SELECT version FROM _sqlx_migrations").await;
        assert_eq!(migrations.len(), 3, "{round}");
        let (record, _) = place.open().await.get(&name("M1")).await.unwrap().unwrap();
        assert_eq!(record.version, if round.ends_with("date") { 16 } else { 8 }, "{round}");
        if round.starts_with("a new") {
            for table in ["credentials", "intents", "requests"] {
                place.execute(&format!("DROP TABLE {table}")).await;
            }
            place.execute("DELETE FROM _sqlx_migrations").await;
        }
    }
}

//! What the database and its files hold is sealed, and keys can be changed in use.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use partner_gateway::seal::Unsealable;
use partner_gateway::store::{Damage, Error, NewIntent, Store};
use secrecy::ExposeSecret as _;
use sqlx::Row as _;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::child::Child;
use super::place::{NEW, OLD, Place, files_with, keyring, name, new};

/// A text that is nowhere else.
pub(super) fn canary() -> String {
    format!("canary-{}", Uuid::new_v4().simple())
}

/// The forms in which it would be found.
fn forms(text: &str) -> Vec<String> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    // From the first byte that begins a group, whatever stands before it.
    let base64 = (0..3).map(|shift| STANDARD.encode(&text[shift..shift + 24]));
    [text.to_owned(), hex.to_uppercase(), hex].into_iter().chain(base64).collect()
}

pub(super) fn assert_unwritten(place: &Place, secret: &str) {
    for folder in [place.written.as_path(), place.folder.path()] {
        assert_eq!(files_with(folder, &forms(secret)), "");
    }
}

pub(super) fn assert_written(place: &Place, text: &str) {
    assert_ne!(files_with(&place.written, &[text.to_owned()]), "", "{text}");
}

async fn damage(store: &Store, account: &str) -> Damage {
    match store.get(&name(account)).await {
        Err(Error::Corrupt(damage)) => damage,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn s15_no_plain_text_reaches_the_disk(place: Place) {
    let (secret, account) = (canary(), canary());
    let store = place.open_with_journal().await;
    let intent = NewIntent {
        partner: "acme".to_owned(),
        rpc: "acme.v1.Accounts/Create".to_owned(),
        call_id: Uuid::from_u128(1),
        settles_by: place.now(),
    };
    let id = store.begin_intent(intent).await.unwrap();
    store.fulfil_intent(id, new(&account, &secret)).await.unwrap();
    store.put(new(&account, &secret)).await.unwrap();
    let replacement = secret.as_str().into();
    assert!(store.replace(&name(&account), 2, &replacement, None, None).await.unwrap());
    store.set_keyring(keyring(&format!("{NEW} {OLD}")));
    assert_eq!(store.rotate(10).await.unwrap().rewrapped, 1);
    let outage = place.break_down().await;
    store.fulfil_intent(id, new("M2", &secret)).await.unwrap();
    assert_eq!(store.journalled(), 1);
    assert_unwritten(&place, &secret);
    outage.end().await;
    store.replay_journal().await.unwrap();
    store.delete_named(&name("M2")).await.unwrap();

    // What is not secret is found, so the search is one that finds.
    assert_written(&place, &account);
    assert_unwritten(&place, &secret);
    drop(store);
    assert_unwritten(&place, &secret);
}

pub(super) async fn s15_no_plain_text_is_left_by_a_process_that_is_killed(place: Place) {
    let secret = canary();
    let mut child = Child::start(&place, "puts", OLD, &secret, None);
    while child.said().await != "20" {}
    child.kill().await;
    assert_unwritten(&place, &secret);
    // What it said it had kept is there.
    let store = place.open().await;
    for number in 0..=20 {
        let (_, kept) = store.get(&name(&format!("M{number}"))).await.unwrap().unwrap();
        assert_eq!(kept.expose_secret(), secret);
    }
}

pub(super) async fn s15_a_ciphertext_opens_in_no_other_row_and_no_other_version(place: Place) {
    let store = place.open().await;
    store.put(new("M1", "one")).await.unwrap();
    store.put(new("M2", "two")).await.unwrap();
    let tampered = Damage::Sealed(Unsealable::Tampered);

    // Each change alone, undone by the next one of the same column.
    let column = |column: &str, value: &str| {
        format!("UPDATE credentials SET {column} = {value} WHERE account IN ('M1', 'M9')")
    };
    for (name_of, changed, before) in [
        ("version", "2", "1"),
        ("account", "'M9'", "'M1'"),
        ("partner", "'other'", "'acme'"),
        ("kind", "'user_grant'", "'key_pair'"),
        ("id", "'00000000-0000-7000-8000-000000000000'", "id"),
    ] {
        let id = store.get(&name("M1")).await.unwrap().unwrap().0.id;
        assert_eq!(place.execute(&column(name_of, changed)).await, 1);
        let listed =
            store.list(&partner_gateway::store::Filter::default(), 10, None).await.unwrap();
        let moved = listed.items.iter().find(|it| it.name != name("M2")).unwrap();
        assert!(matches!(
            store.get(&moved.name).await,
            Err(Error::Corrupt(damage)) if damage == tampered
        ));
        let before = before.replace("id", &format!("'{id}'"));
        place.execute(&column(name_of, &before)).await;
        assert!(store.get(&name("M1")).await.unwrap().is_some(), "{name_of}");
    }
    // Two ciphertexts change places.
    let other = "(SELECT other.secret FROM credentials other WHERE other.id <> credentials.id)";
    place.execute(&format!("UPDATE credentials SET secret = {other} WHERE account = 'M1'")).await;
    assert_eq!(damage(&store, "M1").await, tampered);
    assert_eq!(store.get(&name("M2")).await.unwrap().unwrap().1.expose_secret(), "two");
}

pub(super) async fn s15_a_damaged_record_is_an_error_for_itself_alone(place: Place) {
    let store = place.open().await;
    for account in ["M1", "M2"] {
        store.put(new(account, "secret")).await.unwrap();
    }
    let bytes = if place.is_sqlite() { "x'0101'" } else { "'\\x0101'" };
    place.execute(&format!("UPDATE credentials SET secret = {bytes} WHERE account = 'M1'")).await;
    assert_eq!(damage(&store, "M1").await, Damage::Column);
    assert!(store.get(&name("M2")).await.unwrap().is_some());
    let listed = store.list(&partner_gateway::store::Filter::default(), 10, None).await.unwrap();
    assert_eq!(listed.items.len(), 2);
    // A new secret mends it.
    assert_eq!(store.put(new("M1", "again")).await.unwrap().version, 2);
    assert_eq!(store.get(&name("M1")).await.unwrap().unwrap().1.expose_secret(), "again");
}

pub(super) async fn s15_a_start_without_a_key_that_is_in_use_names_it(place: Place) {
    let store = place.open().await;
    store.put(new("M1", "one")).await.unwrap();
    let old = keyring(OLD).first_id();
    let error = place.try_open(place.settings(NEW)).await.unwrap_err();
    assert!(matches!(&error, Error::MissingKeys(ids) if *ids == [old.to_string()]), "{error:?}");
    assert!(error.to_string().contains(&old.to_string()), "{error}");
    // The same of a store that is open: it keeps the keys that it has.
    let error = store.change_keyring(keyring(NEW)).await.unwrap_err();
    assert!(matches!(&error, Error::MissingKeys(ids) if *ids == [old.to_string()]), "{error:?}");
    assert!(store.is_keyring_refused());
    assert_eq!(store.get(&name("M1")).await.unwrap().unwrap().1.expose_secret(), "one");
    store.change_keyring(keyring(&format!("{NEW} {OLD}"))).await.unwrap();
    assert!(!store.is_keyring_refused());
    assert_eq!(store.get(&name("M1")).await.unwrap().unwrap().1.expose_secret(), "one");
    assert_eq!(
        store.put(new("M2", "two")).await.unwrap().kek_id,
        keyring(NEW).first_id().to_string()
    );
}

pub(super) async fn s16_all_records_come_under_the_first_key_while_they_are_used(place: Place) {
    let store = place.open().await;
    for number in 0..130 {
        store.put(new(&format!("M{number}"), &format!("old {number}"))).await.unwrap();
    }
    let both = format!("{NEW} {OLD}");
    let replicas = [place.open_with(&both).await, place.open_with(&both).await];
    let mut tasks = JoinSet::new();
    for replica in replicas.clone() {
        tasks.spawn(async move { while replica.rotate(7).await.unwrap().left > 0 {} });
    }
    for (replica, numbers) in [(&store, 0..20), (&replicas[0], 20..40)] {
        let replica = replica.clone();
        tasks.spawn(async move {
            for number in numbers {
                let new = new(&format!("M{number}"), &format!("new {number}"));
                replica.put(new).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    // The first replica has not heard of the new key and may have written after the others
    // were done.
    let rotated = replicas[1].rotate(1000).await.unwrap();
    assert_eq!(rotated.left, 0);
    assert_eq!(replicas[1].rotate(1000).await.unwrap().rewrapped, 0);
    let store = place.open_with(NEW).await;
    for number in 0..130 {
        let (record, secret) = store.get(&name(&format!("M{number}"))).await.unwrap().unwrap();
        let (version, word) = if number < 40 { (2, "new") } else { (1, "old") };
        assert_eq!(
            (record.version, secret.expose_secret()),
            (version, &*format!("{word} {number}"))
        );
    }
}

/// The new key second everywhere, then first everywhere: each replica reads what each one
/// writes at any moment. One that has not heard of the new key learns which it is.
pub(super) async fn s16_replicas_rotate_in_two_phases(place: Place) {
    let late = place.open().await;
    let replicas = [place.open().await, place.open().await];
    let mut number = 0;
    for keys in [format!("{OLD} {NEW}"), format!("{NEW} {OLD}"), NEW.to_owned()] {
        for changed in &replicas {
            if keys == NEW {
                while changed.rotate(1000).await.unwrap().left > 0 {}
            }
            changed.change_keyring(keyring(&keys)).await.unwrap();
            for writer in &replicas {
                number += 1;
                writer.put(new(&format!("M{number}"), "secret")).await.unwrap();
                writer.rotate(1).await.unwrap();
                for account in 1..=number {
                    let account = name(&format!("M{account}"));
                    for reader in &replicas {
                        assert!(reader.get(&account).await.unwrap().is_some());
                    }
                }
            }
        }
    }
    let unknown = late.get(&name("M1")).await.unwrap_err();
    let new = keyring(NEW).first_id();
    assert!(matches!(unknown, Error::UnknownKey(id) if id == new), "{unknown:?}");
    assert!(unknown.chain().contains(&new.to_string()));
}

pub(super) async fn s16_a_rotation_that_is_killed_is_taken_up_again(place: Place) {
    let store = place.open().await;
    for number in 0..40 {
        store.put(new(&format!("M{number}"), &format!("secret {number}"))).await.unwrap();
    }
    let both = format!("{NEW} {OLD}");
    let mut child = Child::start(&place, "rotates", &both, "", None);
    while child.said().await != "30" {}
    child.kill().await;

    let store = place.open_with(&both).await;
    let ids =
        place.rows("SELECT kek_id, COUNT(*) AS records FROM credentials GROUP BY kek_id").await;
    let records: BTreeMap<String, i64> =
        ids.iter().map(|row| (row.get("kek_id"), row.get("records"))).collect();
    assert_eq!(records.len(), 2, "{records:?}");
    for number in 0..40 {
        let (_, secret) = store.get(&name(&format!("M{number}"))).await.unwrap().unwrap();
        assert_eq!(secret.expose_secret(), format!("secret {number}"));
    }
    assert_eq!(store.rotate(1000).await.unwrap().left, 0);
    let store = place.open_with(NEW).await;
    assert!(store.get(&name("M39")).await.unwrap().is_some());
}

pub(super) async fn s16_what_no_key_opens_does_not_keep_the_others_from_rotating(place: Place) {
    let store = place.open().await;
    for number in 0..5 {
        store.put(new(&format!("M{number}"), "secret")).await.unwrap();
    }
    place.execute("UPDATE credentials SET version = 9 WHERE account IN ('M0', 'M1')").await;
    store.set_keyring(keyring(&format!("{NEW} {OLD}")));
    let rotations = [store.rotate(2).await.unwrap(), store.rotate(2).await.unwrap()];
    assert_eq!(rotations.map(|it| (it.rewrapped, it.left)), [(2, 3), (1, 2)]);
}

//! A key that is shown once outlives a database that does not take it (S14).

use std::time::{Duration, Instant};

use partner_gateway::store::{Error, IntentFilter, Kept, NewIntent, Record, Store};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::place::{Place, name, new};

async fn intent(store: &Store, place: &Place) -> Uuid {
    let intent = NewIntent {
        partner: "acme".to_owned(),
        rpc: "acme.v1.Accounts/Create".to_owned(),
        call_id: Uuid::from_u128(1),
        settles_by: place.now(),
    };
    store.begin_intent(intent).await.unwrap()
}

async fn found(store: &Store, account: &str) -> (Record, String) {
    let (record, secret) = store.get(&name(account)).await.unwrap().unwrap();
    (record, secret.expose_secret().to_owned())
}

async fn intents(store: &Store) -> usize {
    store.intents(&IntentFilter::default(), 10, None).await.unwrap().items.len()
}

/// Keeps a key while the database does not take it, and lets it take it again.
async fn journal_a_key(store: &Store, place: &Place, account: &str, secret: &str) -> Record {
    let id = intent(store, place).await;
    let outage = place.break_down().await;
    let kept = store.fulfil_intent(id, new(account, secret)).await.unwrap();
    outage.end().await;
    let Kept::Journalled(record) = kept else { panic!("{kept:?}") };
    record
}

#[expect(clippy::disallowed_methods, reason = "a database is waited for, in real time")]
pub(super) async fn s14_a_key_goes_to_the_journal_and_from_there_to_the_database(place: Place) {
    let store = place.open_with_journal().await;
    let id = intent(&store, &place).await;
    let outage = place.break_down().await;
    let start = Instant::now();
    let kept = store.fulfil_intent(id, new("M1", "issued")).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    let Kept::Journalled(record) = kept else { panic!("{kept:?}") };
    // It is used at once.
    assert_eq!(found(&store, "M1").await, (record.clone(), "issued".to_owned()));
    assert!(store.get_by_id(record.id).await.unwrap().is_some());
    assert_eq!(store.journalled(), 1);
    assert!(matches!(store.replay_journal().await, Err(Error::Unavailable(_))));
    assert_eq!(store.journalled(), 1);
    outage.end().await;

    assert_eq!(store.replay_journal().await.unwrap(), 1);
    assert_eq!((store.journalled(), intents(&store).await), (0, 0));
    assert_eq!(std::fs::metadata(place.journal()).unwrap().len(), 0);
    let other = place.open().await;
    assert_eq!(found(&other, "M1").await, (record, "issued".to_owned()));
    assert_eq!(store.replay_journal().await.unwrap(), 0);
}

pub(super) async fn s14_a_key_in_the_journal_outlives_the_process(place: Place) {
    let store = place.open_with_journal().await;
    store.put(new("M2", "before")).await.unwrap();
    let one = journal_a_key(&store, &place, "M1", "one").await;
    journal_a_key(&store, &place, "M2", "two").await;
    drop(store);

    let store = place.open_with_journal().await;
    assert_eq!((store.journalled(), intents(&store).await), (0, 0));
    assert_eq!(store.flagged_intents().await.unwrap(), 0);
    assert_eq!(found(&store, "M1").await, (one, "one".to_owned()));
    let (record, secret) = found(&store, "M2").await;
    assert_eq!((record.version, secret.as_str()), (2, "two"));
}

pub(super) async fn s14_a_journalled_key_is_not_kept_twice(place: Place) {
    let store = place.open_with_journal().await;
    store.put(new("M2", "before")).await.unwrap();
    journal_a_key(&store, &place, "M1", "one").await;
    journal_a_key(&store, &place, "M2", "two").await;
    let written = std::fs::read(place.journal()).unwrap();
    for (version, secret) in [(1, "one"), (2, "replaced")] {
        // A crash after the database has them and before the journal is emptied.
        drop(store.clone());
        assert_eq!(
            store.replay_journal().await.unwrap_or_default(),
            if version == 1 { 2 } else { 0 }
        );
        let again = place.folder.path().join(format!("again{version}"));
        std::fs::write(&again, &written).unwrap();
        let settings = place.settings(super::place::OLD);
        let settings = partner_gateway::store::Settings { journal: Some(again), ..settings };
        let other = place.try_open(settings).await.unwrap();
        assert_eq!(other.journalled(), 0);
        let (record, kept) = found(&other, "M1").await;
        assert_eq!((record.version, kept.as_str()), (version, secret));
        assert_eq!(found(&other, "M2").await.0.version, 2);
        if version == 1 {
            other.put(new("M1", "replaced")).await.unwrap();
        }
    }
}

pub(super) async fn s14_a_later_key_is_not_replaced_by_one_from_the_journal(place: Place) {
    let store = place.open_with_journal().await;
    store.put(new("M1", "first")).await.unwrap();
    place.advance(1);
    journal_a_key(&store, &place, "M1", "second").await;
    assert_eq!(found(&store, "M1").await.1, "second");
    place.advance(1);
    place.open().await.put(new("M1", "third")).await.unwrap();
    assert_eq!(found(&store, "M1").await.1, "third");
    assert_eq!(store.replay_journal().await.unwrap(), 1);
    assert_eq!(found(&store, "M1").await.1, "third");
}

pub(super) async fn s14_a_deleted_key_does_not_come_back_from_the_journal(place: Place) {
    let store = place.open_with_journal().await;
    let one = journal_a_key(&store, &place, "M1", "one").await;
    let two = journal_a_key(&store, &place, "M2", "two").await;
    assert_eq!(store.delete_named(&name("M1")).await.unwrap(), Some(one));
    assert!(store.get(&name("M1")).await.unwrap().is_none());
    assert_eq!(store.delete(two.id).await.unwrap(), Some(two));
    assert_eq!(store.journalled(), 0);
    drop(store);
    let store = place.open_with_journal().await;
    assert!(store.get(&name("M1")).await.unwrap().is_none());
    assert!(store.get(&name("M2")).await.unwrap().is_none());
}

pub(super) async fn s14_without_a_journal_the_caller_learns_that_a_key_is_nowhere(place: Place) {
    let store = place.open().await;
    let id = intent(&store, &place).await;
    let outage = place.break_down().await;
    let error = store.fulfil_intent(id, new("M1", "secret")).await.unwrap_err();
    outage.end().await;
    assert!(matches!(error, Error::Unkept { journal: None, .. }), "{error:?}");
    // The intent still says that there may be one.
    assert_eq!(intents(&store).await, 1);
}

/// As in a rolling restart: the one that comes goes on without it, and takes it when the
/// other has ended.
pub(super) async fn s14_a_journal_belongs_to_one_process(place: Place) {
    let before = place.open_with_journal().await;
    let after = place.open_with_journal().await;
    assert_eq!(after.journal_held_elsewhere(), Some(&*place.journal()));
    assert!(matches!(after.take_over_journal().await, Err(Error::Journal(_))));
    let id = intent(&after, &place).await;
    let outage = place.break_down().await;
    let error = after.fulfil_intent(id, new("M1", "one")).await.unwrap_err();
    let kind = std::io::ErrorKind::WouldBlock;
    assert!(matches!(error, Error::Unkept { journal: Some(it), .. } if it == kind), "{error:?}");
    let kept = before.fulfil_intent(id, new("M1", "one")).await.unwrap();
    assert!(matches!(kept, Kept::Journalled(_)), "{kept:?}");
    drop(before);
    assert!(after.take_over_journal().await.unwrap());
    assert_eq!((after.journal_held_elsewhere(), after.journalled()), (None, 1));
    outage.end().await;
    assert_eq!(after.replay_journal().await.unwrap(), 1);
    assert_eq!(found(&after, "M1").await.1, "one");
}

pub(super) async fn s14_a_broken_frame_is_kept_aside_and_the_others_are_used(place: Place) {
    let store = place.open_with_journal().await;
    journal_a_key(&store, &place, "M1", "one").await;
    journal_a_key(&store, &place, "M2", "two").await;
    drop(store);
    let mut written = std::fs::read(place.journal()).unwrap();
    // A bit of the first frame, and the end of a third one.
    written[100] ^= 1;
    let torn = written[..50].to_vec();
    written.extend(torn);
    std::fs::write(place.journal(), &written).unwrap();

    let store = place.open_with_journal().await;
    assert_eq!(found(&store, "M2").await.1, "two");
    assert!(store.get(&name("M1")).await.unwrap().is_none());
    let beside = std::fs::read(place.folder.path().join("journal.broken")).unwrap();
    assert!(written.windows(beside.len() - 1).any(|part| part == &beside[..beside.len() - 1]));
    assert_eq!(beside.iter().filter(|byte| **byte == b'\n').count(), 1);
    // The intent of the broken one is still there.
    assert_eq!(intents(&store).await, 1);
}

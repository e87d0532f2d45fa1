//! What only PostgreSQL can show: a server that stops, or answers no more.

use std::time::{Duration, Instant};

use partner_gateway::store::{Error, Kept, NewIntent, Settings, Store};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::place::{OLD, Place, TIMEOUT, name, new};
use crate::support::postgres::Postgres;

/// That everything fails in time.
#[expect(clippy::disallowed_methods, reason = "a database is waited for, in real time")]
async fn assert_away(store: &Store, place: &Place) {
    let start = Instant::now();
    let intent = NewIntent {
        partner: "acme".to_owned(),
        rpc: "acme.v1.Accounts/Create".to_owned(),
        call_id: Uuid::from_u128(1),
        settles_by: place.now(),
    };
    let (proof, put, get, begun) = tokio::join!(
        store.prove_writable(),
        store.put(new("M1", "during")),
        async { store.get(&name("M1")).await.map(drop) },
        store.begin_intent(intent),
    );
    let errors = [proof.unwrap_err(), put.unwrap_err(), get.unwrap_err(), begun.unwrap_err()];
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    for error in errors {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
}

/// That it works again within moments, without being opened anew.
#[expect(clippy::disallowed_methods, reason = "a database is waited for, in real time")]
async fn assert_back(store: &Store) {
    let start = Instant::now();
    while let Err(error) = store.put(new("M1", "after")).await {
        assert!(start.elapsed() < Duration::from_secs(5), "{error:?}");
    }
    assert_eq!(store.get(&name("M1")).await.unwrap().unwrap().1.expose_secret(), "after");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a database is waited for, in real time")]
async fn an_outage_is_an_error_in_time_and_ends_by_itself() {
    let Some(cluster) = Postgres::start() else { return };
    let place = Place::on(&cluster).await;
    let store = place.open_with_journal().await;
    let intent = NewIntent {
        partner: "acme".to_owned(),
        rpc: "acme.v1.Accounts/Create".to_owned(),
        call_id: Uuid::from_u128(1),
        settles_by: place.now(),
    };
    let id = store.begin_intent(intent).await.unwrap();

    cluster.stop();
    assert_away(&store, &place).await;
    let kept = store.fulfil_intent(id, new("M2", "issued")).await.unwrap();
    assert!(matches!(kept, Kept::Journalled(_)), "{kept:?}");
    assert_eq!(store.get(&name("M2")).await.unwrap().unwrap().1.expose_secret(), "issued");
    let again = place.try_open(place.settings(OLD)).await.unwrap_err();
    assert!(matches!(again, Error::Unavailable(_)), "{again:?}");
    cluster.start_again();
    assert_back(&store).await;
    assert_eq!(store.replay_journal().await.unwrap(), 1);

    // An operation that is under way.
    let mut other = place.connect().await;
    sqlx::query("BEGIN").execute(&mut other).await.unwrap();
    sqlx::query("LOCK TABLE credentials").execute(&mut other).await.unwrap();
    let start = Instant::now();
    let frozen = async {
        tokio::time::sleep(TIMEOUT / 4).await;
        cluster.freeze();
    };
    let (caught, ()) = tokio::join!(store.put(new("M1", "during")), frozen);
    assert!(matches!(caught, Err(Error::Unavailable(_))), "{caught:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());

    // Connections that stay open and never answer.
    assert_away(&store, &place).await;
    assert_away(&store, &place).await;
    cluster.thaw();
    drop(other);
    assert_back(&store).await;
    let (_, secret) = place.open().await.get(&name("M2")).await.unwrap().unwrap();
    assert_eq!(secret.expose_secret(), "issued");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_gives_up_what_nobody_waits_for() {
    let Some(place) = Place::postgres().await else { return };
    let store = place.open().await;
    let mut other = place.connect().await;
    sqlx::query("BEGIN").execute(&mut other).await.unwrap();
    sqlx::query("LOCK TABLE credentials").execute(&mut other).await.unwrap();
    assert!(matches!(store.put(new("M1", "x")).await, Err(Error::Unavailable(_))));
    tokio::time::sleep(TIMEOUT).await;
    let waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
    assert!(place.rows(waiting).await.is_empty());
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    store.put(new("M1", "x")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_repeats_neither_the_url_nor_a_value() {
    let place = Place::sqlite();
    for url in [
        "postgres://user:canary@127.0.0.1:1/store",
        "postgres://user:canary@/store?host=/nowhere",
        "postgres://user:canary@127.0.0.1:port/store",
        "postgres://user:canary@127.0.0.1/store?sslmode=canary",
        "mysql://user:canary@127.0.0.1/store",
        "canary",
        "",
    ] {
        let settings = Settings { url: url.into(), ..place.settings(OLD) };
        assert!(!format!("{settings:?}").contains("canary"));
        let error = place.try_open(settings).await.unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(!format!("{error} {error:?} {source:?}").contains("canary"), "{error:?}");
    }
}

/// However many were used while the database was slow or away.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_uses_are_noted_though_each_takes_its_time() {
    let Some(cluster) = Postgres::shared() else { return };
    let place = Place::on(cluster).await;
    let store = place.open().await;
    place
        .execute(
            "INSERT INTO credentials (id, partner, kind, account, version, secret, kek_id, origin, \
             created, updated) SELECT gen_random_uuid()::text, 'acme', 'key_pair', 'M' || n, 1, \
             '\\x00', 'none', 'issued', 0, 0 FROM generate_series(1, 1000) n; \
             CREATE FUNCTION slow() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(0.002); \
             RETURN NEW; END $$ LANGUAGE plpgsql; \
             CREATE TRIGGER slow BEFORE UPDATE ON credentials FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await;
    let used: Vec<_> = (1..=1000).map(|it| (name(&format!("M{it}")), place.now())).collect();
    store.touch(&used).await.unwrap();
    let left = place.rows("SELECT id FROM credentials WHERE last_used IS NULL").await;
    assert!(left.is_empty());
}

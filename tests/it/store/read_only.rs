//! A PostgreSQL that reads and does not write any more, as one that was demoted or whose disk
//! is full: it answers, and keeps nothing.

use std::time::Duration;

use partner_gateway::store::{Error, Settings, Store};
use sqlx::Row as _;
use tokio::time::{Instant, sleep};

use super::place::{OLD, Place, new};
use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::kept::settings;
use crate::support::page;
use crate::support::postgres::Postgres;

/// For anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets sessions read only, those that there are included, unless their database says
/// otherwise at their start.
async fn demote(place: &Place) {
    place.execute("ALTER SYSTEM SET default_transaction_read_only = on").await;
    place.execute("SELECT pg_reload_conf()").await;
}

async fn promote(place: &Place) {
    place.execute("ALTER SYSTEM RESET default_transaction_read_only").await;
    place.execute("SELECT pg_reload_conf()").await;
}

/// What is refused is told as such, and not as late, however busy the machine is.
fn patient(place: &Place) -> Settings {
    Settings { timeout: PATIENCE / 2, ..place.settings(OLD) }
}

fn told(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

/// Writes until the server has heard that it is not to be written.
async fn until_refused(store: &Store) -> Error {
    let begun = Instant::now();
    loop {
        match store.put(new("M1", "before")).await {
            Ok(_) => assert!(begun.elapsed() < PATIENCE, "it writes still"),
            Err(error) => return error,
        }
        sleep(Duration::from_millis(20)).await;
    }
}

const REFUSED: &str = "the database is read-only (code 25006)";

/// G29: connections of before lead to the old primary, new ones to the new one.
#[tokio::test(flavor = "multi_thread")]
async fn g29_connections_to_a_server_that_was_demoted_are_left() {
    let Some(cluster) = Postgres::start() else { return };
    let place = Place::on(&cluster).await;
    let store = place.try_open(patient(&place)).await.unwrap();
    let name = "SELECT CAST(current_database() AS TEXT) AS name";
    let name: String = place.rows(name).await[0].get("name");
    let writes = format!("ALTER DATABASE {name} SET default_transaction_read_only = off");
    store.put(new("M1", "before")).await.unwrap();
    place.execute(&writes).await;
    demote(&place).await;
    assert_eq!(told(&until_refused(&store).await), REFUSED);
    store.put(new("M1", "after")).await.unwrap();
}

/// G29: nor is it read: another one may hold what is true by now. That is told at once, and
/// over when it is.
#[tokio::test(flavor = "multi_thread")]
async fn g29_a_server_that_only_reads_is_not_used() {
    let Some(cluster) = Postgres::start() else { return };
    let place = Place::on(&cluster).await;
    let store = place.try_open(patient(&place)).await.unwrap();
    store.put(new("M1", "before")).await.unwrap();
    demote(&place).await;
    until_refused(&store).await;
    let errors = [
        store.prove_writable().await.unwrap_err(),
        store.get(&new("M1", "").name).await.unwrap_err(),
        place.try_open(patient(&place)).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(told(&error), REFUSED);
    }
    promote(&place).await;
    let begun = Instant::now();
    while let Err(error) = store.put(new("M1", "after")).await {
        assert!(begun.elapsed() < PATIENCE, "{error:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// G29: `SELECT 1` works on it.
#[tokio::test(flavor = "multi_thread")]
async fn g29_a_store_that_only_reads_is_not_up() {
    let Some(cluster) = Postgres::start() else { return };
    let place = Place::on(&cluster).await;
    let gateway = Gateway::configured(&settings(&Control::start().await, &place.url)).await;
    page::until_has(gateway.operations(), &["partner_gateway_store_up 1"]).await;
    demote(&place).await;
    page::until_has(gateway.operations(), &["partner_gateway_store_up 0"]).await;
    promote(&place).await;
    page::until_has(gateway.operations(), &["partner_gateway_store_up 1"]).await;
}

/// S14: the alert of it calls a person, whatever else takes too long to be counted.
#[tokio::test(flavor = "multi_thread")]
async fn s14_a_flagged_intent_is_told_though_request_ids_cannot_be_counted() {
    let Some(place) = Place::postgres().await else { return };
    let gateway = Gateway::configured(&settings(&Control::start().await, &place.url)).await;
    let flagged = |count| format!(r#"partner_gateway_key_intents{{state="flagged"}} {count}"#);
    page::until_has(gateway.operations(), &[flagged(0)]).await;
    let _lock = place.lock_requests().await;
    place
        .execute(
            "INSERT INTO intents (id, partner, rpc, call_id, created, settles_by, flagged) \
             VALUES ('i', 'acme', 'a.B/C', 'c', 0, 0, 1)",
        )
        .await;
    page::until_has(gateway.operations(), &[flagged(1)]).await;
}

//! Two gateway processes on one PostgreSQL and one Redis are one service, and go on as the
//! runbook says when a replica, Redis or PostgreSQL is lost.

mod service;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::partners::info;
use crate::request_ids::{READ, assert_unknown, is_replayed, make};
use crate::support::client::{Answer, Client};
use crate::support::kept::{CREATE, CREATED_AT, create, credentials, intents, metrics, use_key};
use crate::support::postgres::Postgres;
use crate::support::process::{FREE, run};
use service::{Replica, Service};

const MADE_AT: &str = "/v1/subscriptions";
const CHARGE: &str = "trustap.v1.OnlineTransactionService/GetCharge";
const INVITATIONS: &str = "trustist.v1.InvitationService/ListInvitations";
/// A quota of two that nothing fills up again while a test runs.
const TWO: &str = "requests = 1\nper = \"1h\"\nburst = 2";
/// Requests in a second in the test that measures them.
const RATE: u32 = 40;
/// More calls than the quota has turns for, at any time.
const CALLERS: usize = 8;
/// For anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a sub-merchant, once for this id.
async fn create_once(client: &Client, id: Uuid) -> Result<Answer, Status> {
    let merchant = json!({"name": "Acme", "currency": "USD"});
    client.call(CREATE, json!({"merchant": merchant, "requestId": id.to_string()})).await
}

async fn charge(client: &Client) -> Result<Answer, Status> {
    client.call(CHARGE, json!({"currency": "eur", "price": 10000})).await
}

fn account(made: &Answer) -> String {
    made.reply["id"].as_str().unwrap().to_owned()
}

fn told(result: Result<Answer, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), info(&status).reason)
}

/// Asserts what a caller is told of a call that was not begun for want of the store.
fn assert_unavailable(result: Result<Answer, Status>) {
    let status = result.unwrap_err();
    let info = info(&status);
    assert_eq!((status.code(), info.reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    // Reads have no outcome to tell.
    assert!(info.metadata.get("outcome").is_none_or(|it| it == "NOT_SENT"), "{status:?}");
    assert_eq!(info.metadata["attempts"], "0");
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn g37_two_replicas_are_one_service() {
    let Some(cluster) = Postgres::shared() else { return };
    let Some(service) = Service::start(cluster, TWO).await else { return };
    let [one, two] = service.clients();

    // A call is in flight at both, its answer is that of both, and so is the key in it.
    let id = Uuid::new_v4();
    service.answer_late(CREATED_AT, 1_500).await;
    let other = async {
        service.control.until_arrived("trolley", CREATED_AT).await;
        told(create_once(two, id).await)
    };
    let (made, other) = tokio::join!(create_once(one, id), other);
    let made = made.unwrap();
    assert_eq!(other, (Code::Aborted, "REQUEST_IN_FLIGHT".to_owned()));
    let replayed = create_once(two, id).await.unwrap();
    assert_eq!((is_replayed(&made), is_replayed(&replayed)), (false, true));
    assert_eq!(made.reply, replayed.reply);
    assert!(made.reply["secretKey"].is_string());
    use_key(two, &account(&made)).await.unwrap();
    assert_eq!(credentials(two).await[0]["account"], made.reply["id"]);
    assert_eq!(service.acted(CREATED_AT).await, 1);

    for client in [one, two] {
        client.call(INVITATIONS, json!({})).await.unwrap();
    }
    let arrived = service.control.arrived("trustist").await;
    assert_eq!(arrived.iter().filter(|entry| entry["path"] == "/token").count(), 1);

    // One of them may use all of the quota, and then there is nothing left for the other.
    charge(one).await.unwrap();
    charge(one).await.unwrap();
    assert_eq!(told(charge(two).await), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()));
}

/// R7, R8, S14: what the lost replica had in flight is done once at most, and told.
#[tokio::test(flavor = "multi_thread")]
async fn r7_a_lost_replica_leaves_the_other_working_and_nothing_done_twice() {
    let Some(cluster) = Postgres::shared() else { return };
    let Some(mut service) = Service::start(cluster, TWO).await else { return };
    let id = Uuid::new_v4();
    service.answer_late(MADE_AT, 20_000).await;
    service.answer_late(CREATED_AT, 20_000).await;
    let kill = async {
        until("both writes are done", async || {
            service.acted(MADE_AT).await + service.acted(CREATED_AT).await == 2
        })
        .await;
        service.one.process.signal("KILL").await;
    };
    let client = &service.one.client;
    let (made, created, ()) = tokio::join!(make(client, id, "lost"), create(client, "Lost"), kill);
    for lost in [made.unwrap_err(), created.unwrap_err()] {
        // The client's own word for a broken connection.
        assert!(lost.code() == Code::Unknown && lost.details().is_empty(), "{lost:?}");
    }
    service.one.process.ended().await;

    let client = &service.two.client;
    client.call(READ, json!({})).await.unwrap();
    make(client, Uuid::new_v4(), "another").await.unwrap();
    let in_flight = (Code::Aborted, "REQUEST_IN_FLIGHT".to_owned());
    assert_eq!(told(make(client, id, "lost").await), in_flight);
    // What the caller had left, one attempt, and a minute.
    const LEFT: &str = "SELECT (settles_by - created) / 1000000 FROM requests WHERE ended IS NULL";
    let left = service.number(LEFT).await;
    assert!((108..=110).contains(&left), "{left} s");

    service.overdue().await;
    for _ in 0..2 {
        assert_unknown(&make(client, id, "lost").await.unwrap_err());
    }
    let flagged = async || {
        let intents = intents(client).await;
        intents.len() == 1 && intents[0]["state"] == "STATE_FLAGGED"
    };
    until("the intent is flagged", flagged).await;
    // Nor does the replica that takes its place.
    service.one = Replica::start(&service.config).await;
    assert_unknown(&make(&service.one.client, id, "lost").await.unwrap_err());
    assert_eq!((service.acted(MADE_AT).await, service.acted(CREATED_AT).await), (2, 1));
}

/// R14, O11: quotas are kept to, by each replica for itself.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn r14_without_redis_no_call_fails_and_each_replica_keeps_to_its_part() {
    let Some(cluster) = Postgres::shared() else { return };
    let rate = format!("requests = {RATE}\nper = \"1s\"\nburst = 4");
    let Some(service) = Service::start(cluster, &rate).await else { return };
    let account = account(&create(&service.one.client, "Acme").await.unwrap());
    let calls = (0..CALLERS).map(|_| async {
        loop {
            charge(&service.one.client).await.unwrap();
        }
    });
    let phases = async {
        sleep(Duration::from_secs(1)).await;
        let together = service.rate().await;
        service.prove(&account).await;
        service.redis.stop();
        sleep(Duration::from_secs(1)).await;
        service.prove(&account).await;
        let alone = service.rate().await;
        service.redis.start_again();
        // It is asked every two seconds, and the first time may still meet the lost connection.
        sleep(Duration::from_secs(5)).await;
        let again = service.rate().await;
        service.prove(&account).await;
        [together, alone, again]
    };
    let rates: [f64; 3] = tokio::select! {
        ended = join_all(calls) => panic!("the load ended: {ended:?}"),
        rates = phases => rates,
    };
    println!(
        "requests in a second of one replica, of {RATE}: with Redis, without, again: {rates:.1?}"
    );
    let quota = f64::from(RATE);
    for (rate, expected) in rates.into_iter().zip([quota, quota / 2.0, quota]) {
        assert!((rate - expected).abs() <= 0.1 * expected, "{rates:?}");
    }
}

/// G29, S14: what needs the store fails and is not sent; all else goes on.
#[tokio::test(flavor = "multi_thread")]
async fn g29_without_postgres_replicas_stay_ready_and_send_nothing_that_needs_it() {
    let Some(cluster) = Postgres::start() else { return };
    let Some(mut service) = Service::start(&cluster, TWO).await else { return };
    let [one, two] = [service.one.client.clone(), service.two.client.clone()];
    let (before, during) = (Uuid::new_v4(), Uuid::new_v4());
    let known = account(&create(&one, "Known to both").await.unwrap());
    use_key(&two, &known).await.unwrap();
    let other = account(&create(&one, "Known to one").await.unwrap());
    let answered = make(&one, before, "before").await.unwrap();

    cluster.stop();
    for client in [&one, &two] {
        assert_unavailable(make(client, during, "during").await);
        assert_unavailable(create(client, "Not made").await);
        assert_unavailable(make(client, before, "before").await);
    }
    use_key(&one, &other).await.unwrap();
    assert_unavailable(use_key(&two, &other).await);
    service.goes_on_without_store(&known).await;
    let args = ["serve", "--config", service.config.to_str().unwrap()];
    let third = run(&args, &FREE).await;
    let why = String::from_utf8_lossy(&third.stderr).into_owned();
    assert_eq!(third.status.code(), Some(1));
    assert!(why.contains("store: it cannot be opened"), "{why}");
    // One of each replica without an id, and the one from before.
    assert_eq!((service.acted(MADE_AT).await, service.acted(CREATED_AT).await), (3, 2));

    cluster.start_again();
    for client in [&one, &two] {
        let is_back = async || make(client, during, "during").await.is_ok();
        until("the store is back", is_back).await;
        let replayed = make(client, before, "before").await.unwrap();
        assert_eq!((&replayed.reply, is_replayed(&replayed)), (&answered.reply, true));
        use_key(client, &other).await.unwrap();
        create(client, "Made").await.unwrap();
    }
    assert_eq!((service.acted(MADE_AT).await, service.acted(CREATED_AT).await), (4, 4));
    assert_eq!((credentials(&two).await.len(), intents(&one).await.len()), (4, 0));
    for replica in [&mut service.one, &mut service.two] {
        assert!(replica.process.is_running());
        let metrics = async || metrics(replica.process.operations).await;
        until("the store is up", async || metrics().await.contains("store_up 1")).await;
    }
}

/// R8, G29: the same when it takes what it is told and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn r8_while_postgres_hangs_replicas_stay_ready_and_afterwards_a_request_id_is_done_once() {
    let Some(cluster) = Postgres::start() else { return };
    let Some(mut service) = Service::start(&cluster, TWO).await else { return };
    let [one, two] = [service.one.client.clone(), service.two.client.clone()];
    let id = Uuid::new_v4();
    let known = account(&create(&one, "Known to both").await.unwrap());
    use_key(&two, &known).await.unwrap();

    cluster.freeze();
    for client in [&one, &two] {
        assert_unavailable(make(client, id, "hanging").await);
    }
    service.goes_on_without_store(&known).await;
    cluster.thaw();

    for client in [&one, &two] {
        let is_back = async || make(client, id, "hanging").await.is_ok();
        until("the store is back", is_back).await;
    }
    // One of each replica without an id, and one with it.
    assert_eq!((service.acted(MADE_AT).await, service.acted(CREATED_AT).await), (3, 1));
}

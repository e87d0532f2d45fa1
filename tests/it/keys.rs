//! Keys that a partner shows once: kept before their caller learns of them, used by
//! calls that name the sub-account, on SQLite and on PostgreSQL, whatever fails (S14).

use std::time::Duration;

use partner_gateway::simulator::trolley::{
    SUBMERCHANT_ACCESS_KEY, SUBMERCHANT_ID, SUBMERCHANT_SECRET_KEY,
};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::partners::info;
use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::kept::{
    CREATE, CREATED_AT, KEY, USE, create, credentials, intents, metrics, settings, sqlite, use_key,
};
use crate::support::postgres::Postgres;
use crate::support::process::{FREE, run};

const SANDBOX: &str = "trolley.v1.SubmerchantService/CreateSandboxSubmerchant";
const DELETE_SANDBOX: &str = "trolley.v1.SubmerchantService/DeleteSandboxSubmerchant";

fn id(reply: &Value) -> &str {
    reply["id"].as_str().unwrap()
}

fn outcome(status: &Status) -> (Code, String, String) {
    let info = info(status);
    (status.code(), info.reason, info.metadata["outcome"].clone())
}

async fn arrived(control: &Control) -> usize {
    let all = control.arrived("trolley").await;
    all.iter().filter(|request| request["path"] == CREATED_AT).count()
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_new_key_is_used_at_once_and_after_a_restart() {
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let settings = settings(&control, &sqlite(folder.path()));
    let gateway = Gateway::configured(&settings).await;
    let made = create(&gateway.client, "Acme").await.unwrap().reply;
    assert!(made["accessKey"].is_string() && made["secretKey"].is_string(), "returned, too");
    use_key(&gateway.client, id(&made)).await.unwrap();
    gateway.drain().await;

    let gateway = Gateway::configured(&settings).await;
    use_key(&gateway.client, id(&made)).await.unwrap();
    let kept = credentials(&gateway.client).await;
    assert_eq!((kept.len(), &kept[0]["account"]), (1, &made["id"]));
    assert_eq!(kept[0]["origin"], "ORIGIN_ISSUED");
    assert!(intents(&gateway.client).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_replicas_use_each_others_keys() {
    let Some(postgres) = Postgres::shared() else { return };
    let control = Control::start().await;
    let settings = settings(&control, &postgres.database().await);
    let (one, other) = (Gateway::configured(&settings).await, Gateway::configured(&settings).await);
    let made = create(&one.client, "Acme").await.unwrap().reply;
    use_key(&other.client, id(&made)).await.unwrap();
}

/// It would use the old one for a minute, did the partner not refuse that.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_replica_replaced_is_found_when_the_old_one_is_refused() {
    let Some(postgres) = Postgres::shared() else { return };
    let control = Control::start().await;
    let settings = settings(&control, &postgres.database().await);
    let (one, other) = (Gateway::configured(&settings).await, Gateway::configured(&settings).await);
    let put = async |secret_key: &str| {
        let pair = json!({"accessKey": SUBMERCHANT_ACCESS_KEY, "secretKey": secret_key});
        let request = json!({"partner": "trolley", "account": SUBMERCHANT_ID, "keyPair": pair});
        one.client.call("gateway.v1.CredentialService/PutCredential", request).await.unwrap();
    };
    put("outdated").await;
    let fault = json!({"partner": "trolley", "fault": {"kind": "status", "status": 400}});
    control.fault(fault).await;
    // It has the key now, and does not know what is wrong with it.
    use_key(&other.client, SUBMERCHANT_ID).await.unwrap_err();
    put(SUBMERCHANT_SECRET_KEY).await;
    let answer = use_key(&other.client, SUBMERCHANT_ID).await.unwrap();
    assert_eq!(answer.metadata.get("x-gateway-attempts").unwrap(), "2");
}

/// S16: with both keys, beside a running gateway, and then without the old one.
#[tokio::test(flavor = "multi_thread")]
async fn s16_keys_are_rotated_by_the_command_beside_a_running_gateway() {
    const NEW: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let text = settings(&control, &sqlite(folder.path()));
    let gateway = Gateway::configured(&text).await;
    let made = create(&gateway.client, "Acme").await.unwrap().reply;

    let config = folder.path().join("gateway.toml");
    let rotate = async |keys: &str| {
        let with = text.replace(&format!("\"{KEY}\""), &format!("'''{keys}'''"));
        std::fs::write(&config, &with).unwrap();
        run(&["rotate-keys", "--config", config.to_str().unwrap()], &[]).await
    };
    let without = rotate(NEW).await;
    assert_eq!(without.status.code(), Some(1), "the key in use is missing");
    for expected in ["1 rewrapped, 0 left", "0 rewrapped, 0 left"] {
        let output = rotate(&format!("{NEW}\n{KEY}")).await;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(told.trim(), expected);
    }
    gateway.drain().await;

    std::fs::write(&config, &text).unwrap();
    let old = run(&["serve", "--config", config.to_str().unwrap()], &FREE).await;
    let told = String::from_utf8_lossy(&old.stderr);
    assert!(!old.status.success() && told.contains("not in the keyring"), "{told}");
    let gateway = Gateway::configured(&text.replace(KEY, NEW)).await;
    use_key(&gateway.client, id(&made)).await.unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = sqlite(&folder.path().join("nowhere"));
    let environment = [
        ("PARTNER_GATEWAY__STORE__URL", nowhere.as_str()),
        ("PARTNER_GATEWAY__STORE__ENCRYPTION_KEY", KEY),
    ];
    let output = run(&["serve"], &[&FREE[..], &environment].concat()).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("error: store: it cannot be opened: "), "{told}");
}

#[tokio::test]
async fn without_a_store_there_is_nothing_to_rotate() {
    let output = run(&["rotate-keys"], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing is kept"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_returned_is_kept_and_never_shown() {
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let settings =
        format!("{}\nreturn_secrets = false", settings(&control, &sqlite(folder.path())));
    let gateway = Gateway::configured(&settings).await;
    let request = json!({
        "merchant": {"name": "Acme", "currency": "USD"},
        "requestId": "11111111-2222-4333-8444-555555555555",
    });
    // The second is a replay.
    for replayed in [None, Some("true")] {
        let answer = gateway.client.call(CREATE, request.clone()).await.unwrap();
        let replays = answer.metadata.get("x-gateway-replayed").map(|v| v.to_str().unwrap());
        assert_eq!(replays, replayed);
        assert_eq!(
            (&answer.reply["accessKey"], &answer.reply["secretKey"]),
            (&Value::Null, &Value::Null)
        );
        assert!(answer.reply["additionalFields"].is_object(), "unknown fields stay");
        use_key(&gateway.client, id(&answer.reply)).await.unwrap();
    }
    assert_eq!(credentials(&gateway.client).await.len(), 1);
}

#[tokio::test]
async fn an_unknown_account_is_told_how_to_import_its_key() {
    let gateway = Gateway::simulated("").await;
    let status = use_key(&gateway.client, "M-nobody").await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(info(&status).reason, "PARTNER_CREDENTIAL_MISSING");
    assert!(status.message().contains("CredentialService/PutCredential"), "{}", status.message());
    assert!(status.get_details_help().is_some() && !status.message().contains("nobody"));
    assert!(gateway.control().arrived("trolley").await.is_empty(), "nothing was sent");
    use_key(&gateway.client, SUBMERCHANT_ID).await.unwrap();
}

#[tokio::test]
async fn a_sandbox_takes_its_key_along_and_one_without_leaves_nothing() {
    let gateway = Gateway::simulated("").await;
    let client = &gateway.client;
    let made = client.call(SANDBOX, json!({"apikey": true})).await.unwrap().reply;
    client.call(SANDBOX, json!({})).await.unwrap();
    assert_eq!(credentials(client).await.len(), 1);
    client.call(DELETE_SANDBOX, json!({"id": id(&made)})).await.unwrap();
    assert!(credentials(client).await.is_empty());
    until("no intent is left", async || intents(client).await.is_empty()).await;
    assert_eq!(use_key(client, id(&made)).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn s14_a_call_that_may_have_made_a_key_is_flagged_counted_and_dismissed() {
    let gateway = Gateway::simulated("").await;
    let client = &gateway.client;
    let fault = json!({"partner": "trolley", "path": CREATED_AT, "fault": {"kind": "drop_after"}});
    gateway.control().fault(fault).await;
    let status = create(client, "Acme").await.unwrap_err();
    assert_eq!(outcome(&status).2, "UNKNOWN");

    let flagged = intents(client).await;
    assert_eq!(flagged.len(), 1);
    assert_eq!(
        (&flagged[0]["state"], &flagged[0]["reason"]),
        (&json!("STATE_FLAGGED"), &json!("OUTCOME_UNKNOWN"))
    );
    assert_eq!((&flagged[0]["rpc"], &flagged[0]["partner"]), (&json!(CREATE), &json!("trolley")));
    assert_eq!(flagged[0]["callId"], json!(info(&status).metadata["request_id"]));
    assert!(metrics(gateway.operations()).await.contains(r#"key_intents{state="flagged"} 1"#));
    let partner = json!({"name": "trolley"});
    let partner = client.call("gateway.v1.PartnerService/GetPartner", partner).await.unwrap();
    assert_eq!(partner.reply["flaggedKeyIntents"], "1");

    let dismiss = "gateway.v1.CredentialService/DismissKeyIntent";
    client.call(dismiss, json!({"id": flagged[0]["id"]})).await.unwrap();
    assert!(intents(client).await.is_empty());
    let again = client.call(dismiss, json!({"id": flagged[0]["id"]})).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
}

/// A call that the partner refuses, or that is never sent, leaves nothing to look after.
#[tokio::test]
async fn s14_a_refused_call_leaves_no_intent() {
    let gateway = Gateway::simulated("").await;
    let fault = json!({
        "partner": "trolley", "path": CREATED_AT, "fault": {"kind": "status", "status": 400},
    });
    gateway.control().fault(fault).await;
    create(&gateway.client, "Acme").await.unwrap_err();
    let fault =
        json!({"partner": "trolley", "path": CREATED_AT, "fault": {"kind": "malformed_json"}});
    until("no intent is left", async || intents(&gateway.client).await.is_empty()).await;
    gateway.control().fault(fault).await;
    create(&gateway.client, "Acme").await.unwrap_err();
    assert_eq!(intents(&gateway.client).await[0]["reason"], "KEY_UNREADABLE");
}

/// Nothing is sent that could not be kept, and what is known already goes on.
#[tokio::test(flavor = "multi_thread")]
async fn s14_without_the_store_no_key_is_made_and_known_keys_go_on() {
    let Some(postgres) = Postgres::start() else { return };
    let control = Control::start().await;
    let gateway = Gateway::configured(&settings(&control, &postgres.database().await)).await;
    let client = &gateway.client;
    let made = create(client, "Acme").await.unwrap().reply;
    use_key(client, id(&made)).await.unwrap();

    postgres.stop();
    let status = create(client, "Acme").await.unwrap_err();
    let expected = (Code::Unavailable, "STORE_UNAVAILABLE".to_owned(), "NOT_SENT".to_owned());
    assert_eq!(outcome(&status), expected);
    assert_eq!(arrived(&control).await, 1);
    use_key(client, id(&made)).await.unwrap();
    let status = use_key(client, "M-nobody").await.unwrap_err();
    assert_eq!(
        (status.code(), info(&status).reason.as_str()),
        (Code::Unavailable, "STORE_UNAVAILABLE")
    );
    assert!(metrics(gateway.operations()).await.contains("store_up 0"));

    postgres.start_again();
    until("the store is back", async || create(client, "Acme").await.is_ok()).await;
    assert_eq!(credentials(client).await.len(), 2);
}

/// The store goes away while the partner is making the key.
async fn created_without_store(client: &Client, control: &Control, postgres: &Postgres) -> Value {
    let fault = json!({
        "partner": "trolley", "path": CREATED_AT, "fault": {"kind": "delay", "millis": 1500},
    });
    control.fault(fault).await;
    let before = arrived(control).await;
    let freezing = async {
        until("the call arrives", async || arrived(control).await > before).await;
        postgres.freeze();
    };
    let (made, ()) = tokio::join!(create(client, "Acme"), freezing);
    made.unwrap().reply
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_key_that_the_database_does_not_take_goes_over_the_journal() {
    let Some(postgres) = Postgres::start() else { return };
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let journal = folder.path().join("journal");
    let settings = settings(&control, &postgres.database().await);
    let settings = settings.replace(
        "[partners.trolley]",
        &format!(
            "journal_file = \"{}\"\n[partners.trolley]\nreturn_secrets = false",
            journal.display()
        ),
    );
    let gateway = Gateway::configured(&settings).await;
    let made = created_without_store(&gateway.client, &control, &postgres).await;
    assert!(made["secretKey"].is_null(), "it is durable in the journal");
    assert!(std::fs::metadata(&journal).unwrap().len() > 0);
    use_key(&gateway.client, id(&made)).await.unwrap();

    postgres.thaw();
    let emptied = async || std::fs::metadata(&journal).unwrap().len() == 0;
    until("the journal is in the database", emptied).await;
    assert_eq!(credentials(&gateway.client).await[0]["account"], made["id"]);
    assert!(intents(&gateway.client).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn s14_a_key_that_nothing_takes_is_returned_used_and_tried_again() {
    let Some(postgres) = Postgres::start() else { return };
    let control = Control::start().await;
    let settings = settings(&control, &postgres.database().await);
    let gateway = Gateway::configured(&format!("{settings}\nreturn_secrets = false")).await;
    let made = created_without_store(&gateway.client, &control, &postgres).await;
    assert!(made["secretKey"].is_string(), "else it would be lost with the process");
    use_key(&gateway.client, id(&made)).await.unwrap();

    postgres.thaw();
    let kept = async || credentials(&gateway.client).await.len() == 1;
    until("the key is kept", kept).await;
    until("its intent is gone", async || intents(&gateway.client).await.is_empty()).await;
    use_key(&gateway.client, id(&made)).await.unwrap();
}

/// The partner refuses it once, while it is nowhere but in memory: that is no reason to
/// let go of the only copy.
#[tokio::test(flavor = "multi_thread")]
async fn s14_a_key_that_nothing_takes_outlives_a_refusal() {
    let Some(postgres) = Postgres::start() else { return };
    let control = Control::start().await;
    let settings = settings(&control, &postgres.database().await);
    let gateway = Gateway::configured(&settings).await;
    let made = created_without_store(&gateway.client, &control, &postgres).await;
    let refusal = json!({"partner": "trolley", "fault": {"kind": "status", "status": 401}});
    control.fault(refusal).await;
    let answer = use_key(&gateway.client, id(&made)).await.unwrap();
    assert_eq!(answer.metadata.get("x-gateway-attempts").unwrap(), "2");

    postgres.thaw();
    until("its intent is gone", async || intents(&gateway.client).await.is_empty()).await;
    assert_eq!(credentials(&gateway.client).await[0]["account"], made["id"]);
    let other = Gateway::configured(&settings).await;
    use_key(&other.client, id(&made)).await.unwrap();
}

/// What is known of a key is a minute old, and its callers have no time to wait for a
/// store that does not answer. One thread, so that the minute can be skipped.
#[tokio::test]
async fn while_the_store_is_frozen_callers_with_short_deadlines_use_the_key_they_used() {
    let Some(postgres) = Postgres::start() else { return };
    let control = Control::start().await;
    let gateway = Gateway::configured(&settings(&control, &postgres.database().await)).await;
    let made = create(&gateway.client, "Acme").await.unwrap().reply;
    use_key(&gateway.client, id(&made)).await.unwrap();
    postgres.freeze();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    for _ in 0..5 {
        let mut request = tonic::Request::new(json!({"submerchantId": id(&made)}));
        request.set_timeout(Duration::from_secs(1));
        gateway.client.call_with(USE, request).await.unwrap();
    }
    postgres.thaw();
}

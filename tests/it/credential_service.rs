//! `gateway.v1.CredentialService`, over a real connection: what can be put, found,
//! deleted and read back, and that nothing of a secret is anywhere else (S18, S24).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use partner_gateway::simulator::trolley::{
    SUBMERCHANT_ACCESS_KEY, SUBMERCHANT_ID, SUBMERCHANT_SECRET_KEY,
};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::partners::info;
use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::kept::{create, credentials, metrics, settings, sqlite, use_key};
use crate::support::postgres::Postgres;
use crate::support::process::Process;

const SERVICE: &str = "gateway.v1.CredentialService";

async fn call(client: &Client, rpc: &str, request: Value) -> Result<Value, tonic::Status> {
    client.call(&format!("{SERVICE}/{rpc}"), request).await.map(|answer| answer.reply)
}

fn key_pair(account: &str, access_key: &str, secret_key: &str) -> Value {
    let pair = json!({"accessKey": access_key, "secretKey": secret_key});
    json!({"partner": "trolley", "account": account, "keyPair": pair})
}

/// A gateway that has no key in its configuration but the parent's.
async fn given(more: &str) -> (Gateway, Control, tempfile::TempDir) {
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let settings = settings(&control, &sqlite(folder.path()));
    (Gateway::configured(&format!("{settings}\n{more}")).await, control, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_put_is_used_replaced_and_deleted() {
    let (gateway, _control, _folder) = given("").await;
    let client = &gateway.client;
    let wrong = key_pair(SUBMERCHANT_ID, SUBMERCHANT_ACCESS_KEY, "not-the-secret");
    let put = call(client, "PutCredential", wrong).await.unwrap();
    assert_eq!((&put["partner"], &put["account"]), (&json!("trolley"), &json!(SUBMERCHANT_ID)));
    assert_eq!(
        (&put["kind"], &put["origin"], &put["state"]),
        (&json!("KIND_KEY_PAIR"), &json!("ORIGIN_IMPORTED"), &json!("STATE_ACTIVE"))
    );
    let refused = use_key(client, SUBMERCHANT_ID).await.unwrap_err();
    assert_eq!(info(&refused).reason, "PARTNER_CREDENTIALS_REJECTED");

    let right = key_pair(SUBMERCHANT_ID, SUBMERCHANT_ACCESS_KEY, SUBMERCHANT_SECRET_KEY);
    let again = call(client, "PutCredential", right).await.unwrap();
    assert_eq!(again["id"], put["id"], "the same credential with another secret");
    use_key(client, SUBMERCHANT_ID).await.unwrap();
    let got = call(client, "GetCredential", json!({"id": put["id"]})).await.unwrap();
    assert_eq!(got["createTime"], put["createTime"]);

    call(client, "DeleteCredential", json!({"id": put["id"]})).await.unwrap();
    let gone = use_key(client, SUBMERCHANT_ID).await.unwrap_err();
    assert_eq!(info(&gone).reason, "PARTNER_CREDENTIAL_MISSING", "the cache forgets it, too");
    for rpc in ["GetCredential", "DeleteCredential"] {
        let gone = call(client, rpc, json!({"id": put["id"]})).await.unwrap_err();
        assert_eq!((gone.code(), info(&gone).reason.as_str()), (Code::NotFound, "NOT_FOUND"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_is_told_field_by_field() {
    let (gateway, _control, _folder) = given("").await;
    for (request, fields) in [
        (json!({}), vec!["credential"]),
        (key_pair("", "", ""), vec!["account", "key_pair.access_key", "key_pair.secret_key"]),
        (
            json!({"partner": "nobody", "account": "a", "keyPair": {"accessKey": "a", "secretKey": "s"}}),
            vec!["partner"],
        ),
        (
            json!({"partner": "trolley", "account": "a", "userGrant": {"refreshToken": "t"}}),
            vec!["user_grant"],
        ),
        (
            json!({"partner": "trustist", "account": "a", "keyPair": {"accessKey": "a", "secretKey": "s"}}),
            vec!["key_pair"],
        ),
    ] {
        let status = call(&gateway.client, "PutCredential", request.clone()).await.unwrap_err();
        assert_eq!(
            (status.code(), info(&status).reason.as_str()),
            (Code::InvalidArgument, "INVALID_REQUEST"),
            "{request}"
        );
        let details = status.get_details_bad_request().unwrap();
        let named: Vec<_> = details.field_violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(named, fields, "{request}");
    }
    for rpc in ["GetCredential", "DeleteCredential", "DismissKeyIntent"] {
        let status = call(&gateway.client, rpc, json!({"id": "x"})).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{rpc}");
    }
}

#[tokio::test]
async fn a_partner_that_is_not_configured_takes_no_credential() {
    let gateway = Gateway::configured("").await;
    let status = call(&gateway.client, "PutCredential", key_pair("a", "a", "s")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(info(&status).reason, "PARTNER_NOT_CONFIGURED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_every_credential_once_page_by_page() {
    let (gateway, _control, _folder) = given("").await;
    let client = &gateway.client;
    for number in 0..25 {
        let put = key_pair(&format!("M-{}-{number}", number % 2), "a", "s");
        call(client, "PutCredential", put).await.unwrap();
    }
    let (mut seen, mut pages, mut token) = (BTreeSet::new(), 0, json!(""));
    loop {
        let request = json!({"pageSize": 10, "pageToken": token, "partner": "trolley"});
        let page = call(client, "ListCredentials", request).await.unwrap();
        for credential in page["credentials"].as_array().unwrap() {
            assert!(seen.insert(credential["account"].as_str().unwrap().to_owned()));
        }
        pages += 1;
        token = page.get("nextPageToken").cloned().unwrap_or_default();
        if token.as_str().is_none_or(str::is_empty) {
            break;
        }
        let other = json!({"pageToken": token, "partner": "trustist"});
        let status = call(client, "ListCredentials", other).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "a token of another list");
    }
    assert_eq!((seen.len(), pages), (25, 3));
    for (filter, count) in [
        (json!({"accountPrefix": "M-0"}), 13),
        (json!({"kind": "KIND_USER_GRANT"}), 0),
        (json!({"kind": "KIND_KEY_PAIR", "pageSize": 5000}), 25),
        (json!({"partner": "trustist"}), 0),
    ] {
        let page = call(client, "ListCredentials", filter.clone()).await.unwrap();
        let found = page["credentials"].as_array().map_or(0, Vec::len);
        assert_eq!(found, count, "{filter}");
    }
    for wrong in [json!({"pageSize": -1}), json!({"pageToken": "x"})] {
        let status = call(client, "ListCredentials", wrong).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_a_secret_is_revealed_only_where_the_configuration_allows_it() {
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let settings = settings(&control, &sqlite(folder.path()));
    for reveal in [false, true] {
        let gateway =
            Gateway::configured(&format!("credentials.reveal = {reveal}\n{settings}")).await;
        let client = &gateway.client;
        let put = key_pair("M-1", "AS1", "the-secret");
        let id = call(client, "PutCredential", put).await.unwrap()["id"].clone();
        let revealed = call(client, "RevealCredential", json!({"id": id})).await;
        match reveal {
            true => assert_eq!(
                revealed.unwrap()["keyPair"],
                json!({"accessKey": "AS1", "secretKey": "the-secret"})
            ),
            false => {
                let status = revealed.unwrap_err();
                let told = (status.code(), info(&status).reason);
                assert_eq!(told, (Code::PermissionDenied, "NOT_ALLOWED".to_owned()));
            }
        }
        gateway.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_is_noted_within_half_a_minute() {
    let (gateway, _control, _folder) = given("").await;
    let made = create(&gateway.client, "Acme").await.unwrap().reply;
    assert!(credentials(&gateway.client).await[0]["lastUseTime"].is_null());
    use_key(&gateway.client, made["id"].as_str().unwrap()).await.unwrap();
    let noted = async {
        while credentials(&gateway.client).await[0]["lastUseTime"].is_null() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, noted).await.expect("the use is never noted");
}

/// A secret that cannot be opened is told when it is needed, and by nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_credential_can_be_looked_at_and_deleted() {
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let settings = settings(&control, &sqlite(folder.path()));
    let gateway = Gateway::configured(&format!("credentials.reveal = true\n{settings}")).await;
    let client = &gateway.client;
    let mut ids = Vec::new();
    for account in ["M-1", "M-2"] {
        let put = call(client, "PutCredential", key_pair(account, "a", "s")).await.unwrap();
        ids.push(put["id"].clone());
    }
    let mut database = SqliteConnection::connect(&sqlite(folder.path())).await.unwrap();
    const SWAP: &str = "UPDATE credentials SET secret = \
        (SELECT other.secret FROM credentials AS other WHERE other.account = 'M-2') \
        WHERE account = 'M-1'";
    database.execute(SWAP).await.unwrap();
    let damaged = json!({"id": ids[0]});
    let got = call(client, "GetCredential", damaged.clone()).await.unwrap();
    assert_eq!(got["account"], "M-1");
    let status = call(client, "RevealCredential", damaged.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    call(client, "DeleteCredential", damaged).await.unwrap();
}

/// What was sent to the store may be done: it is, in the cache and in the log as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_goes_on_to_its_end_when_its_caller_is_gone() {
    let Some(postgres) = Postgres::start() else { return };
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let config = folder.path().join("gateway.toml");
    std::fs::write(&config, settings(&control, &postgres.database().await)).unwrap();
    let process = Process::serve(&["--config", config.to_str().unwrap()], &[]).await;
    let client = Client::connect(process.grpc).await;
    let put = key_pair(SUBMERCHANT_ID, SUBMERCHANT_ACCESS_KEY, SUBMERCHANT_SECRET_KEY);
    let id = call(&client, "PutCredential", put).await.unwrap()["id"].clone();
    use_key(&client, SUBMERCHANT_ID).await.unwrap();

    postgres.freeze();
    let deletion = call(&client, "DeleteCredential", json!({"id": id}));
    tokio::time::timeout(Duration::from_millis(500), deletion).await.unwrap_err();
    postgres.thaw();
    let audited = async |action: &str, result: &str| {
        let (action, result) =
            (format!(r#""action":"{action}""#), format!(r#""result":"{result}""#));
        let is_it = |line: &Value| {
            let text = line.to_string();
            line["target"] == "audit" && text.contains(&action) && text.contains(&result)
        };
        let told = async {
            while !process.log().iter().any(is_it) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, told).await.unwrap_or_else(|_| panic!("{action} {result}"));
    };
    audited("delete", "done").await;
    assert!(credentials(&client).await.is_empty());
    let gone = use_key(&client, SUBMERCHANT_ID).await.unwrap_err();
    assert_eq!(info(&gone).reason, "PARTNER_CREDENTIAL_MISSING");

    for (rpc, action, result) in [
        ("DeleteCredential", "delete", "absent"),
        ("DismissKeyIntent", "dismiss", "absent"),
        ("RevealCredential", "reveal", "denied"),
    ] {
        call(&client, rpc, json!({"id": id})).await.unwrap_err();
        audited(action, result).await;
    }
    postgres.stop();
    call(&client, "DeleteCredential", json!({"id": id})).await.unwrap_err();
    audited("delete", "failed").await;
}

/// S15, S24: the real program, with canaries for secrets; everything that it writes or
/// answers, but to RevealCredential, is searched for them.
#[tokio::test(flavor = "multi_thread")]
async fn s24_a_kept_secret_is_nowhere_but_in_the_answers() {
    const CANARY: &str = "canary-kept-secret";
    let (control, folder) = (Control::start().await, tempfile::tempdir().unwrap());
    let config = folder.path().join("gateway.toml");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let settings = settings(&control, &sqlite(&data));
    std::fs::write(&config, format!("credentials.reveal = true\n{settings}")).unwrap();
    let args = ["--config", config.to_str().unwrap()];
    let level = [("PARTNER_GATEWAY__TELEMETRY__LOG_LEVEL", "trace")];
    let mut process = Process::serve(&args, &level).await;
    let client = Client::connect(process.grpc).await;

    let put = key_pair("M-1", "CANARYACCESS", CANARY);
    let id = call(&client, "PutCredential", put).await.unwrap()["id"].clone();
    let shown = call(&client, "RevealCredential", json!({"id": id})).await.unwrap();
    assert_eq!(shown["keyPair"]["secretKey"], CANARY);
    let made = create(&client, "Acme").await.unwrap().reply;
    let issued = made["secretKey"].as_str().unwrap().to_owned();
    let mut told = vec![use_key(&client, "M-1").await.unwrap_err().message().to_owned()];
    let wrong = key_pair("M-1", "CANARY ACCESS", CANARY);
    told.push(format!("{:?}", call(&client, "PutCredential", wrong).await.unwrap_err()));
    told.push(format!("{:?}", credentials(&client).await));
    told.push(metrics(process.operations).await);
    call(&client, "DeleteCredential", json!({"id": id})).await.unwrap();
    process.signal("KILL").await;
    process.ended().await;

    let log: Vec<_> = process.log().iter().map(ToString::to_string).collect();
    let audited: Vec<_> = log.iter().filter(|line| line.contains(r#""target":"audit""#)).collect();
    for action in ["put", "reveal", "delete"] {
        assert!(
            audited.iter().any(|line| line.contains(action) && line.contains("M-1")),
            "{action}"
        );
    }
    for canary in [CANARY, "CANARYACCESS", &issued] {
        for text in told.iter().chain(&log) {
            assert!(!text.contains(canary), "{text}");
        }
        assert_eq!(files_with(&data, canary), Vec::<String>::new());
    }
}

/// The names of the files in a folder that hold this text.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let files: Vec<_> = files.collect();
    assert!(!files.is_empty(), "there is nothing to search");
    files.into_iter().filter(holds).map(|path| path.display().to_string()).collect()
}

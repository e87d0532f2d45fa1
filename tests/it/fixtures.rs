//! Each rpc's fixture, played through real sockets: what the caller asks, what the
//! partner must see, what it answers, what the caller must get.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, StatusCode};
use partner_gateway::operation::Catalogue;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tonic::Request;
use tonic::metadata::MetadataKey;
use tonic_types::StatusExt as _;

use crate::support::client::Answer;
use crate::support::gateway::Gateway;
use crate::support::scripted::{Arrived, Partner, Scripted};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    pub(crate) rpc: String,
    /// A request that the simulators answer with a success, if they have the operation.
    pub(crate) simulated: Option<Value>,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    documents: Option<String>,
    request: Value,
    /// What the caller sends besides the request.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    http: Expected,
    answer: Given,
    reply: Option<Value>,
    error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    method: String,
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    body: Option<Value>,
    body_text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    status: u16,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    /// As it stands in the file: a `Value` would round large numbers.
    body: Option<Box<RawValue>>,
    body_text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    code: String,
    reason: String,
    #[serde(default)]
    metadata: serde_json::Map<String, Value>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_is_true_on_both_sides() {
    let partner = Partner::start().await;
    let mut played = 0;
    let mut wrong = Vec::new();
    let catalogue = Catalogue::embedded().unwrap();
    let mut gateway = Gateway::configured(&settings(&partner.url)).await;
    for path in files() {
        let fixture = read(&path);
        for case in &fixture.cases {
            played += 1;
            if let Err(problem) = play(&gateway, &partner, &fixture.rpc, case).await {
                wrong.push(format!("{} {}: {problem}", fixture.rpc, case.name));
            }
        }
        let operation = catalogue.by_path(&format!("/{}", fixture.rpc)).unwrap();
        if operation.account_key.is_some() {
            // Deleting a sub-merchant has made the gateway forget its key.
            gateway = Gateway::configured(&settings(&partner.url)).await;
        }
    }
    assert!(wrong.is_empty(), "{} of {played} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_rpc_has_a_fixture_named_after_it_and_every_fixture_an_rpc() {
    let catalogue = Catalogue::embedded().unwrap();
    let rpcs: BTreeSet<_> = catalogue
        .operations()
        .iter()
        // A twin has no exchange of its own but its list's: trustap_contract/twins.rs.
        .filter(|operation| operation.paging.is_none())
        .map(|o| (format!("{}/{}.json", o.partner, o.name), o.rpc()))
        .collect();
    let fixtures: BTreeSet<_> = files()
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(folder()).unwrap().to_str().unwrap().to_owned();
            (name, read(&path).rpc)
        })
        .collect();
    assert_eq!(fixtures, rpcs);
}

/// Every example of the documents is a case: each section with a request or an answer
/// of its own has one that names it.
#[test]
fn every_section_of_the_documents_is_a_golden_case() {
    let documented: BTreeSet<_> = files()
        .iter()
        .flat_map(|path| read(path).cases)
        .filter_map(|case| case.documents)
        .collect();
    for operation in Catalogue::embedded().unwrap().operations() {
        // Known from the partner's client libraries; its document has no example of it.
        if operation.name == "GetWidgetConfig" {
            continue;
        }
        // Trustap's document spells out three operations; of the others it has the groups.
        if operation.partner == "trustap" && !operation.section.contains(", ") {
            continue;
        }
        let section = format!("{}, {}", operation.document, operation.section);
        assert!(documented.contains(&section), "no case documents {section}: {documented:?}");
    }
}

fn settings(url: &str) -> String {
    format!(
        r#"
        [partners.trustist]
        base_url = "{url}"
        client_id = "simulator-client"
        client_secret = "simulator-client-secret"
        [partners.trolley]
        base_url = "{url}"
        access_key = "FIXTUREPARENTKEY"
        secret_key = "fixture-parent-secret"
        [[partners.trolley.accounts]]
        id = "M-C7AsydAeAqW3husDNHSAND"
        access_key = "FIXTURESUBKEY"
        secret_key = "fixture-sub-secret"
        [partners.trustap]
        base_url = "{url}/api/v1"
        api_key = "fixture-api-key"
        "#
    )
}

async fn play(gateway: &Gateway, partner: &Partner, rpc: &str, case: &Case) -> Result<(), String> {
    let is_token = case.http.path == "/token";
    partner.script(scripted(&case.answer), !is_token);
    let mut request = Request::new(case.request.clone());
    for (name, value) in &case.metadata {
        let name = MetadataKey::from_bytes(name.as_bytes()).unwrap();
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    let result = gateway.client.call_with(rpc, request).await;
    let arrived = partner.arrived();
    let told = result.as_ref().err().map_or("", |status| status.message());
    let request = arrived.first().ok_or_else(|| format!("nothing arrived: {told}"))?;
    check_request(&case.http, request)?;
    match (result, &case.reply, &case.error) {
        (Ok(answer), Some(reply), None) => check_reply(&answer, reply),
        (Err(status), None, Some(failure)) => check_failure(&status, failure),
        (Ok(answer), ..) => Err(format!("answered {}", answer.reply)),
        (Err(status), ..) => Err(format!("failed with {:?}: {}", status.code(), status.message())),
    }
}

fn check_request(expected: &Expected, arrived: &Arrived) -> Result<(), String> {
    let body = String::from_utf8_lossy(&arrived.body).into_owned();
    let same = |what: &str, expected: &str, found: &str| match expected == found {
        true => Ok(()),
        false => Err(format!("{what} is {found:?}, not {expected:?}")),
    };
    same("the method", &expected.method, arrived.method.as_str())?;
    same("the path", &expected.path, arrived.uri.path())?;
    same("the query", &expected.query, arrived.uri.query().unwrap_or_default())?;
    for (name, value) in &expected.headers {
        let found = arrived.headers.get(name).map_or("", |value| value.to_str().unwrap());
        same(name, value.as_str().unwrap(), found)?;
    }
    match (&expected.body, &expected.body_text) {
        (_, Some(text)) => same("the body", text, &body),
        (None, None) => same("the body", "", &body),
        (Some(json), None) => {
            let found: Value = serde_json::from_str(&body).map_err(|e| format!("{e} in {body}"))?;
            match equal(json, &found) {
                true => Ok(()),
                false => Err(format!("the body is {found}, not {json}")),
            }
        }
    }
}

fn check_reply(answer: &Answer, expected: &Value) -> Result<(), String> {
    if !equal(&answer.reply, expected) {
        return Err(format!("the reply is\n  {}, not\n  {expected}", answer.reply));
    }
    for name in ["x-request-id", "x-gateway-attempts"] {
        answer.metadata.get(name).ok_or_else(|| format!("no {name}"))?;
    }
    Ok(())
}

fn check_failure(status: &tonic::Status, expected: &Failure) -> Result<(), String> {
    let info = status.get_details_error_info().ok_or("no ErrorInfo")?;
    let code = format!("{:?}", status.code());
    let expected_code = expected.code.replace('_', "");
    if !code.eq_ignore_ascii_case(&expected_code) || info.reason != expected.reason {
        return Err(format!(
            "failed with {code} {}, not {} {}",
            info.reason, expected.code, expected.reason
        ));
    }
    for (key, value) in &expected.metadata {
        let found = info.metadata.get(key).map_or("", String::as_str);
        if value.as_str() != Some(found) {
            return Err(format!("metadata {key} is {found:?}, not {value}"));
        }
    }
    Ok(())
}

/// Equal as JSON: numbers by value, objects whatever their order.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn scripted(given: &Given) -> Scripted {
    let headers: HeaderMap = given
        .headers
        .iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), value.as_str().unwrap().parse().unwrap())
        })
        .collect();
    let body = match (&given.body, &given.body_text) {
        (_, Some(text)) => text.clone().into_bytes(),
        (Some(json), None) => json.get().as_bytes().to_vec(),
        (None, None) => Vec::new(),
    };
    Scripted { status: StatusCode::from_u16(given.status).unwrap(), headers, body: body.into() }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub(crate) fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for partner in std::fs::read_dir(folder()).unwrap() {
        let partner = partner.unwrap().path();
        if partner.is_dir() {
            files.extend(std::fs::read_dir(partner).unwrap().map(|file| file.unwrap().path()));
        }
    }
    files.sort();
    files
}

pub(crate) fn read(path: &Path) -> Fixture {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

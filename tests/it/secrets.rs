//! The canary test (S24): secrets and personal data are unique words, every rpc is
//! called with them, well and badly, and then everything that leaves the gateway other
//! than the answers themselves is searched for these words.

use std::io::Write;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, StatusCode};
use partner_gateway::operation::{Catalogue, Credential, Operation};
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, Value};
use tonic::Request;
use tonic_types::StatusExt as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::credential_service::files_with;
use crate::support::client::{json, pool};
use crate::support::gateway::Gateway;
use crate::support::kept::{KEY, credentials, intents, metrics, sqlite};
use crate::support::scripted::{Partner, Scripted};

const CANARIES: [&str; 13] = [
    "canary-client-secret",
    "CANARYACCESSKEY",
    "canary-secret-key",
    "CANARYSUBKEY",
    "canary-sub-secret",
    "scripted-token",
    // Shown once, and kept.
    "canary-new-key",
    "canary-new-secret",
    "canary-key-of-trustap",
    // The same as HTTP Basic has it.
    "Y2FuYXJ5LWtleS1vZi10cnVzdGFwOg",
    "canary-grant-secret",
    "canary-user-token",
    "canary-caller-token",
];
/// Every string that a caller sends, and every secret that a partner answers.
const PERSONAL: &str = "canary";

/// Collects what is logged, everything from trace up.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("partner_gateway=trace,info")
            // All that a trace would tell.
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(self.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// One thread, so that this thread's subscriber sees everything that happens.
#[tokio::test(flavor = "current_thread")]
async fn no_secret_and_no_personal_data_leaves_but_in_the_answers() {
    let log = Log::default();
    // With just one subscriber, tracing lets whichever thread meets a span first decide for
    // all whether it is there.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = log.capture();
    let partner = Partner::start().await;
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::configured(&settings(&partner.url, &sqlite(folder.path()))).await;

    let mut told = Vec::new();
    for operation in Catalogue::embedded().unwrap().operations() {
        let rpc = operation.rpc();
        for answer in answers(carried(operation)) {
            partner.script(answer, true);
            let request = with_tokens(json(&filled(pool(), &operation.request().name)));
            let result = match operation.paging {
                None => gateway.client.call_with(&rpc, request).await.map(drop),
                Some(_) => gateway.client.stream(&rpc, request).await.1,
            };
            if let Err(status) = result {
                let info = status.get_details_error_info().unwrap();
                told.push(format!("{rpc}: {} {:?} {info:?}", status.message(), status.metadata()));
            }
        }
    }
    told.push(format!("{:?}", gateway.server));
    let kept = credentials(&gateway.client).await;
    assert!(!kept.is_empty(), "no key was kept");
    told.push(format!("{kept:?} {:?}", intents(&gateway.client).await));
    let page = metrics(gateway.operations()).await;
    assert!(page.contains("http_client_request_duration_seconds") && !page.contains(PERSONAL));
    told.push(page);
    drop(gateway);
    drop(guard);
    for canary in CANARIES {
        assert_eq!(files_with(folder.path(), canary), Vec::<String>::new());
    }

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("trolley.v1.WebhookService"), "the log was not captured");
    assert!(logged.contains("url.template"), "the spans were not captured");
    for (line, place) in
        logged.lines().map(|l| (l, "log")).chain(told.iter().map(|l| (l.as_str(), "error")))
    {
        for canary in CANARIES {
            assert!(!line.contains(canary), "{canary} in the {place}: {line}");
        }
        let is_partners_word = place == "error" || line.contains("partner said");
        assert!(
            is_partners_word || !line.contains(PERSONAL),
            "personal data in the {place}: {line}"
        );
    }
}

/// The request of a caller that proves itself, and brings a user's token.
fn with_tokens(message: serde_json::Value) -> Request<serde_json::Value> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("x-partner-token", "canary-user-token".parse().unwrap());
    metadata.insert("authorization", "Bearer canary-caller-token".parse().unwrap());
    request
}

fn settings(url: &str, store: &str) -> String {
    format!(
        r#"
        [store]
        url = "{store}"
        encryption_key = "{KEY}"
        [partners.trustist]
        base_url = "{url}"
        client_id = "client"
        client_secret = "canary-client-secret"
        [partners.trolley]
        base_url = "{url}"
        access_key = "CANARYACCESSKEY"
        secret_key = "canary-secret-key"
        [[partners.trolley.accounts]]
        id = "sub-merchant"
        access_key = "CANARYSUBKEY"
        secret_key = "canary-sub-secret"
        [partners.trustap]
        base_url = "{url}"
        api_key = "canary-key-of-trustap"
        token_url = "{url}/token"
        client_id = "client"
        client_secret = "canary-grant-secret"
        "#
    )
}

/// The secrets that a partner has seen of a call, or could know from it.
fn carried(operation: &Operation) -> &'static str {
    // Where a user's own token is taken, it is what the call was made with.
    if operation.credentials.contains(&Credential::UserToken) {
        return "canary-user-token";
    }
    match operation.credentials[0] {
        Credential::ClientSecret => "canary-client-secret",
        Credential::ClientToken => "scripted-token",
        Credential::Signature => "CANARYACCESSKEY canary-secret-key",
        Credential::AccountSignature => "CANARYSUBKEY canary-sub-secret",
        Credential::ApiKey => "canary-key-of-trustap Y2FuYXJ5LWtleS1vZi10cnVzdGFwOg",
        Credential::UserToken => "",
    }
}

/// A success that is full of secrets, and failures that throw back what was sent.
fn answers(echo: &str) -> Vec<Scripted> {
    let bodies = [
        (200, r#"{"ok":true,"merchant":{"id":"canary-id","accessKey":"canary-new-key","secretKey":"canary-new-secret"},"items":[{"apiKey":"canary-api-key"}],"access_token":"canary-token","id":"canary-id"}"#.to_owned()),
        (200, format!("<html>{echo}</html>")),
        (400, format!(r#"{{"ok":false,"errors":[{{"code":"invalid_field","message":"{echo}","field":"{echo}"}}],"error":"{echo}"}}"#)),
        (401, format!(r#"{{"ok":false,"errors":[{{"code":"invalid_api_key","message":"{echo}"}}],"error_description":"{echo}"}}"#)),
        (500, echo.to_owned()),
    ];
    let scripted = |(status, body): (u16, String)| Scripted {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into(),
    };
    bodies.map(scripted).into()
}

/// A message with every string filled with a canary, where the contract's rules allow.
fn filled(pool: &DescriptorPool, name: &str) -> DynamicMessage {
    let descriptor = pool.get_message_by_name(name).unwrap();
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if let Some(value) = value(pool, &field) {
            message.set_field(&field, value);
        }
    }
    message
}

fn value(pool: &DescriptorPool, field: &FieldDescriptor) -> Option<Value> {
    let one = match field.kind() {
        Kind::String => Value::String(text(field.name()).to_owned()),
        Kind::Message(message) if message.full_name() == "google.protobuf.Struct" => {
            let fields = message.get_field_by_name("fields")?;
            let Kind::Message(value) = fields.kind().as_message()?.map_entry_value_field().kind()
            else {
                return None;
            };
            let mut word = DynamicMessage::new(value);
            word.set_field_by_name("string_value", Value::String("canary-additional".to_owned()));
            let entry = (MapKey::String("canaryMember".to_owned()), Value::Message(word));
            let mut content = DynamicMessage::new(message);
            content.set_field(&fields, Value::Map([entry].into()));
            return Some(Value::Message(content));
        }
        Kind::Message(message) => Value::Message(filled(pool, message.full_name())),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Bool => Value::Bool(true),
        Kind::Int64 => Value::I64(7),
        Kind::Double => Value::F64(7.5),
        _ => return None,
    };
    Some(if field.is_list() { Value::List(vec![one]) } else { one })
}

/// What the contract's rules ask of some fields; a canary everywhere else.
fn text(field: &str) -> &'static str {
    match field {
        "currency" => "USD",
        "country" | "bank_country" | "business_country" => "US",
        "branch_id" | "bank_id" | "institution" | "transit" | "account_num" => "000111222333",
        "request_id" => "11111111-2222-4333-8444-555555555555",
        // An account's id is no secret: it is in the log.
        "submerchant_id" => "sub-merchant",
        "primary" | "success" | "error" | "warning" | "border" | "heading" | "text"
        | "input_text" | "input_border" | "sub_text" | "background" => "#112233",
        _ => "canary-text",
    }
}

//! Every field of every operation, through a gateway to a partner that is told what to
//! answer: each value must arrive where the facts say, as the JSON that they say.

use http::StatusCode;
use partner_gateway::operation::Operation;
use prost_reflect::{DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::{Map, Value, json};
use tonic::Request;

use super::facts::{Content, Members, Row, Type, facts};
use super::manifest::rpcs;
use super::sample::{self, Way, field, filled, names, own_left_out};
use crate::support::client::method;
use crate::support::gateway::Gateway;
use crate::support::scripted::{Arrived, Partner, Scripted};

const KEY: &str = "width-api-key";
/// `width-api-key:` in base64.
const BASIC: &str = "Basic d2lkdGgtYXBpLWtleTo=";
const TOKEN: &str = "width-user-token";
const USER: &str = "1-feb33a87-3917-4538-9260-127c8a6b5232";

/// What goes out, and how the partner must see it.
struct Asked {
    /// The request in ProtoJSON.
    caller: Map<String, Value>,
    parameters: Map<String, Value>,
    query: Map<String, Value>,
    body: Option<Value>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_every_operation_arrives_where_the_facts_say() {
    let partner = Partner::start().await;
    let gateway = Gateway::configured(&format!(
        "[partners.trustap]\nbase_url = \"{}/api/v1\"\napi_key = \"{KEY}\"\n",
        partner.url
    ))
    .await;
    let mut wrong = Vec::new();
    for (row, operation) in rpcs() {
        if let Err(problem) = exchange(&gateway, &partner, row, operation).await {
            wrong.push(format!("{} ({}): {problem}", operation.name, row.id));
        }
    }
    assert!(wrong.is_empty(), "{} operations:\n{}", wrong.len(), wrong.join("\n"));
}

async fn exchange(
    gateway: &Gateway,
    partner: &Partner,
    row: &'static Row,
    operation: &Operation,
) -> Result<(), String> {
    let method = method(&operation.rpc());
    let asked = request(row, &method);
    let (answer, reply) = answer(row, &method);
    partner.script(
        Scripted {
            status: StatusCode::from_u16(row.ok).unwrap(),
            body: answer.map_or_else(Vec::new, |json| json.to_string().into_bytes()).into(),
            ..Scripted::default()
        },
        false,
    );
    let mut call = Request::new(Value::from(asked.caller.clone()));
    if row.credentials == ["token"] {
        call.metadata_mut().insert("x-partner-token", TOKEN.parse().unwrap());
    }

    let told = gateway.client.call_with(&operation.rpc(), call).await;

    let told = told.map_err(|status| format!("failed with {status}"))?;
    let arrived = partner.arrived();
    let [arrived] = arrived.as_slice() else {
        return Err(format!("{} requests arrived", arrived.len()));
    };
    check_head(row, &asked, arrived)?;
    check_target(row, &asked, arrived)?;
    let body: Option<Value> = match arrived.body.is_empty() {
        true => None,
        false => Some(serde_json::from_slice(&arrived.body).unwrap()),
    };
    same("the body", &json!(asked.body), &json!(body))?;
    same("the reply", &reply, &with_field_names(told.reply, &method))
}

/// A request with every field of the row filled. Where it has a body, it carries a member
/// that the contract does not know.
fn request(row: &'static Row, method: &MethodDescriptor) -> Asked {
    let input = method.input();
    let (parameters, mut caller) = filled(&row.parameters, &input, Way::Request);
    let (query, of_query) = filled(&row.query, &input, Way::Request);
    caller.extend(of_query);
    let body = row.body.as_ref().map(|content| match facts().content(content) {
        Type::Free => {
            check_fields(row, None, method);
            let sample =
                sample::value(&Type::Free, &field(&input, "metadata"), "free", Way::Request);
            caller.insert("metadata".to_owned(), sample.caller);
            sample.partner
        }
        Type::Object(members) => {
            check_fields(row, Some(members), method);
            let (mut partner, of_body) = filled(members, &input, Way::Request);
            caller.extend(of_body);
            caller.insert("additional_fields".to_owned(), json!({"campaign": ["a", null]}));
            partner.insert("campaign".to_owned(), json!(["a", null]));
            partner.into()
        }
        other => panic!("{}: the body is {other:?}", row.id),
    });
    if row.body.is_none() {
        check_fields(row, Some(&Members::new()), method);
    }
    if input.get_field_by_name("trustap_user_id").is_some() {
        caller.insert("trustap_user_id".to_owned(), json!(USER));
    }
    Asked { caller, parameters, query, body }
}

/// The request has the fields of the row and no others.
fn check_fields(row: &Row, body: Option<&Members>, method: &MethodDescriptor) {
    let metadata = Members::from([("metadata".to_owned(), "object".to_owned())]);
    let known = names([&row.parameters, &row.query, body.unwrap_or(&metadata)]);
    assert_eq!(own_left_out(&method.input()), known, "{}", row.id);
}

/// An answer with every field of the row filled, and the reply that it is.
fn answer(row: &'static Row, method: &MethodDescriptor) -> (Option<Value>, Value) {
    let output = method.output();
    let Some(content) = &row.answer else { return (None, json!({})) };
    let whole = || {
        let mut fields = output.fields().filter(|field| field.name() != "additional_fields");
        fields.next().unwrap()
    };
    match (facts().content(content), content) {
        (Type::Object(members), _) => {
            let sample = sample::object(members, &output, Way::Reply);
            (Some(sample.partner), sample.caller)
        }
        (kind @ (Type::List(_) | Type::Free), Content::Word(_)) => {
            let sample = sample::value(&kind, &whole(), "whole", Way::Reply);
            (Some(sample.partner), json!({whole().name(): sample.caller}))
        }
        (other, _) => panic!("{}: the answer is {other:?}", row.id),
    }
}

fn check_head(row: &Row, asked: &Asked, arrived: &Arrived) -> Result<(), String> {
    let header = |name: &str| arrived.headers.get(name).map(|value| value.to_str().unwrap());
    let credential = match row.credentials[0].as_str() {
        "key" => BASIC.to_owned(),
        _ => format!("Bearer {TOKEN}"),
    };
    let user = asked.caller.get("trustap_user_id").and_then(Value::as_str);
    let kind = asked.body.is_some().then_some("application/json");
    same("the method", &json!(row.verb), &json!(arrived.method.as_str()))?;
    same("the credential", &json!(credential), &json!(header("authorization")))?;
    same("the user", &json!(user), &json!(header("trustap-user")))?;
    same("the content type", &json!(kind), &json!(header("content-type")))
}

fn check_target(row: &Row, asked: &Asked, arrived: &Arrived) -> Result<(), String> {
    let segments = format!("/api/v1{}", row.path);
    let expected: Vec<_> = segments
        .split('/')
        .map(|segment| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            Some(name) => text(&asked.parameters[name]),
            None => segment.to_owned(),
        })
        .collect();
    let found: Vec<_> = arrived.uri.path().split('/').map(decoded).collect();
    same("the path", &json!(expected), &json!(found))?;
    let pairs = arrived.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let found: Map<String, Value> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (decoded(name), Value::from(decoded(value)))
        })
        .collect();
    let expected: Map<String, Value> =
        asked.query.iter().map(|(name, value)| (name.clone(), Value::from(text(value)))).collect();
    same("the query", &expected.into(), &found.into())
}

/// A value as a path or a query has it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) => elements.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// The reply with its fields' proto names in place of their JSON names.
fn with_field_names(reply: Value, method: &MethodDescriptor) -> Value {
    let message = DynamicMessage::deserialize(method.output(), reply).unwrap();
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

fn same(what: &str, expected: &Value, found: &Value) -> Result<(), String> {
    match expected == found {
        true => Ok(()),
        false => Err(format!("{what} is\n  {found}, not\n  {expected}")),
    }
}

//! The options of an annotated contract, read from descriptors into plain types.
//!
//! Shared with `build.rs`, so that what the build checks and what the running
//! gateway interprets cannot drift apart.

use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumValueDescriptor, FieldDescriptor, FileDescriptor,
    MessageDescriptor, MethodDescriptor, ServiceDescriptor, Value,
};

/// What repeating a call does at the partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Changes nothing: safe to repeat.
    Read,
    /// Changes state, and repeating it leaves the same state.
    Idempotent,
    /// Repeating it may do it twice.
    WriteOnce,
}

/// A way to prove to the partner who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The OAuth2 client's id and secret in a form body (RFC 6749 section 2.3.1).
    ClientSecret,
    /// A cached bearer token of the OAuth2 client (RFC 6749 section 4.4).
    ClientToken,
    /// An HMAC with the partner account's own key pair.
    Signature,
    /// An HMAC with the key pair of the sub-account that the request names.
    AccountSignature,
    /// HTTP Basic with the API key as user name and an empty password.
    ApiKey,
    /// An end user's own bearer token.
    UserToken,
}

/// What a call does to the key of a sub-account, which the partner shows once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountKey {
    /// The reply shows the key of a new sub-account.
    Issued,
    /// The request names a sub-account that is gone afterwards.
    Deleted,
}

/// How the body fields of a request are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One JSON object.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// Where a request field goes when the HTTP rule does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As the HTTP rule says.
    Default,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// Selects the sub-account's credential.
    Account,
    /// The caller's idempotency key.
    RequestId,
    /// A header that also selects the end user's credential.
    User,
}

/// How a value is spelled when its type does not decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As its type is.
    Default,
    /// A string that is a bare JSON number on the wire.
    JsonNumber,
    /// A list that is one query parameter, joined by commas.
    CommaList,
}

/// The list that a server-streaming rpc walks, by the names that the contract gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    /// The list's rpc.
    pub list: String,
    /// The field of its reply that holds the elements.
    pub elements: String,
    /// The element's id.
    pub id: String,
    /// The request's field for smaller ids.
    pub before: String,
    /// The request's field for larger ids.
    pub after: String,
    /// The request's field for the page's number.
    pub page: String,
    /// The reply's field for the number of pages.
    pub pages: String,
}

/// An rpc's HTTP rule (`google.api.http`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// The HTTP method, upper case.
    pub verb: String,
    /// The path template.
    pub path: String,
    /// `""`, `"*"` or the field that is the body.
    pub body: String,
    /// `""` or the reply's field that the HTTP answer's body is.
    pub response_body: String,
    /// Whether `additional_bindings` are given, which the gateway does not serve.
    pub has_additional_bindings: bool,
}

/// Everything an rpc's options say.
#[derive(Clone, Debug)]
pub struct MethodOptions {
    /// The HTTP rule, if any.
    pub http: Option<HttpRule>,
    /// Whether the `operation` option is given at all.
    pub is_operation: bool,
    /// What repeating the call does; `None` when not said.
    pub effect: Option<Effect>,
    /// Accepted credentials; `None` stands for one that is not said.
    pub credentials: Vec<Option<Credential>>,
    /// The partner's document and the section in it.
    pub source: (String, String),
    /// How body fields are written.
    pub encoding: Encoding,
    /// The reply's member that holds the resource, or `""`.
    pub unwrap: String,
    /// The reply's members that are envelope.
    pub envelope: Vec<String>,
    /// Reply fields taken from the request.
    pub echo: Vec<String>,
    /// Whether a success may have no body.
    pub empty_reply: bool,
    /// What the call does to the key of a sub-account, if anything.
    pub account_key: Option<AccountKey>,
    /// The partner's error codes that say that the effect is there already.
    pub already_done: Vec<String>,
    /// The list that the rpc walks, if it is a twin.
    pub paging: Option<Paging>,
    /// The read that tells what became of the call, or `""`.
    pub reconcile: String,
    /// Whether the rpc is marked deprecated.
    pub deprecated: bool,
}

/// Everything a field's options say.
#[derive(Clone, Debug)]
pub struct FieldOptions {
    /// The member's name in the partner's JSON.
    pub wire_name: String,
    /// Where a request field goes.
    pub place: Place,
    /// The header's name, or `""`.
    pub header: String,
    /// How the value is spelled.
    pub format: Format,
    /// Whether the value is a credential; `None` when not said.
    pub secret: Option<bool>,
    /// Whether the value describes a person.
    pub personal: bool,
}

const OPERATION: &str = "gateway.options.v1.operation";
const FIELD: &str = "gateway.options.v1.field";
const PARTNER: &str = "gateway.options.v1.partner";
const NULLABLE: &str = "gateway.options.v1.nullable";
const WIRE_NAME: &str = "gateway.options.v1.wire_name";
const WIRE_NAMES: &str = "gateway.options.v1.wire_names";
const HTTP: &str = "google.api.http";
const VERBS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// The partner whose API `service` calls; `None` for the gateway's own services.
pub fn partner(service: &ServiceDescriptor) -> Option<String> {
    let value = extension(service.parent_pool(), &service.options(), PARTNER)?;
    value.as_str().map(str::to_owned)
}

/// The options of `method`.
pub fn method(method: &MethodDescriptor) -> MethodOptions {
    let pool = method.parent_pool();
    let options = method.options();
    let operation = extension(pool, &options, OPERATION);
    let operation = operation.as_ref().and_then(Value::as_message);
    let source = operation.and_then(|o| message(o, "source"));
    let of_source = |name| source.as_ref().map(|s| text(s, name)).unwrap_or_default();
    MethodOptions {
        http: extension(pool, &options, HTTP).as_ref().and_then(Value::as_message).map(http_rule),
        is_operation: operation.is_some(),
        effect: operation.and_then(|o| effect(number(o, "effect"))),
        credentials: operation.map(credentials).unwrap_or_default(),
        source: (of_source("document"), of_source("section")),
        encoding: match operation.map(|o| number(o, "encoding")) {
            Some(2) => Encoding::Form,
            _ => Encoding::Json,
        },
        unwrap: operation.map(|o| text(o, "unwrap")).unwrap_or_default(),
        envelope: operation.map(|o| texts(o, "envelope")).unwrap_or_default(),
        echo: operation.map(|o| texts(o, "echo")).unwrap_or_default(),
        empty_reply: operation.is_some_and(|o| flag(o, "empty_reply").unwrap_or(false)),
        account_key: operation.and_then(|o| account_key(number(o, "account_key"))),
        already_done: operation.map(|o| texts(o, "already_done")).unwrap_or_default(),
        paging: operation.and_then(|o| message(o, "paging")).as_ref().map(paging),
        reconcile: operation.map(|o| text(o, "reconcile")).unwrap_or_default(),
        deprecated: flag(&options, "deprecated").unwrap_or(false),
    }
}

/// The options of `field`; what is not said has its default.
pub fn field(field: &FieldDescriptor) -> FieldOptions {
    let value = extension(field.parent_pool(), &field.options(), FIELD);
    let options = value.as_ref().and_then(Value::as_message);
    let wire_name = options.map(|o| text(o, "wire_name")).unwrap_or_default();
    FieldOptions {
        wire_name: match wire_name.as_str() {
            "" if names_fields_as_declared(&field.parent_file()) => field.name().to_owned(),
            "" => field.json_name().to_owned(),
            _ => wire_name,
        },
        place: match options.map(|o| number(o, "place")) {
            Some(1) => Place::Query,
            Some(2) => Place::Header,
            Some(3) => Place::Account,
            Some(4) => Place::RequestId,
            Some(5) => Place::User,
            _ => Place::Default,
        },
        header: options.map(|o| text(o, "header")).unwrap_or_default(),
        format: match options.map(|o| number(o, "format")) {
            Some(1) => Format::JsonNumber,
            Some(2) => Format::CommaList,
            _ => Format::Default,
        },
        secret: options.and_then(|o| flag(o, "secret")),
        personal: options.is_some_and(|o| flag(o, "personal").unwrap_or(false)),
    }
}

/// Whether the partner's JSON has the names of the file's fields as they are.
fn names_fields_as_declared(file: &FileDescriptor) -> bool {
    let names = extension(file.parent_pool(), &file.options(), WIRE_NAMES);
    names.and_then(|names| names.as_enum_number()) == Some(2)
}

/// Whether `message` stands for its one field's object or for null.
pub fn nullable(message: &MessageDescriptor) -> bool {
    let value = extension(message.parent_pool(), &message.options(), NULLABLE);
    value.and_then(|value| value.as_bool()).unwrap_or(false)
}

/// The text of an enum value in the partner's JSON; `None` when not said.
pub fn wire_name(value: &EnumValueDescriptor) -> Option<String> {
    let pool = value.parent_pool();
    extension(pool, &value.options(), WIRE_NAME)?.as_str().map(str::to_owned)
}

fn http_rule(rule: &DynamicMessage) -> HttpRule {
    let verb = VERBS.into_iter().find(|verb| rule.has_field_by_name(verb));
    let custom = message(rule, "custom");
    let (verb, path) = match (verb, custom) {
        (Some(verb), _) => (verb.to_uppercase(), text(rule, verb)),
        (None, Some(custom)) => (text(&custom, "kind"), text(&custom, "path")),
        (None, None) => (String::new(), String::new()),
    };
    HttpRule {
        verb,
        path,
        body: text(rule, "body"),
        response_body: text(rule, "response_body"),
        has_additional_bindings: rule.has_field_by_name("additional_bindings"),
    }
}

fn paging(paging: &DynamicMessage) -> Paging {
    Paging {
        list: text(paging, "list"),
        elements: text(paging, "elements"),
        id: text(paging, "id"),
        before: text(paging, "before"),
        after: text(paging, "after"),
        page: text(paging, "page"),
        pages: text(paging, "pages"),
    }
}

fn credentials(operation: &DynamicMessage) -> Vec<Option<Credential>> {
    let Some(value) = operation.get_field_by_name("credentials") else { return Vec::new() };
    let list = value.as_list().unwrap_or_default();
    list.iter().map(|value| value.as_enum_number().and_then(credential)).collect()
}

fn credential(number: i32) -> Option<Credential> {
    match number {
        1 => Some(Credential::ClientSecret),
        2 => Some(Credential::ClientToken),
        3 => Some(Credential::Signature),
        4 => Some(Credential::AccountSignature),
        5 => Some(Credential::ApiKey),
        6 => Some(Credential::UserToken),
        _ => None,
    }
}

fn effect(number: i32) -> Option<Effect> {
    match number {
        1 => Some(Effect::Read),
        2 => Some(Effect::Idempotent),
        3 => Some(Effect::WriteOnce),
        _ => None,
    }
}

fn account_key(number: i32) -> Option<AccountKey> {
    match number {
        1 => Some(AccountKey::Issued),
        2 => Some(AccountKey::Deleted),
        _ => None,
    }
}

fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<Value> {
    let extension = pool.get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}

fn message(of: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    of.has_field_by_name(name).then(|| of.get_field_by_name(name))??.as_message().cloned()
}

fn text(of: &DynamicMessage, name: &str) -> String {
    of.get_field_by_name(name).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn texts(of: &DynamicMessage, name: &str) -> Vec<String> {
    let Some(value) = of.get_field_by_name(name) else { return Vec::new() };
    let list = value.as_list().unwrap_or_default();
    list.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

fn number(of: &DynamicMessage, name: &str) -> i32 {
    of.get_field_by_name(name).and_then(|v| v.as_enum_number()).unwrap_or_default()
}

fn flag(of: &DynamicMessage, name: &str) -> Option<bool> {
    of.has_field_by_name(name).then(|| of.get_field_by_name(name))??.as_bool()
}

impl Effect {
    /// The name used in the manifest, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Read => "READ",
            Effect::Idempotent => "IDEMPOTENT",
            Effect::WriteOnce => "WRITE_ONCE",
        }
    }
}

impl Credential {
    /// The name used in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Credential::ClientSecret => "CLIENT_SECRET",
            Credential::ClientToken => "CLIENT_TOKEN",
            Credential::Signature => "SIGNATURE",
            Credential::AccountSignature => "ACCOUNT_SIGNATURE",
            Credential::ApiKey => "API_KEY",
            Credential::UserToken => "USER_TOKEN",
        }
    }
}

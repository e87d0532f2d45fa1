//! One rpc as data.
//!
//! About two hundred partner operations differ in data, not in logic. Each is an
//! [`Operation`], made at start from the annotated contract that the build embeds;
//! one handler and one transcoder serve them all.

pub mod catalogue;
pub mod check;
pub mod options;
pub mod paging;
pub mod path;
mod reconcile;
pub mod rules;
pub mod schema;

use http::{HeaderName, Method};

pub use catalogue::Catalogue;
pub use options::{AccountKey, Credential, Effect, Encoding, Format};
pub use paging::{Paging, Walk};
pub use path::{PathTemplate, Piece};
pub use schema::{Enum, Field, Kind, Message, MessageId, Schema, Shape};

/// One rpc of a partner's contract: how it is called and what the call does.
#[derive(Debug)]
pub struct Operation {
    /// The service's full name, "acme.v1.OrderService".
    pub service: String,
    /// The method's name, "CreateOrder".
    pub name: String,
    /// The partner's key in the configuration.
    pub partner: String,
    /// The HTTP method.
    pub verb: Method,
    /// The path below the partner's base URL.
    pub path: PathTemplate,
    /// What repeating the call does.
    pub effect: Effect,
    /// The credentials the partner takes, the preferred first.
    pub credentials: Vec<Credential>,
    /// How the body is written.
    pub encoding: Encoding,
    /// The request message.
    pub request: MessageId,
    /// Where each of the request's fields goes, by field index.
    pub bindings: Vec<Binding>,
    /// Whether the request has a body at all.
    pub has_body: bool,
    /// The reply message.
    pub reply: MessageId,
    /// The reply's field that the answer's JSON is: a list, or an object of any shape.
    pub response_body: Option<usize>,
    /// The member that holds the resource.
    pub unwrap: Option<String>,
    /// Members of the reply that are envelope.
    pub envelope: Vec<String>,
    /// Pairs of request and reply fields: the second is filled from the first when
    /// the partner does not repeat it.
    pub echo: Vec<(usize, usize)>,
    /// Members of the body that only a credential may set.
    pub reserved: &'static [&'static str],
    /// Whether a success may say nothing.
    pub empty_reply: bool,
    /// What the call does to the key of a sub-account, if anything.
    pub account_key: Option<AccountKey>,
    /// The partner's error codes that say that the call's effect is there already.
    pub already_done: Vec<String>,
    /// The list that the rpc walks, if it is a server-streaming twin.
    pub paging: Option<Paging>,
    /// What to read when nobody knows whether the call had its effect: of a WRITE_ONCE, if
    /// the partner has such a read.
    pub reconcile: Option<&'static Operation>,
    /// Whether the rpc is deprecated.
    pub deprecated: bool,
    /// The partner's document.
    pub document: String,
    /// The section in it.
    pub section: String,
    /// The tables that its messages are described by.
    pub schema: &'static Schema,
}

/// Where a request field goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A segment of the path.
    Path,
    /// A query parameter of the field's wire name.
    Query,
    /// A header.
    Header(HeaderName),
    /// A member of the body object.
    Body,
    /// The whole body.
    WholeBody,
    /// Selects the sub-account whose credential is used; not sent.
    Account,
    /// The caller's idempotency key; not sent.
    RequestId,
    /// A header that names the end user whose credential is used.
    User(HeaderName),
}

impl Operation {
    /// The name of the rpc as logs, metrics and the manifest have it:
    /// "acme.v1.OrderService/CreateOrder".
    pub fn rpc(&self) -> String {
        format!("{}/{}", self.service, self.name)
    }

    /// The request message's table.
    pub fn request(&self) -> &'static Message {
        self.schema.message(self.request)
    }

    /// The reply message's table.
    pub fn reply(&self) -> &'static Message {
        self.schema.message(self.reply)
    }

    /// Whether the call changes something at the partner.
    pub fn is_write(&self) -> bool {
        self.effect != Effect::Read
    }

    /// Whether the path names a resource, so that a 404 speaks of that resource.
    pub fn names_a_resource(&self) -> bool {
        self.path.variables().next().is_some()
    }

    /// The dotted proto path of a request field that the partner names by its dotted
    /// wire path; what the contract does not know stays as it is.
    pub fn proto_path(&self, wire_path: &str) -> String {
        let path = wire_path.split('.').zip(self.fields_of(wire_path));
        let path = path.map(|(part, field)| field.map_or(part, |field| field.name.as_str()));
        path.collect::<Vec<_>>().join(".")
    }

    /// Whether the request has the field that the partner names by its dotted wire path.
    pub fn has_field(&self, wire_path: &str) -> bool {
        self.fields_of(wire_path).all(|field| field.is_some())
    }

    fn fields_of(&self, wire_path: &str) -> impl Iterator<Item = Option<&'static Field>> {
        let schema = self.schema;
        wire_path.split('.').scan(Some(self.request()), move |table, part| {
            let index = table.and_then(|table| table.index_of_wire_name(part, 0));
            let field = table.zip(index).and_then(|(table, index)| table.fields.get(index));
            *table = match field.map(|field| field.kind) {
                Some(Kind::Message(id)) => Some(schema.message(id)),
                _ => None,
            };
            Some(field)
        })
    }
}

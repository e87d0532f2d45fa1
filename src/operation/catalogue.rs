//! The catalogue: every operation of the embedded contract, by its gRPC path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use http::{HeaderName, Method};
use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};

use super::options::{self, Credential, HttpRule, Place};
use super::path::PathTemplate;
use super::schema::{ADDITIONAL_FIELDS, SchemaBuilder};
use super::{Binding, Message, Operation, Paging, Schema, reconcile};

/// The contract as the build compiled it: an encoded `FileDescriptorSet` with its
/// comments, which reflection serves as it is.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The same without comments, which would be most of what is decoded at the start.
const CONTRACT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/contract.bin"));

/// What a client's secret puts into a form (RFC 6749 sections 2.3.1 and 4.4.2).
const CLIENT_SECRET_MEMBERS: [&str; 3] = ["grant_type", "client_id", "client_secret"];

/// The rpcs that answer with the contract, and are not in it.
const REFLECTION: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

static CATALOGUE: LazyLock<Result<Catalogue, Fault>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(CONTRACT)
        .map_err(|e| Fault { element: "the descriptor set".to_owned(), reason: e.to_string() })?;
    Catalogue::from_pool(&pool)
});

/// Every operation of a contract.
#[derive(Debug)]
pub struct Catalogue {
    operations: Vec<&'static Operation>,
    by_path: BTreeMap<String, &'static Operation>,
    /// The names of all rpcs: partners', the gateway's own, and those of gRPC itself.
    rpcs: BTreeSet<String>,
}

/// An element of the contract that cannot be served. The build refuses such a
/// contract, so a running gateway never meets one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{element}: {reason}")]
pub struct Fault {
    /// The full name of the element.
    pub element: String,
    /// What is wrong with it.
    pub reason: String,
}

/// An operation before the schema that it points into is complete.
struct Draft {
    method: MethodDescriptor,
    partner: String,
    request: super::MessageId,
    reply: super::MessageId,
}

// === impl Catalogue ===

impl Catalogue {
    /// The catalogue of the embedded contract.
    ///
    /// # Errors
    /// When the contract cannot be served, which the build has ruled out.
    pub fn embedded() -> Result<&'static Self, Fault> {
        CATALOGUE.as_ref().map_err(Clone::clone)
    }

    /// The catalogue of the partner services in `pool`. Its tables live as long as
    /// the process.
    ///
    /// # Errors
    /// Names the first element that cannot be served.
    pub fn from_pool(pool: &DescriptorPool) -> Result<Self, Fault> {
        let mut builder = SchemaBuilder::default();
        let mut drafts = Vec::new();
        let mut rpcs: BTreeSet<_> = REFLECTION.map(str::to_owned).into();
        for service in pool.services() {
            let name = service.full_name();
            rpcs.extend(service.methods().map(|method| format!("{name}/{}", method.name())));
            if let Some(partner) = options::partner(&service) {
                draft_service(&service, &partner, &mut builder, &mut drafts)?;
            }
        }
        let schema: &'static Schema = Box::leak(Box::new(builder.finish()));
        let mut operations: Vec<&'static Operation> = Vec::with_capacity(drafts.len());
        // Reads before the writes that are reconciled with them, lists before the twins that
        // walk them.
        drafts.sort_by_key(|draft| {
            let is_read = options::method(&draft.method).effect == Some(options::Effect::Read);
            (draft.method.is_server_streaming(), !is_read)
        });
        for draft in drafts {
            let operation = finish(&draft, schema, &operations)
                .map_err(|reason| fault(draft.method.full_name(), reason))?;
            operations.push(Box::leak(Box::new(operation)));
        }
        operations.sort_by_key(|operation| operation.rpc());
        let by_path = operations.iter().map(|o| (format!("/{}", o.rpc()), *o)).collect();
        Ok(Self { operations, by_path, rpcs })
    }

    /// All operations, by name.
    pub fn operations(&self) -> &[&'static Operation] {
        &self.operations
    }

    /// The name of the rpc at a gRPC path, whoever serves it.
    pub fn rpc_by_path(&self, path: &str) -> Option<&str> {
        self.rpcs.get(path.strip_prefix('/')?).map(String::as_str)
    }

    /// The operation served at a gRPC path ("/package.Service/Method").
    pub fn by_path(&self, path: &str) -> Option<&'static Operation> {
        self.by_path.get(path).copied()
    }

    /// The full names of the partner services, each once.
    pub fn services(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.operations.iter().map(|o| o.service.as_str()).collect();
        names.dedup();
        names
    }

    /// The partners whose operations it has, by name.
    pub fn partners(&self) -> BTreeSet<&'static str> {
        self.operations.iter().map(|o| o.partner.as_str()).collect()
    }
}

fn draft_service(
    service: &ServiceDescriptor,
    partner: &str,
    builder: &mut SchemaBuilder,
    drafts: &mut Vec<Draft>,
) -> Result<(), Fault> {
    for method in service.methods() {
        let of_method = |reason| fault(method.full_name(), reason);
        let request = builder.message(&method.input()).map_err(of_method)?;
        let reply = builder.message(&method.output()).map_err(of_method)?;
        drafts.push(Draft { method, partner: partner.to_owned(), request, reply });
    }
    Ok(())
}

fn finish(
    draft: &Draft,
    schema: &'static Schema,
    before: &[&'static Operation],
) -> Result<Operation, String> {
    let method = &draft.method;
    let options = options::method(method);
    let http = options.http.ok_or("it has no google.api.http binding")?;
    let path = PathTemplate::parse(&http.path)?;
    let request = schema.message(draft.request);
    let reply = schema.message(draft.reply);
    let mut operation = Operation {
        service: method.parent_service().full_name().to_owned(),
        name: method.name().to_owned(),
        partner: draft.partner.clone(),
        verb: Method::from_bytes(http.verb.as_bytes()).map_err(|e| e.to_string())?,
        effect: options.effect.ok_or("it has no effect")?,
        reserved: match options.credentials.contains(&Some(Credential::ClientSecret)) {
            true => &CLIENT_SECRET_MEMBERS,
            false => &[],
        },
        credentials: options.credentials.into_iter().flatten().collect(),
        encoding: options.encoding,
        bindings: bindings(method, request, &path, &http)?,
        has_body: !http.body.is_empty(),
        path,
        request: draft.request,
        reply: draft.reply,
        response_body: match http.response_body.as_str() {
            // A twin's names a field of the list's reply.
            name if name.is_empty() || options.paging.is_some() => None,
            name => Some(index(reply, name)?),
        },
        unwrap: Some(options.unwrap).filter(|member| !member.is_empty()),
        envelope: options.envelope,
        echo: echo(request, reply, &options.echo)?,
        empty_reply: options.empty_reply,
        account_key: options.account_key,
        already_done: options.already_done,
        paging: options.paging.map(|names| paging(&names, method, before)).transpose()?,
        reconcile: None,
        deprecated: options.deprecated,
        document: options.source.0,
        section: options.source.1,
        schema,
    };
    operation.reconcile = reconcile::resolve(&options.reconcile, &operation, before)?;
    Ok(operation)
}

/// The list that `twin` walks: one of the operations `before` it.
fn paging(
    names: &options::Paging,
    twin: &MethodDescriptor,
    before: &[&'static Operation],
) -> Result<Paging, String> {
    let service = twin.parent_service();
    let is_list = |o: &&&Operation| o.service == service.full_name() && o.name == names.list;
    let list = before.iter().find(is_list).filter(|list| list.paging.is_none());
    let list = list.ok_or_else(|| format!("there is no list {:?}", names.list))?;
    Paging::resolve(names, list)
}

fn bindings(
    method: &MethodDescriptor,
    request: &Message,
    path: &PathTemplate,
    http: &HttpRule,
) -> Result<Vec<Binding>, String> {
    let mut bindings = Vec::with_capacity(request.fields.len());
    for descriptor in method.input().fields() {
        if descriptor.name() == ADDITIONAL_FIELDS {
            continue;
        }
        let options = options::field(&descriptor);
        bindings.push(match options.place {
            Place::Query => Binding::Query,
            Place::Account => Binding::Account,
            Place::RequestId => Binding::RequestId,
            Place::Header => Binding::Header(header(&options.header)?),
            Place::User => Binding::User(header(&options.header)?),
            Place::Default if path.variables().any(|name| name == descriptor.name()) => {
                Binding::Path
            }
            Place::Default if http.body == "*" => Binding::Body,
            Place::Default if http.body == descriptor.name() => Binding::WholeBody,
            Place::Default => Binding::Query,
        });
    }
    Ok(bindings)
}

fn header(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_lowercase(name.as_bytes()).map_err(|e| format!("the header {name:?}: {e}"))
}

fn echo(
    request: &Message,
    reply: &Message,
    names: &[String],
) -> Result<Vec<(usize, usize)>, String> {
    names.iter().map(|name| Ok((index(request, name)?, index(reply, name)?))).collect()
}

fn index(message: &Message, name: &str) -> Result<usize, String> {
    let found = message.field_named(name).map(|(index, _)| index);
    found.ok_or_else(|| format!("{} has no field {name:?}", message.name))
}

fn fault(element: &str, reason: String) -> Fault {
    Fault { element: element.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::AccountKey;

    #[test]
    fn every_operation_is_found_by_its_path_and_no_other() {
        let catalogue = Catalogue::embedded().unwrap();
        assert!(!catalogue.operations().is_empty());
        for operation in catalogue.operations() {
            let found = catalogue.by_path(&format!("/{}", operation.rpc())).unwrap();
            assert!(std::ptr::eq(found, *operation));
            assert!(catalogue.services().contains(&operation.service.as_str()));
        }
        for path in ["", "/", "/trolley.v1.WebhookService", "trolley.v1.WebhookService/GetWebhook"]
        {
            assert!(catalogue.by_path(path).is_none(), "{path}");
        }
    }

    #[test]
    fn every_field_of_a_request_has_a_place() {
        for operation in Catalogue::embedded().unwrap().operations() {
            let fields = &operation.request().fields;
            assert_eq!(fields.len(), operation.bindings.len(), "{}", operation.rpc());
            for name in operation.path.variables() {
                let (index, _) = operation.request().field_named(name).unwrap();
                assert_eq!(operation.bindings[index], Binding::Path, "{}", operation.rpc());
            }
            let has_body_fields = operation
                .bindings
                .iter()
                .any(|binding| matches!(binding, Binding::Body | Binding::WholeBody));
            assert!(operation.has_body || !has_body_fields, "{}", operation.rpc());
        }
    }

    /// Every write that may be repeated by mistake can be told apart by its caller.
    #[test]
    fn a_write_once_takes_a_request_id() {
        for operation in Catalogue::embedded().unwrap().operations() {
            if operation.effect == options::Effect::WriteOnce {
                assert!(operation.bindings.contains(&Binding::RequestId), "{}", operation.rpc());
            }
        }
    }

    /// A key that is shown once and not kept is lost.
    #[test]
    fn s14_an_rpc_whose_reply_shows_a_key_says_so() {
        let shows_a_key = |operation: &Operation| {
            let has = |name| operation.reply().field_named(name).is_some();
            has("access_key") && has("secret_key")
        };
        let operations = Catalogue::embedded().unwrap().operations();
        assert!(operations.iter().any(|o| o.account_key == Some(AccountKey::Deleted)));
        for operation in operations {
            let is_issued = operation.account_key == Some(AccountKey::Issued);
            assert_eq!(shows_a_key(operation), is_issued, "{}", operation.rpc());
        }
    }
}

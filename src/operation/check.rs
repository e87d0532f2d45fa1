//! What a partner's contract must say, checked when the gateway is built.
//!
//! A contract that leaves out what the gateway needs would fail on the first call,
//! or worse, send a write twice or print a secret. So the build reads every
//! annotation first and refuses what is missing or wrong.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use super::options::{self, Effect, Encoding, Format, HttpRule, MethodOptions, Place};
use super::path::PathTemplate;
use super::schema::ADDITIONAL_FIELDS;
use super::{rules, schema};

// The paths are said because build.rs includes this file by a path of its own.
#[path = "check/messages.rs"]
mod messages;
#[path = "check/paging.rs"]
mod paging;
#[path = "check/reconcile.rs"]
mod reconcile;

const STRUCT: &str = "google.protobuf.Struct";
const TIMESTAMP: &str = "google.protobuf.Timestamp";
const TELLING_WORDS: [&str; 5] = ["key", "secret", "token", "password", "credential"];

/// Something wrong with an element of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file that holds the element.
    pub file: String,
    /// The element's path in its file descriptor, by which its line is found.
    pub path: Vec<i32>,
    /// The element's full name.
    pub element: String,
    /// What is wrong.
    pub problem: String,
}

/// Checks the contracts of all partner services in `pool`.
pub fn check(pool: &DescriptorPool) -> Vec<Finding> {
    let mut checker = Checker::default();
    for service in pool.services() {
        for method in service.methods() {
            if options::partner(&service).is_some() {
                checker.method(&method);
            } else if options::method(&method).is_operation {
                checker.find_method(&method, "its service has no (gateway.options.v1.partner)");
            }
        }
    }
    checker.findings
}

#[derive(Default)]
struct Checker {
    findings: Vec<Finding>,
    /// The messages that have been checked.
    seen: BTreeSet<String>,
    /// The lists that stand in a query.
    query_lists: BTreeSet<String>,
}

impl Checker {
    fn method(&mut self, method: &MethodDescriptor) {
        let options = options::method(method);
        if !options.is_operation {
            return self.find_method(method, "it has no (gateway.options.v1.operation)");
        }
        for problem in problems_of_options(&options) {
            self.find_method(method, problem);
        }
        if method.is_client_streaming() {
            self.find_method(method, "a client stream has no form in REST");
        }
        self.binding(method, &options);
        self.request(method, &options);
        self.reply(method, &options);
        self.paging(method, &options);
        self.reconcile(method, &options);
    }

    fn binding(&mut self, method: &MethodDescriptor, options: &MethodOptions) {
        let Some(http) = &options.http else {
            return self.find_method(method, "it has no (google.api.http) binding");
        };
        if http.verb.is_empty() || http.has_additional_bindings {
            self.find_method(method, "it needs exactly one HTTP method and path");
        }
        match PathTemplate::parse(&http.path) {
            Err(problem) => self.find_method(method, &problem),
            Ok(path) => self.places(method, &path, http),
        }
        let input = method.input();
        if !matches!(http.body.as_str(), "" | "*") && input.get_field_by_name(&http.body).is_none()
        {
            let problem = format!("the body {:?} is no field of {}", http.body, input.full_name());
            self.find_method(method, &problem);
        }
        if http.body != "*" && input.get_field_by_name(ADDITIONAL_FIELDS).is_some() {
            let problem = "the request's additional_fields need `body: \"*\"` to go to";
            self.find_method(method, problem);
        }
        if http.body != "*" && options.encoding == Encoding::Form {
            self.find_method(method, "a form needs `body: \"*\"`");
        }
        if options.paging.is_none() {
            self.response_body(method, options, &http.response_body);
        }
    }

    fn response_body(&mut self, method: &MethodDescriptor, options: &MethodOptions, name: &str) {
        let output = method.output();
        let field = output.get_field_by_name(name).filter(|f| f.name() != ADDITIONAL_FIELDS);
        match field {
            _ if name.is_empty() => {}
            Some(field) if field.is_list() => {}
            Some(field) if is_struct(&field) => {
                if !options.unwrap.is_empty() || !options.envelope.is_empty() {
                    let problem = "an object that is its response_body has no unwrap or envelope";
                    self.find_method(method, problem);
                }
            }
            _ => {
                let message = output.full_name();
                let problem =
                    format!("the response_body {name:?} is no list or Struct of {message}");
                self.find_method(method, &problem);
            }
        }
    }

    /// Checks that every field can be written where it goes.
    fn places(&mut self, method: &MethodDescriptor, path: &PathTemplate, http: &HttpRule) {
        let input = method.input();
        for name in path.variables().filter(|name| input.get_field_by_name(name).is_none()) {
            let problem =
                format!("the path variable {{{name}}} is no field of {}", input.full_name());
            self.find_method(method, &problem);
        }
        for field in input.fields().filter(|field| field.name() != ADDITIONAL_FIELDS) {
            let options::FieldOptions { place, format, .. } = options::field(&field);
            let is_variable = path.variables().any(|name| name == field.name());
            let is_body = http.body == "*" || http.body == field.name();
            match place {
                Place::Default if is_variable && !is_path_kind(&field) => {
                    self.find_field(&field, "a list or a message cannot be in a path");
                }
                Place::Default if is_variable || is_body => {}
                Place::Default | Place::Query if !has_text(&field) => {
                    self.find_field(&field, "a map or a message cannot be in a query");
                }
                _ => {}
            }
            let is_query =
                place == Place::Query || place == Place::Default && !is_variable && !is_body;
            if is_query && format == Format::CommaList {
                self.query_lists.insert(field.full_name().to_owned());
            }
            if is_variable && place != Place::Default {
                self.find_field(&field, "a path variable has no other place");
            }
        }
    }

    fn request(&mut self, method: &MethodDescriptor, options: &MethodOptions) {
        let input = method.input();
        let is_object = options.http.as_ref().is_some_and(|http| http.body == "*");
        self.message(&input, is_object);
        let places: Vec<_> = input.fields().map(|field| options::field(&field).place).collect();
        if options.effect == Some(Effect::WriteOnce) && !places.contains(&Place::RequestId) {
            self.find_method(
                method,
                "a WRITE_ONCE request needs a field with place: PLACE_REQUEST_ID",
            );
        }
        let selects = |place: &&Place| matches!(place, Place::Account | Place::User);
        if places.iter().filter(selects).count() > 1 {
            self.find_method(method, "a request has one account or one user, not both");
        }
        if messages::has_nullable(&input) {
            self.find_method(method, "a nullable message is only for replies");
        }
        if options.encoding == Encoding::Form {
            for field in input.fields().filter(|field| field.name() != ADDITIONAL_FIELDS) {
                if matches!(field.kind(), Kind::Message(_)) {
                    self.find_field(&field, "a form has only scalar fields");
                }
            }
        }
        for name in &options.echo {
            self.echo(method, name);
        }
    }

    fn echo(&mut self, method: &MethodDescriptor, name: &str) {
        let (input, output) = (method.input(), method.output());
        let fields = (input.get_field_by_name(name), output.get_field_by_name(name));
        let problem = match fields {
            (Some(from), Some(to)) if is_string(&from) && is_string(&to) => return,
            (Some(_), Some(_)) => "is not one string in both request and reply",
            _ => "is no field of both request and reply",
        };
        self.find_method(method, &format!("the echo {name:?} {problem}"));
    }

    fn reply(&mut self, method: &MethodDescriptor, options: &MethodOptions) {
        let output = method.output();
        if options::nullable(&output) {
            self.find_method(method, "a reply as a whole is never null");
        }
        // An object that is one field of the reply leaves nothing to add to it.
        let name = options.http.as_ref().map_or("", |http| &http.response_body);
        let is_whole = output.get_field_by_name(name).is_some_and(|field| is_struct(&field));
        self.message(&output, !is_whole);
    }

    fn find_method(&mut self, method: &MethodDescriptor, problem: &str) {
        self.find(method.parent_file().name(), method.path(), method.full_name(), problem);
    }

    fn find_message(&mut self, message: &MessageDescriptor, problem: &str) {
        let file = message.parent_file();
        self.find(file.name(), message.path(), message.full_name(), problem);
    }

    fn find_field(&mut self, field: &FieldDescriptor, problem: &str) {
        self.find(field.parent_file().name(), field.path(), field.full_name(), problem);
    }

    fn find(&mut self, file: &str, path: &[i32], element: &str, problem: &str) {
        let finding = Finding {
            file: file.to_owned(),
            path: path.to_vec(),
            element: element.to_owned(),
            problem: problem.to_owned(),
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

fn problems_of_options(options: &MethodOptions) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if options.effect.is_none() {
        problems.push("it does not say its effect");
    }
    if options.credentials.is_empty() || options.credentials.contains(&None) {
        problems.push("it does not say its credentials");
    }
    if options.source.0.is_empty() || options.source.1.is_empty() {
        problems.push("it does not say the document and the section it comes from");
    }
    if options.effect == Some(Effect::Read) && options.account_key.is_some() {
        problems.push("a READ neither makes nor deletes the key of a sub-account");
    }
    if options.effect != Some(Effect::Idempotent) && !options.already_done.is_empty() {
        problems.push("`already_done` is for an IDEMPOTENT call");
    }
    problems
}

fn is_path_kind(field: &FieldDescriptor) -> bool {
    !field.is_list() && !matches!(field.kind(), Kind::Message(_) | Kind::Bytes)
}

/// Whether a field's values have a text, by which a query can hold them.
fn has_text(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => !field.is_map() && message.full_name() == TIMESTAMP,
        _ => true,
    }
}

fn is_string(field: &FieldDescriptor) -> bool {
    field.kind() == Kind::String && !field.is_list()
}

fn is_struct(field: &FieldDescriptor) -> bool {
    !field.is_list() && matches!(field.kind(), Kind::Message(m) if m.full_name() == STRUCT)
}

#[cfg(test)]
#[path = "check/tests.rs"]
mod tests;

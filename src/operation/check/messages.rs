//! What a message and its fields must say, wherever they are used.

use std::collections::BTreeSet;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::options::{self, FieldOptions, Format, Place};
use super::rules;
use super::schema::{ADDITIONAL_FIELDS, SchemaBuilder};
use super::{Checker, TELLING_WORDS, has_text, is_string, is_struct};

impl Checker {
    /// Checks a message and all that it holds, once.
    pub(super) fn message(&mut self, message: &MessageDescriptor, is_object: bool) {
        if !self.seen.insert(message.full_name().to_owned()) {
            return;
        }
        if let Err(problem) = SchemaBuilder::default().message(message) {
            self.find_message(message, &problem);
        }
        let is_nullable = options::nullable(message);
        if is_nullable && !is_wrapper(message) {
            let problem = "a nullable message has exactly one field, an optional message";
            self.find_message(message, problem);
        }
        match message.get_field_by_name(ADDITIONAL_FIELDS) {
            Some(field) if is_struct(&field) => {}
            Some(field) => self.find_field(&field, "it must be a google.protobuf.Struct"),
            None if is_object && !is_nullable => {
                let problem =
                    "a partner's JSON object needs `google.protobuf.Struct additional_fields`";
                self.find_message(message, problem);
            }
            None => {}
        }
        for field in message.fields() {
            self.field(&field);
        }
    }

    fn field(&mut self, field: &FieldDescriptor) {
        let options = options::field(field);
        let name = field.name();
        if options.secret.is_none() && name.split('_').any(|word| TELLING_WORDS.contains(&word)) {
            self.find_field(
                field,
                "its name tells of a secret: mark it `secret: true` or `secret: false`",
            );
        }
        self.place(field, &options);
        self.format(field, options.format);
        self.kind(field);
    }

    fn place(&mut self, field: &FieldDescriptor, options: &FieldOptions) {
        if matches!(options.place, Place::Header | Place::User) == options.header.is_empty() {
            let problem = "place: PLACE_HEADER or PLACE_USER and a header name go together";
            self.find_field(field, problem);
        }
        let is_control = !matches!(options.place, Place::Default | Place::Query);
        if is_control && !is_string(field) {
            self.find_field(field, "an account, a user, a request id or a header is one string");
        }
        let is_ruled = rules::rules(field).is_ok_and(|rules| !rules.checks.is_empty());
        if options.place == Place::RequestId && !is_ruled {
            self.find_field(field, "a request id needs (buf.validate.field).string.uuid");
        }
    }

    fn format(&mut self, field: &FieldDescriptor, format: Format) {
        if format == Format::JsonNumber && field.kind() != Kind::String {
            self.find_field(field, "FORMAT_JSON_NUMBER is for string fields");
        }
        let is_query_list =
            || field.is_list() && has_text(field) && self.query_lists.contains(field.full_name());
        if format == Format::CommaList && !is_query_list() {
            self.find_field(field, "FORMAT_COMMA_LIST is for a list in a query");
        }
    }

    fn kind(&mut self, field: &FieldDescriptor) {
        match field.kind() {
            Kind::Enum(values) => {
                for value in values.values().filter(|value| value.number() != 0) {
                    if options::wire_name(&value).is_none() {
                        let problem = "the value needs (gateway.options.v1.wire_name)";
                        self.find(
                            value.parent_enum().parent_file().name(),
                            value.path(),
                            value.full_name(),
                            problem,
                        );
                    }
                }
            }
            Kind::Message(message) if field.is_map() => {
                if let Kind::Message(value) = message.map_entry_value_field().kind() {
                    self.nested(field, &value);
                }
            }
            Kind::Message(message) => self.nested(field, &message),
            _ => {}
        }
    }

    fn nested(&mut self, field: &FieldDescriptor, message: &MessageDescriptor) {
        if options::nullable(message) && !field.is_list() {
            self.find_field(field, "a nullable message is only the element of a list");
        }
        if !is_well_known(message) {
            self.message(message, true);
        }
    }
}

/// Whether a nullable message is, or holds, in `message` or in what it holds.
pub(super) fn has_nullable(message: &MessageDescriptor) -> bool {
    let mut seen = BTreeSet::new();
    let mut rest = vec![message.clone()];
    while let Some(message) = rest.pop() {
        if options::nullable(&message) {
            return true;
        }
        if seen.insert(message.full_name().to_owned()) {
            // A map's entry is a message too, with the map's value in it.
            rest.extend(message.fields().filter_map(|field| match field.kind() {
                Kind::Message(nested) => Some(nested),
                _ => None,
            }));
        }
    }
    false
}

/// Whether a message has the form of a nullable one.
fn is_wrapper(message: &MessageDescriptor) -> bool {
    let mut fields = message.fields();
    let (Some(field), None) = (fields.next(), fields.next()) else { return false };
    let Kind::Message(content) = field.kind() else { return false };
    field.supports_presence() && !is_well_known(&content) && !options::nullable(&content)
}

fn is_well_known(message: &MessageDescriptor) -> bool {
    message.full_name().starts_with("google.protobuf.")
}

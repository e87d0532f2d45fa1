//! What a server-streaming rpc must say: it is the twin of a list and asks as the list
//! does, or a page would be another list's.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use super::Checker;
use super::options::{self, Effect, MethodOptions, Paging};

impl Checker {
    /// Checks a twin against its list.
    pub(super) fn paging(&mut self, twin: &MethodDescriptor, options: &MethodOptions) {
        let Some(paging) = &options.paging else {
            if twin.is_server_streaming() {
                self.find_method(twin, "a server stream needs `paging`: it is the twin of a list");
            }
            return;
        };
        if !twin.is_server_streaming() {
            return self.find_method(twin, "`paging` is for a server-streaming rpc");
        }
        let list = twin.parent_service().methods().find(|method| method.name() == paging.list);
        let Some(list) = list.filter(|list| !list.is_server_streaming()) else {
            let problem = format!("the paging's list {:?} is no unary rpc beside it", paging.list);
            return self.find_method(twin, &problem);
        };
        for problem in differences(options, &options::method(&list)) {
            self.find_method(twin, problem);
        }
        self.same_fields(twin, &list);
        self.elements(twin, &list, paging);
        self.walk(twin, &list, paging);
    }

    fn same_fields(&mut self, twin: &MethodDescriptor, list: &MethodDescriptor) {
        let (of_twin, of_list) = (twin.input(), list.input());
        for (one, other) in [(&of_twin, &of_list), (&of_list, &of_twin)] {
            for field in one.fields() {
                let twin_of = other.get_field(field.number());
                if !twin_of.is_some_and(|twin_of| is_same(&field, &twin_of)) {
                    let problem = format!("{} has no such field", other.full_name());
                    self.find_field(&field, &problem);
                }
            }
        }
    }

    fn elements(&mut self, twin: &MethodDescriptor, list: &MethodDescriptor, paging: &Paging) {
        let field = list.output().get_field_by_name(&paging.elements);
        let is_element = |field: &FieldDescriptor| {
            field.is_list() && field.kind() == Kind::Message(twin.output())
        };
        if !field.is_some_and(|field| is_element(&field)) || options::nullable(&twin.output()) {
            let (elements, reply) = (&paging.elements, list.output());
            let problem = format!(
                "the paging's elements {elements:?} are no list of {} in {}",
                twin.output().full_name(),
                reply.full_name()
            );
            self.find_method(twin, &problem);
        }
    }

    fn walk(&mut self, twin: &MethodDescriptor, list: &MethodDescriptor, paging: &Paging) {
        let Paging { id, before, after, page, pages, .. } = paging;
        let by_id = [(twin.output(), id), (list.input(), before), (list.input(), after)];
        let by_number = [(list.input(), page), (list.output(), pages)];
        let is_said = |(_, name): &(MessageDescriptor, &String)| !name.is_empty();
        let fields = match (by_id.iter().any(is_said), by_number.iter().any(is_said)) {
            (true, false) => by_id.as_slice(),
            (false, true) => by_number.as_slice(),
            _ => {
                let problem =
                    "the paging is by `id`, `before` and `after`, or by `page` and `pages`";
                return self.find_method(twin, problem);
            }
        };
        for (message, name) in fields {
            if !message.get_field_by_name(name).is_some_and(|field| is_int64(&field)) {
                let problem =
                    format!("the paging's {name:?} is no int64 of {}", message.full_name());
                self.find_method(twin, &problem);
            }
            let tells_absence = |field: FieldDescriptor| field.supports_presence();
            let is_cursor = *name != id;
            if is_cursor && !message.get_field_by_name(name).is_some_and(tells_absence) {
                let problem = format!("the paging's {name:?} must be `optional`");
                self.find_method(twin, &problem);
            }
        }
    }
}

/// What a twin says otherwise than its list. What it leaves out is the list's.
fn differences(twin: &MethodOptions, list: &MethodOptions) -> Vec<&'static str> {
    let mut problems = Vec::new();
    let binding = |options: &MethodOptions| {
        let http = options.http.as_ref();
        http.map(|http| (http.verb.clone(), http.path.clone(), http.body.clone()))
    };
    if binding(twin) != binding(list) {
        problems.push("its HTTP binding is not that of its list");
    }
    if twin.effect != list.effect || list.effect != Some(Effect::Read) {
        problems.push("a twin and its list are READs");
    }
    if twin.credentials != list.credentials {
        problems.push("its credentials are not those of its list");
    }
    if twin.encoding != list.encoding {
        problems.push("its encoding is not that of its list");
    }
    problems
}

/// Whether two fields of different messages read and send the same.
fn is_same(a: &FieldDescriptor, b: &FieldDescriptor) -> bool {
    a.name() == b.name()
        && options::field(a).wire_name == options::field(b).wire_name
        && a.cardinality() == b.cardinality()
        && a.supports_presence() == b.supports_presence()
        && a.options() == b.options()
        && is_same_kind(a, b)
}

fn is_same_kind(a: &FieldDescriptor, b: &FieldDescriptor) -> bool {
    match (a.kind(), b.kind()) {
        // Each map has an entry message of its own.
        (Kind::Message(a_entry), Kind::Message(b_entry)) if a.is_map() && b.is_map() => {
            a_entry.map_entry_key_field().kind() == b_entry.map_entry_key_field().kind()
                && a_entry.map_entry_value_field().kind() == b_entry.map_entry_value_field().kind()
        }
        (a, b) => a == b,
    }
}

fn is_int64(field: &FieldDescriptor) -> bool {
    field.kind() == Kind::Int64 && !field.is_list()
}

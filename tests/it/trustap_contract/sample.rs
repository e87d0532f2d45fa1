//! Values for a type of the facts, each spelled as JSON has it on the partner's side and
//! as ProtoJSON has it on the caller's.
//!
//! The descriptors only say how a caller spells an enum's value, and that the message has
//! the fields of the facts and no others.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::facts::{Members, Type, facts, snake};

/// Larger than a double holds exactly.
const BIG: u64 = 9_007_199_254_740_993;
/// What no contract knows.
const UNKNOWN: &str = "sim_trace";
/// The fields that are the gateway's own.
const OWN: [&str; 3] = ["trustap_user_id", "additional_fields", "request_id"];

/// One value, as both sides spell it.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) partner: Value,
    pub(super) caller: Value,
}

/// Which way an object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the partner.
    Request,
    /// From the partner, with an unknown member in each object.
    Reply,
}

/// A value of `kind` for `field`, different for each `seed`, so that no two members can
/// change places unseen.
pub(super) fn value(kind: &Type, field: &FieldDescriptor, seed: &str, way: Way) -> Sample {
    let both = |value: Value| Sample { partner: value.clone(), caller: value };
    let n: u64 = seed.bytes().zip(1..).map(|(byte, place)| u64::from(byte) * place).sum();
    match (kind, field.kind()) {
        // More than ASCII, and what a path or a query must encode.
        (Type::Text, _) => both(json!(format!("{seed} /é&?"))),
        (Type::Values(known), Kind::Enum(values)) => choice(known, &values),
        (Type::Values(known), _) => both(json!(known.last().unwrap())),
        (Type::Bool, _) => both(json!(n.is_multiple_of(2))),
        (Type::Double, _) => both(json!(0.25 + f64::from(u32::try_from(n).unwrap()))),
        (Type::Time, _) => both(json!(format!("{}-07-01T09:30:00Z", 1000 + n % 8000))),
        (Type::Integer, _) => {
            let n = BIG + n;
            Sample { partner: json!(n), caller: json!(n.to_string()) }
        }
        (Type::Free, _) => both(json!({"order": seed, "count": 2.5, "open": true})),
        (Type::Object(members), Kind::Message(message)) => object(members, &message, way),
        (Type::List(element), _) => list(element, field, seed, way),
        (kind, other) => panic!("{}: {kind:?} as {other:?}", field.full_name()),
    }
}

/// The last of the known values; all must be known to the enum.
fn choice(known: &[String], values: &EnumDescriptor) -> Sample {
    let name = |text: &String| {
        let end = format!("_{}", text.to_ascii_uppercase());
        let found = values.values().find(|value| value.name().ends_with(&end));
        found.unwrap_or_else(|| panic!("{} has no {text}", values.full_name())).name().to_owned()
    };
    let names: Vec<_> = known.iter().map(name).collect();
    Sample { partner: json!(known.last().unwrap()), caller: json!(names.last().unwrap()) }
}

fn list(element: &Type, field: &FieldDescriptor, seed: &str, way: Way) -> Sample {
    if let Type::Nullable(inner) = element {
        let Kind::Message(wrapper) = field.kind() else { panic!("{}", field.full_name()) };
        let content = wrapper.fields().next().unwrap();
        let one = value(inner, &content, seed, way);
        return Sample {
            partner: json!([null, one.partner, null]),
            caller: json!([{}, {content.name(): one.caller}, {}]),
        };
    }
    let (one, two) = (value(element, field, seed, way), value(element, field, "second", way));
    Sample { partner: json!([one.partner, two.partner]), caller: json!([one.caller, two.caller]) }
}

/// An object with every member filled.
pub(super) fn object(members: &'static Members, message: &MessageDescriptor, way: Way) -> Sample {
    assert_eq!(own_left_out(message), names([members]), "{}", message.full_name());
    let (mut partner, mut caller) = filled(members, message, way);
    if way == Way::Reply {
        partner.insert(UNKNOWN.to_owned(), json!({"of": message.full_name()}));
        let kept = json!({UNKNOWN: {"of": message.full_name()}});
        caller.insert("additional_fields".to_owned(), kept);
    }
    Sample { partner: partner.into(), caller: caller.into() }
}

/// Both sides' members.
pub(super) fn filled(
    members: &'static Members,
    message: &MessageDescriptor,
    way: Way,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut partner, mut caller) = (Map::new(), Map::new());
    for (name, word) in members {
        let field = field(message, &snake(name));
        let sample = value(&facts().type_of(word), &field, name, way);
        partner.insert(name.clone(), sample.partner);
        caller.insert(snake(name), sample.caller);
    }
    (partner, caller)
}

/// The field of that name.
pub(super) fn field(message: &MessageDescriptor, name: &str) -> FieldDescriptor {
    let field = message.get_field_by_name(name);
    field.unwrap_or_else(|| panic!("{} has no field {name}", message.full_name()))
}

/// The names of a message's fields, the gateway's own left out.
pub(super) fn own_left_out(message: &MessageDescriptor) -> Vec<String> {
    let names = message.fields().map(|field| field.name().to_owned());
    let mut names: Vec<_> = names.filter(|name| !OWN.contains(&name.as_str())).collect();
    names.sort();
    names
}

/// The members' names as the proto spells them.
pub(super) fn names<const N: usize>(of: [&Members; N]) -> Vec<String> {
    let mut names: Vec<_> =
        of.iter().flat_map(|members| members.keys()).map(|n| snake(n)).collect();
    names.sort();
    names
}

//! The partner's own facts: every operation with its parameters, bodies and codes, and every type.
//! Embedded as data (see `facts.json` and its README), so that routing, checks and typed answers
//! follow one source that the gateway's contract had no part in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

const TEXT: &str = include_str!("facts.json");

static FACTS: LazyLock<Facts> = LazyLock::new(|| {
    serde_json::from_str(TEXT).unwrap_or_else(|error| {
        tracing::error!(%error, "the embedded facts cannot be read");
        Facts::default()
    })
});

/// Everything that is known.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Facts {
    types: BTreeMap<String, Definition>,
    operations: Vec<Operation>,
}

/// One operation, as its editions have it together.
#[derive(Debug, Deserialize)]
pub(crate) struct Operation {
    pub(crate) verb: String,
    /// The template below the API's prefix.
    pub(crate) path: String,
    /// The parameters of the path.
    #[serde(default, deserialize_with = "fields")]
    pub(crate) parameters: Vec<Field>,
    #[serde(default, deserialize_with = "fields")]
    pub(crate) query: Vec<Field>,
    #[serde(default, deserialize_with = "body")]
    pub(crate) body: Option<Type>,
    ok: u16,
    #[serde(default, deserialize_with = "body")]
    pub(crate) answer: Option<Type>,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) credentials_newest: Vec<Credential>,
    #[serde(rename = "credentials_2025")]
    pub(crate) credentials_earliest: Vec<Credential>,
    pub(crate) user_header: bool,
    /// What a user must have granted for the key to act in their name.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    errors: BTreeMap<String, Vec<String>>,
}

/// What an operation can be called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Credential {
    Key,
    Token,
}

/// A member of an object, or a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) required: bool,
}

/// What a value looks like in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Boolean,
    Integer,
    Number,
    Time,
    Url,
    /// An object of free members.
    Free,
    OneOf(Vec<String>),
    List(Box<Type>),
    OrNull(Box<Type>),
    Object(Vec<Field>),
    Named(String),
}

#[derive(Debug, Deserialize)]
struct Definition {
    #[serde(default, deserialize_with = "fields_or_none")]
    fields: Option<Type>,
    #[serde(default)]
    values: Vec<String>,
}

/// The facts, read once.
pub(crate) fn facts() -> &'static Facts {
    &FACTS
}

// === impl Facts ===

impl Facts {
    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// What a type is once its name is looked up.
    pub(crate) fn resolved<'a>(&'a self, kind: &'a Type) -> Resolved<'a> {
        match kind {
            Type::Named(name) => match self.types.get(name) {
                Some(Definition { fields: Some(object), .. }) => Resolved::Type(object),
                Some(Definition { values, .. }) => Resolved::Values(values),
                None => Resolved::Type(kind),
            },
            Type::OneOf(values) => Resolved::Values(values),
            _ => Resolved::Type(kind),
        }
    }
}

/// A type that is not a name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resolved<'a> {
    /// Text of which these values are known.
    Values(&'a [String]),
    Type(&'a Type),
}

// === impl Operation ===

impl Operation {
    /// The status of its success.
    pub(crate) fn ok(&self) -> StatusCode {
        StatusCode::from_u16(self.ok).unwrap_or_default()
    }

    /// The first of the codes that some edition documents for this operation, else the last.
    pub(crate) fn code<'a>(&self, candidates: &[&'a str]) -> &'a str {
        let mut known = candidates.iter().filter(|code| self.documents(code));
        known.next().or(candidates.last()).copied().unwrap_or_default()
    }

    /// Whether some edition documents the code for this operation.
    pub(crate) fn documents(&self, code: &str) -> bool {
        self.errors.values().flatten().any(|known| known == code)
    }
}

// === impl Field ===

impl Field {
    /// Reads a word such as `int64! DF`. The editions at its end do not matter here: a double that
    /// knows every edition admits the fields of each.
    fn read(name: &str, word: &str) -> Self {
        let word = word.split(' ').next().unwrap_or_default();
        let (word, required) = word.strip_suffix('!').map_or((word, false), |word| (word, true));
        Self { name: name.to_owned(), kind: Type::read(word), required }
    }
}

// === impl Type ===

impl Type {
    fn read(word: &str) -> Self {
        if let Some(word) = word.strip_suffix('?') {
            return Self::OrNull(Box::new(Self::read(word)));
        }
        let within = |open, close| word.strip_prefix(open)?.strip_suffix(close);
        if let Some(element) = within('[', ']') {
            return Self::List(Box::new(Self::read(element)));
        }
        if let Some(values) = within('(', ')') {
            return Self::OneOf(values.split('|').map(str::to_owned).collect());
        }
        match word {
            "string" => Self::Text,
            "bool" => Self::Boolean,
            "int64" | "int" => Self::Integer,
            "double" => Self::Number,
            "time" => Self::Time,
            "url" => Self::Url,
            "object" => Self::Free,
            name => Self::Named(name.to_owned()),
        }
    }

    fn object(members: &Map<String, Value>) -> Vec<Field> {
        let field = |(name, word): (&String, &Value)| {
            let read = |word| Field::read(name, word);
            word.as_str().map(read)
        };
        members.iter().filter_map(field).collect()
    }
}

fn fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Field>, D::Error> {
    Map::deserialize(deserializer).map(|members| Type::object(&members))
}

fn fields_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Type>, D::Error> {
    fields(deserializer).map(|fields| Some(Type::Object(fields)))
}

// A word, or an object of words.
fn body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Type>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(word) => Some(Field::read("", &word).kind),
        Value::Object(members) => Some(Type::Object(Type::object(&members))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_facts_are_whole() {
        assert_eq!(facts().operations().len(), 176);
        for operation in facts().operations() {
            assert!(operation.ok().is_success(), "{}", operation.path);
            assert!(!operation.credentials.is_empty(), "{}", operation.path);
            let wholes = operation.body.iter().chain(&operation.answer);
            let parts = operation.parameters.iter().chain(&operation.query).map(|f| &f.kind);
            wholes.chain(parts).for_each(known);
        }
        facts().types.values().filter_map(|definition| definition.fields.as_ref()).for_each(known);
    }

    fn known(kind: &Type) {
        match kind {
            Type::Named(name) => assert!(facts().types.contains_key(name), "{name:?}"),
            Type::List(inner) | Type::OrNull(inner) => known(inner),
            Type::Object(fields) => fields.iter().for_each(|field| known(&field.kind)),
            _ => {}
        }
    }

    #[test]
    fn words_are_read() {
        let list = Type::List(Box::new(Type::OrNull(Box::new(Type::Named("a.B".into())))));
        let want = Field { name: "f".into(), kind: list, required: true };
        assert_eq!(Field::read("f", "[a.B?]! DF"), want);
        let values = Type::OneOf(vec!["bank".into(), "card".into()]);
        let want = Field { name: "f".into(), kind: values, required: false };
        assert_eq!(Field::read("f", "(bank|card)"), want);
    }
}

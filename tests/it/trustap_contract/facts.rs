//! The facts as they stand in their file, and the words that a type is written in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

static FACTS: LazyLock<Facts> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../src/simulator/trustap/facts.json")).unwrap()
});

/// All that is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facts {
    types: BTreeMap<String, Named>,
    pub(super) operations: Vec<Row>,
}

/// An operation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) section: String,
    pub(super) verb: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) parameters: Members,
    #[serde(default)]
    pub(super) query: Members,
    pub(super) body: Option<Content>,
    pub(super) ok: u16,
    pub(super) answer: Option<Content>,
    pub(super) credentials: Vec<String>,
    #[serde(rename = "credentials_newest")]
    _newest: Vec<String>,
    #[serde(rename = "credentials_2025")]
    _oldest: Vec<String>,
    pub(super) user_header: bool,
    pub(super) deprecated: bool,
    #[serde(default, rename = "scopes")]
    _scopes: Vec<String>,
    #[serde(rename = "errors")]
    _errors: BTreeMap<String, Vec<String>>,
    #[serde(rename = "editions")]
    _editions: String,
}

/// Names and the words of their types.
pub(super) type Members = BTreeMap<String, String>;

/// A body or an answer: the word of its type, or the members of an object that only this
/// operation has.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Word(String),
    Object(Members),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "editions")]
    _editions: String,
    fields: Option<Members>,
    values: Option<Vec<String>>,
}

/// What a word stands for. Whether it is required plays no part here.
#[derive(Debug)]
pub(super) enum Type {
    Text,
    /// Text of which these values are known.
    Values(Vec<String>),
    Bool,
    Integer,
    Double,
    Time,
    /// An object of free members.
    Free,
    Object(&'static Members),
    List(Box<Type>),
    /// Of a list's elements.
    Nullable(Box<Type>),
}

/// The facts.
pub(super) fn facts() -> &'static Facts {
    &FACTS
}

impl Facts {
    /// What `word` stands for.
    pub(super) fn type_of(&'static self, word: &str) -> Type {
        let word = word.split(' ').next().unwrap().trim_end_matches('!').trim_end_matches('?');
        if let Some(values) = word.strip_prefix('(').and_then(|word| word.strip_suffix(')')) {
            return Type::Values(values.split('|').map(str::to_owned).collect());
        }
        if let Some(element) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
            let inner = Box::new(self.type_of(element));
            return match element.ends_with('?') {
                true => Type::List(Box::new(Type::Nullable(inner))),
                false => Type::List(inner),
            };
        }
        match word {
            "string" | "url" => Type::Text,
            "bool" => Type::Bool,
            "int64" | "int" => Type::Integer,
            "double" => Type::Double,
            "time" => Type::Time,
            "object" => Type::Free,
            name => self.named(name),
        }
    }

    fn named(&'static self, name: &str) -> Type {
        let named = self.types.get(name).unwrap_or_else(|| panic!("no type {name}"));
        match (&named.fields, &named.values) {
            (Some(fields), None) => Type::Object(fields),
            (None, Some(values)) => Type::Values(values.clone()),
            _ => panic!("{name} has fields or values"),
        }
    }

    /// What a body or an answer is.
    pub(super) fn content(&'static self, content: &'static Content) -> Type {
        match content {
            Content::Word(word) => self.type_of(word),
            Content::Object(members) => Type::Object(members),
        }
    }
}

impl Row {
    /// The path with its parameters' names left out, which differ between editions.
    pub(super) fn bare_path(&self) -> String {
        bare(&self.path)
    }
}

/// A path template with its parameters' names left out.
pub(super) fn bare(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment.starts_with('{') {
        true => "{}",
        false => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A name as the proto spells it: `listingId` is `listing_id`.
pub(super) fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

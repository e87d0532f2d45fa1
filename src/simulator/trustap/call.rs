//! One call of an operation, checked and on its way to its handler, and what comes of it.

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::super::json::Object;
use super::super::partner::Answer;
use super::facts::Operation;
use super::refusal::Refusal;
use super::route::Parameter;
use super::settings::Settings;
use super::state::State;

/// What an operation works on.
pub(crate) struct Call<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) state: &'a mut State,
    pub(crate) now: Timestamp,
    pub(crate) operation: &'static Operation,
    pub(crate) caller: Caller,
    pub(crate) input: Input,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The client, with its key.
    Client,
    /// The client, with its key and in the name of a user.
    ClientFor(String),
    /// A full user, with their own token.
    User(String),
}

/// Parameters and body, of the types that the facts give them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Input {
    pub(crate) path: Vec<Parameter>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Map<String, Value>,
}

/// The body of a successful answer; its status is the operation's.
#[derive(Clone, Debug)]
pub(crate) struct Document(Option<Box<RawValue>>);

/// A successful answer, or why there is none.
pub(crate) type Outcome = Result<Document, Refusal>;

/// Carries out an operation.
pub(crate) type Handler = fn(&mut Call<'_>) -> Outcome;

/// An operation that has state of interest: verb and path template as in the facts, and its handler.
#[derive(Debug)]
pub(crate) struct Route(pub(crate) &'static str, pub(crate) &'static str, pub(crate) Handler);

// === impl Call ===

impl Call<'_> {
    /// The user in whose name the call is made.
    pub(crate) fn user(&self) -> Result<String, Refusal> {
        self.caller.user().map(str::to_owned).ok_or_else(Refusal::denied)
    }

    /// Ends an object of an answer: with the fields that no edition names, when they are wanted.
    pub(crate) fn whole(&self, object: Object) -> Object {
        object.with_undocumented(self.state.switches.undocumented_fields)
    }

    /// An answer that is one object.
    pub(crate) fn found(&self, object: Object) -> Outcome {
        Ok(Document::of(&self.whole(object)))
    }
}

// === impl Caller ===

impl Caller {
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::Client => None,
            Self::ClientFor(user) | Self::User(user) => Some(user),
        }
    }
}

// === impl Input ===

impl Input {
    /// A parameter of the path.
    pub(crate) fn path(&self, name: &str) -> Option<&str> {
        self.path.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The first parameter of the path as a number; editions differ in its name.
    pub(crate) fn id(&self) -> Result<i64, Refusal> {
        let text = self.path.first().map(|(_, value)| value.as_str()).unwrap_or_default();
        text.parse().map_err(|_| Refusal::invalid("invalid_id"))
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Text of the body, or else of the query.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str).or_else(|| self.query(name))
    }

    /// A whole number of the body, or else of the query.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        let number = self.body.get(name).and_then(Value::as_i64);
        number.or_else(|| self.query(name)?.parse().ok())
    }

    /// A truth value of the body, or else of the query.
    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        let truth = self.body.get(name).and_then(Value::as_bool);
        truth.or_else(|| self.query(name)?.parse().ok())
    }

    /// The texts of a list in the body.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let list = self.body.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

// === impl Document ===

impl Document {
    /// A JSON document. What has no JSON form is no document; nothing here is so.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        Self(to_raw_value(value).ok())
    }

    /// No body at all.
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    /// The answer to an operation that did what it was asked.
    pub(crate) fn answer(self, status: StatusCode) -> Answer {
        match self.0 {
            Some(value) => Answer::done(status, &value),
            None => Answer { acted: true, ..Answer::bytes(status, "", Vec::new()) },
        }
    }
}

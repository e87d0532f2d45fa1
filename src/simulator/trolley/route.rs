//! Which operation a path and method ask for, and whose key it takes.

use http::{Method, StatusCode};

use super::super::form;
use super::super::partner::Received;
use super::refusal::Refusal;
use super::settings::Switches;
use super::{Context, Outcome, bank_account, funding, onboarding, profile, subscription, widget};

/// Everything that the double can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateSubmerchant,
    CreateSandbox,
    DeleteSandbox,
    UpdateOnboarding,
    GetFunding,
    SetBankAccount,
    GetWidget,
    SetWidget,
    CreateSubscription,
    ListSubscriptions,
    GetSubscription(String),
    UpdateSubscription(String),
    DeleteSubscription(String),
}

/// Whose key an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The parent's, since what it makes belongs to the parent.
    Parent,
    /// A sub-merchant's, as the document demands.
    Submerchant,
    /// A sub-merchant's, as the document implies.
    InferredSubmerchant,
    Any,
}

/// The operation of a request, or the partner's not-found.
pub(crate) fn find(request: &Received, switches: &Switches) -> Result<(Operation, Key), Refusal> {
    let absent = || Refusal::of(StatusCode::NOT_FOUND);
    let path = canonical(&request.path, switches).ok_or_else(absent)?;
    let segments = path.split('/').map(form::segment).collect::<Result<Vec<_>, _>>();
    let segments = segments.map_err(|_| absent())?;
    let segments: Vec<_> = segments.iter().map(String::as_str).collect();
    let method = &request.method;
    match segments.as_slice() {
        ["subscriptions"] => webhooks(method),
        ["subscriptions", id] if !id.is_empty() => webhook(method, id),
        segments => settings(method, segments),
    }
    .ok_or_else(absent)
}

// The path after `/v1/`, without the slash that may or may not end it.
fn canonical<'a>(path: &'a str, switches: &Switches) -> Option<&'a str> {
    const SLASHED: &str = "direct-debit/bank-account";
    let path = path.strip_prefix("/v1/")?;
    let plain = path.strip_suffix('/').unwrap_or(path);
    let is_exact = (path != plain) == (plain == SLASHED);
    (is_exact || !switches.exact_paths).then_some(plain)
}

fn settings(method: &Method, segments: &[&str]) -> Option<(Operation, Key)> {
    let found = match (method.as_str(), segments) {
        ("POST", ["profile", "submerchant"]) => (Operation::CreateSubmerchant, Key::Parent),
        ("POST", ["profile", "sandbox"]) => (Operation::CreateSandbox, Key::Parent),
        ("DELETE", ["profile", "sandbox"]) => (Operation::DeleteSandbox, Key::Parent),
        ("POST", ["onboarding", "update"]) => (Operation::UpdateOnboarding, Key::Submerchant),
        ("GET", ["balances", "info"]) => (Operation::GetFunding, Key::InferredSubmerchant),
        ("POST", ["direct-debit", "bank-account"]) => {
            (Operation::SetBankAccount, Key::InferredSubmerchant)
        }
        ("GET", ["iframe", "config"]) => (Operation::GetWidget, Key::InferredSubmerchant),
        ("POST", ["iframe", "config"]) => (Operation::SetWidget, Key::InferredSubmerchant),
        _ => return None,
    };
    Some(found)
}

fn webhooks(method: &Method) -> Option<(Operation, Key)> {
    match method.as_str() {
        "GET" => Some((Operation::ListSubscriptions, Key::Any)),
        "POST" => Some((Operation::CreateSubscription, Key::Any)),
        _ => None,
    }
}

fn webhook(method: &Method, id: &str) -> Option<(Operation, Key)> {
    let id = id.to_owned();
    match method.as_str() {
        "GET" => Some((Operation::GetSubscription(id), Key::Any)),
        "PATCH" => Some((Operation::UpdateSubscription(id), Key::Any)),
        "DELETE" => Some((Operation::DeleteSubscription(id), Key::Any)),
        _ => None,
    }
}

// === impl Operation ===

impl Operation {
    /// Whether its body is read. The others' is signed like any other and then ignored.
    pub(crate) fn has_body(&self) -> bool {
        match self {
            Self::GetFunding
            | Self::GetWidget
            | Self::ListSubscriptions
            | Self::GetSubscription(_)
            | Self::DeleteSubscription(_) => false,
            Self::CreateSubmerchant
            | Self::CreateSandbox
            | Self::DeleteSandbox
            | Self::UpdateOnboarding
            | Self::SetBankAccount
            | Self::SetWidget
            | Self::CreateSubscription
            | Self::UpdateSubscription(_) => true,
        }
    }

    pub(crate) fn run(&self, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::CreateSubmerchant => profile::create_submerchant(context),
            Self::CreateSandbox => profile::create_sandbox(context),
            Self::DeleteSandbox => profile::delete_sandbox(context),
            Self::UpdateOnboarding => onboarding::update(context),
            Self::GetFunding => funding::info(context),
            Self::SetBankAccount => bank_account::set(context),
            Self::GetWidget => widget::get(context),
            Self::SetWidget => widget::set(context),
            Self::CreateSubscription => subscription::create(context),
            Self::ListSubscriptions => subscription::list(context),
            Self::GetSubscription(id) => subscription::get(context, id),
            Self::UpdateSubscription(id) => subscription::update(context, id),
            Self::DeleteSubscription(id) => subscription::delete(context, id),
        }
    }
}

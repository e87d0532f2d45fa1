//! The account that a sub-merchant funds its balance from: one operation creates and updates.

use http::StatusCode;
use serde_json::{Map, Value};

use super::super::json::Object;
use super::check;
use super::refusal::Refusal;
use super::{Context, Outcome, schema};

/// How recorded answers mask an IBAN: this many stars, then the end.
const IBAN_MASK: usize = 20;

/// `POST /v1/direct-debit/bank-account/`: all required fields at first, then any.
pub(crate) fn set(context: &mut Context<'_>) -> Outcome {
    let absent = || Refusal::of(StatusCode::NOT_FOUND);
    let switches = context.state.switches.clone();
    let merchant = context.state.merchant(&context.merchant).ok_or_else(absent)?;
    let is_new = merchant.bank_account.is_empty();
    let fields = match (switches.require_all_bank_fields, is_new) {
        (true, _) => schema::all(schema::BANK_ACCOUNT, true),
        (false, true) => schema::BANK_ACCOUNT.to_vec(),
        (false, false) => schema::all(schema::BANK_ACCOUNT, false),
    };
    Refusal::unless_clean(check::check("", &context.body, &fields, &switches))?;
    merchant.bank_account.extend(std::mem::take(&mut context.body));
    let shown = shown(&merchant.bank_account).with_undocumented(switches.undocumented_fields);
    Ok(Object::new().with("ok", true).with("merchantBankAccount", shown))
}

// The request's bankCountry is the answer's country; institution and transit are not repeated.
fn shown(account: &Map<String, Value>) -> Object {
    let text = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = text("accountNum");
    Object::new()
        .with("currency", text("currency"))
        .with("accountName", text("accountName"))
        .with("fileLink", None::<&str>)
        .with("completed", true)
        .with("iban", masked(number, IBAN_MASK))
        .with("accountNum", masked(number, number.len().saturating_sub(2)))
        .with("swiftBic", None::<&str>)
        .with("branchId", account.get("branchId"))
        .with("bankId", account.get("bankId"))
        .with("bankName", "Simulated Bank")
        .with("bankAddress", "2 Bank Avenue")
        .with("bankCity", "New York")
        .with("bankPostalCode", "10005")
        .with("bankRegion", "NY")
        .with("country", text("bankCountry"))
        .with("enabled", account.get("enabled").and_then(Value::as_bool).unwrap_or_default())
}

fn masked(number: &str, stars: usize) -> String {
    let end = number.get(number.len().saturating_sub(2)..).unwrap_or_default();
    format!("{}{end}", "*".repeat(stars))
}

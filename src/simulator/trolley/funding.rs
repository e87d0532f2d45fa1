//! Where to wire money to so that it reaches a sub-merchant's balance.

use super::super::json::Object;
use super::{Context, Outcome};

const ACCOUNT: [(&str, &str); 16] = [
    ("accountAddress", "1 Simulator Street"),
    ("accountCity", "Montreal"),
    ("accountCountryCode", "CA"),
    ("accountCurrency", "USD"),
    ("accountName", "Simulated Payments Inc."),
    ("accountNum", "000123456789"),
    ("accountPostalCode", "H2Y 1C6"),
    ("accountRegion", "QC"),
    ("bankAddress", "2 Bank Avenue"),
    ("bankCity", "New York"),
    ("bankCountry", "United States"),
    ("bankCountryCode", "US"),
    ("bankName", "Simulated Bank"),
    ("bankPostalCode", "10005"),
    ("bankRegion", "NY"),
    ("institution", "003"),
];

/// `GET /v1/balances/info`.
///
/// Two accounts: one with every documented field and some that only its bank has, one with
/// documented fields that are null or absent.
pub(crate) fn info(context: &mut Context<'_>) -> Outcome {
    let switches = &context.state.switches;
    let memo = format!("SIM-{}", context.merchant);
    let documented =
        ACCOUNT.iter().fold(Object::new(), |account, (name, text)| account.with(name, text));
    let first = documented
        .with("referenceMemo", &memo)
        .with("routingNumber", "021000021")
        .with("swiftBic", "SIMUUS33")
        .with("intermediaryBank", serde_json::json!({"name": "Between Bank", "fee": "12.10"}))
        .with_undocumented(switches.undocumented_fields);
    let second = Object::new()
        .with("accountCurrency", "GBP")
        .with("accountName", "Simulated Payments Ltd.")
        .with("accountNum", "")
        .with("accountRegion", None::<&str>)
        .with("bankCountryCode", "GB")
        .with("referenceMemo", &memo)
        .with("sortCode", "040004")
        .with("iban", "GB00SIMU00000000000000")
        .with_undocumented(switches.undocumented_fields);
    let object = if switches.ok_in_lists { Object::new().with("ok", true) } else { Object::new() };
    Ok(object.with("info", [first, second]))
}

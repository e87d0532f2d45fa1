//! `config.default.toml` and the structs say the same.

use toml::{Table, Value};

use super::*;

/// The reference with its commented settings in force.
fn whole_reference() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    REFERENCE.lines().map(|text| line(text) + "\n").collect()
}

fn keys(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Table(table) => {
            table.iter().for_each(|(key, value)| keys(value, &format!("{at}.{key}"), into));
        }
        Value::Array(array) => array.iter().for_each(|value| keys(value, at, into)),
        _ => into.push(at.to_owned()),
    }
}

fn keys_of(value: impl Serialize) -> Vec<String> {
    let mut found = Vec::new();
    keys(&Value::try_from(value).unwrap(), "", &mut found);
    found.sort();
    found
}

#[test]
fn the_reference_says_the_defaults() {
    let parsed: Config = REFERENCE.parse().unwrap();
    assert_eq!(parsed.to_string(), Config::default().to_string());
}

#[test]
fn the_reference_says_the_partners_defaults() {
    let mut table: Table = whole_reference().parse().unwrap();
    let partners = table["partners"].as_table_mut().unwrap();
    for section in ["trustist", "trolley", "trustap"] {
        let section = partners[section].as_table_mut().unwrap();
        let own = ["client_id", "client_secret", "access_key", "secret_key", "api_key", "accounts"];
        for key in own {
            section.remove(key);
        }
    }
    let said = Value::try_into::<Partners>(Value::Table(partners.clone())).unwrap();
    let defaults = Partners {
        trustist: Some(Trustist::default()),
        trolley: Some(Trolley::default()),
        trustap: Some(Trustap::default()),
    };
    assert_eq!(Value::try_from(said), Value::try_from(defaults));
}

#[test]
fn the_reference_has_every_key() {
    let mut every = Config::default();
    let token_sha256 = vec![crate::callers::TokenDigest::of(b"token")];
    every.callers = vec![Caller { token_sha256, ..Caller::default() }];
    every.partners.trustist = Some(Trustist::default());
    every.partners.trolley =
        Some(Trolley { accounts: vec![Account::default()], ..Trolley::default() });
    every.partners.trustap = Some(Trustap::default());
    assert_eq!(keys_of(whole_reference().parse::<Table>().unwrap()), keys_of(every));
}

#[test]
fn every_setting_of_the_reference_has_a_comment() {
    let is_setting = |line: &str| line.contains(" = ") && !line.starts_with("# ");
    let partner = REFERENCE.find("#[partners.trolley]").unwrap();
    let lines: Vec<_> = REFERENCE[..partner].lines().collect();
    for pair in lines.windows(2) {
        assert!(
            !is_setting(pair[1]) || pair[0].starts_with("# ") || is_setting(pair[0]),
            "{pair:?}"
        );
    }
}

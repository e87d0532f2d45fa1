//! Numbers that contradict each other, and callers that are told apart by nothing.

use super::*;

const TROLLEY: &str = "[partners.trolley]\naccess_key = 'a'\nsecret_key = 's'\n";

#[track_caller]
fn tuned(more: &str) -> Vec<String> {
    match load(&format!("{TROLLEY}{more}"), &[]) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| fault.key.clone()).collect(),
    }
}

#[test]
fn every_number_of_the_tuning_has_its_bounds() {
    for (section, good, bad) in [
        ("rate_limit", "requests = 0", "per = '0s'"),
        ("rate_limit", "burst = 1", "burst = 0"),
        ("rate_limit", "max_waiting = 0", "max_waiting = 1000001"),
        ("concurrency", "min = 1", "min = 0"),
        ("concurrency", "max = 20", "max = 3"),
        ("retry", "max_attempts = 1", "max_attempts = 0"),
        ("retry", "max_attempts = 10", "max_attempts = 11"),
        ("retry", "base_delay = '20s'", "base_delay = '0s'"),
        ("retry", "max_delay = '100ms'", "max_delay = '99ms'"),
        ("retry", "budget_percent = 0", "budget_percent = 101"),
        ("retry", "budget_window = '1s'", "budget_window = '0s'"),
        ("retry", "max_body_bytes = 0", "max_body_bytes = 16777217"),
        ("breaker", "window = '1s'", "window = '0s'"),
        ("breaker", "min_attempts = 1", "min_attempts = 0"),
        ("breaker", "failure_percent = 100", "failure_percent = 0"),
        ("breaker", "failure_percent = 1", "failure_percent = 101"),
        ("breaker", "open = '60s'", "open = '0s'"),
        ("breaker", "max_open = '5s'", "max_open = '4s'"),
    ] {
        let with = |line: &str| tuned(&format!("[partners.trolley.{section}]\n{line}"));
        assert_eq!(with(good), Vec::<String>::new(), "{good}");
        let key = bad.split(' ').next().unwrap();
        assert_eq!(with(bad), [format!("partners.trolley.{section}.{key}")], "{bad}");
    }
    assert_eq!(faults("[shared_limits]\nreplicas = 0", &[]).len(), 1);
    assert_eq!(faults("[configuration]\nreload_interval = '0s'", &[]).len(), 1);
}

#[test]
fn a_simulated_partner_has_the_tuning_of_its_section() {
    let config = load(&format!("{TROLLEY}retry.max_attempts = 7"), &[]).unwrap();
    let simulated = config.partners.simulated("127.0.0.1:1".parse().unwrap()).unwrap();
    let limits = |name: &str| {
        let settings = simulated.settings();
        settings.iter().find(|settings| settings.name == name).unwrap().tuning.limits(3, 16_384)
    };
    assert_eq!((limits("trolley").retry.max_attempts, limits("trolley").replicas), (7, 3));
    assert_eq!(limits("trolley").rate.unwrap().requests, 540);
    assert_eq!(limits("trustist").retry.max_attempts, 3);
}

#[test]
fn callers_are_told_apart_by_name_and_token() {
    let token = |text: &str| crate::callers::TokenDigest::of(text.as_bytes()).to_string();
    let caller = |name: &str, tokens: &str, more: &str| {
        format!("[[callers]]\nname = {name:?}\ntoken_sha256 = {tokens}\n{more}\n")
    };
    let quoted = |text: &str| format!("{:?}", token(text));
    let both = format!("[{}, {}]", quoted("a"), quoted("b"));
    let config = load(&(caller("one", &both, "share = 5") + &caller("two", &quoted("c"), "")), &[]);
    let config = config.unwrap();
    assert_eq!((config.callers[0].token_sha256.len(), config.callers[1].share), (2, 1));

    let found = faults(
        &[
            caller("one", &quoted("a"), ""),
            caller("one", &quoted("a"), "share = 0"),
            caller("anonymous", "[]", ""),
            caller("a b", &quoted("d"), "share = 1001"),
        ]
        .concat(),
        &[],
    );
    assert_eq!(
        found,
        [
            "callers[1].name: is the name of another caller, too",
            "callers[1].token_sha256: has a token that is given twice",
            "callers[1].share: must be from 1 to 1000",
            "callers[2].name: is the name of callers that are not told apart",
            "callers[2].token_sha256: missing: it is required",
            "callers[3].name: must be at most 64 letters, digits and characters of -_./:@",
            "callers[3].share: must be from 1 to 1000",
        ]
    );
}

/// The token itself may have been given by mistake.
#[test]
fn a_fault_of_a_callers_digest_does_not_show_it() {
    let found = faults("[[callers]]\nname = 'one'\ntoken_sha256 = 'canary-token'", &[]);
    assert!(found[0].starts_with("callers[0].token_sha256: is not the SHA-256"), "{found:?}");
    assert!(!found.concat().contains("canary"), "{found:?}");
}

#[test]
fn callers_can_be_given_by_the_environment() {
    let digest = crate::callers::TokenDigest::of(b"a");
    let callers = format!("[{{ name = 'one', token_sha256 = '{digest}' }}]");
    let config = load("", &[("PARTNER_GATEWAY__CALLERS", &callers)]).unwrap();
    assert_eq!(config.callers[0].name, "one");
    assert_eq!(config.callers[0].token_sha256, [digest]);
    let shown = config.to_string();
    assert!(shown.contains("token_sha256 = [\"[redacted]\"]"), "{shown}");
    assert!(!shown.contains(&digest.to_string()), "{shown}");
}

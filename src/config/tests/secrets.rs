//! Secrets are found wherever they may be given, and told nowhere.

use super::*;

#[test]
fn a_secret_is_read_from_its_file_without_the_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "secret", "from a file\r\n");
    let text =
        format!("[partners.trustist]\nclient_id = 'us'\nclient_secret_file = '{}'", path.display());
    let trustist = load(&text, &[]).unwrap().partners.trustist.unwrap();
    assert_eq!(trustist.client_secret.expose_secret(), "from a file");
    assert_eq!(trustist.client_secret_file, Some(path));
}

#[test]
fn s15_an_encryption_key_that_is_none_is_a_fault_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "key", "canary");
    let given = faults("[store]\nencryption_key = 'canary'", &[]);
    let in_file = faults(&format!("[store]\nencryption_key_file = '{}'", path.display()), &[]);
    for (found, key) in [(given, "encryption_key"), (in_file, "encryption_key_file")] {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("store.{key}: key 1 is not 32 bytes")), "{found:?}");
        assert!(!found[0].contains("canary"));
    }
}

#[test]
fn a_secret_that_is_missing_doubled_empty_or_unreadable_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let empty = file(&folder, "empty", "\n");
    let empty = empty.display();
    let text = format!(
        "[partners.trustist]
         client_id = 'us'
         client_secret = 'x'
         client_secret_file = 'y'
         [partners.trolley]
         access_key = ''
         [[partners.trolley.accounts]]
         id = 'M-1'
         access_key_file = '{empty}'
         secret_key_file = '/nowhere/key'
         [[partners.trolley.accounts]]
         id = 'M-1'
         access_key = 'one two'
         secret_key = \"three\\nfour\""
    );
    assert_eq!(
        faults(&text, &[]),
        [
            "partners.trolley.access_key: is empty",
            "partners.trustist.client_secret_file: client_secret is given, too: keep one of them",
            "partners.trolley.secret_key: missing: give it, or secret_key_file",
            &format!("partners.trolley.accounts[0].access_key_file: {empty} is empty"),
            "partners.trolley.accounts[0].secret_key_file: /nowhere/key cannot be read: No such \
             file or directory (os error 2)",
            "partners.trolley.accounts[1].access_key: must be visible ASCII without spaces and \
             colons",
            "partners.trolley.accounts[1].secret_key: has a line end or another control character \
             in it",
            "partners.trolley.accounts[1].id: is the id of another account, too",
        ]
    );
}

#[test]
fn a_secret_is_in_no_output() {
    let config: Config = TRUSTIST.parse().unwrap();
    assert!(!format!("{config} {config:?} {config:#?}").contains("s3cret"));
    assert!(config.to_string().contains("client_secret = \"[redacted]\""));
    assert_eq!(config.partners.configured(), ["trustist"]);
}

#[test]
fn no_fault_quotes_what_it_refuses() {
    // A canary in every place where a slip may put a secret.
    let canary = [
        "[partners.trustist]\nclient_secret = canary",
        "[partners.trustist]\nclient_secret = 'canary",
        "[partners.trustist]\nclient_secret = \"canary\\q\"",
        "[partners.trustist]\nclient_secret = 'canary' 'canary'",
        "canary",
        "[grpc]\nlisten = 'canary'\nmax_connections = 'canary'\nidle_timeout = 'canary'",
        "[telemetry]\nlog_format = 'canary'\nlog_level = 'canary'",
        "[partners.trolley]\nbase_url = 'https://canary:canary@canary'\nproxy_url = 'canary'",
        "[partners.trolley]\naccounts = ['canary']\ntimeouts = 'canary'\nlimits = ['canary']",
        "[partners.trolley]\naccess_key = ['canary']\nsecret_key = { a = 'canary' }",
        "grpc = 'canary'\npartners = 'canary'",
    ];
    for text in canary {
        let report = load(text, &[]).unwrap_err().to_string();
        assert!(!report.contains("canary"), "{report}");
    }
    for number in ["7777777", "-7777777", "7.7777777"] {
        let text = format!("[partners.trolley]\naccess_key = {number}\naccounts = [{number}]");
        let report = load(&text, &[]).unwrap_err().to_string();
        assert!(!report.contains("77"), "{report}");
        assert!(report.contains("partners.trolley.access_key: expected a string"), "{report}");
    }
    let name = "PARTNER_GATEWAY__PARTNERS__TROLLEY__ACCOUNTS";
    for value in ["canary", "[{ id = 'canary' ]", "[{ id = 1, secret_key = 'canary' }]"] {
        let report = load("", &[(name, value)]).unwrap_err().to_string();
        assert!(!report.contains("canary"), "{report}");
    }
}

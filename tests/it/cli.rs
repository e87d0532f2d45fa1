//! The commands, run as operators run them: what they print, where, and how they exit.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Output;

use partner_gateway::operation::Catalogue;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::Code;

use crate::support::client::pool;
use crate::support::control::Control;
use crate::support::gateway::Gateway;
use crate::support::process::{Process, ended, run, signal, spawn};
use crate::support::wire::Wire;

/// How many rpcs there are.
fn rpcs() -> usize {
    Catalogue::embedded().unwrap().operations().len()
}

/// Files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path.
    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn assert_exits(output: &Output, code: i32) {
    let (out, err) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
}

async fn check(config: &str) -> Output {
    run(&["check", "--config", config], &[]).await
}

// --- operations ---

#[tokio::test]
async fn operations_as_json_have_exactly_the_documented_keys() {
    let output = run(&["operations", "--format", "json"], &[]).await;

    assert_exits(&output, 0);
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.len(), rpcs());
    let expected = BTreeSet::from([
        "rpc",
        "partner",
        "http_method",
        "http_path",
        "credentials",
        "effect",
        "streaming",
        "deprecated",
        "reconcile",
        "source",
    ]);
    for row in &rows {
        let keys: BTreeSet<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, expected, "{row}");
        let text = |key: &str| row[key].as_str().unwrap_or_else(|| panic!("{key} of {row}"));
        assert!(["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&text("http_method")), "{row}");
        assert!(["READ", "IDEMPOTENT", "WRITE_ONCE"].contains(&text("effect")), "{row}");
        assert!(text("http_path").starts_with('/') && !text("source").is_empty(), "{row}");
        assert!(text("rpc").starts_with(&format!("{}.v1.", text("partner"))), "{row}");
        assert!(row["credentials"].as_array().unwrap().iter().all(Value::is_string), "{row}");
        assert!(!row["credentials"].as_array().unwrap().is_empty(), "{row}");
        assert!(row["reconcile"].is_null() || text("effect") == "WRITE_ONCE", "{row}");
        assert!(row["streaming"].is_boolean() && row["deprecated"].is_boolean(), "{row}");
    }
    let known = json!({
        "rpc": "trolley.v1.SubmerchantService/CreateSubmerchant",
        "partner": "trolley",
        "http_method": "POST",
        "http_path": "/v1/profile/submerchant",
        "credentials": rows[0]["credentials"],
        "effect": "WRITE_ONCE",
        "streaming": false,
        "deprecated": false,
        "reconcile": null,
        "source": "Trolley Partner API, Create Sub-merchant",
    });
    let same = |row: &&Value| row["rpc"] == known["rpc"];
    let mut found = rows.iter().find(same).unwrap().clone();
    found["credentials"] = known["credentials"].clone();
    assert_eq!(found, known);
}

/// Every operation of the partners' documents, in every form of the list.
#[tokio::test]
async fn operations_name_every_documented_operation_and_its_section() {
    // The widget's configuration is read by a call that the document does not have.
    let documented = [
        "TrustistTransfer Partner API, Obtain an Access Token",
        "TrustistTransfer Partner API, Create a New Invitation",
        "TrustistTransfer Partner API, Get Invitation by ID",
        "TrustistTransfer Partner API, List Invitations",
        "TrustistTransfer Partner API, Get Merchant Keys",
        "Trolley Partner API, Create Sub-merchant",
        "Trolley Partner API, Modify Onboarding Information",
        "Trolley Partner API, Sandbox Create",
        "Trolley Partner API, Sandbox Delete",
        "Trolley Partner API, Get Funding Information",
        "Trolley Partner API, Sub-Merchant Bank Account",
        "Trolley Partner API, Widget Configuration",
        "Trolley Partner API, Create Webhook",
        "Trolley Partner API, Webhooks List",
        "Trolley Partner API, Get Webhook",
        "Trolley Partner API, Update Webhook",
        "Trolley Partner API, Delete Webhook",
    ];
    for (format, besides) in [("json", None), ("table", Some(1)), ("markdown", Some(2))] {
        let output = run(&["operations", "--format", format], &[]).await;

        assert_exits(&output, 0);
        let out = stdout(&output);
        for section in documented {
            assert!(out.contains(section), "{section} is not in the {format}:\n{out}");
        }
        for service in pool().services() {
            let is_partners =
                !["gateway.", "grpc."].iter().any(|own| service.full_name().starts_with(own));
            for method in service.methods() {
                let rpc = format!("{}/{}", service.full_name(), method.name());
                assert_eq!(out.contains(&rpc), is_partners, "{rpc} in the {format}:\n{out}");
            }
        }
        if let Some(besides) = besides {
            assert_eq!(out.lines().count(), rpcs() + besides, "{out}");
        }
    }
}

#[tokio::test]
async fn operations_are_a_table_unless_asked_otherwise() {
    let default = run(&["operations"], &[]).await;
    let table = run(&["operations", "--format", "table"], &[]).await;

    assert_exits(&default, 0);
    assert_eq!(stdout(&default), stdout(&table));
    assert!(stdout(&default).starts_with("RPC"), "{}", stdout(&default));
}

// --- wrong arguments ---

#[tokio::test]
async fn wrong_arguments_exit_with_2_and_say_which() {
    for (args, named) in [
        (&["sever"][..], "sever"),
        (&["serve", "--simulated"], "--simulated"),
        (&["operations", "--format", "yaml"], "yaml"),
        (&["simulate", "--listen", "nowhere"], "nowhere"),
        (&[], "Usage"),
    ] {
        let output = run(args, &[]).await;

        assert_exits(&output, 2);
        assert!(stderr(&output).contains(named), "{args:?}: {}", stderr(&output));
        assert!(stdout(&output).is_empty(), "{args:?}: {}", stdout(&output));
    }
}

#[tokio::test]
async fn help_and_version_are_printed_to_stdout() {
    for (args, expected) in [
        (&["--version"][..], env!("CARGO_PKG_VERSION")),
        (&["--help"], "serve --simulate"),
        (&["check", "--help"], "--online"),
    ] {
        let output = run(args, &[]).await;

        assert_exits(&output, 0);
        assert!(stdout(&output).contains(expected), "{args:?}: {}", stdout(&output));
    }
}

// --- check ---

const SECRETS: [&str; 3] = ["canary-client-secret", "CANARYACCESSKEY", "canary-secret-key"];
const GOOD: &str = "[partners.trustist]\nclient_id = 'us'\nclient_secret = 'canary-client-secret'\n\
    [partners.trolley]\naccess_key = 'CANARYACCESSKEY'\nsecret_key = 'canary-secret-key'\n";

fn assert_no_secret(output: &Output) {
    for secret in SECRETS {
        assert!(!stdout(output).contains(secret), "{secret} in stdout: {}", stdout(output));
        assert!(!stderr(output).contains(secret), "{secret} in stderr: {}", stderr(output));
    }
}

#[tokio::test]
async fn check_shows_a_good_configuration_without_its_secrets() {
    let files = Files::new();

    let output = check(&files.write("good.toml", GOOD)).await;

    assert_exits(&output, 0);
    assert_no_secret(&output);
    let out = stdout(&output);
    assert!(out.contains("trolley") && out.contains("trustist"), "{out}");
    assert!(out.contains("default_deadline = \"30s\""), "no effective configuration: {out}");
}

#[tokio::test]
async fn check_without_a_file_checks_the_defaults() {
    let output = run(&["check"], &[]).await;

    assert_exits(&output, 0);
    assert!(stdout(&output).contains("partners configured: none"), "{}", stdout(&output));
}

#[tokio::test]
async fn check_names_what_is_wrong_by_its_key() {
    let files = Files::new();
    let absent = files.path("absent").to_str().unwrap().to_owned();
    for (what, text, named) in [
        ("an unknown section", "[grcp]\n".to_owned(), vec!["grcp"]),
        ("an unknown key", "[grpc]\nlisten_on = 'x'\n".to_owned(), vec!["grpc.listen_on"]),
        (
            "an unknown key of a partner's",
            GOOD.replace("[partners.trolley]", "[partners.trolley]\nkey = 'CANARYACCESSKEY'"),
            vec!["partners.trolley.key"],
        ),
        (
            "missing secrets",
            "[partners.trustist]\nclient_id = 'us'\n[partners.trolley]\n".to_owned(),
            vec![
                "partners.trustist.client_secret",
                "partners.trolley.access_key",
                "partners.trolley.secret_key",
            ],
        ),
        (
            "an unreadable file",
            format!("[partners.trustist]\nclient_id = 'us'\nclient_secret_file = '{absent}'\n"),
            vec!["partners.trustist.client_secret_file", absent.as_str()],
        ),
        (
            "a secret of the wrong type",
            GOOD.replace("'canary-secret-key'", "['canary-secret-key']"),
            vec!["partners.trolley.secret_key"],
        ),
        (
            "a duration without a unit",
            "[grpc]\ndefault_deadline = 30\n".to_owned(),
            vec!["grpc.default_deadline"],
        ),
        ("a line that is no TOML", GOOD.replace("= 'us'", "'us'"), vec!["bad.toml:2"]),
    ] {
        let output = check(&files.write("bad.toml", &text)).await;

        assert_exits(&output, 1);
        assert_no_secret(&output);
        for named in named {
            assert!(stderr(&output).contains(named), "{what}: {}", stderr(&output));
        }
    }
}

#[tokio::test]
async fn a_configuration_file_that_is_not_there_is_named() {
    let absent = Files::new().path("absent.toml").to_str().unwrap().to_owned();
    for command in ["check", "serve"] {
        let output = run(&[command, "--config", &absent], &[]).await;

        assert_exits(&output, 1);
        assert!(stderr(&output).contains(&absent), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn serve_refuses_a_bad_configuration_before_it_listens() {
    let files = Files::new();
    let config = files.write("bad.toml", "[grpc]\nlisten_on = 'x'\n");

    let output = run(&["serve", "--config", &config], &[]).await;

    assert_exits(&output, 1);
    assert!(stderr(&output).contains("grpc.listen_on"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("serving"), "{}", stderr(&output));
}

#[tokio::test]
async fn the_reference_of_all_settings_is_a_configuration() {
    let files = Files::new();

    let defaults = run(&["check", "--defaults"], &[]).await;
    let output = check(&files.write("defaults.toml", &stdout(&defaults))).await;

    assert_exits(&defaults, 0);
    assert_exits(&output, 0);
}

// --- overrides and secret files ---

#[tokio::test]
async fn the_environment_overrides_the_file() {
    let files = Files::new();
    let config =
        files.write("gateway.toml", "[grpc]\ndefault_deadline = '7s'\nmax_connections = 5");
    let environment = [
        ("PARTNER_GATEWAY__GRPC__DEFAULT_DEADLINE", "9s"),
        ("PARTNER_GATEWAY__GRPC__REFLECTION", "false"),
        ("PARTNER_GATEWAY__PARTNERS__TRUSTIST__CLIENT_ID", "us"),
        ("PARTNER_GATEWAY__PARTNERS__TRUSTIST__CLIENT_SECRET", "canary-client-secret"),
    ];

    let output = run(&["check", "--config", &config], &environment).await;

    assert_exits(&output, 0);
    assert_no_secret(&output);
    let out = stdout(&output);
    for expected in [
        "default_deadline = \"9s\"",
        "max_connections = 5",
        "reflection = false",
        "partners configured: trustist",
    ] {
        assert!(out.contains(expected), "{expected} is not in\n{out}");
    }
}

#[tokio::test]
async fn a_wrong_variable_is_named() {
    for (name, value) in [
        ("PARTNER_GATEWAY__GRPC__LISTEN_ON", "x"),
        ("PARTNER_GATEWAY__GRPC__MAX_CONNECTIONS", "many"),
        ("PARTNER_GATEWAY__GRPC", "x"),
    ] {
        let output = run(&["check"], &[(name, value)]).await;

        assert_exits(&output, 1);
        assert!(stderr(&output).contains(name), "{name}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn a_secret_in_a_file_is_as_good_as_in_the_configuration() {
    let simulators = Control::start().await;
    let files = Files::new();
    let secret = files.write("trustist", "simulator-client-secret\n");
    let access_key = files.write("access", "SIMULATORPARENTACCESSKEY\r\n");
    let secret_key = files.write("secret", "simulatorparentsecretkey0000000000000000");
    let address = simulators.address;
    let config = format!(
        "[partners.trustist]\nbase_url = 'http://{address}/trustist'\n\
        client_id = 'simulator-client'\nclient_secret_file = '{secret}'\n\
        [partners.trolley]\nbase_url = 'http://{address}/trolley'\n\
        access_key_file = '{access_key}'\nsecret_key_file = '{secret_key}'\n"
    );

    let config = files.write("gateway.toml", &config);
    let output = run(&["check", "--online", "--config", &config], &[]).await;

    assert_exits(&output, 0);
    assert!(!stdout(&output).contains("simulator-client-secret"), "{}", stdout(&output));
    assert_eq!(simulators.arrived("trustist").await.len(), 2, "a token and a read");
}

// --- check --online ---

/// All partners at the simulators, with these secrets.
fn online(simulators: &Control, [client_secret, secret_key, api_key]: [&str; 3]) -> String {
    let address = simulators.address;
    format!(
        "[partners.trustist]\nbase_url = 'http://{address}/trustist'\n\
        client_id = 'simulator-client'\nclient_secret = '{client_secret}'\n\
        [partners.trolley]\nbase_url = 'http://{address}/trolley'\n\
        access_key = 'SIMULATORPARENTACCESSKEY'\nsecret_key = '{secret_key}'\n\
        [partners.trustap]\nbase_url = 'http://{address}/trustap/api/v1'\n\
        api_key = '{api_key}'\n"
    )
}

/// The secrets that the simulators take.
const ACCEPTED: [&str; 3] = [CLIENT_SECRET, SECRET_KEY, API_KEY];
const API_KEY: &str = "simulator-trustap-api-key";
const CLIENT_SECRET: &str = "simulator-client-secret";
const SECRET_KEY: &str = "simulatorparentsecretkey0000000000000000";

async fn check_online(config: &str) -> Output {
    let files = Files::new();
    run(&["check", "--online", "--config", &files.write("gateway.toml", config)], &[]).await
}

/// The line that tells of a partner.
fn verdict<'a>(out: &'a str, partner: &str) -> &'a str {
    let prefix = format!("{partner}:");
    let found = out.lines().find(|line| line.starts_with(&prefix));
    found.unwrap_or_else(|| panic!("nothing of {partner} in\n{out}"))
}

#[tokio::test]
async fn check_online_proves_good_credentials_by_reads_only() {
    let simulators = Control::start().await;

    let output = check_online(&online(&simulators, ACCEPTED)).await;

    assert_exits(&output, 0);
    let out = stdout(&output);
    for partner in ["trustist", "trolley", "trustap"] {
        assert!(verdict(&out, partner).contains("ok"), "{out}");
        for entry in simulators.arrived(partner).await {
            assert_eq!(entry["status"], 200, "{entry}");
            let is_harmless = entry["method"] == "GET" || entry["path"] == "/token";
            assert!(is_harmless, "{entry}");
        }
        assert!(!simulators.arrived(partner).await.is_empty(), "{partner} was not asked");
    }
}

#[tokio::test]
async fn check_online_says_whose_credentials_are_wrong() {
    let simulators = Control::start().await;
    for (secrets, wrong, right) in [
        (["canary-client-secret", SECRET_KEY, API_KEY], "trustist", "trolley"),
        ([CLIENT_SECRET, "canary-secret-key", API_KEY], "trolley", "trustap"),
        ([CLIENT_SECRET, SECRET_KEY, "canary-api-key"], "trustap", "trustist"),
    ] {
        let output = check_online(&online(&simulators, secrets)).await;

        assert_exits(&output, 1);
        assert_no_secret(&output);
        let out = stdout(&output);
        assert!(verdict(&out, wrong).contains("failed"), "{out}");
        assert!(verdict(&out, right).contains("ok"), "{out}");
    }
}

#[tokio::test]
async fn check_online_says_which_partner_cannot_be_reached() {
    let simulators = Control::start().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = online(&simulators, ACCEPTED)
        .replace(&format!("http://{}/trolley", simulators.address), &format!("http://{gone}"));

    let output = check_online(&config).await;

    assert_exits(&output, 1);
    assert!(verdict(&stdout(&output), "trolley").contains("failed"), "{}", stdout(&output));
    assert!(verdict(&stdout(&output), "trustist").contains("ok"), "{}", stdout(&output));
}

// --- health ---

#[tokio::test]
async fn health_exits_with_0_when_serving_and_1_otherwise() {
    let gateway = Gateway::simulated("").await;
    let address = gateway.operations().to_string();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    for (args, code) in [
        (&["--address", &address][..], 0),
        (&["--address", &address, "--service", "readiness"], 0),
        (&["--address", &address, "--service", "trolley.v1.WebhookService"], 0),
        (&["--address", &address, "--service", "no.such.Service"], 1),
        (&["--address", &gone], 1),
        (&["--address", "nowhere"], 1),
    ] {
        let output = run(&[&["health"], args].concat(), &[]).await;

        assert_exits(&output, code);
        match code {
            0 => assert_eq!(stdout(&output), "SERVING\n"),
            _ => assert!(stderr(&output).contains(args[1]), "{args:?}: {}", stderr(&output)),
        }
    }
}

// --- serve, simulate ---

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_partners_serves_and_says_what_is_not_configured() {
    let process = Process::serve(&[], &[]).await;
    let wire = Wire::to(process.grpc);
    for rpc in
        ["trolley.v1.WebhookService/ListWebhooks", "trustist.v1.InvitationService/ListInvitations"]
    {
        let told = wire.call(rpc, json!({}), &[]).await;

        assert_eq!(told.code(), Code::FailedPrecondition, "{rpc}: {told:?}");
        assert_eq!(told.error_info().reason, "PARTNER_NOT_CONFIGURED", "{rpc}");
    }
    assert_eq!(process.simulators, None);
    let address = process.operations.to_string();
    assert_exits(&run(&["health", "--address", &address], &[]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (variable, key) in [
        ("PARTNER_GATEWAY__GRPC__LISTEN", "grpc.listen"),
        ("PARTNER_GATEWAY__OPERATIONS__LISTEN", "operations.listen"),
        ("PARTNER_GATEWAY__SIMULATORS__LISTEN", "simulators.listen"),
    ] {
        let free = ["GRPC", "OPERATIONS", "SIMULATORS"]
            .map(|section| format!("PARTNER_GATEWAY__{section}__LISTEN"));
        let mut environment: Vec<_> =
            free.iter().map(|name| (name.as_str(), "127.0.0.1:0")).collect();
        environment.retain(|(name, _)| *name != variable);
        environment.push((variable, &taken));

        let output = run(&["serve", "--simulate"], &environment).await;

        assert_exits(&output, 1);
        let err = stderr(&output);
        assert!(err.contains(key) && err.contains(&taken), "{key} {taken}: {err}");
        assert!(err.contains("in use"), "{err}");
    }
}

#[tokio::test]
async fn simulate_prints_where_each_partner_is_and_runs_until_sigterm() {
    let (mut child, lines) = spawn(&["simulate", "--listen", "127.0.0.1:0"], 4).await;
    let url = lines[0].split("http://").nth(1).unwrap();
    let address = url.split('/').next().unwrap().parse().unwrap();

    let (status, index) = Control::of(address).get("/_simulator").await;
    signal(&child, "TERM").await;
    let exit = ended(&mut child).await;

    for (line, name) in lines.iter().zip(["trolley", "trustap", "trustist", "control"]) {
        assert!(line.starts_with(name), "{lines:?}");
    }
    assert_eq!((status.as_u16(), exit.code()), (200, Some(0)));
    assert_eq!(index["partners"], json!(["/trustist", "/trolley", "/trustap"]));
}

#[tokio::test]
async fn simulate_says_which_address_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();

    let output = run(&["simulate", "--listen", &taken], &[]).await;

    assert_exits(&output, 1);
    assert!(stderr(&output).contains(&taken), "{}", stderr(&output));
}

/// What `serve` would refuse, `check` refuses.
#[tokio::test]
async fn check_refuses_what_no_gateway_could_start_with() {
    let files = Files::new();
    let partner = |base_url: &str| {
        format!("[partners.trolley]\nbase_url = '{base_url}'\naccess_key = 'a'\nsecret_key = 'b'")
    };
    for (config, named) in [
        (partner("https://10.0.0.1"), "partners.trolley.base_url"),
        (partner("http://example.com"), "partners.trolley.base_url"),
        ("[grpc]\nmax_connections = 9223372036854775807".to_owned(), "grpc.max_connections"),
        ("[grpc]\nmax_calls = 0".to_owned(), "grpc.max_calls"),
    ] {
        let output = check(&files.write("gateway.toml", &config)).await;
        assert_exits(&output, 1);
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
    }
}

#[tokio::test]
async fn check_online_proves_the_key_of_each_sub_merchant() {
    let files = Files::new();
    let simulators = Control::start().await;
    let config = |secret: &str| {
        format!(
            "[partners.trolley]\nbase_url = 'http://{}/trolley'\naccess_key = \
             'SIMULATORPARENTACCESSKEY'\nsecret_key = 'simulatorparentsecretkey0000000000000000'\n\
             [[partners.trolley.accounts]]\nid = 'M-SimuLatedSubMerchant1'\naccess_key = \
             'SIMULATORSUBACCESSKEY000'\nsecret_key = '{secret}'",
            simulators.address
        )
    };
    for (secret, code, told) in [
        ("simulatorsubsecretkey0000000000000000000", 0, "trolley M-SimuLatedSubMerchant1: ok"),
        ("another", 1, "trolley M-SimuLatedSubMerchant1: failed"),
    ] {
        let file = files.write("gateway.toml", &config(secret));
        let output = run(&["check", "--config", &file, "--online"], &[]).await;
        assert_exits(&output, code);
        assert!(stdout(&output).contains(told), "{}", stdout(&output));
        assert!(stdout(&output).contains("trolley: ok"), "{}", stdout(&output));
    }
}

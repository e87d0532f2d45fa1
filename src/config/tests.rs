mod reference;
mod secrets;
mod tuning;

use std::fs;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::*;

const TRUSTIST: &str = "[partners.trustist]\nclient_id = 'us'\nclient_secret = 's3cret'\n";

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, Faults> {
    let environment = environment.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
    layers::merge(layers::parse(text, "gateway.toml")?, environment)
}

#[track_caller]
fn faults(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    load(text, environment).unwrap_err().iter().map(ToString::to_string).collect()
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

// === layers ===

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let text = "[grpc]\nlisten = '127.0.0.1:1'\nmax_connections = 7\nidle_timeout = '1m'";
    let config = load(
        text,
        &[
            ("PARTNER_GATEWAY__GRPC__LISTEN", "[::1]:2"),
            ("partner_gateway__grpc__Max_Concurrent_Streams", "8"),
            ("PARTNER_GATEWAY__GRPC__REFLECTION", "false"),
            ("PARTNER_GATEWAY__GRPC__DRAIN_DELAY", "1.5s"),
            ("PARTNER_GATEWAY__TELEMETRY__LOG_FORMAT", "json"),
            ("PARTNER_GATEWAY_PORT", "tcp://10.0.0.1:1"),
            ("PATH", "/bin"),
        ],
    );
    let Config { grpc, telemetry, .. } = config.unwrap();
    assert_eq!(grpc.listen, "[::1]:2".parse().unwrap());
    assert_eq!((grpc.max_connections, grpc.max_concurrent_streams), (7, 8));
    assert!(!grpc.reflection);
    assert_eq!((grpc.idle_timeout.as_secs(), grpc.drain_delay.as_millis()), (60, 1500));
    assert_eq!(telemetry.log_format, LogFormat::Json);
}

#[test]
fn a_partner_can_be_configured_by_the_environment_alone() {
    let trolley = "PARTNER_GATEWAY__PARTNERS__TROLLEY__";
    let config = load(
        "",
        &[
            (&format!("{trolley}ACCESS_KEY"), "12345"),
            (&format!("{trolley}SECRET_KEY"), "\"quoted\""),
            (&format!("{trolley}TIMEOUTS__TOTAL"), "15s"),
            (&format!("{trolley}ACCOUNTS"), "[{ id = 'M-1', access_key = 'a', secret_key = 's' }]"),
        ],
    );
    let trolley = config.unwrap().partners.trolley.unwrap();
    assert_eq!(trolley.access_key.expose_secret(), "12345");
    assert_eq!(trolley.secret_key.expose_secret(), "\"quoted\"");
    assert_eq!(trolley.timeouts.total.as_secs(), 15);
    assert_eq!(trolley.accounts[0].id, "M-1");
    assert_eq!(trolley.accounts[0].secret_key.expose_secret(), "s");
}

#[test]
fn a_fault_of_the_environment_names_the_variable() {
    let found = faults(
        "grpc.listen = '127.0.0.1:1'",
        &[
            ("PARTNER_GATEWAY__GRPC__MAX_CONNECTIONS", "many"),
            ("PARTNER_GATEWAY__GRPC__LISTEN__PORT", "1"),
            ("PARTNER_GATEWAY__", "1"),
            ("PARTNER_GATEWAY__Simulators__Listen", "127.0.0.1:1"),
            ("PARTNER_GATEWAY__SIMULATORS__LISTEN", "127.0.0.1:2"),
            ("PARTNER_GATEWAY__PARTNERS__ACME__KEY", "x"),
        ],
    );
    assert_eq!(
        found,
        [
            "PARTNER_GATEWAY__: names no key: write PARTNER_GATEWAY__SECTION__KEY",
            "PARTNER_GATEWAY__SIMULATORS__LISTEN: sets what PARTNER_GATEWAY__Simulators__Listen \
             sets",
            "PARTNER_GATEWAY__GRPC__LISTEN__PORT: names a key below something that is not a section",
            "grpc.max_connections: expected a whole number, 0 or more, found a string (set by \
             PARTNER_GATEWAY__GRPC__MAX_CONNECTIONS)",
            "partners.acme: unknown key; known here: trustist, trolley, trustap",
        ]
    );
}

// === the whole ===

#[test]
fn all_faults_are_reported_together() {
    let text = "
        [grpc]
        listen = 'localhost:50051'
        max_connections = 0
        max_concurrent_streams = -1
        handshake_timeout = 10
        idle_timeout = '5'
        default_deadline = '10m'
        drain_timeout = '48h'
        [telemetry]
        log_format = 'xml'
        log_level = 'inof'
        [partners.trustist]
        base_url = 'http://partner.example/'
        proxy_url = 'http://user:pass@proxy:3128'
        limits.response_byte = 1
        [partners.trolley]
        accounts = [{ idd = 'M-1' }]
        [tracing]
    ";
    insta::assert_snapshot!(load(text, &[]).unwrap_err(), @r#"
    the configuration has 21 faults:
      grpc.drain_timeout: is longer than 24h
      grpc.handshake_timeout: expected a duration such as "500ms", "3.1s" or "5m", found an integer
      grpc.idle_timeout: is not a duration such as "500ms", "3.1s" or "5m"
      grpc.listen: is not an IP address and a port, such as "127.0.0.1:50051"
      grpc.max_concurrent_streams: expected a whole number from 0 to 4294967295, found an integer
      partners.trolley.accounts[0].idd: unknown key; known here: id, access_key, access_key_file, secret_key, secret_key_file
      partners.trustist.limits.response_byte: unknown key; known here: response_bytes
      partners.trustist.proxy_url: must have no user name and no password in it
      telemetry.log_format: expected "readable" or "json", found a string
      tracing: unknown key; known here: grpc, operations, simulators, telemetry, store, idempotency, configuration, shared_limits, credentials, partners, callers
      grpc.max_connections: must be at least 1
      grpc.default_deadline: is longer than grpc.max_deadline
      telemetry.log_level: is not a level, nor a list such as "info,partner_gateway::stack=debug"
      partners.trustist.client_id: missing: it is required
      partners.trustist.client_secret: missing: give it, or client_secret_file
      partners.trustist.base_url: must be https, except for a loopback host or with allow_private_addresses
      partners.trolley.access_key: missing: give it, or access_key_file
      partners.trolley.secret_key: missing: give it, or secret_key_file
      partners.trolley.accounts[0].id: missing: it is required
      partners.trolley.accounts[0].access_key: missing: give it, or access_key_file
      partners.trolley.accounts[0].secret_key: missing: give it, or secret_key_file
    "#);
}

#[test]
fn a_syntax_fault_tells_line_and_column() {
    let found = faults("[grpc]\n# Zoë\n  listen = é\n", &[]);
    assert!(found[0].starts_with("gateway.toml:3:12: "), "{found:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Some(Path::new("/nowhere/gateway.toml")), []).unwrap_err();
    assert!(error.to_string().contains("/nowhere/gateway.toml: cannot be read"), "{error}");
}

#[test]
fn http_is_for_loopback_hosts_and_where_it_is_allowed() {
    let with = |more: &str| load(&format!("{TRUSTIST}{more}"), &[]);
    assert!(with("base_url = 'http://127.0.0.1:9400/trustist'").is_ok());
    assert!(with("base_url = 'http://localhost:9400/trustist/'").is_ok());
    assert!(with("base_url = 'http://relay.internal'").is_err());
    assert!(with("base_url = 'http://relay.internal'\nallow_private_addresses = true").is_ok());
}

#[test]
fn a_root_certificate_has_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let good =
        file(&folder, "ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let bad = file(&folder, "ca.txt", "certificate");
    let with = |path: PathBuf| load(&format!("{TRUSTIST}root_ca_file = '{}'", path.display()), &[]);
    assert!(with(good).is_ok());
    let error = with(bad).unwrap_err().to_string();
    assert!(error.contains("partners.trustist.root_ca_file: "), "{error}");
}

#[test]
fn the_effective_configuration_is_a_configuration() {
    let shown = load(TRUSTIST, &[("PARTNER_GATEWAY__GRPC__IDLE_TIMEOUT", "90s")]).unwrap();
    let again: Config = shown.to_string().parse().unwrap();
    assert_eq!(again.to_string(), shown.to_string());
}

#[test]
fn a_shared_token_needs_something_to_be_shared_over_and_a_key_that_all_have() {
    let shared = format!("{TRUSTIST}shared_token = true\n");
    let redis = "[shared_limits]\nredis_url = 'redis://localhost'\n";
    let store = "[store]\nencryption_key = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8='\n";
    assert_eq!(
        faults(&format!("{store}{shared}"), &[]),
        ["partners.trustist.shared_token: needs a Redis: give shared_limits.redis_url"]
    );
    assert_eq!(
        faults(&format!("{redis}{shared}"), &[]),
        [
            "partners.trustist.shared_token: needs a key that all replicas have: give store.encryption_key"
        ]
    );
    assert!(load(&format!("{redis}{store}{shared}"), &[]).is_ok());
    assert!(load(&format!("{redis}{store}{TRUSTIST}"), &[]).is_ok());
}

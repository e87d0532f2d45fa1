//! The rules that single values do not show, and the files that settings name.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use reqwest::Certificate;
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::{Account, Config, Connection, Faults, Grpc, Operations, Telemetry, Trolley, Trustist};

/// More connections or calls than any machine holds.
const MAX_COUNT: usize = 1_000_000;
/// The largest message that gRPC implementations can be told to take.
const MAX_MESSAGE: usize = 1 << 30;

/// Reads the secrets that are in files, and judges the whole.
pub(super) fn complete(config: &mut Config, faults: &mut Faults) {
    grpc(&config.grpc, faults);
    operations(&config.operations, &config.grpc, faults);
    telemetry(&config.telemetry, faults);
    if let Some(partner) = &mut config.partners.trustist {
        trustist(partner, faults);
    }
    if let Some(partner) = &mut config.partners.trolley {
        trolley(partner, faults);
    }
}

fn grpc(grpc: &Grpc, faults: &mut Faults) {
    at_least_one("grpc.max_message_bytes", grpc.max_message_bytes > 0, faults);
    at_least_one("grpc.max_concurrent_streams", grpc.max_concurrent_streams > 0, faults);
    at_least_one("grpc.max_connections", grpc.max_connections > 0, faults);
    at_least_one("grpc.max_calls", grpc.max_calls > 0, faults);
    at_most("grpc.max_connections", grpc.max_connections, MAX_COUNT, faults);
    at_most("grpc.max_calls", grpc.max_calls, MAX_COUNT, faults);
    at_most("grpc.max_message_bytes", grpc.max_message_bytes, MAX_MESSAGE, faults);
    not_zero("grpc.handshake_timeout", grpc.handshake_timeout, faults);
    not_zero("grpc.idle_timeout", grpc.idle_timeout, faults);
    not_zero("grpc.default_deadline", grpc.default_deadline, faults);
    not_zero("grpc.max_deadline", grpc.max_deadline, faults);
    if grpc.default_deadline > grpc.max_deadline && !faults.has("grpc.max_deadline") {
        faults.push("grpc.default_deadline", "is longer than grpc.max_deadline");
    }
}

fn operations(operations: &Operations, grpc: &Grpc, faults: &mut Faults) {
    // Port 0 is a free port each time.
    if operations.listen == grpc.listen && grpc.listen.port() != 0 {
        faults.push("operations.listen", "is the address of grpc.listen");
    }
}

fn telemetry(telemetry: &Telemetry, faults: &mut Faults) {
    let directives = telemetry.log_level.as_str();
    // A bare word that is no level would be taken for a module, and all else be silent.
    let is_level = |word: &str| word.contains('=') || word.trim().parse::<LevelFilter>().is_ok();
    let is_clear = directives.contains('[') || directives.split(',').all(is_level);
    if !is_clear || EnvFilter::builder().parse(directives).is_err() {
        let problem = "is not a level, nor a list such as \"info,partner_gateway::stack=debug\"";
        faults.push("telemetry.log_level", problem);
    }
}

fn trustist(partner: &mut Trustist, faults: &mut Faults) {
    let section = "partners.trustist";
    identifier(&format!("{section}.client_id"), &partner.client_id, faults);
    let file = partner.client_secret_file.as_deref();
    secret(section, "client_secret", &mut partner.client_secret, file, faults);
    connection(section, partner.connection(), faults);
}

fn trolley(partner: &mut Trolley, faults: &mut Faults) {
    let section = "partners.trolley";
    let file = partner.access_key_file.as_deref();
    secret(section, "access_key", &mut partner.access_key, file, faults);
    visible(section, &partner.access_key, faults);
    let file = partner.secret_key_file.as_deref();
    secret(section, "secret_key", &mut partner.secret_key, file, faults);
    connection(section, partner.connection(), faults);
    let mut ids = BTreeSet::new();
    for (index, account) in partner.accounts.iter_mut().enumerate() {
        let section = format!("{section}.accounts[{index}]");
        account_keys(&section, account, faults);
        if !account.id.is_empty() && !ids.insert(account.id.clone()) {
            faults.push(format!("{section}.id"), "is the id of another account, too");
        }
    }
}

fn account_keys(section: &str, account: &mut Account, faults: &mut Faults) {
    identifier(&format!("{section}.id"), &account.id, faults);
    let file = account.access_key_file.as_deref();
    secret(section, "access_key", &mut account.access_key, file, faults);
    visible(section, &account.access_key, faults);
    let file = account.secret_key_file.as_deref();
    secret(section, "secret_key", &mut account.secret_key, file, faults);
}

fn connection(section: &str, connection: Connection<'_>, faults: &mut Faults) {
    let Connection { base_url, timeouts, limits, .. } = connection;
    let is_trusted = connection.allow_private_addresses || base_url.is_loopback();
    if !base_url.is_https() && !is_trusted {
        let problem = "must be https, except for a loopback host or with allow_private_addresses";
        faults.push(format!("{section}.base_url"), problem);
    }
    not_zero(&format!("{section}.timeouts.connect"), timeouts.connect, faults);
    not_zero(&format!("{section}.timeouts.head"), timeouts.head, faults);
    not_zero(&format!("{section}.timeouts.body_idle"), timeouts.body_idle, faults);
    not_zero(&format!("{section}.timeouts.total"), timeouts.total, faults);
    at_least_one(&format!("{section}.limits.response_bytes"), limits.response_bytes > 0, faults);
    if let Some(file) = connection.root_ca_file {
        let key = format!("{section}.root_ca_file");
        let certificates = |pem: String| Certificate::from_pem_bundle(pem.as_bytes());
        match read(file).map(certificates) {
            Ok(Ok(found)) if !found.is_empty() => {}
            Ok(_) => faults.push(key, format!("{} holds no PEM certificate", file.display())),
            Err(problem) => faults.push(key, problem),
        }
    }
}

/// Takes a secret from its file, if that is how it is given.
fn secret(
    section: &str,
    name: &str,
    secret: &mut SecretString,
    file: Option<&Path>,
    faults: &mut Faults,
) {
    let (key, file_key) = (format!("{section}.{name}"), format!("{section}.{name}_file"));
    if faults.has(&key) || faults.has(&file_key) {
        return;
    }
    let is_given = !secret.expose_secret().is_empty();
    match file {
        Some(_) if is_given => {
            return faults.push(file_key, format!("{name} is given, too: keep one of them"));
        }
        None if !is_given => {
            return faults.push(key, format!("missing: give it, or {name}_file"));
        }
        None => {}
        Some(path) => match read(path) {
            Err(problem) => return faults.push(file_key, problem),
            Ok(text) => match text.trim_end_matches(['\r', '\n']) {
                "" => return faults.push(file_key, format!("{} is empty", path.display())),
                text => *secret = SecretString::from(text),
            },
        },
    }
    if secret.expose_secret().chars().any(char::is_control) {
        let key = if file.is_some() { file_key } else { key };
        faults.push(key, "has a line end or another control character in it");
    }
}

/// An access key is part of a header, with a colon after it.
fn visible(section: &str, access_key: &SecretString, faults: &mut Faults) {
    let key = format!("{section}.access_key");
    let is_fit = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if !faults.has(&format!("{key}_file")) && !access_key.expose_secret().bytes().all(is_fit) {
        faults.push(key, "must be visible ASCII without spaces and colons");
    }
}

fn identifier(key: &str, value: &str, faults: &mut Faults) {
    if value.is_empty() {
        faults.push(key, "missing: it is required");
    } else if value.chars().any(char::is_control) {
        faults.push(key, "has a line end or another control character in it");
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn at_least_one(key: &str, is_met: bool, faults: &mut Faults) {
    if !is_met {
        faults.push(key, "must be at least 1");
    }
}

fn at_most(key: &str, value: usize, most: usize, faults: &mut Faults) {
    if value > most {
        faults.push(key, format!("must be at most {most}"));
    }
}

fn not_zero(key: &str, duration: Duration, faults: &mut Faults) {
    if duration.is_zero() {
        faults.push(key, "must be longer than 0s");
    }
}

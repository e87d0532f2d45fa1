//! The rules that single values do not show, and the files that settings name.

mod limits;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use reqwest::Certificate;
use secrecy::{ExposeSecret, SecretString};

use crate::credentials::secret_file;
use crate::seal::Keyring;
use crate::store::Location;

use super::{
    Account, Config, Connection, Credentials, Faults, Grpc, Operations, SharedLimits, Store,
    Trolley, Trustap, Trustist, callers, idempotency,
};

mod telemetry;

/// More connections or calls than any machine holds.
const MAX_COUNT: usize = 1_000_000;
const INSECURE: &str = "must be https, except for a loopback host or with allow_private_addresses";
/// The largest message that gRPC implementations can be told to take.
const MAX_MESSAGE: usize = 1 << 30;

/// Reads the secrets that are in files, and judges the whole.
pub(super) fn complete(config: &mut Config, faults: &mut Faults) {
    grpc(&config.grpc, faults);
    operations(&config.operations, &config.grpc, faults);
    telemetry::telemetry(&mut config.telemetry, faults);
    if let Some(partner) = &mut config.partners.trustist {
        trustist(partner, faults);
    }
    if let Some(partner) = &mut config.partners.trolley {
        trolley(partner, faults);
    }
    if let Some(partner) = &mut config.partners.trustap {
        trustap(partner, faults);
    }
    store(&mut config.store, faults);
    idempotency::check(&config.idempotency, faults);
    shared_limits(&mut config.shared_limits, faults);
    credentials(&config.credentials, faults);
    let interval = config.configuration.reload_interval;
    not_zero("configuration.reload_interval", interval, faults);
    callers::validate(&config.callers, faults);
    shared_token(config, faults);
    let shows_secrets = config.partners.trolley.as_ref().is_none_or(|p| p.return_secrets);
    if !shows_secrets && config.store.database().is_none() {
        let problem = "would lose keys with a store in memory: give store.encryption_key";
        faults.push("partners.trolley.return_secrets", problem);
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

fn trustist(partner: &mut Trustist, faults: &mut Faults) {
    let section = "partners.trustist";
    identifier(&format!("{section}.client_id"), &partner.client_id, faults);
    let file = partner.client_secret_file.as_deref();
    secret(section, "client_secret", &mut partner.client_secret, file, faults);
    connection(section, partner.connection(), faults);
    limits::tuning(section, partner.tuning(), faults);
}

fn trolley(partner: &mut Trolley, faults: &mut Faults) {
    let section = "partners.trolley";
    let file = partner.access_key_file.as_deref();
    secret(section, "access_key", &mut partner.access_key, file, faults);
    visible(section, &partner.access_key, faults);
    let file = partner.secret_key_file.as_deref();
    secret(section, "secret_key", &mut partner.secret_key, file, faults);
    connection(section, partner.connection(), faults);
    limits::tuning(section, partner.tuning(), faults);
    let mut ids = BTreeSet::new();
    for (index, account) in partner.accounts.iter_mut().enumerate() {
        let section = format!("{section}.accounts[{index}]");
        account_keys(&section, account, faults);
        if !account.id.is_empty() && !ids.insert(account.id.clone()) {
            faults.push(format!("{section}.id"), "is the id of another account, too");
        }
    }
}

fn trustap(partner: &mut Trustap, faults: &mut Faults) {
    let section = "partners.trustap";
    let file = partner.api_key_file.as_deref();
    secret(section, "api_key", &mut partner.api_key, file, faults);
    let keeps_grants = !partner.client_id.is_empty();
    let is_given =
        partner.client_secret_file.is_some() || !partner.client_secret.expose_secret().is_empty();
    if keeps_grants || is_given {
        identifier(&format!("{section}.client_id"), &partner.client_id, faults);
        let file = partner.client_secret_file.as_deref();
        secret(section, "client_secret", &mut partner.client_secret, file, faults);
    }
    let is_trusted = partner.allow_private_addresses || partner.token_url.is_loopback();
    if !partner.token_url.is_https() && !is_trusted {
        faults.push(format!("{section}.token_url"), INSECURE);
    }
    connection(section, partner.connection(), faults);
    limits::tuning(section, partner.tuning(), faults);
}

fn store(store: &mut Store, faults: &mut Faults) {
    let section = "store";
    let file = store.url_file.as_deref();
    if file.is_some() || !store.url.expose_secret().is_empty() {
        secret(section, "url", &mut store.url, file, faults);
    }
    let file = store.encryption_key_file.as_deref();
    if file.is_some() || store.database().is_some() {
        let is_taken = take(section, "encryption_key", &mut store.encryption_key, file, faults);
        let keyring = Keyring::parse(&store.encryption_key);
        if let Some(error) = keyring.err().filter(|_| is_taken) {
            let suffix = if file.is_some() { "_file" } else { "" };
            faults.push(format!("{section}.encryption_key{suffix}"), error.to_string());
        }
    }
    not_zero("store.timeout", store.timeout, faults);
    at_least_one("store.max_connections", store.max_connections > 0, faults);
    if let Some(Err(problem)) = store.database().map(Location::of) {
        faults.push("store.url", problem);
    }
}

fn shared_limits(shared: &mut SharedLimits, faults: &mut Faults) {
    let file = shared.redis_url_file.as_deref();
    if file.is_some() || !shared.redis_url.expose_secret().is_empty() {
        secret("shared_limits", "redis_url", &mut shared.redis_url, file, faults);
    }
    let url = shared.redis_url.expose_secret();
    if !url.is_empty() && !["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme)) {
        faults.push("shared_limits.redis_url", "must begin with redis:// or rediss://");
    }
    at_least_one("shared_limits.replicas", shared.replicas > 0, faults);
}

fn credentials(credentials: &Credentials, faults: &mut Faults) {
    not_zero("credentials.reload_interval", credentials.reload_interval, faults);
}

/// Tokens are shared sealed, with the keys that all replicas have.
fn shared_token(config: &Config, faults: &mut Faults) {
    if !config.partners.trustist.as_ref().is_some_and(|partner| partner.shared_token) {
        return;
    }
    let key = "partners.trustist.shared_token";
    if config.shared_limits.redis_url.expose_secret().is_empty() {
        faults.push(key, "needs a Redis: give shared_limits.redis_url");
    } else if config.store.database().is_none() {
        faults.push(key, "needs a key that all replicas have: give store.encryption_key");
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
        faults.push(format!("{section}.base_url"), INSECURE);
    }
    not_zero(&format!("{section}.timeouts.connect"), timeouts.connect, faults);
    not_zero(&format!("{section}.timeouts.head"), timeouts.head, faults);
    not_zero(&format!("{section}.timeouts.body_idle"), timeouts.body_idle, faults);
    not_zero(&format!("{section}.timeouts.total"), timeouts.total, faults);
    at_least_one(&format!("{section}.limits.response_bytes"), limits.response_bytes > 0, faults);
    root_ca(format!("{section}.root_ca_file"), connection.root_ca_file, faults);
}

fn root_ca(key: String, file: Option<&Path>, faults: &mut Faults) {
    if let Some(file) = file {
        let certificates = |pem: String| Certificate::from_pem_bundle(pem.as_bytes());
        match read(file).map(certificates) {
            Ok(Ok(found)) if !found.is_empty() => {}
            Ok(_) => faults.push(key, format!("{} holds no PEM certificate", file.display())),
            Err(problem) => faults.push(key, problem),
        }
    }
}

/// Takes a secret of one line from its file, if that is how it is given.
fn secret(
    section: &str,
    name: &str,
    secret: &mut SecretString,
    file: Option<&Path>,
    faults: &mut Faults,
) {
    let is_taken = take(section, name, secret, file, faults);
    if is_taken && let Err(problem) = secret_file::one_line(secret) {
        let suffix = if file.is_some() { "_file" } else { "" };
        faults.push(format!("{section}.{name}{suffix}"), problem);
    }
}

/// Takes a secret from its file, if that is how it is given. Says whether there is one.
fn take(
    section: &str,
    name: &str,
    secret: &mut SecretString,
    file: Option<&Path>,
    faults: &mut Faults,
) -> bool {
    let (key, file_key) = (format!("{section}.{name}"), format!("{section}.{name}_file"));
    if faults.has(&key) || faults.has(&file_key) {
        return false;
    }
    let is_given = !secret.expose_secret().is_empty();
    let (key, problem) = match file.map(|path| (path, read(path))) {
        None if is_given => return true,
        None => (key, format!("missing: give it, or {name}_file")),
        Some(_) if is_given => (file_key, format!("{name} is given, too: keep one of them")),
        Some((_, Err(problem))) => (file_key, problem),
        Some((path, Ok(text))) => match secret_file::text_of(&text) {
            None => (file_key, format!("{} is empty", path.display())),
            Some(text) => {
                *secret = text;
                return true;
            }
        },
    };
    faults.push(key, problem);
    false
}

/// An access key is part of a header, with a colon after it.
fn visible(section: &str, access_key: &SecretString, faults: &mut Faults) {
    let key = format!("{section}.access_key");
    if !faults.has(&format!("{key}_file"))
        && let Err(problem) = secret_file::access_key(access_key)
    {
        faults.push(key, problem);
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

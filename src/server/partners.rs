//! The stack of each configured partner, and the proof that its credentials are good.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::call::Call;
use crate::callers::Caller;
use crate::clock::Clock;
use crate::config::{Config, PartnerSettings};
use crate::credentials::SecretFiles;
use crate::error::Error;
use crate::grpc::{PartnerSide, is_readable};
use crate::operation::{Catalogue, Credential, Effect, Operation};
use crate::random::Random;
use crate::redis::Redis;
use crate::stack::{self, Built, Context, Limits, Stack};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::{partner, transcode};

/// Settings of a partner that cannot be used, each named by its key.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(super) struct Unusable(Vec<String>);

/// What the stacks of all partners share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
    pub(super) store: Store,
    pub(super) secret_files: SecretFiles,
    pub(super) metrics: Metrics,
}

/// Builds the stack of every configured partner.
pub(super) fn build(
    config: &Config,
    shared: &Shared,
) -> Result<BTreeMap<String, PartnerSide>, Unusable> {
    let redis = redis(config)?;
    let context = |status| Context {
        clock: shared.clock.clone(),
        tasks: shared.tasks.clone(),
        stopping: shared.stopping.clone(),
        status,
        store: shared.store.clone(),
        retention: config.idempotency.retention(),
        is_readable,
        secret_files: shared.secret_files.clone(),
        redis: redis.clone(),
        metrics: shared.metrics.clone(),
        random: Random::system(),
    };
    let mut sides = BTreeMap::new();
    let mut problems = Vec::new();
    for settings in config.partners.settings() {
        let name = settings.name;
        let limits = settings.tuning.limits(config.shared_limits.replicas, config.grpc.max_calls);
        match side(settings, limits, context) {
            Ok(side) => {
                sides.insert(name.to_owned(), side);
            }
            Err(found) => {
                problems.extend(found.into_iter().map(|p| format!("partners.{name}.{p}")))
            }
        }
    }
    if problems.is_empty() { Ok(sides) } else { Err(Unusable(problems)) }
}

fn redis(config: &Config) -> Result<Option<Redis>, Unusable> {
    let url = &config.shared_limits.redis_url;
    if url.expose_secret().is_empty() {
        return Ok(None);
    }
    let redis = Redis::new(url);
    redis.map(Some).map_err(|error| Unusable(vec![format!("shared_limits.redis_url: {error}")]))
}

fn side(
    settings: PartnerSettings<'_>,
    limits: Limits,
    context: impl Fn(Arc<partner::Status>) -> Context,
) -> Result<PartnerSide, Vec<String>> {
    let partner =
        partner::by_name(settings.name).ok_or_else(|| vec![" is no partner".to_owned()])?;
    let connection = settings.connection;
    let root_ca = connection.root_ca_file.map(std::fs::read).transpose();
    let root_ca = root_ca.map_err(|error| vec![format!("root_ca_file: {error}")])?;
    let status = Arc::new(partner::Status::default());
    let (context, return_secrets) = (context(Arc::clone(&status)), settings.return_secrets);
    let settings = stack::Settings {
        allow_private_addresses: connection.allow_private_addresses,
        proxy_url: connection.proxy_url.map(ToString::to_string),
        root_ca,
        http2_prior_knowledge: connection.http2_prior_knowledge,
        timeouts: stack::Timeouts {
            connect: connection.timeouts.connect,
            head: connection.timeouts.head,
            body_idle: connection.timeouts.body_idle,
            total: connection.timeouts.total,
        },
        max_body: connection.limits.response_bytes,
        limits,
        credentials: settings.credentials,
        ..stack::Settings::new(connection.base_url.as_str())
    };
    let host = settings.host();
    let Built { stack, state, authenticator } = stack::build(partner, settings, &context)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(PartnerSide { stack, host, status, state, authenticator, return_secrets })
}

/// What would keep a gateway with this configuration from starting: its partners'
/// stacks are built, and nothing is sent.
pub async fn check(config: &Config) -> Vec<String> {
    match build_alone(config).await {
        Ok(_) => Vec::new(),
        Err(Unusable(problems)) => problems,
    }
}

/// Proves the credentials of every configured partner with a harmless read, the first
/// list that names no resource: once for the partner account itself, and once for each
/// sub-account. The first of each pair says whose credential it is.
pub async fn check_online(config: &Config) -> Vec<(String, Result<String, String>)> {
    let (catalogue, sides) = match (Catalogue::embedded(), build_alone(config).await) {
        (Ok(catalogue), Ok(sides)) => (catalogue, sides),
        (Err(fault), _) => return vec![("gateway".to_owned(), Err(fault.to_string()))],
        (_, Err(unusable)) => return vec![("gateway".to_owned(), Err(unusable.to_string()))],
    };
    let mut results = Vec::new();
    for settings in config.partners.settings() {
        let Some(side) = sides.get(settings.name) else { continue };
        let accounts = settings.credentials.accounts.keys().cloned().map(Some);
        for account in std::iter::once(None).chain(accounts) {
            let whose = match &account {
                None => settings.name.to_owned(),
                Some(account) => format!("{} {account}", settings.name),
            };
            results.push((whose, prove(catalogue, settings.name, side, account).await));
        }
    }
    results
}

/// The partners without what outlives the process: only their own credentials count.
async fn build_alone(config: &Config) -> Result<BTreeMap<String, PartnerSide>, Unusable> {
    let clock = Clock::system();
    let store = Store::in_memory(clock.clone()).await;
    let store = store.map_err(|error| Unusable(vec![format!("store: {error}")]))?;
    let shared = Shared {
        clock,
        tasks: TaskTracker::new(),
        stopping: CancellationToken::new(),
        store,
        secret_files: SecretFiles::default(),
        metrics: Metrics::default(),
    };
    build(config, &shared)
}

async fn prove(
    catalogue: &Catalogue,
    partner: &str,
    side: &PartnerSide,
    account: Option<String>,
) -> Result<String, String> {
    let operation = harmless(catalogue, partner).ok_or("its contract has no harmless read")?;
    match read(side.stack.clone(), operation, account).await {
        Ok(()) => Ok(format!("{} answered {}", side.host, operation.rpc())),
        Err(error) => Err(format!("{} failed: {error}", operation.rpc())),
    }
}

/// The first list that names no resource.
pub(super) fn harmless(catalogue: &Catalogue, partner: &str) -> Option<&'static Operation> {
    catalogue.operations().iter().copied().find(|operation| {
        operation.partner == partner
            && operation.effect == Effect::Read
            && operation.name.starts_with("List")
            && !operation.names_a_resource()
            // A user's own token is nothing that the gateway has.
            && operation.credentials.iter().any(|kind| *kind != Credential::UserToken)
            && transcode::request(operation, &[]).is_ok()
    })
}

/// Makes such a read.
pub(super) async fn read(
    stack: Stack,
    operation: &'static Operation,
    account: Option<String>,
) -> Result<(), Error> {
    let parts = transcode::request(operation, &[]).map_err(Error::invalid)?;
    let call = Call {
        operation,
        id: Uuid::now_v7(),
        account,
        user_token: None,
        target: parts.target,
        headers: parts.headers,
        body: parts.body,
        request_id: None,
        deadline: Instant::now() + stack::Timeouts::default().total,
        caller: Caller::anonymous(),
        previous_attempts: 0,
    };
    stack.oneshot(call).await.map(|_| ())
}

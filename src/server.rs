//! Wires everything and owns everything that runs: listeners, tasks, shutdown.
//!
//! The order of the edge, outermost first: connection (preface in time, streams and
//! headers bounded), call (id, deadline, every status with details), then the routes.
//! Shutdown goes the other way: not ready, no new connections, calls end, tasks end; what
//! operators look at goes last.

mod activity;
mod calm;
mod connections;
mod deadline;
mod edge;
mod health;
mod listener;
mod metrics;
mod operations;
mod partners;
mod probes;
mod reflection;
mod reload;
mod routes;
mod shutdown;
mod simulators;
mod store;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::credentials::{SecretFiles, Source};
use crate::grpc::{Gateway, KeptCredentials, Operations, PartnerStates};
use crate::operation::Catalogue;
use crate::random::Random;
use crate::seal::Keyring;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

pub use partners::{check, check_online};
pub(crate) use shutdown::StopSignals;
pub(crate) use store::settings as store_settings;

/// How long before the end of a drain callers are told that their calls go on without
/// them: a connection that just breaks says nothing of what the partner may have done.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long those may take who look at the gateway's health while it ends.
const LAST_LOOK: Duration = Duration::from_secs(1);

type BoxError = Box<dyn Error + Send + Sync>;

/// Runs the gateway until the process is told to stop (SIGTERM or SIGINT), then
/// drains it. With `simulate` it also runs the partner simulators, and its partners
/// are these. Changes of the file that the configuration came from are followed.
///
/// # Errors
/// When an address cannot be listened on, or a partner's settings cannot be used.
pub async fn run(
    config: Config,
    source: Option<config::Source>,
    simulate: bool,
) -> Result<(), BoxError> {
    let mut signals = StopSignals::catch()?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let server = Server::start(config, simulate, &stop, &tasks).await?;
    if let Some(source) = source {
        server.follow(source, &stop, &tasks);
    }
    signals.wait().await;
    server.drain(&stop, &tasks).await;
    Ok(())
}

/// A running gateway.
#[derive(Debug)]
pub struct Server {
    config: Config,
    /// Where gRPC is served.
    pub grpc: std::net::SocketAddr,
    /// Where health is served in plaintext.
    pub operations: std::net::SocketAddr,
    simulators: Option<simulators::Running>,
    readiness: operations::Readiness,
    /// The operations listener, which outlasts the calls.
    watched: Watched,
    tuned: reload::Tuned,
    /// Ends the waiting for partners' answers.
    ending: CancellationToken,
}

/// What operators look at: it runs until this is dropped.
#[derive(Debug)]
struct Watched {
    tasks: TaskTracker,
    stop: DropGuard,
}

// === impl Server ===

impl Server {
    /// Binds every listener and serves in tasks of `tasks` until `stop` is cancelled.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn start(
        mut config: Config,
        simulate: bool,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Self, BoxError> {
        let catalogue = Catalogue::embedded()?;
        let grpc = listener::bind("grpc.listen", config.grpc.listen).await?;
        let operations = listener::bind("operations.listen", config.operations.listen).await?;
        let simulators = match simulate {
            true => Some(simulators::Running::start(&mut config).await?),
            false => None,
        };
        let ending = CancellationToken::new();
        let shared = shared(&config, simulate, tasks, &ending).await?;
        let gateway = Arc::new(Gateway::new(partners::build(&config, &shared)?));
        let readiness =
            operations::Readiness::new(routes::names(catalogue, &config.grpc), &gateway);
        let simulated = simulators.as_ref().map(|running| running.address);
        let tuned = reload::Tuned::new(&config, &gateway, &shared.clock, simulated);
        let services = services(catalogue, &tuned, &shared, &config);
        let routes = routes::routes(services, &config.grpc, &readiness);
        look_after(&config, &gateway, &shared, &readiness, stop);
        probe(catalogue, &gateway, stop, tasks);
        let observed =
            metrics::observe(gateway, &shared, tuned.in_force.clone(), &config.telemetry, stop);
        let health = readiness.routes(observed);
        let server = Self {
            grpc: grpc.local_addr()?,
            operations: operations.local_addr()?,
            simulators,
            readiness,
            watched: Watched::start(operations, health),
            tuned,
            ending,
            config,
        };
        let measures = edge::Measures::new(catalogue, server.grpc, shared.metrics);
        server.serve(grpc, routes, measures, stop, tasks);
        server.readiness.set(true);
        tracing::info!(
            grpc = %server.grpc,
            operations = %server.operations,
            simulators = server.simulators().map(tracing::field::display),
            "serving"
        );
        Ok(server)
    }

    /// Takes calls from here on, in tasks of `tasks` until `stop` is cancelled.
    fn serve(
        &self,
        listener: TcpListener,
        routes: axum::Router,
        measures: edge::Measures,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let (settings, random) = (&self.config.grpc, Random::system());
        let callers = self.tuned.callers.clone();
        let edge = edge::Edge::new(routes, callers, settings, random.clone(), measures);
        let (limits, stop, tracker) =
            (connections::Limits::from(settings), stop.clone(), tasks.clone());
        tasks.spawn(connections::serve_grpc(listener, edge, limits, random, stop, tracker));
    }

    /// Where the simulators are served, if they are.
    pub fn simulators(&self) -> Option<std::net::SocketAddr> {
        self.simulators.as_ref().map(|running| running.address)
    }

    /// Follows changes of the file that the configuration came from, in a task of `tasks`
    /// until `stop` is cancelled.
    pub fn follow(&self, source: config::Source, stop: &CancellationToken, tasks: &TaskTracker) {
        let interval = self.config.configuration.reload_interval;
        let reload = reload::Reload::new(source, self.tuned.clone());
        tasks.spawn(reload.watch(interval, stop.clone()));
    }

    /// Stops in the order of G27: health says that it goes, calls are taken until that is
    /// known, connections are told to go elsewhere and streams end, calls in flight end.
    pub async fn drain(self, stop: &CancellationToken, tasks: &TaskTracker) {
        let (grpc, start) = (&self.config.grpc, Instant::now());
        self.readiness.set(false);
        tracing::info!(delay = grpc.drain_delay.as_secs_f64(), "draining");
        tokio::time::sleep(grpc.drain_delay).await;
        stop.cancel();
        tasks.close();
        let (patience, ended) = (grpc.drain_timeout.saturating_sub(LAST_WORDS), tasks.wait());
        let mut ended = std::pin::pin!(ended);
        if tokio::time::timeout(patience, ended.as_mut()).await.is_err() {
            tracing::warn!(tasks = tasks.len(), "stopping with calls in flight");
            self.ending.cancel();
            let _ = tokio::time::timeout(LAST_WORDS.min(grpc.drain_timeout), ended).await;
        }
        drop(self.simulators);
        self.watched.end().await;
        tracing::info!(seconds = start.elapsed().as_secs_f64(), "stopped");
    }
}

// === impl Watched ===

impl Watched {
    fn start(listener: TcpListener, routes: axum::Router) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(connections::serve_http(listener, routes, stop.clone(), tasks.clone()));
        Self { tasks, stop: stop.drop_guard() }
    }

    async fn end(self) {
        drop(self.stop);
        self.tasks.close();
        let _ = tokio::time::timeout(LAST_LOOK, self.tasks.wait()).await;
    }
}

/// What the partners' sides share.
async fn shared(
    config: &Config,
    simulate: bool,
    tasks: &TaskTracker,
    ending: &CancellationToken,
) -> Result<partners::Shared, BoxError> {
    let clock = Clock::system();
    Ok(partners::Shared {
        store: store::open(config, simulate, &clock).await?,
        clock,
        tasks: tasks.clone(),
        stopping: ending.clone(),
        secret_files: SecretFiles::default(),
        metrics: Metrics::default(),
    })
}

fn services(
    catalogue: &'static Catalogue,
    tuned: &reload::Tuned,
    shared: &partners::Shared,
    config: &Config,
) -> routes::Services {
    let (gateway, store, clock) = (|| Arc::clone(&tuned.gateway), &shared.store, &shared.clock);
    let max_message = config.grpc.max_message_bytes;
    let reveals = config.credentials.reveal;
    routes::Services {
        operations: Operations::new(catalogue, gateway(), max_message),
        partners: PartnerStates::new(
            catalogue,
            gateway(),
            store.clone(),
            clock.clone(),
            tuned.in_force.clone(),
        ),
        credentials: KeptCredentials::new(
            gateway(),
            store.clone(),
            clock.clone(),
            shared.tasks.clone(),
            reveals,
        ),
    }
}

/// Starts what looks after the store, users' grants, the files of secrets and the health of
/// the partners.
fn look_after(
    config: &Config,
    gateway: &Arc<Gateway>,
    shared: &partners::Shared,
    readiness: &operations::Readiness,
    stop: &CancellationToken,
) {
    let partners::Shared { store, tasks, secret_files, clock, .. } = shared;
    let (partners, readiness) = (Arc::clone(gateway), readiness.clone());
    tasks.spawn(readiness.look_after_partners(partners, clock.clone(), stop.clone()));
    let offered = watch_keyring(config, secret_files, store);
    let interval = config.credentials.reload_interval;
    tasks.spawn(secret_files.clone().watch(interval, stop.clone()));
    let authenticators = gateway.partners().map(|(_, side)| &side.authenticator);
    authenticators.clone().for_each(|authenticator| authenticator.start(stop));
    let vaults = authenticators.map(|authenticator| authenticator.vault().clone()).collect();
    let retention = config.idempotency.retention();
    tasks.spawn(store::look_after(store.clone(), retention, vaults, stop.clone()));
    tasks.spawn(store::look_after_keys(store.clone(), offered, stop.clone()));
}

/// Starts what reads from partners whose writes wait for it.
fn probe(
    catalogue: &'static Catalogue,
    gateway: &Gateway,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    for (name, side) in gateway.partners() {
        tasks.spawn(probes::watch(catalogue, name.to_owned(), side.clone(), stop.clone()));
    }
}

/// Reads the store's keys again when their file changes. Those that are none are refused, and
/// so are the ones before them that the store has not taken yet.
fn watch_keyring(
    config: &Config,
    files: &SecretFiles,
    store: &Store,
) -> watch::Receiver<Option<Keyring>> {
    let (offer, offered) = watch::channel(None);
    let (text, file) = (&config.store.encryption_key, &config.store.encryption_key_file);
    let (source, store) = (Source { text: text.clone(), file: file.clone() }, store.clone());
    files.add("store.encryption_key", [source], move |texts| {
        let [text] = texts else { return Err("it is not one text".to_owned()) };
        match Keyring::parse(text) {
            Ok(keyring) => {
                offer.send_replace(Some(keyring));
                Ok(())
            }
            Err(error) => {
                offer.send_replace(None);
                store.refuse_keyring();
                Err(error.to_string())
            }
        }
    });
    offered
}

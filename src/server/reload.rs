//! A changed configuration counts without a restart, as far as it can.
//!
//! How hard each partner is used and who may call are numbers and names that are looked up
//! for each call: they are taken from a changed file as they are. Everything else was built
//! into listeners, clients and stores at the start; that it has changed is told, by key. A
//! file with a fault changes nothing, and its faults are told once.
//!
//! What is compared is the text, as with files of secrets, and a change is taken when a
//! second look a moment later sees the same.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::callers::{Callers, Known};
use crate::clock::Clock;
use crate::config::{Config, Faults, InForce, InvalidUrl, Source, changed};
use crate::grpc::Gateway;
use crate::telemetry;

/// The moment between the two looks that must see the same.
const MOMENT: Duration = Duration::from_millis(200);
/// How long a look at files may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The parts of a partner's section that are taken.
const TUNING: [&str; 3] = ["rate_limit", "retry", "breaker"];

/// What of a running gateway can be set anew.
#[derive(Clone, Debug)]
pub(super) struct Tuned {
    pub(super) gateway: Arc<Gateway>,
    pub(super) callers: Callers,
    pub(super) in_force: InForce,
    clock: Clock,
    /// What there is room for: places are made at the start.
    max_calls: usize,
    /// Where the simulators are that are its partners, if they are.
    simulators: Option<SocketAddr>,
}

/// Looks at the configuration's file.
#[derive(Debug)]
pub(super) struct Reload {
    source: Source,
    tuned: Tuned,
    /// What the log was last told to be wrong with the file.
    told: Option<String>,
    reading: Patient<io::Result<String>>,
    loading: Patient<Result<(Config, Source), Faults>>,
}

/// Work off the runtime's threads, on files that may be on a disk that hangs: while the one
/// does not end there is no other.
#[derive(Debug)]
struct Patient<T>(Option<JoinHandle<T>>);

// === impl Reload ===

impl Reload {
    pub(super) fn new(source: Source, tuned: Tuned) -> Self {
        Self { source, tuned, told: None, reading: Patient(None), loading: Patient(None) }
    }

    /// Looks at the file every `interval`, until `stop` is cancelled.
    pub(super) async fn watch(mut self, interval: Duration, stop: CancellationToken) {
        let watching = async {
            loop {
                tokio::time::sleep(interval).await;
                match self.look().await {
                    Ok(()) => self.told = None,
                    Err(problem) => self.tell(problem),
                }
                self.tuned.in_force.refused(self.told.is_some());
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Takes what has changed; the error is what is wrong with the file.
    async fn look(&mut self) -> Result<(), String> {
        let text = self.read().await?;
        if text == self.source.text() {
            return Ok(());
        }
        tokio::time::sleep(MOMENT).await;
        // What is on its way is taken the next time.
        if self.read().await? != text {
            return Ok(());
        }
        // Files of secrets are read as well.
        let mut source = self.source.clone();
        let loading = move || source.load(text).map(|config| (config, source));
        let loaded =
            self.loading.work(loading).await.ok_or("a file of a secret does not answer")?;
        let (config, source) = loaded.map_err(|faults| faults.to_string())?;
        let keys = changed(self.source.text(), source.text());
        let keeps_callers = self.tuned.take(config).map_err(|error| error.to_string())?;
        self.source = source;
        let is_taken = |key: &String| is_live(key) && !(keeps_callers && key == "callers");
        let (taken, left): (Vec<_>, Vec<_>) = keys.into_iter().partition(is_taken);
        tracing::info!(keys = taken.join(", "), "a changed configuration is in force");
        let is_simulated = self.tuned.simulators.is_some();
        let left = left.into_iter().filter(|key| !(is_simulated && key.starts_with("partners.")));
        let left = left.collect::<Vec<_>>().join(", ");
        if !left.is_empty() {
            tracing::warn!(keys = left, "what has changed here needs a restart");
        }
        Ok(())
    }

    /// Tells what is wrong with the file, if that is news.
    fn tell(&mut self, problem: String) {
        if self.told.as_ref() != Some(&problem) {
            tracing::warn!(problem, "the configuration's file cannot be used: nothing changes");
            self.told = Some(problem);
        }
    }

    async fn read(&mut self) -> Result<String, String> {
        let file = self.source.file().to_owned();
        let name = file.display().to_string();
        let read = self.reading.work(move || std::fs::read_to_string(file)).await;
        let text = read.ok_or_else(|| format!("{name} does not answer"))?;
        text.map_err(|error| format!("{name} cannot be read: {error}"))
    }
}

// === impl Patient ===

impl<T: Send + 'static> Patient<T> {
    /// What comes of `work`, or of the work before that has not ended; `None` if nothing does
    /// in time.
    async fn work(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let task = self.0.get_or_insert_with(|| tokio::task::spawn_blocking(work));
        let done = timeout(PATIENCE, task).await.ok()?;
        self.0 = None;
        done.ok()
    }
}

// === impl Tuned ===

impl Tuned {
    /// What of `gateway` can be set anew, which was built of `config`.
    pub(super) fn new(
        config: &Config,
        gateway: &Arc<Gateway>,
        clock: &Clock,
        simulators: Option<SocketAddr>,
    ) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            callers: Callers::new(known(config)),
            in_force: InForce::new(clock.now()),
            clock: clock.clone(),
            max_calls: config.grpc.max_calls,
            simulators,
        }
    }

    /// Takes what can be taken. Says whether the callers had to stay as they are: what tells
    /// them apart is not taken away by a file that has lost a part.
    fn take(&self, config: Config) -> Result<bool, InvalidUrl> {
        let known = known(&config);
        let replicas = config.shared_limits.replicas;
        let partners = match self.simulators {
            Some(address) => config.partners.simulated(address)?,
            None => config.partners,
        };
        for settings in partners.settings() {
            if let Some(side) = self.gateway.partner(settings.name) {
                side.state.limits.set(settings.tuning.limits(replicas, self.max_calls));
            }
        }
        let opens_up = known.is_empty() && self.callers.are_told_apart();
        if !opens_up {
            self.callers.set(known);
        }
        if let Err(error) = telemetry::set_log_level(&config.telemetry.log_level) {
            tracing::warn!(%error, "what is logged stays");
        }
        self.in_force.taken(self.clock.now());
        Ok(opens_up)
    }
}

/// The callers that a configuration names.
fn known(config: &Config) -> Vec<Known> {
    config.callers.iter().map(|caller| caller.known()).collect()
}

/// Whether a change of this key counts at once.
fn is_live(key: &str) -> bool {
    let mut parts = key.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("callers"), None, None) | (Some("telemetry"), Some("log_level"), None) => true,
        (Some("shared_limits"), Some("replicas"), None) => true,
        // Where a partner's slots are by now, the answers have brought them.
        (Some("partners"), Some(_), Some("concurrency")) => parts.next() != Some("initial"),
        (Some("partners"), Some(_), Some(part)) => TUNING.contains(&part),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_up_for_each_call_counts_at_once_and_nothing_else() {
        for key in [
            "callers",
            "telemetry.log_level",
            "shared_limits.replicas",
            "partners.a.rate_limit.requests",
            "partners.a.breaker.open",
            "partners.b.retry.max_attempts",
            "partners.b.concurrency.max",
        ] {
            assert!(is_live(key), "{key}");
        }
        for key in [
            "grpc.listen",
            "shared_limits.redis_url",
            "partners.a.base_url",
            "partners.a.timeouts.total",
            "partners.a.concurrency.initial",
            "partners.a.accounts",
            "store.url",
        ] {
            assert!(!is_live(key), "{key}");
        }
    }
}

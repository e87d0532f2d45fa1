//! `serve`: runs the gateway until it is told to stop.

use std::path::PathBuf;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::Result;
use crate::config::{self, Config, Source};
use crate::{server, telemetry};

/// Run the gateway.
///
/// Reads the configuration, reports everything that is wrong with it and stops, or
/// listens until SIGTERM or SIGINT and then finishes the calls in flight. Without a
/// file the defaults and the environment count.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partner-gateway serve --config gateway.toml
  partner-gateway serve --simulate
  PARTNER_GATEWAY__GRPC__LISTEN=0.0.0.0:50051 partner-gateway serve --config gateway.toml")]
pub(super) struct Args {
    /// The configuration, a TOML file (see `check --defaults`).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Call simulated partners, started in this process on a loopback port, instead of
    /// the real ones: no account and no partner's section is needed.
    #[arg(long)]
    simulate: bool,
    /// Arms a fail point, for tests of the gateway itself: POINT=halt or POINT=fail.
    #[cfg(debug_assertions)]
    #[arg(long, value_name = "POINT=ACT", hide = true)]
    fail_point: Vec<String>,
}

pub(super) async fn run(args: Args) -> Result {
    // Before there is a secret in it.
    let is_private = keep_memory_private();
    let environment = config::process_environment();
    let (config, source) = match args.config {
        Some(file) => {
            Source::open(file, environment).map(|(config, source)| (config, Some(source)))?
        }
        None => (Config::load(None, environment)?, None),
    };
    let exports = telemetry::init(&config.telemetry)?;
    if let Err(error) = is_private {
        tracing::warn!(%error, "a core dump of this process would show its secrets");
    }
    #[cfg(debug_assertions)]
    crate::failpoint::arm(&args.fail_point)?;
    let partners = config.partners.configured();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        ?partners,
        simulate = args.simulate,
        "starting"
    );
    tracing::info!(configuration = %config, "effective configuration");
    let result = server::run(config, source, args.simulate).await;
    exports.flush().await;
    result
}

/// No core dump and no other process of the same user shows the secrets in memory (S19).
fn keep_memory_private() -> rustix::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

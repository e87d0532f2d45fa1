//! `serve`: runs the gateway until it is told to stop.

use std::path::PathBuf;

use super::Result;
use crate::config::{self, Config};
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
    let config = Config::load(args.config.as_deref(), config::process_environment())?;
    telemetry::init(&config.telemetry)?;
    #[cfg(debug_assertions)]
    crate::failpoint::arm(&args.fail_point)?;
    let partners = config.partners.configured();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        ?partners,
        simulate = args.simulate,
        "starting"
    );
    tracing::debug!(configuration = %config, "effective configuration");
    server::run(config, args.simulate).await
}

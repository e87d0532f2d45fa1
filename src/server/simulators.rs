//! `--simulate`: the partner simulators on loopback, and a configuration that uses them.

use std::net::SocketAddr;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::simulator::{Settings, Simulator};

use super::{BoxError, listener};

/// Running simulators. They end when this is dropped, which must be after the calls to
/// them have ended.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) address: SocketAddr,
    _stop: DropGuard,
}

impl Running {
    /// Starts the simulators and makes them the partners of `config`.
    pub(super) async fn start(config: &mut Config) -> Result<Self, BoxError> {
        let listener = listener::bind("simulators.listen", config.simulators.listen).await?;
        let address = listener.local_addr()?;
        config.partners = config.partners.simulated(address)?;
        let simulator = Simulator::new(Settings::default());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        // A tracker of their own: the gateway's must be empty before they may end.
        TaskTracker::new().spawn(async move {
            if let Err(error) = simulator.serve(listener, stopped).await {
                tracing::error!(error = %error, "the simulators ended");
            }
        });
        Ok(Self { address, _stop: stop.drop_guard() })
    }
}

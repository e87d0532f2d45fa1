//! A gateway in this process, on free ports.

use partner_gateway::config::Config;
use partner_gateway::server::Server;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::Client;
use super::control::Control;

/// A running gateway; it stops when dropped.
pub(crate) struct Gateway {
    pub(crate) server: Option<Server>,
    pub(crate) client: Client,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Gateway {
    /// A gateway to the partner simulators, with these settings besides (TOML).
    pub(crate) async fn simulated(settings: &str) -> Self {
        Self::start(settings, true).await
    }

    /// A gateway to the partners that the settings name (TOML).
    pub(crate) async fn configured(settings: &str) -> Self {
        Self::start(settings, false).await
    }

    async fn start(settings: &str, simulate: bool) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let server = Server::start(config(settings), simulate, &stop, &tasks).await.unwrap();
        let client = Client::connect(server.grpc).await;
        Self { server: Some(server), client, stop, tasks }
    }

    /// Where gRPC is served.
    pub(crate) fn grpc(&self) -> std::net::SocketAddr {
        self.server.as_ref().unwrap().grpc
    }

    /// Where health is served.
    pub(crate) fn operations(&self) -> std::net::SocketAddr {
        self.server.as_ref().unwrap().operations
    }

    /// The simulators' control interface.
    pub(crate) fn control(&self) -> Control {
        Control::of(self.server.as_ref().unwrap().simulators().unwrap())
    }

    /// Drains the gateway as a signal would.
    pub(crate) async fn drain(mut self) {
        self.server.take().unwrap().drain(&self.stop, &self.tasks).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The settings, with every listener on a free port.
fn config(settings: &str) -> Config {
    let mut config: Config = settings.parse().unwrap();
    let free = "127.0.0.1:0".parse().unwrap();
    config.grpc.listen = free;
    config.operations.listen = free;
    config.simulators.listen = free;
    config
}

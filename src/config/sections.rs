//! The sections that do not speak of partners. What each key does is said in
//! `config.default.toml`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::value;

/// `[grpc]`: the port that callers use.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grpc {
    /// Address and port.
    #[serde(with = "value::address")]
    pub listen: SocketAddr,
    /// The largest request message that is read, in bytes.
    pub max_message_bytes: usize,
    /// Open calls on one connection.
    pub max_concurrent_streams: u32,
    /// Open connections.
    pub max_connections: usize,
    /// Open calls of all connections; those of health are not counted.
    pub max_calls: usize,
    /// From accepting a connection until HTTP/2 is set up.
    #[serde(with = "value::duration")]
    pub handshake_timeout: Duration,
    /// How long a connection stays open without a call.
    #[serde(with = "value::duration")]
    pub idle_timeout: Duration,
    /// How long a connection is used, give or take a tenth; zero for ever.
    #[serde(with = "value::duration")]
    pub max_connection_age: Duration,
    /// How long its streams go on after that.
    #[serde(with = "value::duration")]
    pub max_connection_age_grace: Duration,
    /// The deadline of a call that brings none.
    #[serde(with = "value::duration")]
    pub default_deadline: Duration,
    /// The longest deadline that a call gets.
    #[serde(with = "value::duration")]
    pub max_deadline: Duration,
    /// Whether reflection is served.
    pub reflection: bool,
    /// How long calls are still taken once health says NOT_SERVING.
    #[serde(with = "value::duration")]
    pub drain_delay: Duration,
    /// How long calls in flight may then take.
    #[serde(with = "value::duration")]
    pub drain_timeout: Duration,
}

/// `[operations]`: the port of probes and metrics.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operations {
    /// Address and port.
    #[serde(with = "value::address")]
    pub listen: SocketAddr,
}

/// `[simulators]`: the embedded partner simulators.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Simulators {
    /// Address and port.
    #[serde(with = "value::address")]
    pub listen: SocketAddr,
}

/// `[telemetry]`: what is logged and traced, and where it goes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The form of the log.
    pub log_format: LogFormat,
    /// What is logged, in the directives of `tracing_subscriber::EnvFilter`.
    pub log_level: String,
    /// The collector that traces and metrics are sent to over OTLP; "" for none.
    pub otlp_endpoint: String,
    /// Headers for it, "name=value,name=value".
    #[serde(with = "value::optional_secret")]
    pub otlp_headers: SecretString,
    /// The file that the headers were read from, if any.
    #[serde(with = "value::path")]
    pub otlp_headers_file: Option<PathBuf>,
    /// Root certificates to trust besides the system's, PEM.
    #[serde(with = "value::path")]
    pub otlp_root_ca_file: Option<PathBuf>,
    /// How often metrics are sent to it.
    #[serde(with = "value::duration")]
    pub otlp_metrics_interval: Duration,
    /// The share of traces that is kept, of those that begin here; from 0 to 1.
    pub trace_ratio: f64,
}

/// `[configuration]`: how the configuration itself is kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    /// How often the file is looked at for changes.
    #[serde(with = "value::duration")]
    pub reload_interval: Duration,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Readable,
    /// A JSON object a line.
    Json,
}

// === impl Grpc ===

impl Default for Grpc {
    fn default() -> Self {
        Self {
            listen: loopback(50051),
            max_message_bytes: 256 << 10,
            max_concurrent_streams: 100,
            max_connections: 10_000,
            max_calls: 16_384,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(5 * 60),
            max_connection_age: Duration::from_secs(10 * 60),
            max_connection_age_grace: Duration::from_secs(30),
            default_deadline: Duration::from_secs(30),
            max_deadline: Duration::from_secs(5 * 60),
            reflection: true,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(35),
        }
    }
}

// === impl Operations ===

impl Default for Operations {
    fn default() -> Self {
        Self { listen: loopback(9090) }
    }
}

// === impl Simulators ===

impl Default for Simulators {
    fn default() -> Self {
        Self { listen: loopback(9400) }
    }
}

// === impl Telemetry ===

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Readable,
            log_level: "info".to_owned(),
            otlp_endpoint: String::new(),
            otlp_headers: SecretString::default(),
            otlp_headers_file: None,
            otlp_root_ca_file: None,
            otlp_metrics_interval: Duration::from_secs(60),
            trace_ratio: 1.0,
        }
    }
}

// === impl Configuration ===

impl Default for Configuration {
    fn default() -> Self {
        Self { reload_interval: Duration::from_secs(10) }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

//! How a partner is reached: the part of its section that all partners have, so that
//! whoever makes connections need not know which partner it is.

use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{BaseUrl, value};

/// Time-outs of each attempt to call a partner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until a connection is ready: name, TCP and TLS.
    #[serde(with = "value::duration")]
    pub connect: Duration,
    /// From the beginning until the answer's headers are there.
    #[serde(with = "value::duration")]
    pub head: Duration,
    /// Between two parts of the answer's body.
    #[serde(with = "value::duration")]
    pub body_idle: Duration,
    /// For the attempt as a whole.
    #[serde(with = "value::duration")]
    pub total: Duration,
}

/// Bounds on what a partner sends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest body of an answer, in bytes after decompression.
    pub response_bytes: usize,
}

/// How a partner is reached, whichever it is.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Where the partner's API is.
    pub base_url: &'a BaseUrl,
    /// Time-outs of each attempt.
    pub timeouts: &'a Timeouts,
    /// Bounds on what the partner sends.
    pub limits: &'a Limits,
    /// Whether HTTP/2 is spoken without negotiating it.
    pub http2_prior_knowledge: bool,
    /// Whether the partner may be at a loopback, private or link-local address.
    pub allow_private_addresses: bool,
    /// Root certificates to trust besides the system's, PEM.
    pub root_ca_file: Option<&'a Path>,
    /// The HTTP proxy in between.
    pub proxy_url: Option<&'a Url>,
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(3100),
            head: Duration::from_secs(10),
            body_idle: Duration::from_secs(10),
            total: Duration::from_secs(30),
        }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { response_bytes: 1 << 20 }
    }
}

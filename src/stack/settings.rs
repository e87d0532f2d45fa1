//! What is set for one partner's stack, with the defaults and the checks.

use std::fmt;
use std::time::Duration;

use super::limits::Limits;
use crate::credentials;

/// One partner's settings.
#[derive(Clone)]
pub struct Settings {
    /// Scheme, authority and an optional path that comes before every path of the
    /// contract. https, but for `localhost` and loopback addresses.
    pub base_url: String,
    /// Lifts two guards, for tests and private links: plain http is accepted, and so are
    /// names and addresses that are not public.
    pub allow_private_addresses: bool,
    /// The proxy that calls go through. It resolves the partner's name then, and has to
    /// keep private addresses out itself.
    pub proxy_url: Option<String>,
    /// Certificates in PEM that are trusted besides the system's.
    pub root_ca: Option<Vec<u8>>,
    /// Speak HTTP/2 without asking, for a partner without TLS. With TLS it is negotiated.
    pub http2_prior_knowledge: bool,
    /// How long parts of an attempt may take.
    pub timeouts: Timeouts,
    /// The longest answer that is read, in bytes after decompression.
    pub max_body: usize,
    /// How hard the partner is used at the start.
    pub limits: Limits,
    /// The secrets.
    pub credentials: credentials::Settings,
}

/// How long parts of an attempt may take. The caller's deadline bounds all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To a connection that is ready: name, TCP and TLS.
    pub connect: Duration,
    /// From the beginning to the head of the answer.
    pub head: Duration,
    /// Between two parts of the answer's body.
    pub body_idle: Duration,
    /// The whole attempt.
    pub total: Duration,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key below the partner's section.
    pub key: &'static str,
    /// What is wrong with it. Never holds a secret.
    pub problem: String,
}

// === impl Settings ===

impl Settings {
    /// The defaults for a partner at `base_url`, without credentials.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            allow_private_addresses: false,
            proxy_url: None,
            root_ca: None,
            http2_prior_knowledge: false,
            timeouts: Timeouts::default(),
            max_body: 1024 * 1024,
            limits: Limits::default(),
            credentials: credentials::Settings::default(),
        }
    }

    /// The host of the base URL; empty if that is none.
    pub fn host(&self) -> String {
        reqwest::Url::parse(&self.base_url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Faults of the settings that need no client to be found.
    pub(super) fn faults(&self) -> Vec<Problem> {
        let mut faults = Vec::new();
        let Timeouts { connect, head, body_idle, total } = self.timeouts;
        for (key, timeout) in [
            ("timeouts.connect", connect),
            ("timeouts.head", head),
            ("timeouts.body_idle", body_idle),
            ("timeouts.total", total),
        ] {
            if timeout.is_zero() {
                faults.push(Problem::new(key, "it must be longer than nothing"));
            }
        }
        let credentials = &self.credentials;
        let keys = credentials.accounts.values().map(|pair| ("accounts", pair));
        for (key, pair) in keys.chain(credentials.key_pair.iter().map(|pair| ("access_key", pair)))
        {
            let access_key = &pair.access_key;
            if access_key.is_empty() || !access_key.bytes().all(|byte| byte.is_ascii_graphic()) {
                faults.push(Problem::new(key, "an access key is visible ASCII without spaces"));
            }
        }
        faults
    }
}

// URLs may hold a password, whether they should or not.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("host", &self.host())
            .field("allow_private_addresses", &self.allow_private_addresses)
            .field("has_proxy", &self.proxy_url.is_some())
            .field("timeouts", &self.timeouts)
            .field("max_body", &self.max_body)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(3_100),
            head: Duration::from_secs(10),
            body_idle: Duration::from_secs(10),
            total: Duration::from_secs(30),
        }
    }
}

// === impl Problem ===

impl Problem {
    pub(super) fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self { key, problem: problem.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

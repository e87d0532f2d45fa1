//! Who calls: the internal services, as far as the gateway tells them apart.
//!
//! A caller's name scopes what it may ask twice, its share bounds what it may use of a
//! partner, and both stand in the log. Callers that nobody tells apart are one.

mod table;

use std::sync::Arc;

pub use table::{Callers, InvalidDigest, Known, TokenDigest};

/// A service that calls the gateway. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    name: String,
    share: u32,
    coalesces_reads: bool,
}

// === impl Caller ===

impl Caller {
    /// The name of the callers that nobody tells apart.
    pub const ANONYMOUS: &'static str = "anonymous";

    /// A caller that the configuration names.
    pub fn new(name: impl Into<String>, share: u32, coalesces_reads: bool) -> Self {
        Self(Arc::new(Inner { name: name.into(), share, coalesces_reads }))
    }

    /// Whoever calls without saying who it is.
    pub fn anonymous() -> Self {
        Self::new(Self::ANONYMOUS, 1, false)
    }

    /// Whoever is not let in: known to the log alone.
    pub fn unknown() -> Self {
        Self::new("unknown", 1, false)
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its weight where callers have to wait for each other; 1 at least.
    pub fn share(&self) -> u32 {
        self.0.share.max(1)
    }

    /// Whether identical reads of it that are in flight at once may be one.
    pub fn coalesces_reads(&self) -> bool {
        self.0.coalesces_reads
    }
}

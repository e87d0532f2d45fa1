//! How calls get their turns just now, as plain data.

use std::time::Duration;

use crate::partner::Quota;

/// How calls get their turns just now.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Calls that wait for their turn.
    pub(crate) waiting: usize,
    /// Requests that are open.
    pub(crate) in_flight: u32,
    /// How many may be.
    pub(crate) concurrency: u32,
    /// What became of calls since the start.
    pub(crate) counts: Counts,
    /// Whether replicas count quotas together just now.
    pub(crate) is_shared: bool,
    /// The quotas, the partner account's own first: 256 at most.
    pub(crate) lanes: Vec<LaneSnapshot>,
}

/// What became of calls that asked for their turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Let through.
    pub(crate) admitted: u64,
    /// Refused because the quota is used up for too long.
    pub(crate) rate_limited: u64,
    /// Refused for want of room.
    pub(crate) overloaded: u64,
}

/// One quota.
#[derive(Clone, Debug)]
pub(crate) struct LaneSnapshot {
    /// The sub-account; `None` for the partner account's own.
    pub(crate) account: Option<String>,
    /// Calls that wait for it.
    pub(crate) waiting: usize,
    /// Requests that are open.
    pub(crate) in_flight: u32,
    /// Until a request may be sent; nothing if one may just now.
    pub(crate) wait: Duration,
    /// For how long the partner wants no request at all.
    pub(crate) closed_for: Option<Duration>,
    /// How far apart requests are because the partner says that little is left.
    pub(crate) paced: Option<Duration>,
    /// What the partner said last, and how long ago.
    pub(crate) heard: Option<(Quota, Duration)>,
}

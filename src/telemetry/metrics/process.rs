//! What is told of the process itself, and of what it tells.

use jiff::Timestamp;

use super::family::{Counter, Declare, Gauge};
use crate::telemetry::dropped_lines;
use crate::telemetry::export::Tally;

/// The metrics of the process.
#[derive(Debug)]
pub(super) struct Process {
    memory: Gauge,
    files: Gauge,
    start: Gauge,
    build: Gauge,
    pub(super) configuration_refused: Gauge,
    spans: Counter,
    log_lines_dropped: Counter,
}

// === impl Process ===

impl Process {
    pub(super) fn declare(it: &mut Declare<'_>) -> Self {
        Self {
            memory: it.gauge(
                "process.resident_memory",
                "By",
                &[],
                "Memory of the process that is resident",
            ),
            files: it.gauge("process.open_fds", "", &[], "Files and sockets that are open"),
            start: it.gauge(
                "process.start_time",
                "s",
                &[],
                "When the process started, since the Unix epoch",
            ),
            build: it.gauge(
                "partner_gateway.build_info",
                "",
                &["version"],
                "1, with the version that runs",
            ),
            configuration_refused: it.gauge(
                "partner_gateway.configuration_refused",
                "",
                &[],
                "Whether the configuration's file has changed and cannot be used",
            ),
            spans: it.counter(
                "partner_gateway.spans",
                &["fate"],
                "Spans that ended: sent, or lost because the queue was full or the collector failed",
            ),
            log_lines_dropped: it.counter(
                "partner_gateway.log_lines_dropped",
                &["kind"],
                "Lines of the log that were lost because stderr was not read in time",
            ),
        }
    }

    /// The process has started.
    pub(super) fn started(&self, now: Timestamp) {
        self.start.set([], u64::try_from(now.as_second()).unwrap_or_default());
        self.build.set([env!("CARGO_PKG_VERSION").into()], 1);
    }

    /// Looks at the process; what the system does not tell is left out.
    pub(super) fn look(&self, tally: Option<&Tally>) {
        if let Some(bytes) = resident() {
            self.memory.set([], bytes);
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            // Without the one that is open for the looking.
            let count = files.count().saturating_sub(1);
            self.files.set([], u64::try_from(count).unwrap_or(u64::MAX));
        }
        for (fate, count) in tally.map(Tally::fates).into_iter().flatten() {
            self.spans.raise([fate.into()], count);
        }
        for (kind, count) in dropped_lines() {
            self.log_lines_dropped.raise([kind.into()], count);
        }
    }
}

fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

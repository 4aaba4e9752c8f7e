//! Figures of a journal.

use feedd_core::counters::Counter;

/// What telemetry shows of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Segments that hold events, or are being written.
    pub segments: u64,
    /// Bytes of segments and spares.
    pub bytes_used: u64,
    /// The budget.
    pub bytes_max: u64,
    /// Commits that wrote something.
    pub commits: u64,
    /// Nanoseconds spent in syncs.
    pub sync_ns_total: u64,
    /// Longest sync since the figures were asked for last.
    pub sync_ns_max: u64,
    /// Segments given up because writing or syncing them failed.
    pub failed_syncs: u64,
    /// Bytes written, headers included.
    pub bytes_written: u64,
}

/// Counted by the writer.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: Counter,
    pub(crate) sync_ns_total: Counter,
    pub(crate) sync_ns_max: Counter,
    pub(crate) failed_syncs: Counter,
    pub(crate) bytes_written: Counter,
}

impl Counters {
    pub(crate) fn synced(&self, ns: u64) {
        self.sync_ns_total.add(ns);
        self.sync_ns_max.raise(ns);
    }

    pub(crate) fn usage(&self, segments: u64, bytes_used: u64, bytes_max: u64) -> Usage {
        Usage {
            segments,
            bytes_used,
            bytes_max,
            commits: self.commits.get(),
            sync_ns_total: self.sync_ns_total.get(),
            sync_ns_max: self.sync_ns_max.reset(),
            failed_syncs: self.failed_syncs.get(),
            bytes_written: self.bytes_written.get(),
        }
    }
}

//! Metrics in Prometheus' text format, version 0.0.4: one row of [`table::METRICS`] each, documented in `docs/metrics.md`.
//!
//! Names: `feedd_` prefix, base units, `_total` on counters; every series is there from the start with its zero (those of
//! a symbol since it was first heard), and no gauge is ever negative. Labels come from small closed sets: configured names,
//! venues and symbols, reasons.

mod table;
#[cfg(test)]
mod tests;
mod write;

use crate::alerts::{Alert, Told};
use crate::findings::{DiskView, Finding};
use crate::hops::StageView;
use crate::snapshot::Snapshot;
use crate::symbols::SymbolView;
use crate::watched::Watched;

pub use table::{METRICS, Metric};
pub use write::{Kind, Samples};

/// What metrics are made of.
pub struct MetricsView<'a> {
    /// Every counter.
    pub watched: &'a Watched,
    /// Now.
    pub now: &'a Snapshot,
    /// Every symbol now.
    pub symbols: &'a [SymbolView],
    /// Every stage now.
    pub stages: &'a [StageView],
    /// What is wrong now.
    pub findings: &'a [Finding],
    /// What of it lasts.
    pub alerts: &'a [Alert],
    /// What became of the alerts that were to be sent.
    pub told: Told,
    /// Every disk that is written to.
    pub disks: &'a [DiskView],
    /// How often the account did not hold.
    pub violations: u64,
    /// Version of feedd.
    pub version: &'a str,
    /// When the run was started, Unix seconds.
    pub started_at: i64,
    /// Bytes of memory held (resident set).
    pub rss_bytes: u64,
}

/// The page of a scrape. High-water marks begin anew with it: to be made for scrapes only.
#[must_use]
pub fn metrics_page(view: &MetricsView<'_>) -> String {
    let mut samples = Samples::default();
    for metric in METRICS {
        samples.begin(metric);
        (metric.samples)(view, &mut samples);
    }
    samples.page()
}

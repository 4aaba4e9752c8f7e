//! What an operator sees of a run: one snapshot of all counters, and the texts made from it.
//!
//! Reads counters only; nothing here can slow the way of an event. Start with [`Watched`] and [`Snapshot`].
//!
//! ```
//! assert_eq!(feedd_telemetry::grouped(1234567), "1,234,567");
//! ```
#![forbid(unsafe_code)]

pub mod alerts;
mod backpressure;
mod beats;
mod findings;
mod findings_analysis;
mod findings_storage;
mod flow_text;
mod hops;
mod levels;
mod limit;
pub mod metrics;
mod number;
mod performance;
mod performance_report;
mod snapshot;
pub mod status;
mod status_hops;
mod status_text;
mod symbols;
mod texts;
mod verdict;
mod watched;

pub use backpressure::BackpressureWatch;
pub use beats::{BeatWatch, StillThread};
pub use findings::{DiskView, Evidence, Finding, LATELY_NANOS, Level, Limits, RECENT_NANOS, RESTARTS_NANOS, findings};
pub use flow_text::{flow_lines, flow_sink};
pub use hops::{Hop, StageView, StageWatch};
pub use levels::{BufferView, Levels, Notice, Observation, Severity, Thresholds};
pub use number::{duration, grouped, percent};
pub use performance::{EdgeTotals, EngineTotals, Performance, ProcessorTotals, StrategyTotals};
pub use performance_report::{
    Backpressure, EdgeReport, EngineReport, PerformanceReport, ProcessorReport, StrategyReport, SymbolCount, Times,
};
pub use snapshot::{AnalysisView, FeedView, JournalView, RingView, SinkView, Snapshot, StrategyView};
pub use status_text::{
    finding_text, gap_name, gap_text, health_check_line, latency_lines, program_line, sink_lines, status_page,
};
pub use symbols::{SymbolView, SymbolWatch};
pub use texts::{final_report, health_line, started_line, status_line};
pub use verdict::{Edge, Verdict};
pub use watched::{Watched, WatchedAnalysis, WatchedJournal, WatchedSink, WatchedSource};

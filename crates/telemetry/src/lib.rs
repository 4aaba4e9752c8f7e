//! What an operator sees of a run: one snapshot of all counters, and the texts made from it.
//!
//! Reads counters only; nothing here can slow the way of an event. Start with [`Watched`] and [`Snapshot`].
//!
//! ```
//! assert_eq!(feedd_telemetry::grouped(1234567), "1,234,567");
//! ```
#![forbid(unsafe_code)]

mod levels;
mod limit;
mod number;
mod snapshot;
mod texts;
mod watched;

pub use levels::{BufferView, Levels, Notice, Observation, Severity, Thresholds};
pub use number::grouped;
pub use snapshot::{JournalView, RingView, SinkView, Snapshot};
pub use texts::{final_report, health_line, started_line, status_line};
pub use watched::{Watched, WatchedJournal, WatchedSink, WatchedSource};

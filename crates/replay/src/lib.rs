//! What was recorded, and what Binance publishes, as a source again: in order, with the recorded receive times, as fast as
//! it was received, faster, or as fast as it is taken.
//!
//! [`ReplaySource::stored`] reads a folder of the Parquet sink: trades, quotes, gaps and status, merged by (epoch, seq)
//! into the events that were recorded. [`ReplaySource::csv`] reads public files of trades, merged by time. Both keep only
//! those files open that overlap, so that memory does not grow with the recording. What is damaged, foreign or outside the
//! [`Selection`] is told and counted ([`Tally`]); the rest goes on.
//!
//! Leaves out on purpose: depth (neither bars nor strategies look at it), the PostgreSQL sink's tables, and captures, which
//! need a venue's decoder (`crates/venues`). Zeros that a venue printed at the end of a price are not stored, so a price
//! comes back by value.
//!
//! ```no_run
//! use feedd_core::{Instruments, pace::Speed, playback::Pause};
//! use feedd_replay::{ReplayParts, ReplaySource, Selection};
//! let parts = ReplayParts {
//!     name: "replay".to_owned(),
//!     instruments: Instruments::in_memory(),
//!     speed: Speed::Max,
//!     pause: Pause::new(),
//!     selection: Selection::default(),
//! };
//! let source = ReplaySource::stored(parts, "feedd-data".as_ref()).unwrap();
//! # drop(source);
//! ```
#![forbid(unsafe_code)]

mod context;
mod csv;
pub mod fuzzing;
mod merge;
mod quality;
mod source;
mod stored;

pub use context::{Selection, Tally};
pub use csv::FAULT_NAMES as LINE_FAULTS;
pub use csv::is_csv;
pub use quality::{MissingSpan, Quality, QualityReport, quality};
pub use source::{ReplayParts, ReplaySource};
pub use stored::is_stored;

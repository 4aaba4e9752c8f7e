//! The contract of a source: one thread that turns what a venue sends into bursts of events.
//!
//! To add a venue, write its decoder (crates/venues); to add another way in (a new transport), implement [`Source`]
//! and add one row to the registry of `bins/feedd`.

use crate::counters::Counter;
use crate::outlet::Outlet;
use crate::sink::BoxError;

/// Why a source ended before its time. Other sources go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Its input cannot be read any further.
    #[error("{what}")]
    Input {
        /// What was read, with its path or address, and the remedy.
        what: String,
        /// The cause.
        source: Option<BoxError>,
    },
    /// Something of ours that it needs failed (the instrument dictionary, its thread).
    #[error("{what}")]
    Recorder {
        /// What failed.
        what: String,
        /// The cause.
        source: Option<BoxError>,
    },
}

/// Something that delivers events, on its own thread.
pub trait Source: Send {
    /// Name of the source, unique in a run, as in the configuration.
    fn name(&self) -> &str;

    /// Delivers until there is no more, or until `outlet.publish` says that it shall end, which it does soon after a
    /// stop request. Must publish or look at [`crate::Stop::is_requested`] at least every 100 ms.
    ///
    /// # Errors
    /// [`SourceError`] when it cannot go on; everything published before stays.
    fn run(&mut self, outlet: &mut Outlet) -> Result<(), SourceError>;
}

/// How far a source is through its recording, in bytes as stored. Written by the source's thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes read.
    pub bytes: Counter,
    /// Bytes in all files; 0 when that is unknown because one is a pipe.
    pub total: Counter,
}

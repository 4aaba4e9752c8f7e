//! The sink's errors, each with the path it is about.

use feedd_core::{BoxError, SinkError};
use std::path::Path;

/// The sink's name, as in the configuration.
pub(crate) const SINK: &str = "parquet";

/// Nothing is lost; the same can be tried again.
pub(crate) fn unavailable(action: &str, path: &Path, source: impl Into<BoxError>) -> SinkError {
    SinkError::Unavailable { sink: SINK, what: format!("{action} {}", path.display()), source: source.into() }
}

/// Rows that were taken are gone from memory: the position has to be asked for and the rows offered again.
pub(crate) fn unknown(action: &str, path: &Path, source: impl Into<BoxError>) -> SinkError {
    SinkError::Unknown { sink: SINK, what: format!("{action} {}", path.display()), source: source.into() }
}

/// A person is needed.
pub(crate) fn fatal(what: String, source: Option<BoxError>) -> SinkError {
    SinkError::Fatal { sink: SINK, what, source }
}

/// The Parquet library refused what this crate gave it: a defect, not a state of the store.
pub(crate) fn encoding(path: &Path, source: impl Into<BoxError>) -> SinkError {
    fatal(format!("encoding rows of {} failed; please report it", path.display()), Some(source.into()))
}

//! Captures: recorded frames as JSON Lines, plain or zstd, one session a file.
//!
//! `{"recv_ns": <int or null>, "conn": "<id>", "dir": "in"|"out"|"ctl", "frame": "<exact text>"}`. Reading goes on after
//! a bad line; only a file that cannot be read any further ends it.

mod files;
mod line;
mod lines;
mod pipe;
mod reader;
mod tape;

pub use files::{expand, venue_of};
pub use line::{CaptureLine, Direction, LineFault};
pub use reader::CaptureReader;
pub use tape::{TapeHeader, TapeNote};

use std::path::PathBuf;

/// Why a capture, or a line of it, could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// One line is bad; the next call goes on behind it.
    #[error("{}:{line}: {fault}", path.display())]
    Line {
        /// The capture.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        fault: LineFault,
        /// Its bytes as they stand in the file; of a too large line, the first 64 KiB.
        raw: Vec<u8>,
    },
    /// The file cannot be opened; nothing was read.
    #[error("{}: cannot open the capture", path.display())]
    Open {
        /// The capture or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file ends in the middle of its compressed data; every complete line before has been delivered.
    #[error("{}: compressed data ends early after line {lines}; the file is cut off or still being written", path.display())]
    Truncated {
        /// The capture.
        path: PathBuf,
        /// Complete lines delivered.
        lines: u64,
        /// The cause.
        source: std::io::Error,
    },
    /// The file cannot be read any further; every complete line before has been delivered.
    #[error("{}: reading failed after line {lines}", path.display())]
    Read {
        /// The capture.
        path: PathBuf,
        /// Complete lines delivered.
        lines: u64,
        /// The cause.
        source: std::io::Error,
    },
    /// A folder holds no capture.
    #[error("{}: no *.jsonl or *.jsonl.zst in this folder", path.display())]
    NoCaptures {
        /// The folder.
        path: PathBuf,
    },
}

impl CaptureError {
    /// Whether only one line is lost and reading goes on.
    #[must_use]
    pub const fn is_line(&self) -> bool {
        matches!(self, Self::Line { .. })
    }
}

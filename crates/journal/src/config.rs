//! What a journal is told when it is opened.

use crate::error::JournalError;
use feedd_model::{Epoch, StreamId, UnixNanos};
use std::path::PathBuf;
use std::time::Duration;

/// Smallest segment.
pub const SEGMENT_BYTES_MIN: u64 = 16 * 1024;

/// Where the journal stands, and its limits.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The journal's own folder; made when it is missing.
    pub dir: PathBuf,
    /// Length of a segment: at least 16 KiB, a multiple of 4 KiB.
    pub segment_bytes: u64,
    /// Most bytes of all segments, spares included: at least three segments. A start that finds the budget used up may
    /// take one more small segment, so that it can begin.
    pub bytes_max: u64,
    /// When a commit counts as durable.
    pub sync: Sync,
}

/// What makes a commit durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Synced; whoever drives the journal commits this often.
    Every(Duration),
    /// Synced; whoever drives the journal commits after each append.
    Always,
    /// Written, but left to the system to sync: a power cut loses what the system had not written yet.
    Os,
}

/// This start of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Recorded stream.
    pub stream: StreamId,
    /// Start counter, above that of every start before.
    pub epoch: Epoch,
    /// Wall time.
    pub at: UnixNanos,
}

/// The times of appended events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Wall time of the append.
    pub at: UnixNanos,
    /// No event that is appended later was received earlier than this. Kept as whole milliseconds before `at`, rounded
    /// down, and not above `at`.
    pub complete_until: UnixNanos,
}

impl From<UnixNanos> for Stamp {
    /// What is appended later is received later.
    fn from(at: UnixNanos) -> Self {
        Self { at, complete_until: at }
    }
}

impl JournalConfig {
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let reason = if self.segment_bytes < SEGMENT_BYTES_MIN || !self.segment_bytes.is_multiple_of(4096) {
            "a segment has at least 16 KiB and a multiple of 4 KiB"
        } else if self.bytes_max / 3 < self.segment_bytes {
            "the byte budget must hold three segments: raise it, or make segments smaller"
        } else {
            return Ok(());
        };
        Err(JournalError::Config { reason })
    }
}

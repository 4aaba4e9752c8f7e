//! What was found in a journal's folder.

use feedd_model::{Epoch, Position, Seq, StreamId, UnixNanos};
use std::path::PathBuf;

/// What a journal held when it was opened or looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Starts, in order.
    pub epochs: Vec<EpochSpan>,
    /// Damaged places, in order.
    pub damage: Vec<Damage>,
    /// Bytes behind the last frame of the newest segment: a commit that a crash cut off, never durable.
    pub torn_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Events, each counted once.
    pub events: u64,
    /// When the newest event was journalled; when all have been trimmed, as `complete_until`.
    pub last_event_at: Option<UnixNanos>,
    /// No event that is missing behind the newest was received earlier; known also when the newest has been trimmed.
    ///
    /// After a run that did not end in order it is told by the last frame before the first damaged place of the newest
    /// segment: the damage may be the part of the last commit that never reached the disk.
    pub complete_until: Option<UnixNanos>,
    /// The last run ended by [`crate::Journal::close`], or there was none.
    pub clean: bool,
    /// Bytes of all segment files.
    pub bytes: u64,
    /// Segments of another stream: neither read nor changed.
    pub foreign: Vec<PathBuf>,
}

/// One start of a stream, as far as its events are in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochSpan {
    /// Recorded stream.
    pub stream: StreamId,
    /// Start counter.
    pub epoch: Epoch,
    /// First event present.
    pub first: Seq,
    /// Last event present; below `first` when there is none.
    pub last: Seq,
    /// When it was closed; `None` after a crash, and for a running one.
    pub ended: Option<UnixNanos>,
}

/// One damaged place. After a power cut it can also be a part of the last commit that the disk had not written: that was
/// never durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Segment number.
    pub segment: u64,
    /// Segment file; it does not exist when it was deleted.
    pub file: PathBuf,
    /// Where the damage begins.
    pub offset: u64,
    /// Damaged bytes; 0 when they are gone (a file deleted or cut at a frame's end).
    pub bytes: u64,
    /// First and last event known to be lost there.
    pub lost: Option<(Position, Position)>,
}

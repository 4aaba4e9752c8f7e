//! The contract of a sink: each range of (stream, epoch, seq) is stored once or not at all.
//!
//! To add a sink: one crate that implements [`Sink`], passes [`crate::contract::sink`], and one row in the registry
//! of `bins/feedd`.

use crate::block::Block;
use feedd_model::{Epoch, Event, MonoNanos, Seq, StreamId};
use std::sync::Arc;

/// Any error of a library below a sink.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A contiguous range of one stream and epoch, in parts of shared blocks.
///
/// Formed by delivery; may be cut anew when it is offered again, but never inside a derived record: the slots of one (see
/// [`crate::records`]) are all in it or none, unless the others are lost. Lone slots are to be refused.
#[derive(Debug, Default)]
pub struct Batch {
    parts: Vec<Part>,
    events: usize,
}

#[derive(Debug)]
struct Part {
    block: Arc<Block>,
    start: usize,
    end: usize,
}

/// Which range a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchId {
    /// Recorded stream.
    pub stream: StreamId,
    /// Start of the stream.
    pub epoch: Epoch,
    /// First sequence number.
    pub first: Seq,
    /// Last sequence number, inclusive.
    pub last: Seq,
}

impl std::fmt::Display for BatchId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream {} epoch {} seq {}..={}", self.stream, self.epoch, self.first, self.last)
    }
}

impl Batch {
    /// An empty batch that keeps its room between uses.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the events `start..end` of `block`.
    ///
    /// # Panics
    /// When the range is empty, lies outside the block, or does not follow the last sequence of the batch.
    pub fn push(&mut self, block: Arc<Block>, start: usize, end: usize) {
        assert!(start < end && end <= block.events().len(), "a part is a range inside its block");
        if let Some(id) = self.id() {
            let follows = Seq(block.first_seq().0 + start as u64) == id.last.next();
            assert!(follows && id.stream == block.stream() && id.epoch == block.epoch(), "seq rises by one");
        }
        self.events += end - start;
        self.parts.push(Part { block, start, end });
    }

    /// Forgets the events and lets go of the blocks.
    pub fn clear(&mut self) {
        self.parts.clear();
        self.events = 0;
    }

    /// Number of events.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.events
    }

    /// Whether there is no event.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// The range, `None` for an empty batch.
    #[must_use]
    pub fn id(&self) -> Option<BatchId> {
        let part = self.parts.first()?;
        let first = Seq(part.block.first_seq().0 + part.start as u64);
        let last = Seq(first.0 + self.events as u64 - 1);
        Some(BatchId { stream: part.block.stream(), epoch: part.block.epoch(), first, last })
    }

    /// The events as slices, with the sequence number of each slice's first event.
    pub fn slices(&self) -> impl Iterator<Item = (Seq, &[Event])> {
        self.parts
            .iter()
            .map(|part| (Seq(part.block.first_seq().0 + part.start as u64), &part.block.events()[part.start..part.end]))
    }

    /// The parts: blocks, each with the range of its events that belongs to the batch.
    pub fn parts(&self) -> impl Iterator<Item = (&Arc<Block>, usize, usize)> {
        self.parts.iter().map(|part| (&part.block, part.start, part.end))
    }

    /// Every event with its sequence number.
    pub fn events(&self) -> impl Iterator<Item = (Seq, &Event)> {
        self.slices().flat_map(|(first, events)| {
            events.iter().enumerate().map(move |(i, event)| (Seq(first.0 + i as u64), event))
        })
    }

    /// When the oldest block of the batch was opened.
    #[must_use]
    pub fn opened(&self) -> Option<MonoNanos> {
        self.parts.first().map(|part| part.block.opened())
    }
}

/// Why a range was not stored, by what the caller can do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The store could not be reached or has no room; the same range may be offered again.
    #[error("{sink}: {what} failed, trying again may succeed")]
    Unavailable {
        /// Which sink.
        sink: &'static str,
        /// What was tried, with the path or address.
        what: String,
        /// The cause.
        source: BoxError,
    },
    /// Whether the range was stored is not known; [`Sink::recover`] tells.
    #[error("{sink}: outcome of {what} is unknown")]
    Unknown {
        /// Which sink.
        sink: &'static str,
        /// What was tried.
        what: String,
        /// The cause.
        source: BoxError,
    },
    /// The store refuses these events; offering them again cannot help.
    #[error("{sink}: refused seq {seqs:?}: {reason}")]
    Refused {
        /// Which sink.
        sink: &'static str,
        /// The refused events; the rest of the range has not been stored either.
        seqs: Vec<Seq>,
        /// Why.
        reason: String,
    },
    /// The sink cannot go on without a person.
    #[error("{sink}: {what}")]
    Fatal {
        /// Which sink.
        sink: &'static str,
        /// What is wrong and the remedy.
        what: String,
        /// The cause.
        source: Option<BoxError>,
    },
}

/// What a store holds of one start, counted in the store itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpochAudit {
    /// The store's own position: everything up to here is stored, or was given up on purpose.
    pub stored_seq: Seq,
    /// Events at or below the position that stand in rows, markers of missing ranges included: one a row, and in the row of
    /// a derived record all of its slots.
    pub rows: u64,
    /// Of those whose sequence stands more than once, counted beyond the first.
    pub duplicates: u64,
    /// As `rows`, above the position: 0 for a store that moves rows and position together.
    pub beyond: u64,
    /// Gap rows that mark a range this store did not get (`journal_damaged`, `sink_behind`).
    pub markers: u64,
    /// Events missing by those markers.
    pub missed: u64,
    /// Rows that were dropped on purpose, because of their age.
    pub dropped_rows: u64,
    /// Events that those rows accounted for: each its own, and markers among them what they stood for.
    pub dropped_events: u64,
}

/// A store of events. One thread calls it; `write` ranges arrive in order.
///
/// A range may begin above the last one's end plus one: what lies between is not to be stored here (kept in quarantine,
/// or marked as missing), and the position moves over it.
pub trait Sink: Send {
    /// Short name, as in the configuration.
    fn name(&self) -> &'static str;

    /// Tells at start, and after [`SinkError::Unknown`], up to which sequence everything is stored.
    ///
    /// # Errors
    /// [`SinkError`] when the store cannot be asked.
    fn recover(&mut self, stream: StreamId, epoch: Epoch) -> Result<Seq, SinkError>;

    /// Offers the next range. It is taken as a whole or not at all; a range that overlaps what was taken before is safe:
    /// the known part is skipped. Taken is not yet stored: see [`Sink::stored_seq`].
    ///
    /// # Errors
    /// [`SinkError`], by what can be done next. After an error nothing of the range counts as taken.
    fn write(&mut self, batch: &Batch, now: MonoNanos) -> Result<(), SinkError>;

    /// Up to which sequence of the recovered stream and epoch everything is stored. Never falls.
    fn stored_seq(&self) -> Seq;

    /// Does what is due by age (closing files). Called about once a second, also when nothing arrives.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn tick(&mut self, now: MonoNanos) -> Result<(), SinkError>;

    /// Stores everything taken so far.
    ///
    /// # Errors
    /// As [`Sink::write`]; may be called again.
    fn flush(&mut self, now: MonoNanos) -> Result<(), SinkError>;

    /// Events a batch should have while a backlog is stored: where measurements stop to gain.
    fn batch_events_best(&self) -> usize {
        20_000
    }

    /// Stores one event at or below the position that was in quarantine, or all slots of one derived record; `first` is the
    /// sequence of the first of them. Safe to repeat: true when it was stored now, false when it was there already.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn store_late(&mut self, stream: StreamId, epoch: Epoch, first: Seq, events: &[Event]) -> Result<bool, SinkError> {
        let _ = (stream, epoch, first, events);
        let what = "single events cannot be added to this store".to_owned();
        Err(SinkError::Fatal { sink: self.name(), what, source: None })
    }

    /// Counts what the store holds of one start; `None` for a store that cannot tell. May read the whole store.
    ///
    /// # Errors
    /// [`SinkError`] when the store cannot be asked.
    fn audit(&mut self, stream: StreamId, epoch: Epoch) -> Result<Option<EpochAudit>, SinkError> {
        let _ = (stream, epoch);
        Ok(None)
    }
}

//! A sink that stores nothing: it reads every event, so that the path before storage can be measured and checked.
//!
//! Leaves out on purpose: durability. A reopened [`NullSink`] starts from nothing. Hot path: no allocation, lock, log
//! or syscall; the counts are published once per batch.
//!
//! ```
//! use feedd_core::{Batch, Sink};
//! use feedd_model::MonoNanos;
//! let mut sink = feedd_sink_null::NullSink::new();
//! let counts = sink.counts();
//! sink.write(&Batch::new(), MonoNanos(0)).unwrap();
//! assert_eq!(counts.events(), 0);
//! ```
#![forbid(unsafe_code)]

use feedd_core::{Batch, Sink, SinkError};
use feedd_model::{Epoch, Event, MonoNanos, Seq, StreamId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`NullSink`] has seen since it was made. Written by the sink alone, once per batch.
#[derive(Debug, Default)]
pub struct NullCounts {
    events: AtomicU64,
    checksum: AtomicU64,
}

impl NullCounts {
    /// Events taken.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Wrapping sum of instrument id and receive time (0 when unknown) over the events taken: equal for equal events
    /// in any order.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.checksum.load(Ordering::Relaxed)
    }
}

/// The sink. Everything taken counts as stored at once.
#[derive(Debug, Default)]
pub struct NullSink {
    position: Option<(StreamId, Epoch)>,
    stored: Seq,
    counts: Arc<NullCounts>,
}

impl NullSink {
    /// A sink that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counts, to be read from any thread.
    #[must_use]
    pub fn counts(&self) -> Arc<NullCounts> {
        self.counts.clone()
    }
}

/// What one event adds to [`NullCounts::checksum`]: one load of its cache line, which is what the sink is there for.
fn digest(event: &Event) -> u64 {
    let received = event.recv_ts().map_or(0, |t| t.0.cast_unsigned());
    received.wrapping_add(u64::from(event.instrument().0))
}

impl Sink for NullSink {
    fn name(&self) -> &'static str {
        "null"
    }

    fn recover(&mut self, stream: StreamId, epoch: Epoch) -> Result<Seq, SinkError> {
        if self.position != Some((stream, epoch)) {
            (self.position, self.stored) = (Some((stream, epoch)), Seq(0));
        }
        Ok(self.stored)
    }

    fn write(&mut self, batch: &Batch, _now: MonoNanos) -> Result<(), SinkError> {
        let Some(id) = batch.id() else { return Ok(()) };
        self.recover(id.stream, id.epoch)?;
        let (mut events, mut checksum) = (0, self.counts.checksum());
        for (first, slice) in batch.slices() {
            let known = usize::try_from((self.stored.0 + 1).saturating_sub(first.0)).unwrap_or(usize::MAX);
            let new = slice.get(known..).unwrap_or_default();
            events += new.len() as u64;
            checksum = new.iter().fold(checksum, |sum, event| sum.wrapping_add(digest(event)));
        }
        // Relaxed: each count stands alone; readers need no order between them.
        self.counts.events.store(self.counts.events() + events, Ordering::Relaxed);
        self.counts.checksum.store(checksum, Ordering::Relaxed);
        self.stored = self.stored.max(id.last);
        Ok(())
    }

    fn stored_seq(&self) -> Seq {
        self.stored
    }

    fn tick(&mut self, _now: MonoNanos) -> Result<(), SinkError> {
        Ok(())
    }

    fn flush(&mut self, _now: MonoNanos) -> Result<(), SinkError> {
        Ok(())
    }
}

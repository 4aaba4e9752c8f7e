//! Blocks: what one drain of the batching thread found, shared by the lanes without a copy.
//!
//! Hot path: [`BlockPool::take`] looks at the oldest blocks that were handed on; nothing is allocated after start-up.

use feedd_model::{Epoch, Event, MonoNanos, Seq, SourceId, StreamId};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most events in a block: 256 KiB of events stay inside a core's L2 cache; 65,536 measured 4 ns an event worse.
pub const BLOCK_EVENTS_MAX: usize = 4096;

/// Events that stand side by side in a block and came from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Who delivered them.
    pub source: SourceId,
    /// How many.
    pub events: u32,
}

/// Up to [`BLOCK_EVENTS_MAX`] events with consecutive sequence numbers. Immutable once handed on.
#[derive(Debug)]
pub struct Block {
    stream: StreamId,
    epoch: Epoch,
    first_seq: Seq,
    opened: MonoNanos,
    skipped: u64,
    events: Vec<Event>,
    runs: Vec<Run>,
}

impl Block {
    fn with_capacity() -> Self {
        Self {
            stream: StreamId(0),
            epoch: Epoch(0),
            first_seq: Seq(0),
            opened: MonoNanos(0),
            skipped: 0,
            events: Vec::with_capacity(BLOCK_EVENTS_MAX),
            // As many as there can be, so that it never grows; memory that is not touched costs nothing.
            runs: Vec::with_capacity(BLOCK_EVENTS_MAX),
        }
    }

    /// A block of given events, as tests and replays need it.
    #[must_use]
    pub fn of(stream: StreamId, epoch: Epoch, first_seq: Seq, source: SourceId, events: &[Event]) -> Self {
        let mut block = Self::with_capacity();
        block.open(stream, epoch, first_seq, MonoNanos(0));
        for &event in events {
            block.events.push(event);
        }
        block.close_run(source, events.len());
        block
    }

    /// Empties the block for its next use.
    pub fn open(&mut self, stream: StreamId, epoch: Epoch, first_seq: Seq, now: MonoNanos) {
        self.events.clear();
        self.runs.clear();
        (self.stream, self.epoch, self.first_seq, self.opened) = (stream, epoch, first_seq, now);
        self.skipped = 0;
    }

    /// Says how many events the analysis lane was not given before this block.
    pub fn tell_skipped(&mut self, events: u64) {
        self.skipped = events;
    }

    /// Appends what one ring held.
    pub fn extend(&mut self, source: SourceId, events: &[Event]) {
        debug_assert!(self.events.len() + events.len() <= BLOCK_EVENTS_MAX, "a block is bounded");
        self.events.extend_from_slice(events);
        self.close_run(source, events.len());
    }

    fn close_run(&mut self, source: SourceId, events: usize) {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        match self.runs.last_mut() {
            Some(run) if run.source == source => run.events += events,
            _ => self.runs.push(Run { source, events }),
        }
    }

    /// Room left.
    #[must_use]
    pub fn room(&self) -> usize {
        BLOCK_EVENTS_MAX.saturating_sub(self.events.len())
    }

    /// The events in order; the first has [`Block::first_seq`], the others follow without holes.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Which source each event came from, in order.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Recorded stream.
    #[must_use]
    pub const fn stream(&self) -> StreamId {
        self.stream
    }

    /// Start of the stream.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Sequence number of the first event.
    #[must_use]
    pub const fn first_seq(&self) -> Seq {
        self.first_seq
    }

    /// Sequence number of the last event; one below the first for an empty block.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        Seq(self.first_seq.0 + self.events.len() as u64 - 1)
    }

    /// Events of the sources that the analysis lane was not given between the block that it was given before and this one.
    /// Of no meaning to a storage lane, which is given all of them.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// When the first event was put in.
    #[must_use]
    pub const fn opened(&self) -> MonoNanos {
        self.opened
    }
}

/// A bounded set of blocks, recycled when every lane has let go of them.
///
/// The one that came back last is the next to be used: its 256 KiB are still in the cache, and blocks that are never needed
/// never cost memory.
#[derive(Debug)]
pub struct BlockPool {
    free: Vec<Arc<Block>>,
    /// Handed on, oldest first.
    out: VecDeque<Arc<Block>>,
}

impl BlockPool {
    /// Allocates `blocks` blocks (256 KiB each), once.
    ///
    /// # Panics
    /// When `blocks` is 0.
    #[must_use]
    pub fn new(blocks: usize) -> Self {
        assert!(blocks > 0, "a pool holds at least one block");
        let free = (0..blocks).map(|_| Arc::new(Block::with_capacity())).collect();
        Self { free, out: VecDeque::with_capacity(blocks) }
    }

    /// A block nobody else holds, or `None` while the lanes hold all of them.
    pub fn take(&mut self) -> Option<Arc<Block>> {
        // Lanes let go in order: mostly the oldest come back first.
        while let Some(oldest) = self.out.front_mut()
            && Arc::get_mut(oldest).is_some()
        {
            self.free.extend(self.out.pop_front());
        }
        if let Some(block) = self.free.pop() {
            return Some(block);
        }
        let at = self.out.iter_mut().position(|block| Arc::get_mut(block).is_some())?;
        self.out.remove(at)
    }

    /// Whether so many blocks are held by nobody. A look, not a promise, unless nobody else takes any.
    #[must_use]
    pub fn has_free(&self, blocks: usize) -> bool {
        let missing = blocks.saturating_sub(self.free.len());
        missing == 0 || self.out.iter().filter(|block| Arc::strong_count(block) == 1).take(missing).count() == missing
    }

    /// Keeps a handed-on block, to use it again when the lanes have let go.
    pub fn keep(&mut self, block: Arc<Block>) {
        self.out.push_back(block);
    }

    /// Takes a block back that was not handed on.
    pub fn give_back(&mut self, block: Arc<Block>) {
        self.free.push(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_that_came_back_last_is_used_next_and_a_held_one_is_not() {
        let mut pool = BlockPool::new(3);
        let [a, b, c] = [(); 3].map(|()| pool.take().expect("three blocks"));
        assert!(pool.take().is_none());
        let (at_a, at_b, at_c) = (Arc::as_ptr(&a), Arc::as_ptr(&b), Arc::as_ptr(&c));
        let held = a.clone();
        for block in [a, b, c] {
            pool.keep(block);
        }
        assert!(pool.has_free(2) && !pool.has_free(3), "one is held");
        assert_eq!(Arc::as_ptr(&pool.take().expect("b is free")), at_b, "one behind a block that is held");
        drop(held);
        let next = pool.take().expect("a and c are free");
        assert_eq!(Arc::as_ptr(&next), at_c, "the last that came back");
        pool.give_back(next);
        assert!(pool.has_free(2) && !pool.has_free(3), "one is in use");
        assert_eq!(Arc::as_ptr(&pool.take().expect("it was given back")), at_c);
        assert_eq!(Arc::as_ptr(&pool.take().expect("a is free")), at_a);
        assert!(pool.take().is_none(), "b is held by nobody and lost by this test");
    }
}

//! Where a lane's events come from: the journal, or the batching thread itself when there is no journal.
//!
//! From the journal a lane reads what is durable, at its own pace and from its own place: a sink that was away for hours
//! and one that keeps up do the same, and neither holds memory of the other's.

use feedd_core::link::LinkReceiver;
use feedd_core::{BLOCK_EVENTS_MAX, Block, BlockPool, Clock};
use feedd_journal::{Cause, Cursor, FRAME_EVENTS_MAX, Item, JournalError, Tail};
use feedd_model::{Epoch, GapReason, MonoNanos, Position, Seq, StreamId, UnixNanos};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The next thing a lane has to deal with, in order.
#[derive(Debug)]
pub enum Fed {
    /// What follows belongs to this start. May be told again for the start that is being read.
    Start {
        /// Recorded stream.
        stream: StreamId,
        /// The start.
        epoch: Epoch,
    },
    /// Events.
    Block(Arc<Block>),
    /// Events that are not to be had any more.
    Missing(MissingRange),
}

/// Events that the journal no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingRange {
    /// Of which start.
    pub epoch: Epoch,
    /// The first of them.
    pub first: Seq,
    /// The last of them.
    pub last: Seq,
    /// Why.
    pub reason: GapReason,
    /// None of them was received earlier, as far as this lane has seen what stood before them.
    pub from_ts: Option<UnixNanos>,
    /// None of them was received later, if there is an event after them.
    pub to_ts: Option<UnixNanos>,
}

/// A lane's supply.
pub trait Feed: Send {
    /// Names the calling thread as the one that reads.
    fn register(&mut self) {}

    /// The next item; `None` when nothing waits now.
    ///
    /// # Errors
    /// [`JournalError`] when the journal cannot be read; may be called again.
    fn next(&mut self) -> Result<Option<Fed>, JournalError>;

    /// Whether more waited behind the last item.
    fn has_more(&self) -> bool;

    /// Whether nothing more will come.
    fn is_ended(&self) -> bool;

    /// Says that everything read is dealt with.
    fn finish(&mut self) {}

    /// Waits for news, at most `nanos`.
    fn sleep(&mut self, nanos: u64);

    /// Goes on behind `after`. False when this supply cannot go back.
    ///
    /// # Errors
    /// As [`Feed::next`].
    fn seek(&mut self, after: Position) -> Result<bool, JournalError>;
}

/// Straight from the batching thread, without a journal: nothing can be read again.
pub struct LinkFeed {
    blocks: LinkReceiver<Arc<Block>>,
    start: Option<(StreamId, Epoch)>,
}

impl LinkFeed {
    /// The blocks of one start.
    #[must_use]
    pub fn new(blocks: LinkReceiver<Arc<Block>>, stream: StreamId, epoch: Epoch) -> Self {
        Self { blocks, start: Some((stream, epoch)) }
    }
}

impl Feed for LinkFeed {
    fn register(&mut self) {
        self.blocks.register();
    }

    fn next(&mut self) -> Result<Option<Fed>, JournalError> {
        if let Some((stream, epoch)) = self.start.take() {
            return Ok(Some(Fed::Start { stream, epoch }));
        }
        Ok(self.blocks.take().map(Fed::Block))
    }

    fn has_more(&self) -> bool {
        self.blocks.waiting() > 0
    }

    fn is_ended(&self) -> bool {
        self.start.is_none() && self.blocks.is_ended()
    }

    fn finish(&mut self) {
        self.blocks.signal_ready();
    }

    fn sleep(&mut self, nanos: u64) {
        self.blocks.sleep(nanos);
    }

    fn seek(&mut self, _: Position) -> Result<bool, JournalError> {
        Ok(false)
    }
}

/// What is durable in the journal, as blocks.
pub struct JournalFeed {
    cursor: Cursor,
    tail: Arc<Tail>,
    /// Generation of the tail before it was last read to its end.
    seen: u64,
    clock: Arc<dyn Clock>,
    pool: BlockPool,
    stream: StreamId,
    /// Being filled; handed out when it is full or the durable end is reached.
    open: Option<Arc<Block>>,
    /// In order; the last may be a missing range that waits for the time at which what comes after it was appended.
    ready: VecDeque<Fed>,
    /// What follows the last event read was received no earlier.
    complete_until: Option<UnixNanos>,
    caught_up: bool,
    ended: bool,
}

impl JournalFeed {
    /// Reads from the oldest event on. `blocks` are as many as the lane may hold at once, and one to fill.
    #[must_use]
    pub fn new(cursor: Cursor, tail: Arc<Tail>, blocks: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            cursor,
            seen: tail.generation(),
            tail,
            clock,
            pool: BlockPool::new(blocks),
            stream: StreamId(0),
            open: None,
            ready: VecDeque::new(),
            complete_until: None,
            caught_up: false,
            ended: false,
        }
    }

    /// Reads until an item is ready, nothing more is durable, or no block is free.
    fn fill(&mut self) -> Result<(), JournalError> {
        self.seen = self.tail.generation();
        // Looked at before reading: what was written before the end is read then.
        let closed = self.tail.is_closed();
        self.caught_up = false;
        while !self.is_ready() {
            if self.open.as_ref().is_some_and(|open| open.room() < FRAME_EVENTS_MAX) {
                self.close_open();
                continue;
            }
            // Before reading: a frame that was read needs a place.
            if self.open.is_none() {
                self.open = self.pool.take();
                let Some(open) = self.open.as_mut().and_then(Arc::get_mut) else { return Ok(()) };
                open.open(self.stream, Epoch(0), Seq(0), MonoNanos(0));
            }
            if !self.read_one()? {
                self.settle_missing(None);
                self.close_open();
                self.caught_up = true;
                self.ended = closed && self.ready.is_empty();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the front item can be handed out.
    fn is_ready(&self) -> bool {
        match self.ready.front() {
            None => false,
            Some(Fed::Missing(_)) => self.ready.len() > 1 || self.open.as_ref().is_some_and(|b| !b.events().is_empty()),
            Some(_) => true,
        }
    }

    /// Takes one item of the journal in; false at the durable end.
    fn read_one(&mut self) -> Result<bool, JournalError> {
        let Some(item) = self.cursor.next()? else { return Ok(false) };
        match item {
            Item::Events { epoch, first, source, at, complete_until, events } => {
                let Some(open) = self.open.as_mut().and_then(Arc::get_mut) else { return Ok(true) };
                if open.events().is_empty() {
                    // The age of a batch counts from here: the wall clock's time of the frame is no measure, that clock
                    // can step, and what is durable is read at once or stands behind a batch that is full.
                    open.open(self.stream, epoch, first, self.clock.mono());
                }
                open.extend(source, events);
                self.complete_until = Some(complete_until);
                // Whatever stood before was received before these were appended.
                self.settle_missing(Some(at));
            }
            Item::Epoch { stream, epoch, .. } => {
                self.stream = stream;
                self.settle_missing(None);
                self.close_open();
                self.ready.push_back(Fed::Start { stream, epoch });
            }
            Item::Missing { epoch, first, last, cause } => {
                let reason = match cause {
                    Cause::Damaged => GapReason::JournalDamaged,
                    Cause::Trimmed => GapReason::SinkBehind,
                };
                let missing = MissingRange { epoch, first, last, reason, from_ts: self.complete_until, to_ts: None };
                self.close_open();
                self.ready.push_back(Fed::Missing(missing));
            }
            Item::End { .. } => {}
        }
        Ok(true)
    }

    /// A missing range at the end of the queue ends where the next event begins.
    fn settle_missing(&mut self, until: Option<UnixNanos>) {
        if let Some(Fed::Missing(missing)) = self.ready.back_mut() {
            missing.to_ts = missing.to_ts.or(until);
        }
    }

    /// Queues the open block, if it holds anything.
    fn close_open(&mut self) {
        let Some(block) = self.open.take() else { return };
        if block.events().is_empty() {
            self.pool.give_back(block);
            return;
        }
        self.pool.keep(block.clone());
        self.ready.push_back(Fed::Block(block));
    }
}

impl Feed for JournalFeed {
    fn next(&mut self) -> Result<Option<Fed>, JournalError> {
        if !self.is_ready() {
            self.fill()?;
        }
        Ok(self.ready.pop_front())
    }

    fn has_more(&self) -> bool {
        !self.caught_up || !self.ready.is_empty()
    }

    fn is_ended(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    fn sleep(&mut self, nanos: u64) {
        self.seen = self.tail.wait(self.seen, Duration::from_nanos(nanos));
    }

    fn seek(&mut self, after: Position) -> Result<bool, JournalError> {
        if let Some(open) = self.open.take() {
            self.pool.give_back(open);
        }
        self.ready.clear();
        (self.caught_up, self.ended) = (false, false);
        self.cursor.seek(after)?;
        Ok(true)
    }
}

/// Blocks a [`JournalFeed`] needs for a lane that holds up to `events_max` events.
#[must_use]
pub const fn feed_blocks(events_max: usize) -> usize {
    crate::gather::pool_blocks(2, events_max + BLOCK_EVENTS_MAX)
}

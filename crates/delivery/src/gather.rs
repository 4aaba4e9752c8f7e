//! Blocks in, batches out: at any size, without holes, in order, and no batch ends inside a derived record. Blocks never do,
//! as the batching thread and the journal make them.
//!
//! A quiet stream brings blocks of a few events; holding each until the batch is due would pin 256 KiB an event. So
//! small blocks are copied together into blocks of the lane's own, large ones are passed on as they are.

use feedd_core::{BLOCK_EVENTS_MAX, Batch, Block, BlockPool};
use feedd_model::{Event, EventKind, MonoNanos};
use std::collections::VecDeque;
use std::sync::Arc;

/// Blocks with fewer events are copied: at half full, passing on costs at most twice the memory of the events.
const COPY_BELOW: usize = BLOCK_EVENTS_MAX / 2;

/// Events that wait for their batch.
#[derive(Debug)]
pub struct Gather {
    waiting: VecDeque<Waiting>,
    events: usize,
    pool: BlockPool,
}

#[derive(Debug)]
struct Waiting {
    block: Arc<Block>,
    start: usize,
    /// Ours and still open: more can be copied into it.
    open: bool,
}

/// Blocks the batching thread's pool needs beside a link of `link_items`, for batches of up to `events_max` events.
#[must_use]
pub const fn pool_blocks(link_items: usize, events_max: usize) -> usize {
    // Those in the link, those passed on by reference (at least half full), the one being filled, and one spare.
    link_items + (events_max + 2 * BLOCK_EVENTS_MAX) / COPY_BELOW + 2
}

impl Gather {
    /// For batches of up to `events_max` events.
    #[must_use]
    pub fn new(events_max: usize) -> Self {
        // One of ours is closed only for a large block or when a small one no longer fits: at least half a block of
        // events each time. With fewer, small blocks of the batching thread would be held until the batch is due.
        let own = (events_max + 2 * BLOCK_EVENTS_MAX) / COPY_BELOW + 2;
        Self { waiting: VecDeque::with_capacity(64), events: 0, pool: BlockPool::new(own) }
    }

    /// Events waiting.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.events
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// When the oldest waiting event was put into its block.
    #[must_use]
    pub fn oldest(&self) -> Option<MonoNanos> {
        self.waiting.front().map(|w| w.block.opened())
    }

    /// Forgets everything: it will come again.
    pub fn clear(&mut self) {
        self.close_last();
        self.waiting.clear();
        self.events = 0;
    }

    /// Takes the next block of the stream.
    pub fn push(&mut self, block: Arc<Block>) {
        let events = block.events().len();
        if events == 0 {
            return;
        }
        self.events += events;
        if events >= COPY_BELOW || !self.copy(&block) {
            self.close_last();
            self.waiting.push_back(Waiting { block, start: 0, open: false });
        }
    }

    /// Fills `batch` with up to `events_max` events, oldest first, or as many more as the last derived record has slots.
    pub fn fill(&mut self, batch: &mut Batch, events_max: usize) {
        batch.clear();
        while batch.len() < events_max {
            let Some(front) = self.waiting.front_mut() else { break };
            let room = events_max - batch.len();
            let end = front.start + whole_up_to(&front.block.events()[front.start..], room);
            let taken = end - front.start;
            self.events -= taken;
            if end == front.block.events().len() {
                if let Some(front) = self.waiting.pop_front() {
                    self.recycle(&front);
                    batch.push(front.block, front.start, end);
                }
            } else {
                batch.push(front.block.clone(), front.start, end);
                front.start = end;
            }
        }
    }

    /// Copies a small block behind the last one of ours; false when no block of ours is free.
    fn copy(&mut self, block: &Arc<Block>) -> bool {
        let fits = |last: &Waiting| last.open && last.block.room() >= block.events().len();
        if let Some(last) = self.waiting.back_mut().filter(|last| fits(last))
            && let Some(open) = Arc::get_mut(&mut last.block)
        {
            append(open, block);
            return true;
        }
        self.close_last();
        let Some(mut fresh) = self.pool.take() else { return false };
        let Some(open) = Arc::get_mut(&mut fresh) else { return false };
        open.open(block.stream(), block.epoch(), block.first_seq(), block.opened());
        append(open, block);
        self.waiting.push_back(Waiting { block: fresh, start: 0, open: true });
        true
    }

    /// The last block gets nothing more: the pool may reuse it when the batch lets go.
    fn close_last(&mut self) {
        if let Some(last) = self.waiting.back_mut().filter(|last| last.open) {
            last.open = false;
            self.pool.keep(last.block.clone());
        }
    }

    /// A block of ours that leaves while it was still open goes back to the pool, too.
    fn recycle(&mut self, left: &Waiting) {
        if left.open {
            self.pool.keep(left.block.clone());
        }
    }
}

/// How many of `events` are up to `room` of them, and what is left of the derived record that would be cut there.
fn whole_up_to(events: &[Event], room: usize) -> usize {
    let cut = events.len().min(room);
    cut + events[cut..].iter().take_while(|event| event.kind() == EventKind::More).count()
}

fn append(open: &mut Block, block: &Block) {
    let mut start = 0;
    for run in block.runs() {
        let end = start + run.events as usize;
        open.extend(run.source, &block.events()[start..end]);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_core::contract::sink::{sample_stream, whole_end};
    use feedd_core::records;
    use feedd_model::{
        Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Seq, SourceId, Status, StatusCode, StreamId,
    };
    use proptest::prelude::*;

    fn event(number: u64) -> Event {
        let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: None, flags: Flags::NONE };
        Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: number }))
    }

    proptest! {
        /// Where blocks and batches happen to end changes nothing: every event once, in order, with its own seq.
        #[test]
        fn batches_ignore_block_boundaries(
            sizes in prop::collection::vec(prop_oneof![1usize..20, 1usize..=4096], 1..40),
            limits in prop::collection::vec(1usize..6000, 1..40),
            drain_every in 1usize..5,
        ) {
            let mut gather = Gather::new(6000);
            let mut batch = Batch::new();
            let (mut next, mut seen) = (1u64, Vec::new());
            let mut limits = limits.into_iter().cycle();
            for (i, size) in sizes.iter().enumerate() {
                let events: Vec<Event> = (next..next + *size as u64).map(event).collect();
                gather.push(Arc::new(Block::of(StreamId(1), Epoch(1), Seq(next), SourceId(0), &events)));
                next += *size as u64;
                if i % drain_every == 0 || i + 1 == sizes.len() {
                    while !gather.is_empty() {
                        let limit = limits.next().unwrap();
                        gather.fill(&mut batch, limit);
                        prop_assert!(batch.len() <= limit && !batch.is_empty());
                        seen.extend(batch.events().map(|(seq, event)| (seq.0, *event)));
                    }
                }
            }
            prop_assert_eq!(gather.len(), 0);
            let expected: Vec<(u64, Event)> = (1..next).map(|n| (n, event(n))).collect();
            prop_assert_eq!(seen, expected);
        }
    }

    proptest! {
        /// Derived records stay whole, at any limit; batches without them are cut exactly.
        #[test]
        fn no_batch_ends_inside_a_derived_record(
            sizes in prop::collection::vec(1usize..60, 1..30),
            limits in prop::collection::vec(1usize..50, 1..20),
        ) {
            let mut gather = Gather::new(6000);
            let events = sample_stream(2000);
            let (mut start, mut seen, mut batch) = (0, Vec::new(), Batch::new());
            for size in sizes {
                let end = whole_end(&events, start + size);
                gather.push(Arc::new(Block::of(StreamId(1), Epoch(1), Seq(start as u64 + 1), SourceId(0), &events[start..end])));
                start = end;
            }
            let mut limits = limits.into_iter().cycle();
            while !gather.is_empty() {
                let limit = limits.next().unwrap();
                gather.fill(&mut batch, limit);
                prop_assert!((1..=limit + 2).contains(&batch.len()));
                prop_assert!(records(batch.events()).all(|record| record.is_ok()), "limit {}", limit);
                if batch.len() > limit {
                    prop_assert_eq!(batch.events().last().map(|(_, event)| event.kind()), Some(EventKind::More));
                }
                seen.extend(batch.events().map(|(seq, event)| (seq.0, *event)));
            }
            let expected: Vec<(u64, Event)> = (1..).zip(events[..start].iter().copied()).collect();
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_quiet_stream_does_not_pin_the_blocks_of_the_batching_thread() {
        let mut gather = Gather::new(500);
        let blocks: Vec<_> =
            (1..=400).map(|n| Arc::new(Block::of(StreamId(1), Epoch(1), Seq(n), SourceId(0), &[event(n)]))).collect();
        for block in &blocks {
            gather.push(block.clone());
        }
        assert!(blocks.iter().all(|block| Arc::strong_count(block) == 1), "every block was let go at once");
        assert_eq!(gather.len(), 400);
    }

    #[test]
    fn small_blocks_between_large_ones_are_not_pinned_either() {
        let mut gather = Gather::new(20_000);
        let (mut small, mut next) = (Vec::new(), 1);
        while gather.len() < 20_000 {
            for size in [1, COPY_BELOW as u64] {
                let events: Vec<Event> = (next..next + size).map(event).collect();
                let block = Arc::new(Block::of(StreamId(1), Epoch(1), Seq(next), SourceId(0), &events));
                gather.push(block.clone());
                next += size;
                if size == 1 {
                    small.push(block);
                }
            }
        }
        assert!(small.iter().all(|block| Arc::strong_count(block) == 1), "every small block was let go at once");
    }
}

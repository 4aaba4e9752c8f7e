//! The batching thread: drains every ring into blocks, gives each event its sequence number, hands blocks to the lanes.
//!
//! Hot path: no allocation, lock, log or system call while events flow (crates/venues/tests/no_alloc.rs counts).

use crate::block::{Block, BlockPool};
use crate::clock::Clock;
use crate::counters::{BatchingCounters, SourceCounters};
use crate::link::LinkSender;
use crate::stop::Stop;
use crate::wait::{WaitStrategy, Waiter, pace};
use crate::wake::Wake;
use crossbeam_utils::{Backoff, CachePadded};
use feedd_model::{Epoch, Event, MonoNanos, Seq, SourceId, StreamId};
use std::sync::Arc;
use std::time::Duration;

/// Most events taken from one ring before the next one has its turn: one hot source cannot starve another. 256 to
/// 4096 measured equal, 64 costs 2.8 ns an event.
pub const TURN_EVENTS_MAX: usize = 1024;
/// Oldest age at which a block is handed on.
const BLOCK_AGE_NANOS_MAX: u64 = 1_000_000;
/// A round that brought less is followed by a pause: see [`pace`].
const BUSY_EVENTS_MIN: usize = 64;
/// Pause while every block is held by the lanes.
const BLOCKED_SLEEP: Duration = Duration::from_micros(100);

/// A ring the batching thread reads.
#[derive(Debug)]
pub struct Input {
    /// Whose ring.
    pub source: SourceId,
    /// The reading end.
    pub ring: rtrb::Consumer<Event>,
    /// That source's counters; this thread writes the last group of them.
    pub counters: Arc<CachePadded<SourceCounters>>,
}

/// What the batching thread is made of.
pub struct FanInParts {
    /// Recorded stream.
    pub stream: StreamId,
    /// Start of the stream.
    pub epoch: Epoch,
    /// Every source's ring.
    pub inputs: Vec<Input>,
    /// Where blocks go; each lane gets every block.
    pub lanes: Vec<LinkSender<Arc<Block>>>,
    /// What this thread serves itself: lanes that read one of those links and neither wait nor fail.
    pub served: Vec<Box<dyn Served>>,
    /// Blocks; more than the lanes hold together.
    pub pool: BlockPool,
    /// How to wait.
    pub wait: WaitStrategy,
    /// Shared with the producers.
    pub wake: Arc<Wake>,
    /// Its counters.
    pub counters: Arc<CachePadded<BatchingCounters>>,
    /// Both times.
    pub clock: Arc<dyn Clock>,
    /// The run's stop request.
    pub stop: Stop,
}

/// A lane without a thread of its own: the batching thread does its work, between two blocks.
///
/// For a lane that takes less time than handing a block to another thread does.
pub trait Served: Send {
    /// Names the calling thread as the one that serves.
    fn register(&mut self) {}

    /// Does what is due now, without waiting.
    fn serve(&mut self);

    /// The link has ended: does what is left, and waits for nothing.
    fn finish(self: Box<Self>);
}

/// What [`FanIn::fill`] has found.
#[derive(Clone, Copy, Debug, Default)]
struct Filled {
    events: usize,
    /// So few at once that the next look is to be made after a pause.
    is_sparse: bool,
}

/// The batching thread's state. [`FanIn::run`] is the thread.
pub struct FanIn {
    parts: FanInParts,
    next_seq: Seq,
    /// Whose turn is first in the next round.
    turn: usize,
}

impl FanIn {
    /// Sequence numbers start at 1.
    #[must_use]
    pub fn new(parts: FanInParts) -> Self {
        Self { parts, next_seq: Seq(1), turn: 0 }
    }

    /// Runs until every source is gone and its ring is empty, or until waiting is over ([`Stop::is_aborted`]).
    pub fn run(mut self) {
        self.parts.wake.register();
        self.parts.served.iter_mut().for_each(|lane| lane.register());
        let mut waiter = Waiter::new(self.parts.wait);
        let mut ended = false;
        while !ended && !self.parts.stop.is_aborted() {
            // A ring that is abandoned before the round and empty after it has nothing more to give.
            let gone = self.parts.inputs.iter().all(|input| input.ring.is_abandoned());
            let Some(mut block) = self.take_block() else { break };
            let filled = self.fill(&mut block, &mut waiter);
            self.hand_over(block);
            self.parts.served.iter_mut().for_each(|lane| lane.serve());
            if filled.is_sparse {
                pace();
            }
            ended = gone && filled.events == 0;
        }
        // The lanes' end, which those that are served here have to see.
        self.parts.lanes.clear();
        self.parts.served.into_iter().for_each(Served::finish);
    }

    /// Fills `block` until it is full, old, the rings are empty, or traffic is sparse and every lane waits for work; waits
    /// once when they were empty from the start.
    fn fill(&mut self, block: &mut Arc<Block>, waiter: &mut Waiter) -> Filled {
        // The pool hands out blocks nobody else holds.
        let Some(open) = Arc::get_mut(block) else { return Filled::default() };
        let opened = self.parts.clock.mono();
        open.open(self.parts.stream, self.parts.epoch, self.next_seq, opened);
        let mut filled = Filled::default();
        loop {
            let moved = self.round(open);
            filled.events += moved;
            if open.room() < TURN_EVENTS_MAX {
                break;
            }
            if moved == 0 {
                if filled.events == 0 {
                    let inputs = &self.parts.inputs;
                    waiter.idle(opened, &self.parts.wake, || has_news(inputs));
                }
                break;
            }
            waiter.worked(moved);
            if moved < BUSY_EVENTS_MIN {
                // First what is there, for those who wait for it; while they are busy more comes together.
                if self.parts.lanes.iter().all(LinkSender::is_ready) {
                    filled.is_sparse = true;
                    break;
                }
                pace();
            }
            if self.parts.clock.mono().since(opened) >= BLOCK_AGE_NANOS_MAX {
                break;
            }
        }
        self.next_seq = Seq(self.next_seq.0 + filled.events as u64);
        filled
    }

    /// Gives each ring one turn.
    fn round(&mut self, block: &mut Block) -> usize {
        let count = self.parts.inputs.len();
        let mut moved = 0;
        for i in 0..count {
            let input = &mut self.parts.inputs[(self.turn + i) % count];
            let room = block.room().min(TURN_EVENTS_MAX);
            if room == 0 {
                // The next block begins with whoever did not get a turn.
                self.turn = (self.turn + i) % count;
                return moved;
            }
            moved += drain(input, block, room);
        }
        moved
    }

    /// Hands a block to every lane, waiting where a lane is full; an empty block goes back.
    fn hand_over(&mut self, block: Arc<Block>) {
        let events = block.events().len() as u64;
        if events == 0 {
            self.parts.pool.give_back(block);
            return;
        }
        // Before a lane can have them: nobody ever sees more events stored than accepted.
        self.parts.counters.accepted.set(self.next_seq.0 - 1);
        let mut wait = Wait::default();
        for lane in &mut self.parts.lanes {
            let mut item = block.clone();
            while let Err(back) = lane.send(item, events) {
                if lane.is_closed() || self.parts.stop.is_aborted() {
                    break;
                }
                item = back;
                lane.add_blocked(wait.pause(&self.parts.counters, &*self.parts.clock));
            }
        }
        wait.end(&self.parts.counters);
        self.parts.counters.blocks.add(1);
        self.parts.pool.keep(block);
    }

    /// A free block; waits while the lanes hold all of them. `None` when waiting is over.
    fn take_block(&mut self) -> Option<Arc<Block>> {
        let mut wait = Wait::default();
        loop {
            if let Some(block) = self.parts.pool.take() {
                wait.end(&self.parts.counters);
                return Some(block);
            }
            if self.parts.stop.is_aborted() {
                return None;
            }
            wait.pause(&self.parts.counters, &*self.parts.clock);
        }
    }
}

/// Whether there is a reason not to sleep: an event, or the end of the last source. One source that ended earlier is none,
/// or this thread would never sleep again.
fn has_news(inputs: &[Input]) -> bool {
    inputs.iter().any(|input| !input.ring.is_empty()) || inputs.iter().all(|input| input.ring.is_abandoned())
}

/// Copies up to `room` events of one ring into the block and frees their slots.
#[inline]
fn drain(input: &mut Input, block: &mut Block, room: usize) -> usize {
    let mut waiting = input.ring.cached_slots();
    if waiting == 0 {
        waiting = input.ring.slots();
        if waiting == 0 {
            return 0;
        }
    }
    let counters = &input.counters;
    counters.ring_peak.raise(waiting as u64);
    counters.ring_peak_ever.raise(waiting as u64);
    let count = waiting.min(room);
    let Ok(chunk) = input.ring.read_chunk(count) else { return 0 };
    let (first, second) = chunk.as_slices();
    block.extend(input.source, first);
    block.extend(input.source, second);
    chunk.commit_all();
    counters.events_accepted.add(count as u64);
    count
}

/// Time the batching thread waits for its lanes.
#[derive(Default)]
struct Wait {
    since: Option<MonoNanos>,
    backoff: Option<Backoff>,
}

impl Wait {
    /// Pauses once and returns the nanoseconds it took.
    #[cold]
    fn pause(&mut self, counters: &BatchingCounters, clock: &dyn Clock) -> u64 {
        let before = clock.mono();
        let since = *self.since.get_or_insert(before);
        counters.blocked_since.set(since.0.max(1));
        let backoff = self.backoff.get_or_insert_with(Backoff::new);
        if backoff.is_completed() {
            std::thread::sleep(BLOCKED_SLEEP)
        } else {
            backoff.snooze()
        }
        let waited = clock.mono().since(before);
        counters.blocked_ns.add(waited);
        waited
    }

    fn end(&self, counters: &BatchingCounters) {
        if self.since.is_some() {
            counters.blocked_since.set(0);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use feedd_model::{EventBody, EventHead, Flags, InstrumentId, Status, StatusCode};

    #[test]
    fn a_source_that_ended_is_no_reason_to_stay_awake_until_all_have() {
        let (mut producers, mut inputs) = (Vec::new(), Vec::new());
        for source in 0..2 {
            let (producer, ring) = rtrb::RingBuffer::new(4);
            producers.push(producer);
            let counters = Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"])));
            inputs.push(Input { source: SourceId(source), ring, counters });
        }
        assert!(!has_news(&inputs), "silence");
        drop(producers.remove(0));
        assert!(!has_news(&inputs), "one source has ended, the other is silent");
        let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: None, flags: Flags::NONE };
        let event = Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: 0 }));
        producers[0].push(event).expect("there is room");
        assert!(has_news(&inputs), "an event");
        inputs[1].ring.pop().expect("it is there");
        drop(producers);
        assert!(has_news(&inputs), "the last source has ended");
    }
}

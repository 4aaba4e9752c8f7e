//! The batching thread: drains every ring into blocks, gives each event its sequence number, hands blocks to the lanes.
//!
//! Hot path: no allocation, lock, log or system call while events flow (crates/venues/tests/no_alloc.rs counts).
//!
//! There are lanes of two kinds. Storage lanes get every block of the recorded stream and are waited for. The analysis lane
//! gets blocks of the sources' events only, as the mode of its [`crate::link::stage_link`] says, and what its threads make of
//! them comes back through *derived inputs*: rings like those of the sources (an [`crate::outlet::Outlet`] each, whole
//! records by [`crate::outlet::Outlet::publish_record`]), drained into blocks of their own that go to the storage lanes only.
//! While the analysis lane is waited for, derived inputs are served: so neither waits for the other.
//!
//! Order of the end: the sources end; the analysis lane's link ends with them; its threads publish what is left and drop
//! their outlets; only then the storage lanes end.

use crate::block::{Block, BlockPool};
use crate::clock::Clock;
use crate::counters::{BatchingCounters, SourceCounters};
use crate::link::{LinkMode, LinkSender};
use crate::stop::Stop;
use crate::wait::{WaitStrategy, Waiter, pace};
use crate::wake::Wake;
use crossbeam_utils::{Backoff, CachePadded};
use feedd_model::{Epoch, Event, EventKind, MonoNanos, Seq, SourceId, StreamId};
use prefetch_index::prefetch_index;
use std::sync::Arc;
use std::time::Duration;

/// Most events taken from one ring before the next one has its turn: one hot source cannot starve another. 256 to
/// 4096 measured equal on an AMD EPYC, where 64 costs 2.8 ns an event; on an Intel Xeon 256 is 4 % faster than 1024.
pub const TURN_EVENTS_MAX: usize = 256;
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

/// Longest sleep while the analysis lane is waited for: a strategy of waiting that is never woken sleeps through it.
const GATE_NANOS_MAX: u64 = 100_000;

/// What the batching thread is made of.
pub struct FanInParts {
    /// Recorded stream.
    pub stream: StreamId,
    /// Start of the stream.
    pub epoch: Epoch,
    /// Every source's ring.
    pub inputs: Vec<Input>,
    /// The rings of the analysis threads, if any: derived records.
    pub derived: Vec<Input>,
    /// The storage lanes; each gets every block that is recorded.
    pub lanes: Vec<LinkSender<Arc<Block>>>,
    /// The analysis lane, if any: gets blocks of the sources' events, as the mode of its link says. Its wake for the sender is
    /// [`FanInParts::wake`].
    pub analysis: Option<LinkSender<Arc<Block>>>,
    /// Whether the sources' events are stored already: then they get sequence numbers of their own, and storage lanes get
    /// derived records only.
    pub is_replay: bool,
    /// What this thread serves itself: lanes that read one of those links and neither wait nor fail.
    pub served: Vec<Box<dyn Served>>,
    /// Blocks; more than the lanes hold together. See [`analysis_blocks`].
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

/// Blocks that an analysis lane holds: those in its link, those that the items on their way to the engine share, and one in
/// the hands of each of its two threads. To be added to what the storage lanes hold.
#[must_use]
pub const fn analysis_blocks(link_blocks: usize, link_items: usize) -> usize {
    link_blocks + link_items + 2
}

/// What [`FanIn::fill`] has found.
#[derive(Clone, Copy, Debug, Default)]
struct Filled {
    events: usize,
    /// So few at once that the next look is to be made after a pause.
    is_sparse: bool,
}

/// Whose events a block holds; never both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Of the sources.
    Outside,
    /// Of the analysis threads.
    Derived,
}

/// The batching thread's state. [`FanIn::run`] is the thread.
pub struct FanIn {
    parts: FanInParts,
    next_seq: Seq,
    /// The same for events that are not recorded, because they are replayed.
    next_replayed: Seq,
    /// Whose turn is first in the next round.
    turn: usize,
    derived_turn: usize,
}

impl FanIn {
    /// Sequence numbers start at 1.
    #[must_use]
    pub fn new(parts: FanInParts) -> Self {
        Self { parts, next_seq: Seq(1), next_replayed: Seq(1), turn: 0, derived_turn: 0 }
    }

    /// Runs until every source and every analysis thread is gone and its ring is empty, or until waiting is over
    /// ([`Stop::is_aborted`]).
    pub fn run(mut self) {
        self.parts.wake.register();
        self.parts.served.iter_mut().for_each(|lane| lane.register());
        let mut waiter = Waiter::new(self.parts.wait);
        self.record(&mut waiter);
        // The end of the analysis lane, whose threads now publish the last of what they made.
        self.parts.analysis = None;
        self.record_derived(&mut waiter);
        // The lanes' end, which those that are served here have to see.
        self.parts.lanes.clear();
        self.parts.served.into_iter().for_each(Served::finish);
    }

    /// Until every source is gone.
    fn record(&mut self, waiter: &mut Waiter) {
        let (mut ended, mut gate) = (false, Wait::default());
        while !ended && !self.parts.stop.is_aborted() {
            if self.forward_derived().is_none() {
                break;
            }
            if !self.is_open() {
                self.wait_at_gate(&mut gate);
                continue;
            }
            self.leave_gate(&mut gate);
            // A ring that is abandoned before the round and empty after it has nothing more to give.
            let gone = self.parts.inputs.iter().all(|input| input.ring.is_abandoned());
            let Some(mut block) = self.take_block() else { break };
            let filled = self.fill(&mut block, waiter);
            self.hand_over(block, Made::Outside);
            self.parts.served.iter_mut().for_each(|lane| lane.serve());
            if filled.is_sparse {
                pace(filled.events);
            }
            ended = gone && filled.events == 0;
        }
        self.leave_gate(&mut gate);
    }

    /// Until every analysis thread is gone.
    fn record_derived(&mut self, waiter: &mut Waiter) {
        while !self.parts.stop.is_aborted() {
            let gone = self.parts.derived.iter().all(|input| input.ring.is_abandoned());
            match self.forward_derived() {
                Some(0) if gone => return,
                Some(0) => {
                    let (derived, now) = (&self.parts.derived, self.parts.clock.mono());
                    self.parts.counters.beat(now);
                    waiter.idle(now, &self.parts.wake, || has_news(derived));
                }
                Some(events) => waiter.worked(events),
                None => return,
            }
        }
    }

    /// Hands on what the analysis threads made, up to one block of it, and tells how many events that is. `None` when waiting is
    /// over.
    fn forward_derived(&mut self) -> Option<usize> {
        if self.parts.derived.iter().all(|input| input.ring.is_empty()) {
            return Some(0);
        }
        let mut block = self.take_block()?;
        let events = self.fill_derived(&mut block);
        self.hand_over(block, Made::Derived);
        self.parts.served.iter_mut().for_each(|lane| lane.serve());
        Some(events)
    }

    fn fill_derived(&mut self, block: &mut Arc<Block>) -> usize {
        // The pool hands out blocks nobody else holds.
        let Some(open) = Arc::get_mut(block) else { return 0 };
        let now = self.parts.clock.mono();
        self.parts.counters.beat(now);
        open.open(self.parts.stream, self.parts.epoch, self.next_seq, now);
        let count = self.parts.derived.len();
        for i in 0..count {
            let input = &mut self.parts.derived[(self.derived_turn + i) % count];
            drain_records(input, open, &*self.parts.clock);
        }
        self.derived_turn = (self.derived_turn + 1) % count;
        let events = open.events().len();
        self.next_seq = Seq(self.next_seq.0 + events as u64);
        events
    }

    /// Whether the sources' next events may be taken: the analysis lane may be given what comes of them, by its mode, and one
    /// more block is left for what comes back from it.
    fn is_open(&self) -> bool {
        let Some(lane) = &self.parts.analysis else { return true };
        lane.mode() == LinkMode::Live || lane.is_closed() || (lane.may_deliver() && self.parts.pool.has_free(2))
    }

    /// Waits once for the analysis lane, until woken by it, by a derived record or by a source.
    #[cold]
    fn wait_at_gate(&self, wait: &mut Wait) {
        let Some(lane) = &self.parts.analysis else { return };
        lane.begin_wait(self.parts.clock.mono());
        let waited = wait.pause_by(&self.parts.counters, &*self.parts.clock, || {
            let derived = &self.parts.derived;
            let has_news = || self.is_open() || derived.iter().any(|input| !input.ring.is_empty());
            self.parts.wake.sleep(GATE_NANOS_MAX, has_news);
        });
        lane.add_blocked(waited);
    }

    fn leave_gate(&self, wait: &mut Wait) {
        if wait.since.is_some() {
            wait.end(&self.parts.counters);
            *wait = Wait::default();
            self.parts.analysis.iter().for_each(LinkSender::end_wait);
        }
    }

    /// Fills `block` until it is full, old, the rings are empty, or traffic is sparse and every lane waits for work; waits
    /// once when they were empty from the start.
    fn fill(&mut self, block: &mut Arc<Block>, waiter: &mut Waiter) -> Filled {
        // The pool hands out blocks nobody else holds.
        let Some(open) = Arc::get_mut(block) else { return Filled::default() };
        let opened = self.parts.clock.mono();
        self.parts.counters.beat(opened);
        let first = if self.parts.is_replay { self.next_replayed } else { self.next_seq };
        open.open(self.parts.stream, self.parts.epoch, first, opened);
        let mut filled = Filled::default();
        loop {
            let moved = self.round(open);
            filled.events += moved;
            if open.room() < TURN_EVENTS_MAX {
                break;
            }
            if moved == 0 {
                if filled.events == 0 {
                    let (inputs, derived) = (&mut self.parts.inputs, &self.parts.derived);
                    let has_news = || {
                        expect_next(inputs);
                        has_news(inputs) || derived.iter().any(|input| !input.ring.is_empty())
                    };
                    let is_found = waiter.idle(opened, &self.parts.wake, has_news);
                    if is_found && inputs.iter().any(|input| !input.ring.is_empty()) {
                        continue;
                    }
                }
                break;
            }
            waiter.worked(moved);
            if moved < BUSY_EVENTS_MIN {
                // First what is there, for those who wait for it; while they are busy more comes together.
                if self.all_wait_for_work() {
                    filled.is_sparse = true;
                    break;
                }
                pace(moved);
            }
            if self.parts.clock.mono().since(opened) >= BLOCK_AGE_NANOS_MAX {
                break;
            }
        }
        let next = if self.parts.is_replay { &mut self.next_replayed } else { &mut self.next_seq };
        *next = Seq(first.0 + filled.events as u64);
        filled
    }

    /// Whether every lane that gets events of the sources has nothing to do. One that is behind anyway is not waited for.
    fn all_wait_for_work(&self) -> bool {
        let is_stored = self.parts.is_replay || self.parts.lanes.iter().all(LinkSender::is_ready);
        is_stored && self.parts.analysis.as_ref().is_none_or(|lane| lane.is_ready() || lane.is_behind())
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
            moved += drain(input, block, room, &*self.parts.clock);
        }
        moved
    }

    /// Hands a block to every lane that gets it; an empty block goes back.
    fn hand_over(&mut self, mut block: Arc<Block>, made: Made) {
        let events = block.events().len() as u64;
        if events == 0 {
            self.parts.pool.give_back(block);
            return;
        }
        // Before a lane can have them: nobody ever sees more events stored than accepted.
        self.parts.counters.accepted.set(self.next_seq.0 - 1);
        if made == Made::Outside {
            // First, because it is never waited for here.
            self.analyse(&mut block, events);
        }
        if made == Made::Derived || !self.parts.is_replay {
            self.store(&block, events);
        } else {
            self.parts.counters.replayed.set(self.next_replayed.0 - 1);
        }
        self.parts.counters.blocks.add(1);
        self.parts.pool.keep(block);
    }

    /// Hands a block to the analysis lane. That its mode lets it be delivered was seen before it was filled.
    fn analyse(&mut self, block: &mut Arc<Block>, events: u64) {
        let Some(lane) = &mut self.parts.analysis else { return };
        if let Some(block) = Arc::get_mut(block) {
            block.tell_skipped(lane.untold().events);
        }
        // The last free block is not for a lane that may keep it.
        if lane.is_closed() || !self.parts.pool.has_free(1) {
            lane.skip(events);
            return;
        }
        match lane.send(block.clone(), events) {
            Ok(true) => {}
            Ok(false) => lane.count_instruments(block.events().iter().map(Event::instrument)),
            Err(_) => lane.skip(events),
        }
    }

    /// Hands a block to every storage lane, waiting where one is full.
    fn store(&mut self, block: &Arc<Block>, events: u64) {
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

/// Asks for the slots that are written next: an event comes from the other core together with the news of it, and not after
/// it. `bench-pipeline latency` shows it beside a bare ring that is read one after the other.
#[inline]
fn expect_next(inputs: &mut [Input]) {
    for input in inputs {
        if let Ok(next) = input.ring.read_chunk(0) {
            prefetch_index(next.as_slices().0, 0);
        }
    }
}

/// Copies up to `room` events of one ring into the block and frees their slots.
#[inline]
fn drain(input: &mut Input, block: &mut Block, room: usize, clock: &dyn Clock) -> usize {
    let mut waiting = input.ring.cached_slots();
    if waiting == 0 {
        waiting = input.ring.slots();
        if waiting == 0 {
            return 0;
        }
    }
    let counters = &input.counters;
    counters.ring_peak.raise(waiting as u64);
    let count = waiting.min(room);
    let Ok(chunk) = input.ring.read_chunk(count) else { return 0 };
    let (first, second) = chunk.as_slices();
    block.extend(input.source, first);
    block.extend(input.source, second);
    chunk.commit_all();
    note_taken(counters, count as u64, clock);
    count
}

/// Counts what was taken, and measures the event among it that is to be measured.
#[inline]
fn note_taken(counters: &SourceCounters, events: u64, clock: &dyn Clock) {
    counters.events_accepted.add(events);
    if let Some(published_at) = counters.probe.take(counters.events_accepted.get()) {
        counters.in_ring_ns.record(clock.mono().since(published_at));
    }
}

/// The same for a ring of derived records, which stay whole: one never ends in another block than it begins in.
fn drain_records(input: &mut Input, block: &mut Block, clock: &dyn Clock) {
    let waiting = input.ring.slots();
    let room = waiting.min(block.room()).min(TURN_EVENTS_MAX);
    let Ok(chunk) = input.ring.read_chunk(waiting) else { return };
    let (first, second) = chunk.as_slices();
    let at = |index: usize| first.get(index).or_else(|| second.get(index - first.len()));
    let is_end = |end: usize| at(end).is_none_or(|next| next.kind() != EventKind::More);
    // Without an end there is no record: the sinks tell what they find.
    let count = (1..=room).rev().find(|&end| is_end(end)).unwrap_or(if block.events().is_empty() { room } else { 0 });
    if count > 0 {
        block.extend(input.source, &first[..count.min(first.len())]);
        block.extend(input.source, &second[..count.saturating_sub(first.len())]);
        chunk.commit(count);
        input.counters.ring_peak.raise(waiting as u64);
        note_taken(&input.counters, count as u64, clock);
    }
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
        self.pause_by(counters, clock, || std::thread::sleep(BLOCKED_SLEEP))
    }

    /// The same; `sleep` is called when it has waited for long.
    fn pause_by(&mut self, counters: &BatchingCounters, clock: &dyn Clock, sleep: impl FnOnce()) -> u64 {
        let before = clock.mono();
        let since = *self.since.get_or_insert(before);
        counters.beat(before);
        counters.blocked_since.set(since.0.max(1));
        let backoff = self.backoff.get_or_insert_with(Backoff::new);
        if backoff.is_completed() {
            sleep()
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

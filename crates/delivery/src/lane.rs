//! The storage lane's thread: takes blocks, forms batches, offers each to the sink until it is taken.

use crate::gather::Gather;
use crate::offer::{Broken, Offering};
use crate::quarantine::Quarantine;
use crate::retry::Retry;
use crossbeam_utils::CachePadded;
use feedd_core::counters::StorageCounters;
use feedd_core::link::LinkReceiver;
use feedd_core::{Batch, Block, Clock, Sink, SinkError, Stop};
use feedd_model::{MonoNanos, Seq, duration_nanos};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// When a batch is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Events at rest; doubles while blocks wait behind a write, and halves again, up to 20,000.
    pub events_max: usize,
    /// Age of the oldest event.
    pub age_max: Duration,
}

/// Largest batch under backlog: above 20,000 events, both COPY and Parquet gain less than a few percent.
const BATCH_EVENTS_BACKLOG_MAX: usize = 20_000;
/// How often the sink is asked to do what is due by age.
const TICK_NANOS: u64 = 1_000_000_000;
/// Longest sleep, so that a stop is seen soon.
const SLEEP_NANOS_MAX: u64 = 50_000_000;

impl BatchLimits {
    /// Most events a batch may ever hold.
    #[must_use]
    pub fn backlog_max(&self) -> usize {
        self.events_max.max(BATCH_EVENTS_BACKLOG_MAX)
    }
}

/// What the lane is made of.
pub struct LaneParts {
    /// Blocks of the batching thread.
    pub blocks: LinkReceiver<Arc<Block>>,
    /// Where they are stored; already recovered.
    pub sink: Box<dyn Sink>,
    /// When a batch is due.
    pub limits: BatchLimits,
    /// When a failed batch is offered again.
    pub retry: Retry,
    /// For events the sink refuses.
    pub quarantine: Quarantine,
    /// Its counters.
    pub counters: Arc<CachePadded<StorageCounters>>,
    /// Both times.
    pub clock: Arc<dyn Clock>,
    /// The run's stop request.
    pub stop: Stop,
}

/// How the lane ended.
#[derive(Debug)]
pub enum LaneEnd {
    /// Everything that came is stored or in quarantine.
    Drained,
    /// The stop deadline passed first; the counters say how much is pending.
    Deadline,
    /// The sink cannot go on without a person.
    Fatal(SinkError),
}

/// One storage lane. [`StorageLane::run`] is the thread.
pub struct StorageLane {
    blocks: LinkReceiver<Arc<Block>>,
    limits: BatchLimits,
    counters: Arc<CachePadded<StorageCounters>>,
    clock: Arc<dyn Clock>,
    gather: Gather,
    batch: Batch,
    /// Events a batch may hold now.
    limit: usize,
    last_tick: MonoNanos,
    offering: Offering,
}

impl StorageLane {
    /// Wires the lane. `seed` makes the jitter of retries repeatable.
    #[must_use]
    pub fn new(parts: LaneParts, seed: u64) -> Self {
        let LaneParts { blocks, sink, limits, retry, quarantine, counters, clock, stop } = parts;
        Self {
            gather: Gather::new(limits.backlog_max()),
            batch: Batch::new(),
            limit: limits.events_max,
            last_tick: clock.mono(),
            offering: Offering {
                sink,
                retry,
                quarantine,
                counters: counters.clone(),
                clock: clock.clone(),
                stop,
                rng: fastrand::Rng::with_seed(seed),
                stream: None,
                taken: Seq(0),
                skipped: BTreeSet::new(),
            },
            blocks,
            limits,
            counters,
            clock,
        }
    }

    /// Runs until the batching thread is gone and everything is stored, or the stop deadline has passed.
    pub fn run(mut self) -> LaneEnd {
        self.blocks.register();
        let end = self.drain();
        self.offering.note_stored();
        match end {
            Ok(()) => LaneEnd::Drained,
            Err(Broken::Deadline) => LaneEnd::Deadline,
            Err(Broken::Fatal(error)) => LaneEnd::Fatal(error),
        }
    }

    fn drain(&mut self) -> Result<(), Broken> {
        loop {
            let ended = self.take_blocks();
            let now = self.clock.mono();
            if self.is_due(now) {
                self.store_batch()?;
            } else if ended {
                return self.flush();
            } else {
                self.blocks.finish();
                self.blocks.sleep(self.sleep_nanos(now));
            }
            self.tick()?;
        }
    }

    /// Takes what waits, as far as the next batch needs it; true when nothing more can come.
    fn take_blocks(&mut self) -> bool {
        while self.gather.len() < self.limit {
            let Some(block) = self.blocks.take() else { break };
            self.offering.stream = Some((block.stream(), block.epoch()));
            self.counters.received_seq.set(block.last_seq().0);
            self.gather.push(block);
        }
        let counters = &self.counters;
        counters.buffered.set(self.gather.len() as u64);
        counters.buffer_limit.set(self.limit as u64);
        counters.oldest_unwritten.set(self.gather.oldest().map_or(0, |t| t.0.max(1)));
        self.gather.is_empty() && self.blocks.is_ended()
    }

    fn is_due(&self, now: MonoNanos) -> bool {
        let Some(oldest) = self.gather.oldest() else { return false };
        let is_old = now.since(oldest) >= duration_nanos(self.limits.age_max);
        is_old || self.gather.len() >= self.limit || self.blocks.is_ended()
    }

    /// Until the batch is due by age, or the next tick, or the bound.
    fn sleep_nanos(&self, now: MonoNanos) -> u64 {
        let age_max = duration_nanos(self.limits.age_max);
        let due = self.gather.oldest().map_or(u64::MAX, |oldest| age_max.saturating_sub(now.since(oldest)));
        let tick = TICK_NANOS.saturating_sub(now.since(self.last_tick));
        due.min(tick).clamp(1_000, SLEEP_NANOS_MAX)
    }

    fn store_batch(&mut self) -> Result<(), Broken> {
        let mut batch = std::mem::take(&mut self.batch);
        self.gather.fill(&mut batch, self.limit);
        self.offering.offer(&batch)?;
        self.counters.events_written.add(batch.len() as u64);
        self.counters.batches.add(1);
        batch.clear();
        self.batch = batch;
        self.counters.oldest_unwritten.set(self.gather.oldest().map_or(0, |t| t.0.max(1)));
        self.offering.note_stored();
        self.adapt();
        Ok(())
    }

    /// Larger batches while others wait behind this one, smaller again when they do not.
    fn adapt(&mut self) {
        let backlog = self.blocks.waiting() > 0 || self.gather.len() >= self.limit;
        self.limit = if backlog {
            (self.limit * 2).min(self.limits.backlog_max())
        } else {
            (self.limit / 2).max(self.limits.events_max)
        };
    }

    /// Closes every file of the sink.
    fn flush(&mut self) -> Result<(), Broken> {
        self.offering.settle(|sink, now| sink.flush(now))
    }

    fn tick(&mut self) -> Result<(), Broken> {
        let now = self.clock.mono();
        if now.since(self.last_tick) < TICK_NANOS {
            return Ok(());
        }
        self.last_tick = now;
        self.offering.settle(|sink, now| sink.tick(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_core::ManualClock;
    use feedd_core::link::link;
    use feedd_model::{
        Epoch, Event, EventBody, EventHead, Flags, InstrumentId, SourceId, Status, StatusCode, StreamId, UnixNanos,
    };

    /// Takes nothing: these tests look at what is due.
    struct NoSink;

    impl Sink for NoSink {
        fn name(&self) -> &'static str {
            "none"
        }
        fn recover(&mut self, _: StreamId, _: Epoch) -> Result<Seq, SinkError> {
            Ok(Seq(0))
        }
        fn write(&mut self, _: &Batch, _: MonoNanos) -> Result<(), SinkError> {
            Ok(())
        }
        fn stored_seq(&self) -> Seq {
            Seq(0)
        }
        fn tick(&mut self, _: MonoNanos) -> Result<(), SinkError> {
            Ok(())
        }
        fn flush(&mut self, _: MonoNanos) -> Result<(), SinkError> {
            Ok(())
        }
    }

    #[test]
    fn a_batch_is_due_by_its_size_or_by_the_age_of_its_oldest_event() {
        let clock = Arc::new(ManualClock::at(UnixNanos(0)));
        let (mut sender, blocks) = link(8);
        let parts = LaneParts {
            blocks,
            sink: Box::new(NoSink),
            limits: BatchLimits { events_max: 500, age_max: Duration::from_secs(5) },
            retry: Retry { attempts: 3, delay: Duration::from_secs(1), delay_max: Duration::from_secs(30) },
            quarantine: Quarantine::new(std::path::Path::new("never made")),
            counters: Arc::new(CachePadded::new(StorageCounters::default())),
            clock: clock.clone(),
            stop: Stop::new(),
        };
        let mut lane = StorageLane::new(parts, 1);
        let mut send = |first: u64, events: usize| {
            let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: None, flags: Flags::NONE };
            let event = Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: 0 }));
            let block = Block::of(StreamId(1), Epoch(1), Seq(first), SourceId(0), &vec![event; events]);
            sender.send(Arc::new(block), events as u64).expect("there is room");
        };
        clock.advance(6_000_000_000);
        assert!(!lane.take_blocks() && !lane.is_due(clock.mono()), "nothing waits, whatever the time");
        // Blocks of `Block::of` were opened at 0: the event is 6 s old.
        send(1, 1);
        lane.take_blocks();
        assert!(lane.is_due(clock.mono()), "too old");
        assert!(!lane.is_due(MonoNanos(4_999_999_999)), "one nanosecond before");
        assert!(lane.is_due(MonoNanos(5_000_000_000)), "exactly as old as it may become");
        lane.last_tick = MonoNanos(4_990_000_000);
        assert_eq!(lane.sleep_nanos(MonoNanos(4_990_000_000)), 10_000_000, "woken when it is due, not later");
        send(2, 498);
        lane.take_blocks();
        assert!(!lane.is_due(MonoNanos(1)), "499 young events");
        send(500, 1);
        lane.take_blocks();
        assert!(lane.is_due(MonoNanos(1)), "500 events");
    }
}

//! A sink's lane: takes what is due from its feed, forms batches, offers each to the sink until it is taken.

use crate::breaker::Breaker;
use crate::feed::{Fed, Feed};
use crate::gather::Gather;
use crate::mark::SinkMark;
use crate::offer::{Broken, Offering};
use crate::progress::Progress;
use crate::quarantine::Quarantine;
use crate::retry::Retry;
use crate::skipped::Skipped;
use crossbeam_utils::CachePadded;
use feedd_core::counters::{SinkState, StorageCounters};
use feedd_core::{Batch, Clock, Sink, SinkError, Stop, error_text};
use feedd_journal::{EpochSpan, JournalError};
use feedd_model::{Epoch, MonoNanos, Position, Seq, duration_nanos};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// When a batch is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Events at rest; doubles while more waits behind a write, up to what suits the sink best, and halves again.
    pub events_max: usize,
    /// Age of the oldest event.
    pub age_max: Duration,
}

/// How often the sink is asked to do what is due by age.
const TICK_NANOS: u64 = 1_000_000_000;
/// Longest sleep, so that a stop is seen soon.
const SLEEP_NANOS_MAX: u64 = 50_000_000;
/// Pause after the journal could not be read.
const READ_PAUSE: Duration = Duration::from_millis(500);

impl BatchLimits {
    /// Most events a batch for this sink may ever hold.
    #[must_use]
    pub fn backlog_max(&self, sink: &dyn Sink) -> usize {
        self.events_max.max(sink.batch_events_best())
    }
}

/// What a lane is made of.
pub struct LaneParts {
    /// Where the events come from.
    pub feed: Box<dyn Feed>,
    /// Where they are stored.
    pub sink: Box<dyn Sink>,
    /// Name and importance of the sink; how far it is.
    pub mark: Arc<SinkMark>,
    /// This start.
    pub epoch: Epoch,
    /// What the journal holds of earlier starts; none without a journal.
    pub earlier: Option<Vec<EpochSpan>>,
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

/// How a lane ended.
#[derive(Debug)]
pub enum LaneEnd {
    /// Everything that came is stored, in quarantine or marked as missed.
    Drained,
    /// The run ended first; the counters say how much is pending.
    Deadline,
    /// The sink cannot go on without a person.
    Fatal(SinkError),
    /// The sink, or the lane, panicked: a defect. The panic has been printed.
    Panicked,
}

/// What a step has done.
enum Step {
    /// Something; more may be due.
    Worked,
    /// Nothing is due for so many ns, unless news comes.
    Waits(u64),
    /// All there will ever be.
    Done,
}

/// A step, or the lane's end.
enum Went {
    Worked,
    Waits(u64),
    Ended(LaneEnd),
}

/// One sink's lane. [`StorageLane::run`] is the thread.
pub struct StorageLane {
    feed: Box<dyn Feed>,
    /// Read, to be dealt with when everything gathered before it is stored.
    next: Option<Fed>,
    limits: BatchLimits,
    /// Most events of a batch.
    backlog_max: usize,
    counters: Arc<CachePadded<StorageCounters>>,
    clock: Arc<dyn Clock>,
    epoch: Epoch,
    gather: Gather,
    batch: Batch,
    /// Events a batch may hold now.
    limit: usize,
    last_tick: MonoNanos,
    /// The journal could not be read the last time.
    unreadable: bool,
    offering: Offering,
}

impl StorageLane {
    /// Wires the lane. `seed` makes the jitter of retries repeatable.
    #[must_use]
    pub fn new(parts: LaneParts, seed: u64) -> Self {
        let LaneParts { feed, sink, mark, epoch, earlier, limits, retry, quarantine, counters, clock, stop } = parts;
        let backlog_max = limits.backlog_max(&*sink);
        let progress = Progress::new(epoch, earlier.as_deref().unwrap_or_default());
        progress.publish_earlier(&counters);
        Self {
            gather: Gather::new(backlog_max),
            batch: Batch::new(),
            limit: limits.events_max,
            last_tick: clock.mono(),
            offering: Offering {
                sink,
                breaker: Breaker::new(retry, seed),
                quarantine,
                mark,
                counters: counters.clone(),
                clock: clock.clone(),
                stop,
                journalled: earlier.is_some(),
                progress,
                at: None,
                taken: Seq(0),
                skipped: Skipped::default(),
                call_ns: 0,
            },
            unreadable: false,
            feed,
            next: None,
            limits,
            backlog_max,
            counters,
            clock,
            epoch,
        }
    }

    /// Runs until nothing more can come and everything is stored, or the run is over. A panic ends this lane alone.
    pub fn run(self) -> LaneEnd {
        let (mark, counters) = (self.offering.mark.clone(), self.counters.clone());
        std::panic::catch_unwind(AssertUnwindSafe(|| self.drain())).unwrap_or_else(|_| {
            tracing::error!(sink = mark.name(), "sink stopped by a defect of feedd, please report it; others go on");
            counters.set_state(SinkState::Stopped);
            LaneEnd::Panicked
        })
    }

    fn drain(mut self) -> LaneEnd {
        self.feed.register();
        loop {
            match self.go_on() {
                Went::Worked => {}
                Went::Waits(nanos) => self.feed.sleep(nanos),
                Went::Ended(end) => return end,
            }
        }
    }

    /// Names the calling thread as the one that runs this lane: for lanes that have none of their own.
    pub fn register(&mut self) {
        self.feed.register();
    }

    /// Does everything that is due now, without waiting for more; the end, when it has come.
    pub fn serve(&mut self) -> Option<LaneEnd> {
        loop {
            match self.go_on() {
                Went::Worked => {}
                Went::Waits(_) => return None,
                Went::Ended(end) => return Some(end),
            }
        }
    }

    /// One step, and what comes of it.
    fn go_on(&mut self) -> Went {
        let step = match self.step() {
            Err(Broken::Rewind(position)) => self.rewind(position).map(|()| Step::Worked),
            other => other,
        };
        let end = match step {
            Ok(Step::Worked) => return Went::Worked,
            Ok(Step::Waits(nanos)) => return Went::Waits(nanos),
            Ok(Step::Done) => LaneEnd::Drained,
            // A rewind asks for none itself.
            Err(Broken::Deadline | Broken::Rewind(_)) => LaneEnd::Deadline,
            Err(Broken::Fatal(error)) => self.stopped(error),
        };
        self.offering.note_stored();
        Went::Ended(end)
    }

    fn stopped(&self, error: SinkError) -> LaneEnd {
        let text = error_text(&error);
        tracing::error!(sink = self.offering.mark.name(), error = text, "sink stopped; a person is needed");
        self.counters.set_state(SinkState::Stopped);
        LaneEnd::Fatal(error)
    }

    /// Does the next thing that is due.
    fn step(&mut self) -> Result<Step, Broken> {
        let ended = self.take()?;
        let now = self.clock.mono();
        self.counters.beat_at.set(now.0.max(1));
        let mut step = Step::Worked;
        if self.is_due(now) {
            self.store_batch()?;
        } else if self.gather.is_empty()
            && let Some(next) = self.next.take()
        {
            // When the sink cannot do it and asks for a rewind, it is read again.
            self.deal_with(next)?;
        } else if ended {
            self.flush()?;
            return Ok(Step::Done);
        } else if self.is_asked() {
            self.flush()?;
        } else {
            self.feed.finish();
            step = Step::Waits(self.sleep_nanos(now));
        }
        self.tick(now)?;
        Ok(step)
    }

    /// Takes what waits, as far as the next batch needs it; true when nothing more can come.
    fn take(&mut self) -> Result<bool, Broken> {
        while self.next.is_none() && self.gather.len() < self.limit {
            let read = self.feed.next();
            self.unreadable &= read.is_err();
            match read {
                Ok(Some(Fed::Block(block))) => {
                    if block.epoch() == self.epoch {
                        self.counters.received_seq.set(block.last_seq().0);
                        if !self.offering.journalled {
                            self.offering.mark.probe().send(block.last_seq().0, block.opened());
                        }
                    }
                    self.gather.push(block);
                }
                Ok(Some(other)) => self.next = Some(other),
                Ok(None) => break,
                Err(error) => {
                    self.note_unreadable(&error)?;
                    break;
                }
            }
        }
        self.note_buffer();
        Ok(self.next.is_none() && self.gather.is_empty() && self.feed.is_ended())
    }

    /// The journal cannot be read now: waits a moment. Told once, until it can be read again.
    fn note_unreadable(&mut self, error: &JournalError) -> Result<(), Broken> {
        if !self.unreadable {
            let error = error_text(error);
            tracing::error!(sink = self.offering.mark.name(), error, "the journal cannot be read; tried again");
        }
        self.unreadable = true;
        if self.offering.stop.is_aborted() {
            return Err(Broken::Deadline);
        }
        std::thread::sleep(READ_PAUSE);
        Ok(())
    }

    fn note_buffer(&self) {
        let counters = &self.counters;
        counters.buffered.set(self.gather.len() as u64);
        counters.buffered_peak.raise(self.gather.len() as u64);
        counters.buffer_limit.set(self.limit as u64);
        counters.oldest_unwritten.set(self.gather.oldest().map_or(0, |t| t.0.max(1)));
    }

    fn is_due(&self, now: MonoNanos) -> bool {
        let Some(oldest) = self.gather.oldest() else { return false };
        let is_old = now.since(oldest) >= duration_nanos(self.limits.age_max);
        is_old || self.next.is_some() || self.gather.len() >= self.limit || self.feed.is_ended() || self.is_asked()
    }

    /// Whether the journal needs the room of what the sink has taken. While there is more to take, that comes first: a sink
    /// that is behind stores as it goes.
    fn is_asked(&self) -> bool {
        self.offering.mark.is_asked() && !self.feed.has_more() && self.offering.at.is_some()
    }

    fn flush(&mut self) -> Result<(), Broken> {
        self.offering.settle(|sink, now| sink.flush(now))?;
        self.offering.mark.answer();
        Ok(())
    }

    /// Until the batch is due by age, or the next tick, or the bound.
    fn sleep_nanos(&self, now: MonoNanos) -> u64 {
        let age_max = duration_nanos(self.limits.age_max);
        let due = self.gather.oldest().map_or(u64::MAX, |oldest| age_max.saturating_sub(now.since(oldest)));
        let tick = TICK_NANOS.saturating_sub(now.since(self.last_tick));
        due.min(tick).clamp(1_000, SLEEP_NANOS_MAX)
    }

    fn deal_with(&mut self, next: Fed) -> Result<(), Broken> {
        match next {
            Fed::Start { stream, epoch } => {
                if self.offering.at != Some((stream, epoch)) {
                    self.offering.begin(stream, epoch)?;
                    let after = Position { epoch, seq: self.offering.taken };
                    self.seek(after)?;
                }
            }
            Fed::Missing(missing) => self.offering.offer_missing(&missing)?,
            Fed::Block(block) => self.gather.push(block),
        }
        Ok(())
    }

    fn store_batch(&mut self) -> Result<(), Broken> {
        let mut batch = std::mem::take(&mut self.batch);
        self.gather.fill(&mut batch, self.limit);
        self.offering.offer(&batch)?;
        self.counters.events_written.add(batch.len() as u64);
        self.counters.batches.add(1);
        batch.clear();
        self.batch = batch;
        self.note_buffer();
        self.offering.note_stored();
        self.adapt();
        Ok(())
    }

    /// Larger batches while more waits behind this one, smaller again when it does not.
    fn adapt(&mut self) {
        let backlog = self.feed.has_more() || self.gather.len() >= self.limit;
        self.limit =
            if backlog { (self.limit * 2).min(self.backlog_max) } else { (self.limit / 2).max(self.limits.events_max) };
    }

    /// What the sink gave up is read again.
    fn rewind(&mut self, position: Position) -> Result<(), Broken> {
        self.gather.clear();
        self.next = None;
        self.offering.taken = position.seq;
        if position.epoch == self.epoch {
            self.counters.received_seq.set(position.seq.0);
        }
        self.seek(position)
    }

    /// Goes on behind a position. A journal that cannot be read now is asked again: nothing is skipped meanwhile.
    fn seek(&mut self, after: Position) -> Result<(), Broken> {
        while let Err(error) = self.feed.seek(after) {
            self.note_unreadable(&error)?;
        }
        self.unreadable = false;
        Ok(())
    }

    fn tick(&mut self, now: MonoNanos) -> Result<(), Broken> {
        if now.since(self.last_tick) < TICK_NANOS || self.offering.at.is_none() {
            return Ok(());
        }
        self.last_tick = now;
        self.offering.settle(|sink, now| sink.tick(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::LinkFeed;
    use feedd_core::link::link;
    use feedd_core::{Block, Instruments, ManualClock};
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
            feed: Box::new(LinkFeed::new(blocks, StreamId(1), Epoch(1))),
            mark: Arc::new(SinkMark::new("none".into(), true)),
            epoch: Epoch(1),
            earlier: None,
            sink: Box::new(NoSink),
            limits: BatchLimits { events_max: 500, age_max: Duration::from_secs(5) },
            retry: Retry::default(),
            quarantine: Quarantine::open(std::path::Path::new("never made"), 0, Instruments::in_memory()).unwrap(),
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
        assert!(matches!(lane.step(), Ok(Step::Worked)), "the start is dealt with first");
        assert!(
            lane.take().is_ok_and(|ended| !ended) && !lane.is_due(clock.mono()),
            "nothing waits, whatever the time"
        );
        // Blocks of `Block::of` were opened at 0: the event is 6 s old.
        send(1, 1);
        assert!(lane.take().is_ok());
        assert!(lane.is_due(clock.mono()), "too old");
        assert!(!lane.is_due(MonoNanos(4_999_999_999)), "one nanosecond before");
        assert!(lane.is_due(MonoNanos(5_000_000_000)), "exactly as old as it may become");
        lane.last_tick = MonoNanos(4_990_000_000);
        assert_eq!(lane.sleep_nanos(MonoNanos(4_990_000_000)), 10_000_000, "woken when it is due, not later");
        send(2, 498);
        assert!(lane.take().is_ok());
        assert!(!lane.is_due(MonoNanos(1)), "499 young events");
        send(500, 1);
        assert!(lane.take().is_ok());
        assert!(lane.is_due(MonoNanos(1)), "500 events");
    }
}

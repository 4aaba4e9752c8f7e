//! The storage lane's thread: takes blocks, forms batches, offers each to the sink until it is taken.

use crate::gather::Gather;
use crate::quarantine::Quarantine;
use crate::retry::Retry;
use crossbeam_utils::CachePadded;
use feedd_core::counters::StorageCounters;
use feedd_core::link::LinkReceiver;
use feedd_core::{Batch, Block, Clock, Sink, SinkError, Stop};
use feedd_model::{Epoch, Event, MonoNanos, Seq, StreamId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// When a batch is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Events at rest; doubles while blocks wait behind a write, and halves again, up to [`BATCH_EVENTS_BACKLOG_MAX`].
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
    parts: LaneParts,
    gather: Gather,
    batch: Batch,
    /// Events a batch may hold now.
    limit: usize,
    /// Of the blocks.
    stream: Option<(StreamId, Epoch)>,
    /// Highest sequence the sink has taken: stored, or in its memory.
    taken: Seq,
    /// Quarantined events above the sink's stored position.
    skipped: BTreeSet<Seq>,
    last_tick: MonoNanos,
    rng: fastrand::Rng,
}

/// Why an offer ended without the batch being stored.
enum Broken {
    Deadline,
    Fatal(SinkError),
}

impl StorageLane {
    /// Wires the lane. `seed` makes the jitter of retries repeatable.
    #[must_use]
    pub fn new(parts: LaneParts, seed: u64) -> Self {
        let last_tick = parts.clock.mono();
        Self {
            gather: Gather::new(parts.limits.backlog_max()),
            batch: Batch::new(),
            limit: parts.limits.events_max,
            stream: None,
            taken: Seq(0),
            skipped: BTreeSet::new(),
            last_tick,
            rng: fastrand::Rng::with_seed(seed),
            parts,
        }
    }

    /// Runs until the batching thread is gone and everything is stored, or the stop deadline has passed.
    pub fn run(mut self) -> LaneEnd {
        self.parts.blocks.register();
        let end = self.drain();
        self.note_stored();
        match end {
            Ok(()) => LaneEnd::Drained,
            Err(Broken::Deadline) => LaneEnd::Deadline,
            Err(Broken::Fatal(error)) => LaneEnd::Fatal(error),
        }
    }

    fn drain(&mut self) -> Result<(), Broken> {
        loop {
            let ended = self.take_blocks();
            let now = self.parts.clock.mono();
            if self.is_due(now, ended) {
                self.store_batch()?;
            } else if ended {
                return self.flush();
            } else {
                self.parts.blocks.finish();
                self.parts.blocks.sleep(self.sleep_nanos(now));
            }
            self.tick()?;
        }
    }

    /// Takes what waits, as far as the next batch needs it; true when nothing more can come.
    fn take_blocks(&mut self) -> bool {
        while self.gather.len() < self.limit {
            let Some(block) = self.parts.blocks.take() else { break };
            self.stream = Some((block.stream(), block.epoch()));
            self.parts.counters.received_seq.set(block.last_seq().0);
            self.gather.push(block);
        }
        let counters = &self.parts.counters;
        counters.buffered.set(self.gather.len() as u64);
        counters.buffer_limit.set(self.limit as u64);
        counters.oldest_unwritten.set(self.gather.oldest().map_or(0, |t| t.0.max(1)));
        self.gather.is_empty() && self.parts.blocks.is_ended()
    }

    fn is_due(&self, now: MonoNanos, ended: bool) -> bool {
        let age = self.gather.oldest().map_or(0, |oldest| now.since(oldest));
        let age_max = u64::try_from(self.parts.limits.age_max.as_nanos()).unwrap_or(u64::MAX);
        let closing = ended || self.parts.blocks.is_ended();
        !self.gather.is_empty() && (self.gather.len() >= self.limit || age >= age_max || closing)
    }

    /// Until the batch is due by age, or the next tick, or the bound.
    fn sleep_nanos(&self, now: MonoNanos) -> u64 {
        let age_max = u64::try_from(self.parts.limits.age_max.as_nanos()).unwrap_or(u64::MAX);
        let due = self.gather.oldest().map_or(u64::MAX, |oldest| age_max.saturating_sub(now.since(oldest)));
        let tick = TICK_NANOS.saturating_sub(now.since(self.last_tick));
        due.min(tick).clamp(1_000, SLEEP_NANOS_MAX)
    }

    fn store_batch(&mut self) -> Result<(), Broken> {
        let mut batch = std::mem::take(&mut self.batch);
        self.gather.fill(&mut batch, self.limit);
        self.offer(&batch)?;
        self.parts.counters.events_written.add(batch.len() as u64);
        self.parts.counters.batches.add(1);
        batch.clear();
        self.batch = batch;
        self.parts.counters.oldest_unwritten.set(self.gather.oldest().map_or(0, |t| t.0.max(1)));
        self.note_stored();
        self.adapt();
        Ok(())
    }

    /// Larger batches while others wait behind this one, smaller again when they do not.
    fn adapt(&mut self) {
        let backlog = self.parts.blocks.waiting() > 0 || self.gather.len() >= self.limit;
        self.limit = if backlog {
            (self.limit * 2).min(self.parts.limits.backlog_max())
        } else {
            (self.limit / 2).max(self.parts.limits.events_max)
        };
    }

    /// Offers a batch until it is taken. Refused events go to quarantine, the others are offered again.
    fn offer(&mut self, batch: &Batch) -> Result<(), Broken> {
        let mut rest = self.offer_once(batch)?;
        // A stack of our own: a sink may refuse the events of a batch one by one.
        while let Some(part) = rest.pop() {
            rest.extend(self.offer_once(&part)?);
        }
        Ok(())
    }

    /// Offers a range and returns what is left of it around the refused events, the first part last.
    fn offer_once(&mut self, batch: &Batch) -> Result<Vec<Batch>, Broken> {
        let Some(refused) = self.attempt(|sink, now| sink.write(batch, now))? else {
            self.taken = batch.id().map_or(self.taken, |id| id.last);
            return Ok(Vec::new());
        };
        self.quarantine(batch, &refused)?;
        let mut parts = without(batch, &refused.seqs);
        parts.reverse();
        Ok(parts)
    }

    fn quarantine(&mut self, batch: &Batch, refused: &Refused) -> Result<(), Broken> {
        let Some(id) = batch.id() else { return Ok(()) };
        let name = self.parts.sink.name();
        let mut events = 0;
        for (seq, event) in batch.events().filter(|(seq, _)| refused.seqs.contains(seq)) {
            self.keep_aside(id, seq, name, &refused.reason, event)?;
            self.skipped.insert(seq);
            self.parts.counters.quarantined.add(1);
            self.parts.counters.quarantined_ahead.set(self.skipped.len() as u64);
            events += 1;
        }
        if events == 0 {
            // Offering the same range again would never end.
            let what = format!("refused {id} without naming one of its events: {}", refused.reason);
            return Err(Broken::Fatal(SinkError::Fatal { sink: name, what, source: None }));
        }
        tracing::error!(events, reason = refused.reason, "sink refused events; they are in quarantine");
        Ok(())
    }

    fn keep_aside(
        &mut self,
        id: feedd_core::BatchId,
        seq: Seq,
        sink: &'static str,
        reason: &str,
        event: &Event,
    ) -> Result<(), Broken> {
        self.parts.quarantine.keep(id, seq, sink, reason, event).map_err(|source| {
            Broken::Fatal(SinkError::Fatal {
                sink,
                what: format!("refused event {seq} could not be kept in {}", self.parts.quarantine.path().display()),
                source: Some(source.into()),
            })
        })
    }

    /// Closes every file of the sink.
    fn flush(&mut self) -> Result<(), Broken> {
        self.settle(|sink, now| sink.flush(now))
    }

    fn tick(&mut self) -> Result<(), Broken> {
        let now = self.parts.clock.mono();
        if now.since(self.last_tick) < TICK_NANOS {
            return Ok(());
        }
        self.last_tick = now;
        self.settle(|sink, now| sink.tick(now))
    }

    /// Lets the sink store what it has taken. It can no longer refuse any of that.
    fn settle(&mut self, call: impl FnMut(&mut dyn Sink, MonoNanos) -> Result<(), SinkError>) -> Result<(), Broken> {
        let Some(refused) = self.attempt(call)? else {
            self.note_stored();
            return Ok(());
        };
        let what = format!("refused events that it had taken: {}", refused.reason);
        Err(Broken::Fatal(SinkError::Fatal { sink: self.parts.sink.name(), what, source: None }))
    }

    /// Calls the sink until it succeeds, refuses events, or cannot go on.
    fn attempt(
        &mut self,
        mut call: impl FnMut(&mut dyn Sink, MonoNanos) -> Result<(), SinkError>,
    ) -> Result<Option<Refused>, Broken> {
        let (mut failed, mut unsure) = (0u32, false);
        loop {
            let start = self.parts.clock.mono();
            let known = if unsure { self.ask_position() } else { Ok(()) };
            unsure &= known.is_err();
            let result = known.and_then(|()| call(&mut *self.parts.sink, start));
            self.parts.counters.sink_ns.add(self.parts.clock.mono().since(start));
            let error = match result {
                Ok(()) => {
                    self.note_answer(failed);
                    return Ok(None);
                }
                Err(SinkError::Refused { seqs, reason, .. }) => {
                    self.note_answer(failed);
                    return Ok(Some(Refused { seqs: seqs.into_iter().collect(), reason }));
                }
                Err(error @ SinkError::Fatal { .. }) => return Err(Broken::Fatal(error)),
                Err(error) => error,
            };
            unsure |= matches!(error, SinkError::Unknown { .. });
            failed = failed.saturating_add(1);
            self.note_failure(failed, &error);
            let delay = self.parts.retry.delay(failed, &mut self.rng);
            self.pause(delay)?;
            self.parts.counters.retries.add(1);
        }
    }

    /// After an unknown outcome: asks up to where everything is stored. The range at hand is offered again, and the sink
    /// skips what it has; what the sink had taken earlier and gave up is no longer here.
    fn ask_position(&mut self) -> Result<(), SinkError> {
        let Some((stream, epoch)) = self.stream else { return Ok(()) };
        let stored = self.parts.sink.recover(stream, epoch)?.max(Seq(self.parts.counters.stored_seq.get()));
        let lost = (stored.0 + 1..=self.taken.0).filter(|&seq| !self.skipped.contains(&Seq(seq))).count();
        if lost == 0 {
            return Ok(());
        }
        let what = format!(
            "gave up events that it had taken: up to {lost} of epoch {epoch} seq {}..={} are not stored and cannot be \
             offered again; look after the storage and start feedd again",
            stored.next(),
            self.taken
        );
        Err(SinkError::Fatal { sink: self.parts.sink.name(), what, source: None })
    }

    /// The sink answered, after `failed` failures.
    fn note_answer(&self, failed: u32) {
        if failed > 0 {
            tracing::warn!(sink = self.parts.sink.name(), failed, "sink works again");
            self.parts.counters.failing.set(0);
        }
    }

    fn note_failure(&self, failed: u32, error: &SinkError) {
        let counters = &self.parts.counters;
        counters.failing.set(1);
        if self.parts.retry.is_exhausted(failed) {
            counters.batches_failed.add(1);
        }
        // The first failures one by one, later each tenth: a long outage must not fill the log.
        if failed <= self.parts.retry.attempts + 1 || failed.is_multiple_of(10) {
            let cause = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
            tracing::warn!(attempt = failed, %error, cause, "nothing is lost: the batch is offered again");
        }
    }

    /// Waits, but not beyond the stop deadline.
    fn pause(&self, delay: Duration) -> Result<(), Broken> {
        let start = self.parts.clock.mono();
        let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        loop {
            if self.parts.stop.is_aborted() {
                return Err(Broken::Deadline);
            }
            let left = delay.saturating_sub(self.parts.clock.mono().since(start));
            if left == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_nanos(left.min(SLEEP_NANOS_MAX)));
        }
    }

    /// Publishes the position up to which everything is stored or in quarantine.
    fn note_stored(&mut self) {
        // From our own position, which may be ahead of the sink's by events in quarantine.
        let mut position = self.parts.sink.stored_seq().max(Seq(self.parts.counters.stored_seq.get()));
        while self.skipped.remove(&position.next()) {
            position = position.next();
        }
        self.skipped.retain(|&seq| seq > position);
        self.parts.counters.stored_seq.raise(position.0);
        self.parts.counters.quarantined_ahead.set(self.skipped.len() as u64);
    }
}

/// Events of a batch that the sink will never take.
struct Refused {
    seqs: BTreeSet<Seq>,
    reason: String,
}

/// The parts of a batch around the refused events.
fn without(batch: &Batch, refused: &BTreeSet<Seq>) -> Vec<Batch> {
    let mut parts = vec![Batch::new()];
    for (block, start, end) in batch.parts() {
        let mut from = start;
        for at in start..=end {
            let seq = Seq(block.first_seq().0 + at as u64);
            if at < end && !refused.contains(&seq) {
                continue;
            }
            if let Some(part) = parts.last_mut().filter(|_| at > from) {
                part.push(block.clone(), from, at);
            }
            if at < end {
                parts.push(Batch::new());
            }
            from = at + 1;
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

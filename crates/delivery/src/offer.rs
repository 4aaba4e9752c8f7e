//! Offering to a sink until it takes: attempts, what it refuses, and up to where everything is stored.

use crate::breaker::{Breaker, BreakerState};
use crate::feed::MissingRange;
use crate::mark::SinkMark;
use crate::progress::Progress;
use crate::quarantine::Quarantine;
use crate::refused::Refused;
use crate::skipped::Skipped;
use crossbeam_utils::CachePadded;
use feedd_core::counters::{SinkState, StorageCounters};
use feedd_core::{Batch, BatchId, Block, Clock, Sink, SinkError, Stop, error_text, records};
use feedd_model::{
    Epoch, Event, EventBody, EventHead, Flags, Gap, InstrumentId, MonoNanos, Position, Seq, SourceId, StreamId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A sink and everything that is known of its state.
pub(crate) struct Offering {
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) breaker: Breaker,
    pub(crate) quarantine: Quarantine,
    pub(crate) mark: Arc<SinkMark>,
    pub(crate) counters: Arc<CachePadded<StorageCounters>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: Stop,
    /// Whether what is not stored stays in the journal and can be read again.
    pub(crate) journalled: bool,
    pub(crate) progress: Progress,
    /// What the sink has been recovered to; none before the first start was read.
    pub(crate) at: Option<(StreamId, Epoch)>,
    /// Highest sequence the sink has taken: stored, or in its memory.
    pub(crate) taken: Seq,
    /// Sequences above the stored position that the sink will not get.
    pub(crate) skipped: Skipped,
    /// How long the sink took for the last call, ns.
    pub(crate) call_ns: u64,
}

/// Why an offer ended without the batch being stored.
pub(crate) enum Broken {
    /// The run ends; what is not stored is in the journal, or lost and counted.
    Deadline,
    /// The sink gave up what it had taken above this position: it has to be read again.
    Rewind(Position),
    Fatal(SinkError),
}

/// Longest sleep between two looks at the stop request.
const SLEEP_NANOS_MAX: u64 = 50_000_000;
/// Events kept aside at once: some hundred KiB, so that a small `quarantine.bytes_max` can hold them.
const QUARANTINE_EVENTS: usize = 100;
/// Between two attempts to keep a refused event aside.
const QUARANTINE_PAUSE_NANOS: u64 = 1_000_000_000;

impl Offering {
    /// Begins a start: stores what the sink still has of the one before, and asks where it stands.
    pub(crate) fn begin(&mut self, stream: StreamId, epoch: Epoch) -> Result<(), Broken> {
        if self.at.is_some() {
            self.settle(|sink, now| sink.flush(now))?;
        }
        let mut position = Seq(0);
        self.at = None;
        self.must_take(|sink, _| {
            position = sink.recover(stream, epoch)?;
            Ok(())
        })?;
        if position > Seq(0) && self.progress.is_fresh(epoch) {
            return Err(self.not_ours(stream, epoch));
        }
        self.at = Some((stream, epoch));
        self.taken = position;
        self.skipped = Skipped::default();
        self.progress.begin(epoch, position);
        for seq in self.quarantine.holds(stream, epoch).into_iter().filter(|seq| *seq > position) {
            self.progress.quarantined(self.skipped.insert(seq, seq));
        }
        self.note_stored();
        Ok(())
    }

    /// A start that begins now cannot be stored already.
    fn not_ours(&self, stream: StreamId, epoch: Epoch) -> Broken {
        let what = format!(
            "already holds events of stream {stream} epoch {epoch}, which starts only now: the recorder's state is older \
             than the stored data, or belongs to another recorder; restore it from a copy, or use a new data.dir and an \
             empty store"
        );
        Broken::Fatal(SinkError::Fatal { sink: self.sink.name(), what, source: None })
    }

    /// Offers a batch until it is taken. Refused events go to quarantine, the others are offered again.
    pub(crate) fn offer(&mut self, batch: &Batch) -> Result<(), Broken> {
        // Of a former attempt, or of a former run.
        let known = !self.skipped.is_empty() && batch.events().any(|(seq, _)| self.skipped.contains(seq));
        if !known {
            return self.offer_parts(batch);
        }
        let mut parts = without(batch, |seq| self.skipped.contains(seq));
        parts.drain(..).try_for_each(|part| self.offer_parts(&part))
    }

    fn offer_parts(&mut self, batch: &Batch) -> Result<(), Broken> {
        let mut rest = self.offer_once(batch)?;
        // A stack of our own: a sink may refuse the events of a batch one by one.
        while let Some(part) = rest.pop() {
            rest.extend(self.offer_once(&part)?);
        }
        Ok(())
    }

    /// Offers a range and returns what is left of it around the refused events, the first part last.
    fn offer_once(&mut self, batch: &Batch) -> Result<Vec<Batch>, Broken> {
        let Some((seqs, reason)) = self.attempt(|sink, now| sink.write(batch, now))? else {
            self.taken = batch.id().map_or(self.taken, |id| id.last);
            self.counters.insert_ns.record(self.call_ns);
            return Ok(Vec::new());
        };
        let aside = self.put_aside(batch, &seqs, &reason)?;
        let mut parts = without(batch, |seq| aside.contains(&seq));
        parts.reverse();
        Ok(parts)
    }

    /// Marks a range that is not to be had: one gap event in the place of its last sequence.
    pub(crate) fn offer_missing(&mut self, missing: &MissingRange) -> Result<(), Broken> {
        let Some((stream, epoch)) = self.at else { return Ok(()) };
        let first = missing.first.max(self.taken.next());
        if first > missing.last {
            return Ok(());
        }
        let events = missing.last.0 - first.0 + 1;
        let now = Some(missing.to_ts.or(missing.from_ts).unwrap_or_else(|| self.clock.wall()));
        let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: now, flags: Flags::NONE };
        let gap = Gap {
            reason: missing.reason,
            first_missing: None,
            last_missing: None,
            from_ts: missing.from_ts,
            to_ts: missing.to_ts,
            events: Some(events),
        };
        let marker = [Event::new(head, EventBody::Gap(gap))];
        let mut batch = Batch::new();
        batch.push(Arc::new(Block::of(stream, epoch, missing.last, SourceId(0), &marker)), 0, 1);
        self.offer_parts(&batch)?;
        let sink = &*self.mark;
        let reason = missing.reason.name();
        tracing::error!(sink = sink.name(), %epoch, %first, last = %missing.last, events, reason, "events are not to be had any more; the hole is marked in the data");
        self.progress.missed(self.skipped.insert(first, missing.last));
        self.note_stored();
        Ok(())
    }

    /// Keeps refused events in quarantine, and tells which: of a derived record all slots, when one is refused.
    fn put_aside(&mut self, batch: &Batch, seqs: &[Seq], reason: &str) -> Result<BTreeSet<Seq>, Broken> {
        let refused = refused_of(batch, seqs, reason);
        if refused.is_empty() {
            // Offering the same range again would never end.
            let what = format!("refused {} events without naming one of them: {reason}", batch.len());
            return Err(Broken::Fatal(SinkError::Fatal { sink: self.sink.name(), what, source: None }));
        }
        refused.chunks(QUARANTINE_EVENTS).try_for_each(|refused| self.keep(refused))?;
        let aside: BTreeSet<Seq> = refused.iter().flat_map(Refused::identities).map(|identity| identity.seq).collect();
        for seq in &aside {
            self.progress.quarantined(self.skipped.insert(*seq, *seq));
        }
        self.note_stored();
        tracing::error!(
            sink = self.mark.name(),
            events = aside.len(),
            reason,
            "sink refused events; they are in quarantine"
        );
        Ok(aside)
    }

    /// Keeps refused events aside. Until they are kept they must not be skipped: a full disk or file makes this sink wait,
    /// nothing else.
    fn keep(&mut self, refused: &[Refused]) -> Result<(), Broken> {
        let mut told = false;
        while let Err(error) = self.quarantine.keep(refused, self.mark.name(), self.clock.wall()) {
            if !told {
                let error = error_text(&error);
                tracing::error!(sink = self.mark.name(), error, "refused events cannot be kept aside; the sink waits");
                self.counters.set_state(SinkState::Failing);
                told = true;
            }
            self.pause(QUARANTINE_PAUSE_NANOS)?;
        }
        self.note_state();
        Ok(())
    }

    /// Lets the sink store what it has taken. It can no longer refuse any of that.
    pub(crate) fn settle(
        &mut self,
        call: impl FnMut(&mut dyn Sink, MonoNanos) -> Result<(), SinkError>,
    ) -> Result<(), Broken> {
        self.must_take(call)?;
        self.note_stored();
        Ok(())
    }

    fn must_take(&mut self, call: impl FnMut(&mut dyn Sink, MonoNanos) -> Result<(), SinkError>) -> Result<(), Broken> {
        let Some((_, reason)) = self.attempt(call)? else { return Ok(()) };
        let what = format!("refused events that it had taken: {reason}");
        Err(Broken::Fatal(SinkError::Fatal { sink: self.sink.name(), what, source: None }))
    }

    /// Calls the sink until it succeeds, refuses events, or cannot go on.
    fn attempt(
        &mut self,
        mut call: impl FnMut(&mut dyn Sink, MonoNanos) -> Result<(), SinkError>,
    ) -> Result<Option<(Vec<Seq>, String)>, Broken> {
        let (mut failed, mut unsure) = (0u32, false);
        loop {
            self.wait_for_permit()?;
            let start = self.clock.mono();
            self.counters.calling_since.set(start.0.max(1));
            let known = if unsure { self.ask_position() } else { Ok(None) };
            unsure &= known.is_err();
            let result = match known {
                Ok(Some(position)) => {
                    self.counters.calling_since.set(0);
                    self.note_answer(failed);
                    return Err(Broken::Rewind(position));
                }
                Ok(None) => call(&mut *self.sink, start),
                Err(error) => Err(error),
            };
            self.call_ns = self.clock.mono().since(start);
            self.counters.sink_ns.add(self.call_ns);
            self.counters.calling_since.set(0);
            let error = match result {
                Ok(()) => {
                    self.note_answer(failed);
                    return Ok(None);
                }
                Err(SinkError::Refused { seqs, reason, .. }) => {
                    self.note_answer(failed);
                    return Ok(Some((seqs, reason)));
                }
                Err(error @ SinkError::Fatal { .. }) => return Err(Broken::Fatal(error)),
                Err(error) => error,
            };
            unsure |= matches!(error, SinkError::Unknown { .. });
            failed = failed.saturating_add(1);
            self.note_failure(failed, &error);
        }
    }

    /// After an unknown outcome: asks up to where everything is stored. The range at hand is offered again, and the sink
    /// skips what it has. What the sink had taken earlier and gave up has to be read again, from the returned position.
    fn ask_position(&mut self) -> Result<Option<Position>, SinkError> {
        let Some((stream, epoch)) = self.at else { return Ok(None) };
        let stored = self.sink.recover(stream, epoch)?.max(self.progress.position());
        let lost = (stored.0 + 1..=self.taken.0).filter(|&seq| !self.skipped.contains(Seq(seq))).count();
        if lost == 0 {
            return Ok(None);
        }
        if self.journalled {
            tracing::warn!(sink = self.mark.name(), %epoch, from = %stored.next(), to = %self.taken, "sink gave up events it had taken; they are read from the journal again");
            return Ok(Some(Position { epoch, seq: stored }));
        }
        let what = format!(
            "gave up events that it had taken: up to {lost} of epoch {epoch} seq {}..={} are not stored and cannot be \
             offered again without a journal; look after the storage and start feedd again",
            stored.next(),
            self.taken
        );
        Err(SinkError::Fatal { sink: self.sink.name(), what, source: None })
    }

    /// The sink answered, after `failed` failures.
    fn note_answer(&mut self, failed: u32) {
        let now = self.clock.mono();
        self.breaker.succeeded(now);
        if failed > 0 {
            let away_ms = now.since(MonoNanos(self.counters.failing_since.get())) / 1_000_000;
            tracing::warn!(sink = self.mark.name(), failed, away_ms, "sink works again");
        }
        self.counters.failing_since.set(0);
        self.note_state();
    }

    fn note_failure(&mut self, failed: u32, error: &SinkError) {
        let now = self.clock.mono();
        let was_open = self.breaker.state() != BreakerState::Closed;
        self.breaker.failed(now);
        let counters = &self.counters;
        counters.failures.add(1);
        counters.set_error(error_text(error));
        if counters.failing_since.get() == 0 {
            counters.failing_since.set(now.0.max(1));
        }
        let opened = self.breaker.state() == BreakerState::Open && !was_open;
        if opened {
            counters.batches_failed.add(1);
        }
        // The first failures one by one, later each tenth: a long outage must not fill the log.
        if opened || !was_open || failed.is_multiple_of(10) {
            let (error, state) = (error_text(error), self.breaker.state().name());
            tracing::warn!(
                sink = self.mark.name(),
                attempt = failed,
                breaker = state,
                error,
                "sink failed; it is tried again, nothing is given up"
            );
        }
        self.note_state();
    }

    fn note_state(&self) {
        let counters = &self.counters;
        counters.set_state(match self.breaker.state() {
            BreakerState::Closed if counters.failing_since.get() == 0 => SinkState::Working,
            BreakerState::Closed => SinkState::Failing,
            BreakerState::Open => SinkState::Open,
            BreakerState::HalfOpen => SinkState::HalfOpen,
        });
        counters.transitions.set(self.breaker.transitions());
    }

    /// Waits until an attempt is allowed, but not beyond the end of the run.
    fn wait_for_permit(&mut self) -> Result<(), Broken> {
        loop {
            let now = self.clock.mono();
            if self.breaker.permit(now) {
                if self.breaker.failures() > 0 {
                    self.counters.retries.add(1);
                }
                self.note_state();
                return Ok(());
            }
            // A sink that is away does not hold up the end: what it lacks stays in the journal.
            if self.journalled && self.stop.is_requested() && self.breaker.state() == BreakerState::Open {
                return Err(Broken::Deadline);
            }
            let wait = self.breaker.wait(now);
            self.counters.next_attempt.set(now.0 + wait);
            self.pause(wait.min(SLEEP_NANOS_MAX))?;
        }
    }

    /// Waits, but not beyond the stop deadline.
    fn pause(&self, nanos: u64) -> Result<(), Broken> {
        let start = self.clock.mono();
        loop {
            if self.stop.is_aborted() {
                return Err(Broken::Deadline);
            }
            let now = self.clock.mono();
            self.counters.beat_at.set(now.0.max(1));
            let left = nanos.saturating_sub(now.since(start));
            if left == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_nanos(left.min(SLEEP_NANOS_MAX)));
        }
    }

    /// Publishes the position up to which everything is stored, in quarantine or marked as missed.
    pub(crate) fn note_stored(&mut self) {
        let Some((stream, epoch)) = self.at else { return };
        // From our own position, which may be ahead of the sink's by skipped events.
        let position = self.skipped.advance(self.sink.stored_seq().max(self.progress.position()));
        self.progress.reach(position, self.skipped.len(), &self.counters);
        if self.progress.is_current()
            && let Some(sent_at) = self.mark.probe().take(position.0)
        {
            self.counters.stored_ns.record(self.clock.mono().since(sent_at));
        }
        let position = Position { epoch, seq: position };
        self.mark.raise(position);
        self.quarantine.forget(stream, position);
    }
}

/// What is refused: events, and records as a whole.
fn refused_of(batch: &Batch, seqs: &[Seq], reason: &str) -> Vec<Refused> {
    let Some(BatchId { stream, epoch, .. }) = batch.id() else { return Vec::new() };
    let is_named = |seq: &Seq| seqs.contains(seq);
    // Whether it is the first of its record.
    let mut whole: BTreeMap<Seq, bool> = BTreeMap::new();
    for record in records(batch.events()).flatten().filter(|record| record.seqs().any(|seq| is_named(&seq))) {
        whole.extend(record.seqs().map(|seq| (seq, seq == record.first)));
    }
    let mut refused: Vec<Refused> = Vec::new();
    for (seq, event) in batch.events() {
        match whole.get(&seq) {
            // The others of a record follow its first.
            Some(false) => refused.last_mut().into_iter().for_each(|refused| refused.events.push(*event)),
            None if !is_named(&seq) => {}
            _ => refused.push(Refused { stream, epoch, seq, events: vec![*event], reason: reason.to_owned() }),
        }
    }
    refused
}

/// The parts of a batch around the events that `skip` picks.
fn without(batch: &Batch, skip: impl Fn(Seq) -> bool) -> Vec<Batch> {
    let mut parts = vec![Batch::new()];
    for (block, start, end) in batch.parts() {
        let mut from = start;
        for at in start..=end {
            let seq = Seq(block.first_seq().0 + at as u64);
            if at < end && !skip(seq) {
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

//! Offering to a sink until it takes: attempts, what it refuses, and up to where everything is stored.

use crate::quarantine::Quarantine;
use crate::retry::Retry;
use crossbeam_utils::CachePadded;
use feedd_core::counters::StorageCounters;
use feedd_core::{Batch, BatchId, Clock, Sink, SinkError, Stop, error_text};
use feedd_model::{Epoch, Event, MonoNanos, Seq, StreamId, duration_nanos};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A sink and everything that is known of its state.
pub(crate) struct Offering {
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) retry: Retry,
    pub(crate) quarantine: Quarantine,
    pub(crate) counters: Arc<CachePadded<StorageCounters>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: Stop,
    pub(crate) rng: fastrand::Rng,
    /// Of the blocks; none before the first.
    pub(crate) stream: Option<(StreamId, Epoch)>,
    /// Highest sequence the sink has taken: stored, or in its memory.
    pub(crate) taken: Seq,
    /// Quarantined events above the sink's stored position.
    pub(crate) skipped: BTreeSet<Seq>,
}

/// Why an offer ended without the batch being stored.
pub(crate) enum Broken {
    Deadline,
    Fatal(SinkError),
}

/// Longest sleep between two attempts' looks at the stop request.
const SLEEP_NANOS_MAX: u64 = 50_000_000;

impl Offering {
    /// Offers a batch until it is taken. Refused events go to quarantine, the others are offered again.
    pub(crate) fn offer(&mut self, batch: &Batch) -> Result<(), Broken> {
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
        let name = self.sink.name();
        let mut events = 0;
        for (seq, event) in batch.events().filter(|(seq, _)| refused.seqs.contains(seq)) {
            self.keep_aside(id, seq, name, &refused.reason, event)?;
            self.skipped.insert(seq);
            self.counters.quarantined.add(1);
            self.counters.quarantined_ahead.set(self.skipped.len() as u64);
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
        id: BatchId,
        seq: Seq,
        sink: &'static str,
        reason: &str,
        event: &Event,
    ) -> Result<(), Broken> {
        self.quarantine.keep(id, seq, sink, reason, event).map_err(|source| {
            Broken::Fatal(SinkError::Fatal {
                sink,
                what: format!("refused event {seq} could not be kept in {}", self.quarantine.path().display()),
                source: Some(source.into()),
            })
        })
    }

    /// Lets the sink store what it has taken. It can no longer refuse any of that.
    pub(crate) fn settle(
        &mut self,
        call: impl FnMut(&mut dyn Sink, MonoNanos) -> Result<(), SinkError>,
    ) -> Result<(), Broken> {
        let Some(refused) = self.attempt(call)? else {
            self.note_stored();
            return Ok(());
        };
        let what = format!("refused events that it had taken: {}", refused.reason);
        Err(Broken::Fatal(SinkError::Fatal { sink: self.sink.name(), what, source: None }))
    }

    /// Calls the sink until it succeeds, refuses events, or cannot go on.
    fn attempt(
        &mut self,
        mut call: impl FnMut(&mut dyn Sink, MonoNanos) -> Result<(), SinkError>,
    ) -> Result<Option<Refused>, Broken> {
        let (mut failed, mut unsure) = (0u32, false);
        loop {
            let start = self.clock.mono();
            let known = if unsure { self.ask_position() } else { Ok(()) };
            unsure &= known.is_err();
            let result = known.and_then(|()| call(&mut *self.sink, start));
            self.counters.sink_ns.add(self.clock.mono().since(start));
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
            let delay = self.retry.delay(failed, &mut self.rng);
            self.pause(delay)?;
            self.counters.retries.add(1);
        }
    }

    /// After an unknown outcome: asks up to where everything is stored. The range at hand is offered again, and the sink
    /// skips what it has; what the sink had taken earlier and gave up is no longer here.
    fn ask_position(&mut self) -> Result<(), SinkError> {
        let Some((stream, epoch)) = self.stream else { return Ok(()) };
        let stored = self.sink.recover(stream, epoch)?.max(Seq(self.counters.stored_seq.get()));
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
        Err(SinkError::Fatal { sink: self.sink.name(), what, source: None })
    }

    /// The sink answered, after `failed` failures.
    fn note_answer(&self, failed: u32) {
        if failed > 0 {
            tracing::warn!(sink = self.sink.name(), failed, "sink works again");
            self.counters.failing.set(0);
        }
    }

    fn note_failure(&self, failed: u32, error: &SinkError) {
        let counters = &self.counters;
        counters.failing.set(1);
        if self.retry.is_exhausted(failed) {
            counters.batches_failed.add(1);
        }
        // The first failures one by one, later each tenth: a long outage must not fill the log.
        if failed <= self.retry.attempts + 1 || failed.is_multiple_of(10) {
            let error = error_text(error);
            tracing::warn!(attempt = failed, error, "sink failed; it is tried again, nothing is given up");
        }
    }

    /// Waits, but not beyond the stop deadline.
    fn pause(&self, delay: Duration) -> Result<(), Broken> {
        let start = self.clock.mono();
        let delay = duration_nanos(delay);
        loop {
            if self.stop.is_aborted() {
                return Err(Broken::Deadline);
            }
            let left = delay.saturating_sub(self.clock.mono().since(start));
            if left == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_nanos(left.min(SLEEP_NANOS_MAX)));
        }
    }

    /// Publishes the position up to which everything is stored or in quarantine.
    pub(crate) fn note_stored(&mut self) {
        // From our own position, which may be ahead of the sink's by events in quarantine.
        let mut position = self.sink.stored_seq().max(Seq(self.counters.stored_seq.get()));
        while self.skipped.remove(&position.next()) {
            position = position.next();
        }
        self.skipped.retain(|&seq| seq > position);
        self.counters.stored_seq.raise(position.0);
        self.counters.quarantined_ahead.set(self.skipped.len() as u64);
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

//! The one accounting of frames and events: every term counted where it happens, compared here.
//!
//! Frames: received = decoded + control + unknown + rejected. Events: decoded + own = accepted + duplicate + rejected +
//! dropped + in the ring. Each sink: accepted = stored + quarantined + missed + pending, and the same for the events of
//! earlier starts that were found in the journal. Equal at every quiescent point and at exit; while running only the
//! inequalities hold.

use crate::counters::{BatchingCounters, JournalCounters, SourceCounters, StorageCounters};
use std::sync::Arc;

/// What one source has done so far. Event terms that the batching thread counts are read first, so that no difference
/// is ever negative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceTotals {
    /// Bytes of frames received.
    pub bytes: u64,
    /// Frames received.
    pub frames: u64,
    /// Frames that gave events.
    pub frames_decoded: u64,
    /// Control messages.
    pub frames_control: u64,
    /// Frames of a type that is not decoded.
    pub frames_unknown: u64,
    /// Frames rejected.
    pub frames_rejected: u64,
    /// Events decoded.
    pub decoded: u64,
    /// Events the recorder added (gap, status).
    pub own: u64,
    /// Known already.
    pub duplicate: u64,
    /// Rejected by validation.
    pub rejected: u64,
    /// Lost by policy.
    pub dropped: u64,
    /// Accepted by the batching thread.
    pub accepted: u64,
    /// Put into the ring and not yet taken.
    pub in_ring: u64,
}

/// What one sink has done so far with the events of this start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkTotals {
    /// Name of the sink.
    pub name: Arc<str>,
    /// Stored.
    pub stored: u64,
    /// Refused by the sink and kept aside.
    pub quarantined: u64,
    /// Never to be had by this sink: damaged in the journal, or given up at its limit. Marked in the data.
    pub missed: u64,
    /// Accepted, not yet taken by the sink's lane.
    pub in_lane: u64,
    /// Taken by the sink's lane, not yet stored.
    pub in_sink: u64,
    /// The same for events of earlier starts.
    pub earlier: EarlierTotals,
}

/// What one sink has done with the events of earlier starts that it did not have at this start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EarlierTotals {
    /// Found in the journal.
    pub found: u64,
    /// Stored since.
    pub stored: u64,
    /// Refused by the sink and kept aside.
    pub quarantined: u64,
    /// Never to be had.
    pub missed: u64,
    /// Still in the journal alone.
    pub pending: u64,
}

/// The whole account of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Sum over the sources.
    pub sources: SourceTotals,
    /// Every sink.
    pub sinks: Vec<SinkTotals>,
    /// Sequence numbers given.
    pub accepted: u64,
    /// Up to which sequence the journal holds everything safe from a power cut; none without a journal.
    pub durable: Option<u64>,
}

impl SinkTotals {
    /// Reads a sink's counters, positions from the end of the way to its start. `accepted` comes last: see
    /// [`Account::read`].
    fn read(name: &Arc<str>, c: &StorageCounters, batching: &BatchingCounters) -> Self {
        let (quarantined, missed) = (c.quarantined.get(), c.missed.get());
        // Skipped events count as done although the sink's position may be below them.
        let done = c.stored_seq.get() + c.skipped_ahead.get();
        let received = c.received_seq.get().max(done);
        let accepted = batching.accepted.get();
        let earlier = EarlierTotals {
            found: c.earlier_found.get(),
            stored: c.earlier_stored.get(),
            quarantined: c.earlier_quarantined.get(),
            missed: c.earlier_missed.get(),
            pending: c.earlier_pending.get(),
        };
        Self {
            name: name.clone(),
            stored: done.saturating_sub(quarantined + missed),
            quarantined,
            missed,
            in_lane: accepted.saturating_sub(received),
            in_sink: received - done,
            earlier,
        }
    }

    /// Accepted and not yet stored, also of earlier starts.
    #[must_use]
    pub const fn pending(&self) -> u64 {
        self.in_lane + self.in_sink + self.earlier.pending
    }

    fn unaccounted(&self, accepted: u64) -> u64 {
        let e = &self.earlier;
        let this_start = self.stored + self.quarantined + self.missed + self.in_lane + self.in_sink;
        accepted.abs_diff(this_start) + e.found.abs_diff(e.stored + e.quarantined + e.missed + e.pending)
    }
}

impl SourceTotals {
    /// Reads a source's counters.
    #[must_use]
    pub fn read(c: &SourceCounters) -> Self {
        let accepted = c.events_accepted.get();
        // Pairs with nothing: a torn view only makes `in_ring` larger, never negative.
        std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
        let published = c.events_published.get();
        let frames_decoded = c.frames_decoded.get();
        let (frames_control, frames_unknown) = (c.frames_control.get(), c.frames_unknown.get());
        let frames_rejected = c.frames_rejected.total();
        Self {
            bytes: c.bytes.get(),
            frames: c.frames.get(),
            frames_decoded,
            frames_control,
            frames_unknown,
            frames_rejected,
            decoded: c.events_decoded.get(),
            own: c.events_own.get(),
            duplicate: c.events_duplicate.get(),
            rejected: c.events_rejected.total(),
            dropped: c.events_dropped.total(),
            accepted,
            in_ring: published.saturating_sub(accepted),
        }
    }

    /// Adds another source.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.frames += other.frames;
        self.frames_decoded += other.frames_decoded;
        self.frames_control += other.frames_control;
        self.frames_unknown += other.frames_unknown;
        self.frames_rejected += other.frames_rejected;
        self.decoded += other.decoded;
        self.own += other.own;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.dropped += other.dropped;
        self.accepted += other.accepted;
        self.in_ring += other.in_ring;
    }
}

impl Account {
    /// Reads every counter of a run, from the end of the way to its start.
    pub fn read<'a>(
        sources: impl Iterator<Item = &'a SourceCounters>,
        batching: &BatchingCounters,
        journal: Option<&JournalCounters>,
        sinks: impl Iterator<Item = (&'a Arc<str>, &'a StorageCounters)>,
    ) -> Self {
        let mut sinks: Vec<SinkTotals> = sinks.map(|(name, c)| SinkTotals::read(name, c, batching)).collect();
        let durable = journal.map(|journal| journal.durable_seq.get());
        let accepted = batching.accepted.get();
        for sink in &mut sinks {
            // All sinks are compared with one number: what was accepted since each was read waits before its lane.
            let known = sink.stored + sink.quarantined + sink.missed + sink.in_lane + sink.in_sink;
            sink.in_lane += accepted.saturating_sub(known);
        }
        let mut totals = SourceTotals::default();
        for source in sources {
            totals.add(&SourceTotals::read(source));
        }
        Self { sources: totals, sinks, accepted, durable }
    }

    /// Events and frames kept out by decoder, validation or a sink, each with its reason.
    #[must_use]
    pub fn kept_out(&self) -> u64 {
        let quarantined = self.sinks.iter().map(|sink| sink.quarantined + sink.earlier.quarantined);
        self.sources.frames_rejected + self.sources.rejected + quarantined.sum::<u64>()
    }

    /// Events the sink that is furthest behind has not stored.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.sinks.iter().map(SinkTotals::pending).max().unwrap_or(0)
    }

    /// Events the sink that has fewest of this start has stored.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.sinks.iter().map(|sink| sink.stored).min().unwrap_or(0)
    }

    /// Events and frames that no term explains. 0 at every quiescent point and at exit; anything else is a defect.
    #[must_use]
    pub fn unaccounted(&self) -> u64 {
        let s = &self.sources;
        let frames = s.frames_decoded + s.frames_control + s.frames_unknown + s.frames_rejected;
        let events = s.accepted + s.duplicate + s.rejected + s.dropped + s.in_ring;
        s.frames.abs_diff(frames)
            + (s.decoded + s.own).abs_diff(events)
            + s.accepted.abs_diff(self.accepted)
            + self.sinks.iter().map(|sink| sink.unaccounted(self.accepted)).sum::<u64>()
    }
}

impl std::fmt::Display for Account {
    /// The final line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = &self.sources;
        write!(
            f,
            "frames: {} received = {} decoded + {} control + {} unknown + {} rejected | events: {} decoded + {} own = {} \
             accepted + {} duplicate + {} rejected + {} dropped + {} in ring",
            s.frames,
            s.frames_decoded,
            s.frames_control,
            s.frames_unknown,
            s.frames_rejected,
            s.decoded,
            s.own,
            s.accepted,
            s.duplicate,
            s.rejected,
            s.dropped,
            s.in_ring,
        )?;
        if let Some(durable) = self.durable {
            let waiting = self.accepted.saturating_sub(durable);
            write!(f, " | journal: {} accepted = {durable} durable + {waiting} not yet", self.accepted)?;
        }
        for sink in &self.sinks {
            let SinkTotals { name, stored, quarantined, missed, earlier, .. } = sink;
            write!(
                f,
                " | sink {name}: {} accepted = {stored} stored + {quarantined} quarantined + {missed} missed + {} pending",
                self.accepted,
                sink.in_lane + sink.in_sink,
            )?;
            if earlier.found > 0 {
                let EarlierTotals { found, stored, quarantined, missed, pending } = earlier;
                write!(
                    f,
                    " | earlier starts {name}: {found} found = {stored} stored + {quarantined} quarantined + {missed} \
                     missed + {pending} pending"
                )?;
            }
        }
        write!(f, " | unaccounted: {}", self.unaccounted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_event_shows_wherever_it_went_missing() {
        let source = SourceCounters::new(&["not_json"], &["size_not_positive"]);
        source.frames.set(10);
        source.frames_decoded.set(7);
        source.frames_control.set(1);
        source.frames_unknown.set(1);
        source.frames_rejected.add(0, 1);
        source.events_decoded.set(20);
        source.events_own.set(2);
        source.events_rejected.add(0, 3);
        source.events_published.set(19);
        source.events_accepted.set(15);
        let batching = BatchingCounters::default();
        batching.accepted.set(15);
        let storage = StorageCounters::default();
        storage.received_seq.set(12);
        storage.stored_seq.set(10);
        storage.quarantined.set(1);
        storage.missed.set(2);
        storage.earlier_found.set(7);
        storage.earlier_stored.set(4);
        storage.earlier_pending.set(3);
        let name: Arc<str> = "parquet".into();
        let read = || Account::read([&source].into_iter(), &batching, None, [(&name, &storage)].into_iter());
        let account = read();
        assert_eq!(account.unaccounted(), 0, "{account}");
        let earlier = EarlierTotals { found: 7, stored: 4, pending: 3, ..EarlierTotals::default() };
        let expected =
            SinkTotals { name: name.clone(), stored: 7, quarantined: 1, missed: 2, in_lane: 3, in_sink: 2, earlier };
        assert_eq!(account.sinks, std::slice::from_ref(&expected));
        assert_eq!((account.pending(), account.stored(), account.kept_out()), (8, 7, 5));
        // Refused before anything was stored: a sink that stores files keeps its position at 0 for minutes.
        storage.stored_seq.set(0);
        storage.skipped_ahead.set(3);
        let account = read();
        assert_eq!(account.unaccounted(), 0, "{account}");
        assert_eq!(account.sinks, [SinkTotals { stored: 0, in_sink: 9, ..expected }]);
        // One event each that no term explains.
        source.events_decoded.set(21);
        source.frames.set(12);
        storage.earlier_found.set(8);
        assert_eq!(read().unaccounted(), 4);
    }

    #[test]
    fn the_final_line_shows_every_term() {
        let storage = StorageCounters::default();
        let (journal, batching) = (JournalCounters::default(), BatchingCounters::default());
        batching.accepted.set(5);
        journal.durable_seq.set(4);
        storage.stored_seq.set(3);
        storage.received_seq.set(4);
        storage.earlier_found.set(2);
        storage.earlier_stored.set(2);
        let name: Arc<str> = "pg".into();
        let account = Account::read(std::iter::empty(), &batching, Some(&journal), [(&name, &storage)].into_iter());
        let line = account.to_string();
        assert!(line.contains("journal: 5 accepted = 4 durable + 1 not yet"), "{line}");
        assert!(line.contains("sink pg: 5 accepted = 3 stored + 0 quarantined + 0 missed + 2 pending"), "{line}");
        assert!(
            line.contains("earlier starts pg: 2 found = 2 stored + 0 quarantined + 0 missed + 0 pending"),
            "{line}"
        );
    }
}

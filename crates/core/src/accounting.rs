//! The one accounting of frames and events: every term counted where it happens, compared here.
//!
//! Frames: received = decoded + control + unknown + rejected. Events: decoded + own = accepted + duplicate + rejected +
//! dropped + in the ring. Sink: accepted = stored + quarantined + pending. Equal at every quiescent point and at exit;
//! while running only the inequalities hold.

use crate::counters::{BatchingCounters, SourceCounters, StorageCounters};

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

/// What one sink has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkTotals {
    /// Stored.
    pub stored: u64,
    /// Refused by the sink and kept aside.
    pub quarantined: u64,
    /// Accepted, not yet taken by the storage lane.
    pub in_lane: u64,
    /// Taken by the storage lane, not yet stored.
    pub in_sink: u64,
}

/// The whole account of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Sum over the sources.
    pub sources: SourceTotals,
    /// The sink.
    pub sink: SinkTotals,
    /// Sequence numbers given.
    pub accepted: u64,
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
        storage: &StorageCounters,
    ) -> Self {
        let (quarantined, ahead) = (storage.quarantined.get(), storage.quarantined_ahead.get());
        let stored_seq = storage.stored_seq.get();
        let received = storage.received_seq.get();
        let accepted = batching.accepted.get();
        let mut totals = SourceTotals::default();
        for source in sources {
            totals.add(&SourceTotals::read(source));
        }
        let sink = SinkTotals {
            stored: (stored_seq + ahead).saturating_sub(quarantined),
            quarantined,
            in_lane: accepted.saturating_sub(received),
            in_sink: received.saturating_sub(stored_seq + ahead),
        };
        Self { sources: totals, sink, accepted }
    }

    /// Events and frames that no term explains. 0 at every quiescent point and at exit; anything else is a defect.
    #[must_use]
    pub fn unaccounted(&self) -> u64 {
        let s = &self.sources;
        let frames = s.frames_decoded + s.frames_control + s.frames_unknown + s.frames_rejected;
        let events = s.accepted + s.duplicate + s.rejected + s.dropped + s.in_ring;
        let sink = self.sink.stored + self.sink.quarantined + self.sink.in_lane + self.sink.in_sink;
        s.frames.abs_diff(frames)
            + (s.decoded + s.own).abs_diff(events)
            + s.accepted.abs_diff(self.accepted)
            + self.accepted.abs_diff(sink)
    }
}

impl std::fmt::Display for Account {
    /// The final line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = &self.sources;
        write!(
            f,
            "frames: {} received = {} decoded + {} control + {} unknown + {} rejected | events: {} decoded + {} own = {} \
             accepted + {} duplicate + {} rejected + {} dropped + {} in ring | sink: {} accepted = {} stored + {} \
             quarantined + {} pending | unaccounted: {}",
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
            self.accepted,
            self.sink.stored,
            self.sink.quarantined,
            self.sink.in_lane + self.sink.in_sink,
            self.unaccounted()
        )
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
        let account = Account::read([&source].into_iter(), &batching, &storage);
        assert_eq!(account.unaccounted(), 0, "{account}");
        assert_eq!(account.sink, SinkTotals { stored: 9, quarantined: 1, in_lane: 3, in_sink: 2 });
        // Refused before anything was stored: a sink that stores files keeps its position at 0 for minutes.
        storage.stored_seq.set(0);
        storage.quarantined_ahead.set(1);
        let account = Account::read([&source].into_iter(), &batching, &storage);
        assert_eq!(account.unaccounted(), 0, "{account}");
        assert_eq!(account.sink, SinkTotals { stored: 0, quarantined: 1, in_lane: 3, in_sink: 11 });
        source.events_decoded.set(21);
        source.frames.set(12);
        assert_eq!(Account::read([&source].into_iter(), &batching, &storage).unaccounted(), 3);
    }
}

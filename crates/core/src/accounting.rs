//! The one accounting of frames and events: every term counted where it happens, compared here.
//!
//! Frames: received = decoded + control + unknown + rejected. Events: decoded + own = accepted + duplicate + rejected +
//! dropped + in the ring. Each sink: accepted = stored + quarantined + missed + pending, and the same for the events of
//! earlier starts that were found in the journal. Equal at every quiescent point and at exit; while running only the
//! inequalities hold, which [`crate::account_watch`] checks.
//!
//! Derived records are own events of the analysis threads' rings, which are sources like any other. In a replay the events of
//! the other sources are accepted and get no sequence number of the recorded stream: accepted = recorded + replayed.

use crate::counters::{BatchingCounters, JournalCounters, SourceCounters, StorageCounters};
use std::sync::Arc;

/// What one source has done so far, read from the end of the way to its start, so that no difference is ever negative.
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
    /// Put into the ring.
    pub published: u64,
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
    /// Everything up to here is stored, quarantined or missed.
    pub position: u64,
    /// Events that are, those above the position included.
    pub done: u64,
    /// Highest sequence number the lane has taken; goes back when the sink gave up what it had taken.
    pub received: u64,
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
    /// Each source.
    pub each_source: Vec<SourceTotals>,
    /// Every sink.
    pub sinks: Vec<SinkTotals>,
    /// Sequence numbers given.
    pub accepted: u64,
    /// Events of sources that were not recorded, because they are stored already.
    pub replayed: u64,
    /// Up to which sequence the journal holds everything safe from a power cut; none without a journal.
    pub durable: Option<u64>,
}

/// How far the journal is durable.
#[derive(Clone, Copy)]
pub struct JournalAt<'a> {
    /// What its thread counts after each commit.
    pub counters: &'a JournalCounters,
    /// What its readers see: ahead of the counter during a commit, and asked only when a reader was seen ahead of that.
    pub now: &'a dyn Fn() -> u64,
}

impl JournalAt<'_> {
    /// The highest durable sequence, when a reader has read up to `seen`.
    fn durable(&self, seen: u64) -> u64 {
        let counted = self.counters.durable_seq.get();
        if seen > counted { (self.now)() } else { counted }
    }
}

impl SinkTotals {
    /// Reads a sink's counters, positions from the end of the way to its start. `accepted` comes last: see
    /// [`Account::read`].
    fn read(name: &Arc<str>, c: &StorageCounters, batching: &BatchingCounters) -> Self {
        let (quarantined, missed) = (c.quarantined.get(), c.missed.get());
        // Skipped events count as done although the sink's position may be below them. The position first: both together
        // are never more than what is done.
        let position = c.stored_seq.get();
        let done = position + c.skipped_ahead.get();
        let received = c.received_seq.get();
        let accepted = batching.accepted.get();
        // A range that is missing is done with and was never taken.
        let taken = received.max(done);
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
            in_lane: accepted.saturating_sub(taken),
            in_sink: taken - done,
            position,
            done,
            received,
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
        let published = c.events_published.get();
        let (dropped, duplicate) = (c.events_dropped.total(), c.events_duplicate.get());
        let rejected = c.events_rejected.total();
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
            duplicate,
            rejected,
            dropped,
            published,
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
        self.published += other.published;
        self.accepted += other.accepted;
        self.in_ring += other.in_ring;
    }
}

impl Account {
    /// Reads every counter of a run, from the end of the way to its start.
    pub fn read<'a>(
        sources: impl Iterator<Item = &'a SourceCounters>,
        batching: &BatchingCounters,
        journal: Option<JournalAt<'_>>,
        sinks: impl Iterator<Item = (&'a Arc<str>, &'a StorageCounters)>,
    ) -> Self {
        let mut sinks: Vec<SinkTotals> = sinks.map(|(name, c)| SinkTotals::read(name, c, batching)).collect();
        let seen = sinks.iter().map(|sink| sink.done.max(sink.received)).max().unwrap_or(0);
        let durable = journal.map(|journal| journal.durable(seen));
        let (accepted, replayed) = (batching.accepted.get(), batching.replayed.get());
        for sink in &mut sinks {
            // All sinks are compared with one number: what was accepted since each was read waits before its lane.
            let known = sink.stored + sink.quarantined + sink.missed + sink.in_lane + sink.in_sink;
            sink.in_lane += accepted.saturating_sub(known);
        }
        let each_source: Vec<SourceTotals> = sources.map(SourceTotals::read).collect();
        let mut sources = SourceTotals::default();
        each_source.iter().for_each(|source| sources.add(source));
        Self { sources, each_source, sinks, accepted, replayed, durable }
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
            + s.accepted.abs_diff(self.accepted + self.replayed)
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
        if self.replayed > 0 {
            write!(f, " | replay: {} accepted = {} recorded + {} replayed", s.accepted, self.accepted, self.replayed)?;
        }
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

    /// Counters of a run in which every term is different and nothing is missing.
    struct Run {
        sources: [SourceCounters; 2],
        batching: BatchingCounters,
        journal: Option<(JournalCounters, u64)>,
        sinks: Vec<(Arc<str>, StorageCounters)>,
    }

    impl Run {
        fn new() -> Self {
            let sources = [0, 1].map(|_| SourceCounters::new(&["not_json", "too_large"], &["size_not_positive"]));
            for (source, n) in sources.iter().zip([1, 1000]) {
                let terms = [
                    (&source.bytes, 300),
                    (&source.frames, 107),
                    (&source.frames_decoded, 70),
                    (&source.frames_control, 20),
                    (&source.frames_unknown, 10),
                    (&source.events_decoded, 200),
                    (&source.events_own, 30),
                    (&source.events_duplicate, 4),
                    (&source.events_published, 217),
                    (&source.events_accepted, 205),
                ];
                terms.iter().for_each(|(counter, value)| counter.set(value * n));
                source.frames_rejected.add(0, 3 * n);
                source.frames_rejected.add(1, 4 * n);
                source.events_rejected.add(0, 8 * n);
                source.events_dropped.add(1, n);
            }
            let batching = BatchingCounters::default();
            batching.accepted.set(205_205);
            Self { sources, batching, journal: None, sinks: Vec::new() }
        }

        fn sink(&mut self, name: &str) -> &StorageCounters {
            self.sinks.push((name.into(), StorageCounters::default()));
            &self.sinks.last().unwrap().1
        }

        fn read(&self) -> Account {
            let now = || self.journal.as_ref().map_or(0, |(_, now)| *now);
            let journal = self.journal.as_ref().map(|(counters, _)| JournalAt { counters, now: &now });
            Account::read(self.sources.iter(), &self.batching, journal, self.sinks.iter().map(|(n, c)| (n, c)))
        }
    }

    #[test]
    fn every_term_of_the_sources_is_read_and_added_up() {
        let run = Run::new();
        let times = |n: u64| SourceTotals {
            bytes: 300 * n,
            frames: 107 * n,
            frames_decoded: 70 * n,
            frames_control: 20 * n,
            frames_unknown: 10 * n,
            frames_rejected: 7 * n,
            decoded: 200 * n,
            own: 30 * n,
            duplicate: 4 * n,
            rejected: 8 * n,
            dropped: n,
            published: 217 * n,
            accepted: 205 * n,
            in_ring: 12 * n,
        };
        let account = run.read();
        assert_eq!(account.each_source, [times(1), times(1000)]);
        assert_eq!(account.sources, times(1001));
        assert_eq!((account.accepted, account.durable, account.unaccounted()), (205_205, None, 0));
        // Counted by the batching thread, not yet by the producer: no difference becomes negative.
        run.sources[0].events_published.set(200);
        assert_eq!(run.read().each_source[0].in_ring, 0);
    }

    #[test]
    fn a_missing_event_or_frame_shows_wherever_it_went_missing() {
        type Pick = fn(&SourceCounters) -> &crate::counters::Counter;
        let terms: [(&str, Pick); 9] = [
            ("frames", |c| &c.frames),
            ("frames_decoded", |c| &c.frames_decoded),
            ("frames_control", |c| &c.frames_control),
            ("frames_unknown", |c| &c.frames_unknown),
            ("decoded", |c| &c.events_decoded),
            ("own", |c| &c.events_own),
            ("duplicate", |c| &c.events_duplicate),
            ("published", |c| &c.events_published),
            // Missing among those of the sequence numbers, and its way out of the ring is not told.
            ("accepted", |c| &c.events_accepted),
        ];
        for (name, term) in terms {
            let run = Run::new();
            term(&run.sources[1]).add(5);
            assert_eq!(run.read().unaccounted(), 5, "{name} more");
            term(&run.sources[1]).set(term(&run.sources[1]).get() - 9);
            assert_eq!(run.read().unaccounted(), 4, "{name} less");
        }
        let run = Run::new();
        run.sources[0].frames_rejected.add(1, 2);
        assert_eq!(run.read().unaccounted(), 2, "frames rejected");
        run.sources[0].events_rejected.add(0, 4);
        assert_eq!(run.read().unaccounted(), 6, "events rejected");
        run.sources[0].events_dropped.add(2, 8);
        assert_eq!(run.read().unaccounted(), 14, "events dropped");
        let run = Run::new();
        run.batching.accepted.add(3);
        assert_eq!(run.read().unaccounted(), 3, "sequence numbers");
    }

    #[test]
    fn a_sink_s_terms_add_up_to_what_was_accepted() {
        let mut run = Run::new();
        let sink = run.sink("parquet");
        sink.received_seq.set(204_000);
        sink.stored_seq.set(150_000);
        sink.quarantined.set(70);
        sink.missed.set(600);
        let expected = SinkTotals {
            name: "parquet".into(),
            stored: 149_330,
            quarantined: 70,
            missed: 600,
            in_lane: 1_205,
            in_sink: 54_000,
            position: 150_000,
            done: 150_000,
            received: 204_000,
            earlier: EarlierTotals::default(),
        };
        let account = run.read();
        assert_eq!(account.sinks, std::slice::from_ref(&expected));
        assert_eq!((account.unaccounted(), account.pending(), account.stored()), (0, 55_205, 149_330));
        // Refused before anything was stored: a sink that stores files keeps its position at 0 for minutes.
        let sink = &run.sinks[0].1;
        sink.stored_seq.set(0);
        sink.skipped_ahead.set(670);
        let account = run.read();
        let expected = SinkTotals { stored: 0, in_sink: 203_330, position: 0, done: 670, ..expected };
        assert_eq!(account.sinks, std::slice::from_ref(&expected));
        assert_eq!((account.unaccounted(), account.pending(), account.stored()), (0, 204_535, 0));
        // A range that the journal no longer has is done with, although it was never read.
        let sink = &run.sinks[0].1;
        sink.skipped_ahead.set(0);
        sink.stored_seq.set(205_000);
        let account = run.read();
        assert_eq!((account.sinks[0].in_lane, account.sinks[0].in_sink, account.unaccounted()), (205, 0, 0));
        // More kept out than done with.
        sink.stored_seq.set(660);
        sink.received_seq.set(204_000);
        assert_eq!(run.read().unaccounted(), 10);
    }

    #[test]
    fn the_events_of_earlier_starts_are_an_account_of_their_own() {
        let mut run = Run::new();
        for name in ["parquet", "postgres"] {
            let sink = run.sink(name);
            sink.received_seq.set(205_205);
            sink.stored_seq.set(205_205);
            sink.quarantined.set(100_000);
            sink.earlier_found.set(1_111);
            sink.earlier_stored.set(1_000);
            sink.earlier_quarantined.set(100);
            sink.earlier_missed.set(10);
            sink.earlier_pending.set(1);
        }
        let earlier = EarlierTotals { found: 1_111, stored: 1_000, quarantined: 100, missed: 10, pending: 1 };
        let account = run.read();
        assert_eq!(account.sinks[1].earlier, earlier);
        assert_eq!((account.unaccounted(), account.pending(), account.stored()), (0, 1, 105_205));
        // 7007 frames and 8008 events by the sources, and by each sink 100,000 and 100.
        assert_eq!(account.kept_out(), 7_007 + 8_008 + 200_200);
        type Pick = fn(&StorageCounters) -> &crate::counters::Counter;
        let terms: [Pick; 5] = [
            |c| &c.earlier_found,
            |c| &c.earlier_stored,
            |c| &c.earlier_quarantined,
            |c| &c.earlier_missed,
            |c| &c.earlier_pending,
        ];
        for (index, term) in terms.iter().enumerate() {
            let sink = &run.sinks[1].1;
            term(sink).add(6);
            assert_eq!(run.read().unaccounted(), 6, "term {index}");
            term(sink).set(term(sink).get() - 6);
        }
    }

    #[test]
    fn the_sink_that_is_furthest_behind_is_what_is_pending_and_stored() {
        let mut run = Run::new();
        for (name, stored) in [("a", 200_000), ("b", 100_000), ("c", 205_205)] {
            let sink = run.sink(name);
            sink.received_seq.set(stored);
            sink.stored_seq.set(stored);
        }
        assert_eq!((run.read().pending(), run.read().stored()), (105_205, 100_000));
        let none = Run::new();
        assert_eq!((none.read().pending(), none.read().stored()), (0, 0));
    }

    #[test]
    fn a_commit_that_readers_see_before_it_is_counted_is_asked_for_and_no_other() {
        for (read, stored, expected) in [(100, 90, 100), (101, 90, 777), (50, 101, 777)] {
            let mut run = Run::new();
            let sink = run.sink("pg");
            sink.received_seq.set(read);
            sink.stored_seq.set(stored);
            run.journal = Some((JournalCounters::default(), 777));
            run.journal.as_ref().unwrap().0.durable_seq.set(100);
            assert_eq!(run.read().durable, Some(expected), "read {read}, stored {stored}");
        }
    }

    /// An event that is accepted between two readings waits before the lane of the sink that was read first.
    #[test]
    fn all_sinks_are_compared_with_one_number() {
        let mut account = Run::new();
        account.sink("a");
        account.sink("b");
        let sinks = account.sinks.iter().inspect(|_| account.batching.accepted.add(1000)).map(|(n, c)| (n, c));
        let read = Account::read(account.sources.iter(), &account.batching, None, sinks);
        assert_eq!(read.accepted, 207_205);
        assert_eq!(read.sinks.iter().map(|sink| sink.in_lane).collect::<Vec<_>>(), [207_205, 207_205]);
    }

    #[test]
    fn the_final_line_shows_every_term() {
        let mut run = Run::new();
        let sink = run.sink("pg");
        sink.received_seq.set(205_000);
        sink.stored_seq.set(204_000);
        sink.quarantined.set(3);
        sink.missed.set(40);
        run.journal = Some((JournalCounters::default(), 0));
        run.journal.as_ref().unwrap().0.durable_seq.set(205_100);
        let line = "frames: 107107 received = 70070 decoded + 20020 control + 10010 unknown + 7007 rejected | events: \
                    200200 decoded + 30030 own = 205205 accepted + 4004 duplicate + 8008 rejected + 1001 dropped + 12012 \
                    in ring | journal: 205205 accepted = 205100 durable + 105 not yet | sink pg: 205205 accepted = 203957 \
                    stored + 3 quarantined + 40 missed + 1205 pending";
        assert_eq!(run.read().to_string(), format!("{line} | unaccounted: 0"));
        let sink = &run.sinks[0].1;
        sink.earlier_found.set(9);
        sink.earlier_stored.set(4);
        sink.earlier_quarantined.set(1);
        sink.earlier_missed.set(2);
        sink.earlier_pending.set(1);
        let earlier = "earlier starts pg: 9 found = 4 stored + 1 quarantined + 2 missed + 1 pending";
        assert_eq!(run.read().to_string(), format!("{line} | {earlier} | unaccounted: 1"));
    }
}

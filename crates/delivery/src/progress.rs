//! What one sink has done with this start's events, and with those of earlier starts that were found in the journal.

use feedd_core::counters::StorageCounters;
use feedd_journal::EpochSpan;
use feedd_model::{Epoch, Seq};
use std::collections::BTreeMap;

/// A lane's account, kept by positions.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The start of this process.
    current: Epoch,
    /// Whether the current start was begun: from then on the sink may hold events of it.
    current_begun: bool,
    /// Earlier starts that have not been begun: events the sink may lack.
    ahead: BTreeMap<Epoch, EpochSpan>,
    at: Option<At>,
    /// Of earlier starts that are done with.
    done: Earlier,
}

/// The start that is being stored.
#[derive(Debug)]
struct At {
    epoch: Epoch,
    /// The sink's position when it was asked.
    base: Seq,
    /// Last event of an earlier start; the base when there is nothing to store.
    last: Seq,
    position: Seq,
    /// Skipped events above the position.
    ahead: u64,
    quarantined: u64,
    missed: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Earlier {
    found: u64,
    stored: u64,
    quarantined: u64,
    missed: u64,
}

impl Progress {
    /// `found`: what the journal holds of earlier starts.
    pub(crate) fn new(current: Epoch, found: &[EpochSpan]) -> Self {
        let ahead = found.iter().filter(|span| span.epoch < current && span.last >= span.first);
        Self {
            current,
            current_begun: false,
            ahead: ahead.map(|span| (span.epoch, *span)).collect(),
            at: None,
            done: Earlier::default(),
        }
    }

    /// Whether the start is this process's and was not begun yet: no store can hold anything of it.
    pub(crate) fn is_fresh(&self, epoch: Epoch) -> bool {
        epoch == self.current && !self.current_begun
    }

    /// The sink was recovered to `position` of `epoch`.
    pub(crate) fn begin(&mut self, epoch: Epoch, position: Seq) {
        self.done = self.earlier();
        let span = self.ahead.remove(&epoch);
        // Starts below this one are behind us: nothing of them was left to store.
        self.ahead.retain(|other, _| *other > epoch);
        let last = span.map_or(position, |span| span.last.max(position));
        self.current_begun |= epoch == self.current;
        self.at = Some(At { epoch, base: position, last, position, ahead: 0, quarantined: 0, missed: 0 });
    }

    /// Whether the start at hand is this process's.
    pub(crate) fn is_current(&self) -> bool {
        self.at.as_ref().is_some_and(|at| at.epoch == self.current)
    }

    /// Up to where the start at hand is done with.
    pub(crate) fn position(&self) -> Seq {
        self.at.as_ref().map_or(Seq(0), |at| at.position)
    }

    /// Counts events put into quarantine.
    pub(crate) fn quarantined(&mut self, events: u64) {
        if let Some(at) = &mut self.at {
            at.quarantined += events;
        }
    }

    /// Counts events that are not to be had.
    pub(crate) fn missed(&mut self, events: u64) {
        if let Some(at) = &mut self.at {
            at.missed += events;
        }
    }

    /// Everything up to `position` is done with, and `ahead` skipped events above it.
    pub(crate) fn reach(&mut self, position: Seq, ahead: u64, counters: &StorageCounters) {
        let Some(at) = &mut self.at else { return };
        (at.position, at.ahead) = (position.max(at.position), ahead);
        // A missing range may reach beyond what the scan at the start had found.
        at.last = at.last.max(at.position);
        if at.epoch == self.current {
            counters.quarantined.set(at.quarantined);
            counters.missed.set(at.missed);
            counters.skipped_ahead.set(ahead);
            counters.stored_seq.raise(at.position.0);
        }
        self.publish_earlier(counters);
    }

    /// Publishes what is known of earlier starts.
    pub(crate) fn publish_earlier(&self, counters: &StorageCounters) {
        let earlier = self.earlier();
        counters.earlier_pending.set(self.pending());
        counters.earlier_stored.set(earlier.stored);
        counters.earlier_quarantined.set(earlier.quarantined);
        counters.earlier_missed.set(earlier.missed);
        counters.earlier_found.set(earlier.found + self.ahead.values().map(events).sum::<u64>());
    }

    /// Earlier starts up to and with the one at hand, as if it ended at its position.
    fn earlier(&self) -> Earlier {
        let Some(at) = self.at.as_ref().filter(|at| at.epoch < self.current) else { return self.done };
        let (quarantined, missed) = (at.quarantined, at.missed);
        let reached = at.position.0 - at.base.0 + at.ahead;
        Earlier {
            found: self.done.found + (at.last.0 - at.base.0),
            stored: self.done.stored + reached.saturating_sub(quarantined + missed),
            quarantined: self.done.quarantined + quarantined,
            missed: self.done.missed + missed,
        }
    }

    /// Events of earlier starts that are in the journal alone, from positions.
    fn pending(&self) -> u64 {
        let here = self.at.as_ref().filter(|at| at.epoch < self.current);
        let here = here.map_or(0, |at| at.last.0.saturating_sub(at.position.0 + at.ahead));
        here + self.ahead.values().map(events).sum::<u64>()
    }
}

const fn events(span: &EpochSpan) -> u64 {
    span.last.0 - span.first.0 + 1
}

//! What is heard of each instrument of a source, and the holes that were marked: for the status, never for the data.
//!
//! Hot path: [`Heard::note`] is three stores to a line of the producer's own.

use crate::counters::Counter;
use crossbeam_utils::CachePadded;
use feedd_model::{Gap, InstrumentId, UnixNanos};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Most instruments of a source that are listed one by one. Beyond it the others are recorded all the same.
pub const HEARD_MAX: usize = 4_096;
/// Most holes that are remembered for the status; all of them stand in the data.
pub const GAPS_REMEMBERED_MAX: usize = 256;

/// What is heard of one instrument. Written by its producer thread.
#[derive(Debug)]
pub struct Heard {
    instrument: InstrumentId,
    messages: Counter,
    last_at: Counter,
}

impl Heard {
    /// Notes a message. `at` is when it was received.
    #[inline]
    pub fn note(&self, at: Option<UnixNanos>) {
        self.messages.add(1);
        if let Some(at) = at {
            self.last_at.set(at.0.cast_unsigned());
        }
    }

    /// Whose.
    #[must_use]
    pub const fn instrument(&self) -> InstrumentId {
        self.instrument
    }

    /// Messages so far.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages.get()
    }

    /// Receive time of the last; `None` before the first, or where it is unknown.
    #[must_use]
    pub fn last_at(&self) -> Option<UnixNanos> {
        let at = self.last_at.get().cast_signed();
        (at != 0).then_some(UnixNanos(at))
    }
}

/// Every instrument of one source, in the order they were first seen.
#[derive(Debug, Default)]
pub struct HeardTable(RwLock<Vec<Arc<CachePadded<Heard>>>>);

impl HeardTable {
    /// The entry of an instrument; made at its first sight, so not on the hot path.
    pub fn entry(&self, instrument: InstrumentId) -> Arc<CachePadded<Heard>> {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = table.iter().find(|heard| heard.instrument == instrument) {
            return found.clone();
        }
        let new =
            Arc::new(CachePadded::new(Heard { instrument, messages: Counter::default(), last_at: Counter::default() }));
        if table.len() < HEARD_MAX {
            table.push(new.clone());
        }
        new
    }

    /// Takes an instrument out that is not recorded any more.
    pub fn forget(&self, instrument: InstrumentId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|heard| heard.instrument != instrument);
    }

    /// Every entry now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<CachePadded<Heard>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The last holes that a source has marked.
#[derive(Debug, Default)]
pub struct GapLedger(Mutex<VecDeque<(InstrumentId, Gap)>>);

impl GapLedger {
    /// Notes a hole; rare, so a lock does no harm.
    #[cold]
    pub fn note(&self, instrument: InstrumentId, gap: Gap) {
        let mut gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gaps.len() == GAPS_REMEMBERED_MAX {
            gaps.pop_front();
        }
        gaps.push_back((instrument, gap));
    }

    /// The remembered ones, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<(InstrumentId, Gap)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use feedd_model::GapReason;

    #[test]
    fn an_instrument_has_one_entry_and_the_last_holes_are_remembered() {
        let table = HeardTable::default();
        let entry = table.entry(InstrumentId(7));
        assert_eq!((entry.messages(), entry.last_at()), (0, None));
        entry.note(Some(UnixNanos(5)));
        table.entry(InstrumentId(7)).note(None);
        table.entry(InstrumentId(8));
        let all = table.all();
        assert_eq!(all.iter().map(|h| (h.instrument().0, h.messages())).collect::<Vec<_>>(), [(7, 2), (8, 0)]);
        assert_eq!(all[0].last_at(), Some(UnixNanos(5)));
        let ledger = GapLedger::default();
        for n in 0..=GAPS_REMEMBERED_MAX as u64 {
            let gap = Gap {
                reason: GapReason::RingFull,
                first_missing: None,
                last_missing: None,
                from_ts: None,
                to_ts: None,
                events: Some(n),
            };
            ledger.note(InstrumentId(1), gap);
        }
        let held: Vec<u64> = ledger.all().iter().filter_map(|(_, gap)| gap.events).collect();
        assert_eq!(held, (1..=GAPS_REMEMBERED_MAX as u64).collect::<Vec<_>>(), "the oldest is forgotten");
    }
}

//! A high-water mark that each of its readers sees since its own last look.
//!
//! Hot path: [`Peak::raise`] is a load and, when the mark rises, one or two stores by the owning thread.

use crate::counters::Counter;
use crossbeam_utils::CachePadded;
use std::sync::{Mutex, PoisonError};

/// Who looks at high-water marks, each in windows of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeakReader {
    /// The levels and lines of the health log.
    Health,
    /// The scrapes of the metrics.
    Scrape,
}

/// Readers of a mark.
const READERS: usize = 2;

/// The highest value since each reader's last look, and since the start. One thread raises it.
#[derive(Debug, Default)]
pub struct Peak {
    marks: CachePadded<Marks>,
    /// What each reader has not been told yet.
    untold: Mutex<[u64; READERS]>,
}

#[derive(Debug, Default)]
struct Marks {
    /// Since the last look of any reader.
    mark: Counter,
    /// Since the start.
    ever: Counter,
}

impl Peak {
    /// Raises the mark to `value` if that is higher. One thread only.
    #[inline]
    pub fn raise(&self, value: u64) {
        // What is not above the mark is not above all that came before either.
        if value > self.marks.mark.get() {
            self.marks.ever.raise(value);
            self.marks.mark.set(value);
        }
    }

    /// The highest value since the start; begins no window.
    #[must_use]
    pub fn ever(&self) -> u64 {
        self.marks.ever.get()
    }

    /// The mark of `reader`, whose next window begins now; the windows of the others go on.
    pub fn take(&self, reader: PeakReader) -> u64 {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.marks.mark.reset();
        untold.iter_mut().for_each(|seen| *seen = (*seen).max(mark));
        std::mem::take(&mut untold[reader as usize])
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_reader_takes_a_mark_from_another() {
        let peak = Peak::default();
        peak.raise(700);
        peak.raise(300);
        assert_eq!(peak.take(PeakReader::Health), 700);
        peak.raise(20);
        assert_eq!(peak.take(PeakReader::Health), 20);
        assert_eq!(peak.take(PeakReader::Scrape), 700, "a burst between two scrapes is seen");
        assert_eq!(peak.take(PeakReader::Scrape), 0, "once");
        assert_eq!(peak.ever(), 700, "no look forgets it");
        peak.raise(5);
        assert_eq!((peak.take(PeakReader::Scrape), peak.take(PeakReader::Health)), (5, 5));
    }
}

//! A high-water mark that each of its readers sees since its own last look.
//!
//! Hot path: [`Peak::raise`] is a load and, when the mark rises, a store by the owning thread.

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

/// The highest value since each reader's last look. One thread raises it.
#[derive(Debug, Default)]
pub struct Peak {
    /// Since the last look of any reader.
    mark: CachePadded<Counter>,
    /// What each reader has not been told yet.
    untold: Mutex<[u64; READERS]>,
}

impl Peak {
    /// Raises the mark to `value` if that is higher. One thread only.
    #[inline]
    pub fn raise(&self, value: u64) {
        self.mark.raise(value);
    }

    /// The mark of `reader`, whose next window begins now; the windows of the others go on.
    pub fn take(&self, reader: PeakReader) -> u64 {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.mark.reset();
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
        peak.raise(5);
        assert_eq!((peak.take(PeakReader::Scrape), peak.take(PeakReader::Health)), (5, 5));
    }
}

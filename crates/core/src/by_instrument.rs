//! Counts by instrument in a bounded table: one writing thread, readers at any time, nothing allocated after start-up.

use crate::counters::Counter;
use feedd_model::InstrumentId;

/// Places of a table. Ids are given densely from 1 on, so up to so many instruments do not meet each other.
const PLACES: usize = 4096;
/// Places that are looked at for one instrument; one that finds none is counted with the others.
const LOOKS_MAX: usize = 32;

#[derive(Debug, Default)]
struct Place {
    /// The id plus 1; 0 while nobody is counted here.
    owner: Counter,
    count: Counter,
}

/// A number for each instrument.
#[derive(Debug)]
pub struct ByInstrument {
    places: Box<[Place]>,
    others: Counter,
}

impl Default for ByInstrument {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| Place::default()).collect(), others: Counter::default() }
    }
}

impl ByInstrument {
    /// Adds `n` to the count of `instrument`. One thread only.
    pub fn add(&self, instrument: InstrumentId, n: u64) {
        let owner = u64::from(instrument.0) + 1;
        let first = instrument.0 as usize;
        for look in 0..LOOKS_MAX {
            let place = &self.places[(first + look) % PLACES];
            let found = place.owner.get();
            if found == owner || found == 0 {
                // The count before its owner: a reader that knows whose it is sees a count.
                place.count.add(n);
                if found == 0 {
                    place.owner.set(owner);
                }
                return;
            }
        }
        self.others.add(n);
    }

    /// Every instrument that was counted, highest count first.
    #[must_use]
    pub fn counts(&self) -> Vec<(InstrumentId, u64)> {
        let owned = self.places.iter().filter_map(|place| {
            let id = u32::try_from(place.owner.get().checked_sub(1)?).ok()?;
            Some((InstrumentId(id), place.count.get()))
        });
        let mut counts: Vec<_> = owned.collect();
        counts.sort_by_key(|&(instrument, count)| (std::cmp::Reverse(count), instrument.0));
        counts
    }

    /// What was counted for instruments that found no place.
    #[must_use]
    pub fn others(&self) -> u64 {
        self.others.get()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Whatever ids there are, each has its own count, or is counted with the others; nothing is lost.
        #[test]
        fn counts_what_a_map_counts(adds in prop::collection::vec((any::<u16>(), 1u64..100), 0..300)) {
            let table = ByInstrument::default();
            let mut expected = BTreeMap::new();
            for &(id, n) in &adds {
                // Eight ids for each place that they begin at.
                let id = u32::from(id % 64) + u32::from(id / 8192) * 4096;
                table.add(InstrumentId(id), n);
                *expected.entry(id).or_insert(0) += n;
            }
            let counts = table.counts();
            prop_assert!(counts.is_sorted_by(|a, b| a.1 >= b.1), "highest first");
            for &(instrument, count) in &counts {
                prop_assert!(count <= expected[&instrument.0]);
            }
            let all: u64 = counts.iter().map(|c| c.1).sum();
            prop_assert_eq!(all + table.others(), expected.values().sum::<u64>());
            if expected.len() <= LOOKS_MAX {
                prop_assert_eq!(counts.iter().map(|c| (c.0.0, c.1)).collect::<BTreeMap<_, _>>(), expected);
            }
        }
    }

    #[test]
    fn an_instrument_without_a_place_is_counted_with_the_others() {
        let table = ByInstrument::default();
        for round in 0..40 {
            table.add(InstrumentId(7 + round * 4096), 2);
        }
        assert_eq!((table.counts().len(), table.others()), (LOOKS_MAX, 16));
        assert_eq!(table.counts()[0], (InstrumentId(7), 2));
        table.add(InstrumentId(0), 9);
        assert_eq!(table.counts()[0], (InstrumentId(0), 9), "also what belongs to no instrument");
    }
}

//! Which trade ids of one instrument have been seen, where the venue numbers its trades without holes.
//!
//! Hot path for the next id: one comparison. Everything else is rare.

use std::ops::RangeInclusive;

/// Ranges of unseen ids that are remembered. Beyond them the oldest are given up: their trades, should they still come,
/// count as seen.
pub const HOLES_MAX: usize = 1024;

/// The ids seen: all from `low` to `high`, but for the holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdSet {
    seen: Option<(u64, u64)>,
    /// Unseen ids between, ascending, none touching another.
    holes: Vec<RangeInclusive<u64>>,
    /// Ids that were given up with their hole.
    forgotten: u64,
}

/// What an id is, beside those seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The first one of all.
    First,
    /// The one after the highest.
    Next,
    /// Beyond the next one: these lie between and are missing.
    Ahead(RangeInclusive<u64>),
    /// One of those that were missing.
    FillsHole,
    /// From before the first one of all: what lies between is not counted as missing.
    Before,
    /// Seen already.
    Again,
}

impl IdSet {
    /// Notes an id and says what it is.
    #[inline]
    pub fn insert(&mut self, id: u64) -> Seen {
        let Some((low, high)) = self.seen else {
            self.seen = Some((id, id));
            return Seen::First;
        };
        if id > high {
            self.seen = Some((low, id));
            if id - high == 1 {
                return Seen::Next;
            }
            let hole = high + 1..=id - 1;
            self.add_hole(self.holes.len(), hole.clone());
            return Seen::Ahead(hole);
        }
        self.insert_old(id, low, high)
    }

    #[cold]
    fn insert_old(&mut self, id: u64, low: u64, high: u64) -> Seen {
        if id < low {
            self.seen = Some((id, high));
            if low - id > 1 {
                self.add_hole(0, id + 1..=low - 1);
            }
            return Seen::Before;
        }
        let at = self.holes.partition_point(|hole| *hole.end() < id);
        let Some(hole) = self.holes.get(at).filter(|hole| hole.contains(&id)).cloned() else { return Seen::Again };
        let (below, above) = (*hole.start() < id, id < *hole.end());
        match (below, above) {
            (false, false) => drop(self.holes.remove(at)),
            (true, false) => self.holes[at] = *hole.start()..=id - 1,
            (false, true) => self.holes[at] = id + 1..=*hole.end(),
            (true, true) => {
                self.holes[at] = *hole.start()..=id - 1;
                self.add_hole(at + 1, id + 1..=*hole.end());
            }
        }
        Seen::FillsHole
    }

    fn add_hole(&mut self, at: usize, hole: RangeInclusive<u64>) {
        self.holes.insert(at, hole);
        if self.holes.len() > HOLES_MAX {
            let oldest = self.holes.remove(0);
            self.forgotten += *oldest.end() - *oldest.start() + 1;
        }
    }

    /// The lowest and the highest id seen.
    #[must_use]
    pub const fn seen(&self) -> Option<(u64, u64)> {
        self.seen
    }

    /// Every id from `low` to `high` but for the holes; `None` when that is no set of ids: holes that do not lie between,
    /// in ascending order, apart from each other.
    #[must_use]
    pub fn with_holes((low, high): (u64, u64), holes: Vec<RangeInclusive<u64>>) -> Option<Self> {
        let mut free = low;
        for hole in &holes {
            // Two ids seen stand between two holes, were it one and the same.
            if *hole.start() <= free || hole.end() < hole.start() || *hole.end() >= high {
                return None;
            }
            free = *hole.end() + 1;
        }
        let is_set = low <= high && holes.len() <= HOLES_MAX;
        is_set.then_some(Self { seen: Some((low, high)), holes, forgotten: 0 })
    }

    /// The highest id seen.
    #[must_use]
    pub const fn high(&self) -> Option<u64> {
        match self.seen {
            Some((_, high)) => Some(high),
            None => None,
        }
    }

    /// Ranges of unseen ids, at most [`HOLES_MAX`].
    #[must_use]
    pub const fn holes(&self) -> usize {
        self.holes.len()
    }

    /// The parts of `range` that are missing, ascending.
    pub fn missing_in(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = RangeInclusive<u64>> {
        let (start, end) = range.into_inner();
        let first = self.holes.partition_point(|hole| *hole.end() < start);
        let overlapping = self.holes[first..].iter().take_while(move |hole| *hole.start() <= end);
        overlapping.map(move |hole| *hole.start().max(&start)..=*hole.end().min(&end))
    }

    /// Missing ids that are not remembered any more, because there were more than [`HOLES_MAX`] ranges of them.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// The last ids of an instrument whose venue numbers its trades with holes, or not at all by numbers.
#[derive(Clone, Debug, Default)]
pub struct RecentIds {
    known: rustc_hash::FxHashSet<u128>,
    /// In the order of their arrival, a circle once it is full.
    order: Vec<u128>,
    next: usize,
}

/// Ids remembered: more than a venue sends again after a subscription.
pub const RECENT_IDS: usize = 2048;

impl RecentIds {
    /// Notes an id; false when it is one of the last [`RECENT_IDS`].
    pub fn insert(&mut self, id: u128) -> bool {
        if self.order.capacity() == 0 {
            self.order.reserve_exact(RECENT_IDS);
            self.known.reserve(RECENT_IDS + 1);
        }
        if !self.known.insert(id) {
            return false;
        }
        if self.order.len() < RECENT_IDS {
            self.order.push(id);
        } else {
            let oldest = std::mem::replace(&mut self.order[self.next], id);
            self.known.remove(&oldest);
            self.next = (self.next + 1) % RECENT_IDS;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn holes(set: &IdSet) -> Vec<RangeInclusive<u64>> {
        set.missing_in(0..=u64::MAX).collect()
    }

    #[test]
    fn ids_are_told_apart() {
        let mut set = IdSet::default();
        let steps = [
            // id, what it is
            (100, Seen::First),
            (101, Seen::Next),
            (101, Seen::Again),
            (105, Seen::Ahead(102..=104)),
            (103, Seen::FillsHole),
            (103, Seen::Again),
            (98, Seen::Before),
            (99, Seen::FillsHole),
            (97, Seen::Before),
            (104, Seen::FillsHole),
            (106, Seen::Next),
        ];
        for (id, expected) in steps {
            assert_eq!(set.insert(id), expected, "{id}");
        }
        assert_eq!(holes(&set), [102..=102]);
        assert_eq!(set.missing_in(100..=101).count(), 0);
        assert_eq!(set.high(), Some(106));
    }

    #[test]
    fn holes_are_bounded_and_what_is_given_up_is_counted() {
        let mut set = IdSet::default();
        for step in 0..=HOLES_MAX as u64 + 1 {
            set.insert(step * 3);
        }
        assert_eq!(holes(&set).len(), HOLES_MAX);
        assert_eq!(set.forgotten(), 2);
        assert_eq!(set.insert(1), Seen::Again);
        assert_eq!(set.insert(4), Seen::FillsHole);
    }

    #[test]
    fn an_id_is_forgotten_when_enough_others_came() {
        let mut recent = RecentIds::default();
        assert!(recent.insert(7) && !recent.insert(7));
        for id in 100..99 + RECENT_IDS as u128 {
            assert!(recent.insert(id));
        }
        assert!(!recent.insert(7), "still known");
        assert!(recent.insert(1) && recent.insert(7), "its place was taken");
        assert_eq!((recent.order.len(), recent.known.len()), (RECENT_IDS, RECENT_IDS));
    }

    proptest! {
        /// Whatever the order: each id is new exactly once, and what is missing is what a plain set lacks.
        #[test]
        fn it_knows_what_a_set_knows(ids in prop::collection::vec(1_u64..80, 1..120)) {
            let (mut set, mut plain) = (IdSet::default(), BTreeSet::new());
            for id in ids {
                let is_new = set.insert(id) != Seen::Again;
                prop_assert_eq!(is_new, plain.insert(id));
                let (low, high) = (*plain.first().unwrap(), *plain.last().unwrap());
                let missing: Vec<u64> = (low..=high).filter(|id| !plain.contains(id)).collect();
                prop_assert_eq!(holes(&set).into_iter().flatten().collect::<Vec<_>>(), missing);
            }
        }
    }
}

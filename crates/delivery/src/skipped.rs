//! Sequences a sink does not store: refused ones, and ranges that are not to be had.

use feedd_model::Seq;
use std::collections::BTreeMap;

/// Ranges of skipped sequences above a sink's position.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    /// First to last, inclusive, without overlaps.
    ranges: BTreeMap<u64, u64>,
}

impl Skipped {
    /// Adds a range and says how many of its sequences were not known yet.
    pub(crate) fn insert(&mut self, first: Seq, last: Seq) -> u64 {
        let (mut from, mut new) = (first.0, 0);
        while from <= last.0 {
            // What is known around `from`, and where the next known range begins.
            if let Some((_, &known)) = self.ranges.range(..=from).next_back().filter(|&(_, &known)| known >= from) {
                from = known + 1;
                continue;
            }
            let until = self.ranges.range(from..).next().map_or(last.0, |(&next, _)| last.0.min(next - 1));
            self.ranges.insert(from, until);
            new += until - from + 1;
            from = until + 1;
        }
        new
    }

    /// Whether nothing is skipped.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether a sequence is skipped.
    pub(crate) fn contains(&self, seq: Seq) -> bool {
        self.ranges.range(..=seq.0).next_back().is_some_and(|(_, &last)| last >= seq.0)
    }

    /// The position moved over the skipped sequences right behind it; forgets what lies below.
    pub(crate) fn advance(&mut self, mut position: Seq) -> Seq {
        while let Some((&first, &last)) = self.ranges.first_key_value() {
            if first > position.0 + 1 {
                break;
            }
            position = position.max(Seq(last));
            self.ranges.pop_first();
        }
        position
    }

    /// How many are left, all above the position of the last [`Skipped::advance`].
    pub(crate) fn len(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// The same as a set of single sequences.
        #[test]
        fn ranges_are_a_set(inserts in prop::collection::vec((1u64..60, 0u64..9), 0..30), position in 0u64..70) {
            let (mut ranges, mut set) = (Skipped::default(), BTreeSet::new());
            for (first, more) in inserts {
                let new = (first..=first + more).filter(|&seq| set.insert(seq)).count() as u64;
                prop_assert_eq!(ranges.insert(Seq(first), Seq(first + more)), new);
            }
            for seq in 0..80 {
                prop_assert_eq!(ranges.contains(Seq(seq)), set.contains(&seq));
            }
            let mut expected = position;
            while set.contains(&(expected + 1)) {
                expected += 1;
            }
            prop_assert_eq!(ranges.advance(Seq(position)), Seq(expected));
            prop_assert_eq!(ranges.len(), set.range(expected + 1..).count() as u64);
        }
    }
}

//! A set of numbers that lie close together: one bit each, in pages, so that a stray huge number costs one page.

use std::collections::BTreeMap;

/// Numbers in a page.
const PAGE_NUMBERS: u64 = 1 << 15;
/// Words in a page.
const PAGE_WORDS: usize = 1 << 9;

#[derive(Clone, Debug, Default)]
pub(super) struct NumberSet {
    pages: BTreeMap<u64, Box<[u64; PAGE_WORDS]>>,
}

impl NumberSet {
    /// Adds a number; false when it is there already.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let page = self.pages.entry(number / PAGE_NUMBERS).or_insert_with(|| Box::new([0; PAGE_WORDS]));
        let (word, bit) = place(number);
        let new = page[word] & bit == 0;
        page[word] |= bit;
        new
    }

    fn contains(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.pages.get(&(number / PAGE_NUMBERS)).is_some_and(|page| page[word] & bit != 0)
    }

    /// Ranges of numbers from `first` to `last` that are not there, both ends included.
    pub(super) fn holes(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut holes: Vec<(u64, u64)> = Vec::new();
        for number in (first..=last).filter(|&number| !self.contains(number)) {
            match holes.last_mut() {
                Some((_, to)) if *to + 1 == number => *to = number,
                _ => holes.push((number, number)),
            }
        }
        holes
    }
}

/// Word and bit within the page.
fn place(number: u64) -> (usize, u64) {
    let within = usize::try_from(number % PAGE_NUMBERS).expect("a page is small");
    (within / 64, 1 << (within % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_an_ordinary_set() {
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut set, mut model) = (NumberSet::default(), BTreeSet::new());
        for _ in 0..5_000 {
            let number = PAGE_NUMBERS - 2_000 + rng.u64(..4_000);
            assert_eq!(set.insert(number), model.insert(number));
        }
        assert!(set.insert(u64::MAX) && !set.insert(u64::MAX));
        let (first, last) = (PAGE_NUMBERS - 2_500, PAGE_NUMBERS + 2_500);
        let missing: Vec<u64> = set.holes(first, last).into_iter().flat_map(|(from, to)| from..=to).collect();
        assert_eq!(missing, (first..=last).filter(|n| !model.contains(n)).collect::<Vec<_>>());
        assert!(set.holes(first, last).is_sorted_by(|a, b| a.1 + 1 < b.0), "holes are as long as they can be");
    }
}

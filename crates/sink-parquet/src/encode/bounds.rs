//! Smallest and largest values: of a chunk, and whether its pages stand in order.

use super::value::Value;
use parquet::basic::BoundaryOrder;

/// Of the pages so far.
pub(super) struct Bounds<V> {
    /// Smallest and largest value of the chunk.
    all: Option<(V, V)>,
    /// Of the last page that had values.
    last: Option<(V, V)>,
    rising: bool,
    falling: bool,
}

impl<V> Default for Bounds<V> {
    fn default() -> Self {
        Self { all: None, last: None, rising: true, falling: true }
    }
}

impl<V: Value> Bounds<V> {
    /// Adds a page's smallest and largest value.
    pub(super) fn add(&mut self, (min, max): (V, V), words: &[String]) {
        if let Some((last_min, last_max)) = self.last {
            self.rising &= !min.is_less(last_min, words) && !max.is_less(last_max, words);
            self.falling &= !last_min.is_less(min, words) && !last_max.is_less(max, words);
        }
        self.last = Some((min, max));
        let (all_min, all_max) = self.all.unwrap_or((min, max));
        let min = if min.is_less(all_min, words) { min } else { all_min };
        let max = if all_max.is_less(max, words) { max } else { all_max };
        self.all = Some((min, max));
    }

    /// Smallest and largest value of the chunk, as statistics hold them.
    pub(super) fn statistics(&self, words: &[String]) -> Option<[Vec<u8>; 2]> {
        self.all.map(|(min, max)| [min.statistic(words), max.statistic(words)])
    }

    pub(super) fn order(&self) -> BoundaryOrder {
        match (self.rising, self.falling) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        }
    }
}

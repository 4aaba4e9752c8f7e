//! What many runs say together: the median, and where half of them lie.

use serde_json::{Value, json};

/// Median and quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) p25: f64,
    pub(crate) p75: f64,
}

impl Spread {
    /// Of any number of values; `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |permille| quantile(&sorted, permille);
        Some(Self { median: at(500)?, p25: at(250)?, p75: at(750)? })
    }

    pub(crate) fn json(self) -> Value {
        json!({ "median": self.median, "p25": self.p25, "p75": self.p75 })
    }
}

/// The value that `permille` of the sorted values lie below, between two of them in proportion.
pub(crate) fn quantile(sorted: &[f64], permille: usize) -> Option<f64> {
    let place = sorted.len().checked_sub(1)? * permille;
    let (low, part) = (place / 1000, (place % 1000) as f64 / 1000.0);
    let high = sorted.get(low + 1).unwrap_or(&sorted[low]);
    Some(sorted[low] + (high - sorted[low]) * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0]), Some(Spread { median: 3.0, p25: 3.0, p75: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Some(Spread { median: 2.5, p25: 1.75, p75: 3.25 }));
        assert_eq!(quantile(&[1.0, 2.0, 9.0], 1000), Some(9.0));
        assert_eq!(quantile(&[1.0, 2.0, 9.0], 0), Some(1.0));
    }
}

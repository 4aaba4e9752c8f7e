//! What many runs say together: the median, where half of them lie, and the ends.

use serde_json::{Value, json};

/// Median, quartiles and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) runs: usize,
    pub(crate) median: f64,
    pub(crate) p25: f64,
    pub(crate) p75: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of any number of values; `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |permille| quantile(&sorted, permille);
        Some(Self { runs: sorted.len(), median: at(500)?, p25: at(250)?, p75: at(750)?, min: at(0)?, max: at(1000)? })
    }

    pub(crate) fn json(self) -> Value {
        json!({
            "runs": self.runs, "median": self.median, "p25": self.p25, "p75": self.p75, "min": self.min, "max": self.max,
        })
    }

    /// Median and quartiles, with so many decimals; "-" without a figure.
    pub(crate) fn text(spread: Option<Self>, digits: usize) -> String {
        let text = |s: Self| format!("{:.digits$} ({:.digits$} to {:.digits$})", s.median, s.p25, s.p75);
        spread.map_or_else(|| "-".to_owned(), text)
    }
}

/// The value that `permille` of the sorted values lie below, between two of them in proportion.
pub(crate) fn quantile(sorted: &[f64], permille: usize) -> Option<f64> {
    let place = sorted.len().checked_sub(1)? * permille;
    let (low, part) = (place / 1000, (place % 1000) as f64 / 1000.0);
    let high = sorted.get(low + 1).unwrap_or(&sorted[low]);
    Some(sorted[low] + (high - sorted[low]) * part)
}

/// The 95 % interval of the median of these values, by their order alone: whatever they are spread like, it holds the true
/// median in at least 95 of 100 measurements. `None` of fewer than six values, which say too little.
pub(crate) fn median_interval(values: &[f64]) -> Option<[f64; 2]> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Each value lies below the true median with the chance of a coin: how many from each end can be left out?
    let (mut chance, mut below) = (0.5_f64.powi(i32::try_from(sorted.len()).ok()?), 0.0);
    let mut out = 0;
    while out < sorted.len() && below + chance <= 0.025 {
        below += chance;
        chance *= (sorted.len() - out) as f64 / (out + 1) as f64;
        out += 1;
    }
    let low = out.checked_sub(1)?;
    Some([sorted[low], sorted[sorted.len() - 1 - low]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_median_is_that_of_the_tables() {
        let values = |count: u32| (1..=count).rev().map(f64::from).collect::<Vec<_>>();
        // Ranks as printed in tables of the sign test at 95 %.
        let cases = [
            (5, None),
            (6, Some([1.0, 6.0])),
            (9, Some([2.0, 8.0])),
            (20, Some([6.0, 15.0])),
            (100, Some([40.0, 61.0])),
        ];
        for (count, expected) in cases {
            assert_eq!(median_interval(&values(count)), expected, "{count}");
        }
        assert_eq!(median_interval(&[]), None);
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        assert_eq!(Spread::of([]), None);
        let one = Spread { runs: 1, median: 3.0, p25: 3.0, p75: 3.0, min: 3.0, max: 3.0 };
        assert_eq!(Spread::of([3.0]), Some(one));
        let four = Spread { runs: 4, median: 2.5, p25: 1.75, p75: 3.25, min: 1.0, max: 4.0 };
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Some(four));
        assert_eq!(Spread::text(Some(four), 1), "2.5 (1.8 to 3.2)");
        assert_eq!(quantile(&[1.0, 2.0, 9.0], 1000), Some(9.0));
        assert_eq!(quantile(&[1.0, 2.0, 9.0], 0), Some(1.0));
    }
}

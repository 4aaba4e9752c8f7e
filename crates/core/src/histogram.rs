//! A distribution with one writing thread and any number of readers: fixed size, nothing allocated after start-up, no lock.
//!
//! Hot path: [`Histogram::record`] is a few loads and stores by the owning thread.
//!
//! Log-linear: each power of two is divided into 32 buckets, values below 64 have one each. What is read back lies in the
//! middle of its bucket, at most 1.6 % from what was recorded; minimum and maximum are exact.

use crate::counters::Counter;

/// Each power of two is divided into 2^5 buckets.
const SUB_BITS: u32 = 5;
const SUBS: usize = 1 << SUB_BITS;
/// From 2^42 on (as nanoseconds: 73 minutes) all values share the last bucket.
const EXPONENT_MAX: u32 = 41;
const BUCKETS: usize = SUBS * (EXPONENT_MAX - SUB_BITS + 2) as usize;

/// Counts of values, by their size.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[Counter]>,
    sum: Counter,
    /// `u64::MAX` while nothing was recorded.
    min: Counter,
    max: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        let min = Counter::default();
        min.set(u64::MAX);
        let buckets = (0..BUCKETS).map(|_| Counter::default()).collect();
        Self { buckets, sum: Counter::default(), min, max: Counter::default() }
    }
}

impl Histogram {
    /// Counts `value`. One thread only.
    #[inline]
    pub fn record(&self, value: u64) {
        self.sum.add(value);
        self.max.raise(value);
        if value < self.min.get() {
            self.min.set(value);
        }
        // Last: whoever sees the value counted sees it in minimum, maximum and sum, too.
        self.buckets[bucket(value)].add(1);
    }

    /// Everything recorded so far.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts: Box<[u64]> = self.buckets.iter().map(Counter::get).collect();
        let (min, max, sum) = (self.min.get(), self.max.get(), self.sum.get());
        HistogramSnapshot { count: counts.iter().sum(), counts, sum, min, max }
    }
}

/// A [`Histogram`] at one moment, or what was recorded between two. All numbers are 0 when that is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    counts: Box<[u64]>,
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

impl HistogramSnapshot {
    /// Values recorded.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// The smallest; of a difference, the lower end of its bucket.
    #[must_use]
    pub const fn min(&self) -> u64 {
        if self.count == 0 { 0 } else { self.min }
    }

    /// The largest; of a difference, the upper end of its bucket.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// Their average, rounded down.
    #[must_use]
    pub fn average(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    /// The value that `permille` of 1000 values do not exceed: 500 is the median, 999 is p99.9.
    #[must_use]
    pub fn at_permille(&self, permille: u64) -> u64 {
        let rank = (u128::from(self.count) * u128::from(permille.min(1000))).div_ceil(1000).max(1);
        let mut seen = 0_u128;
        let found = self.counts.iter().position(|&count| {
            seen += u128::from(count);
            seen >= rank
        });
        match found {
            None => 0,
            Some(last) if last + 1 == BUCKETS => self.max,
            Some(index) => {
                let (low, high) = ends(index);
                (low + (high - low) / 2).clamp(self.min, self.max)
            }
        }
    }

    /// How many values are at most `value`, as exactly as buckets tell: those that share a bucket with larger ones are left
    /// out.
    #[must_use]
    pub fn count_up_to(&self, value: u64) -> u64 {
        self.counts.iter().enumerate().take_while(|&(index, _)| ends(index).1 <= value).map(|(_, count)| count).sum()
    }

    /// What was recorded since `earlier`, an earlier snapshot of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts: Box<[u64]> =
            self.counts.iter().zip(&earlier.counts).map(|(now, before)| now.saturating_sub(*before)).collect();
        let first = counts.iter().position(|&count| count > 0);
        let last = counts.iter().rposition(|&count| count > 0);
        Self {
            count: counts.iter().sum(),
            sum: self.sum.saturating_sub(earlier.sum),
            min: first.map_or(u64::MAX, |index| ends(index).0.max(self.min)),
            max: last.map_or(0, |index| ends(index).1.min(self.max)),
            counts,
        }
    }
}

/// Where `value` is counted.
#[inline]
fn bucket(value: u64) -> usize {
    let exponent = value.max(SUBS as u64).ilog2();
    if exponent > EXPONENT_MAX {
        return BUCKETS - 1;
    }
    let shift = exponent - SUB_BITS;
    // Below 2^6 after the shift: no digit is lost.
    shift as usize * SUBS + usize::try_from(value >> shift).unwrap_or(0)
}

/// The smallest and the largest value that are counted in a bucket.
fn ends(index: usize) -> (u64, u64) {
    let shift = (index / SUBS).saturating_sub(1);
    let low = ((index - shift * SUBS) as u64) << shift;
    // The last one holds whatever is larger, too.
    (low, if index + 1 == BUCKETS { u64::MAX } else { low + (1 << shift) - 1 })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether `got` is `exact` within 3 %; exact for small values.
    fn is_near(got: u64, exact: u64) -> bool {
        u128::from(got.abs_diff(exact)) * 100 <= u128::from(exact) * 3
    }

    /// Whether two values can share a bucket, which is a 32nd of its values wide: the ends of a difference are known no better.
    fn is_in_bucket(got: u64, exact: u64) -> bool {
        got.abs_diff(exact) * 32 <= exact.min(got)
    }

    #[test]
    fn each_value_lies_within_its_bucket_and_buckets_follow_each_other() {
        for index in 1..BUCKETS {
            assert_eq!(ends(index - 1).1 + 1, ends(index).0, "bucket {index} follows without a hole");
            assert_eq!((bucket(ends(index).0), bucket(ends(index - 1).1)), (index, index - 1));
        }
        assert_eq!((bucket(0), bucket(u64::MAX), ends(0)), (0, BUCKETS - 1, (0, 0)));
    }

    #[test]
    fn nothing_recorded_is_all_zero() {
        let empty = Histogram::default().snapshot();
        assert_eq!((empty.count(), empty.min(), empty.max(), empty.average(), empty.at_permille(999)), (0, 0, 0, 0, 0));
        assert_eq!(empty.since(&empty), empty);
    }

    #[test]
    fn a_value_beyond_the_last_bucket_is_its_maximum() {
        let histogram = Histogram::default();
        [1, u64::MAX / 4].iter().for_each(|value| histogram.record(*value));
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.at_permille(500), snapshot.at_permille(1000)), (1, u64::MAX / 4));
        assert_eq!((snapshot.min(), snapshot.max()), (1, u64::MAX / 4));
    }

    #[test]
    fn counts_up_to_a_value_leave_out_what_may_be_larger() {
        let histogram = Histogram::default();
        [3, 3, 63, 64, 65, 1_000_000, u64::MAX].iter().for_each(|value| histogram.record(*value));
        let snapshot = histogram.snapshot();
        let cases = [(2, 0), (3, 2), (63, 3), (64, 3), (65, 5), (900_000, 5), (1_100_000, 6), (u64::MAX, 7)];
        for (value, expected) in cases {
            assert_eq!(snapshot.count_up_to(value), expected, "{value}");
        }
    }

    /// Values of all sizes up to the last bucket, none much likelier than another.
    fn values() -> impl Strategy<Value = Vec<u64>> {
        let value = (0u32..=EXPONENT_MAX, any::<u64>()).prop_map(|(bits, value)| value % (2 << bits));
        prop::collection::vec(value, 1..400)
    }

    proptest! {
        /// Against the sorted values: quantiles within 3 %, the rest exact.
        #[test]
        fn says_what_the_sorted_values_say(values in values()) {
            let histogram = Histogram::default();
            values.iter().for_each(|&value| histogram.record(value));
            let snapshot = histogram.snapshot();
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let sum: u64 = values.iter().sum();
            prop_assert_eq!((snapshot.count(), snapshot.sum()), (values.len() as u64, sum));
            prop_assert_eq!((snapshot.min(), snapshot.max()), (sorted[0], sorted[sorted.len() - 1]));
            prop_assert_eq!(snapshot.average(), sum / values.len() as u64);
            for permille in [1, 100, 500, 900, 990, 999, 1000] {
                let exact = sorted[(sorted.len() * permille).div_ceil(1000) - 1];
                let got = snapshot.at_permille(permille as u64);
                prop_assert!(is_near(got, exact), "{} of 1000: {} instead of {}", permille, got, exact);
            }
        }

        /// The difference of two snapshots is what was recorded in between.
        #[test]
        fn a_difference_says_what_came_in_between(before in values(), after in values()) {
            let histogram = Histogram::default();
            before.iter().for_each(|&value| histogram.record(value));
            let earlier = histogram.snapshot();
            after.iter().for_each(|&value| histogram.record(value));
            let difference = histogram.snapshot().since(&earlier);
            let alone = Histogram::default();
            after.iter().for_each(|&value| alone.record(value));
            let alone = alone.snapshot();
            prop_assert_eq!((&difference.counts, difference.count(), difference.sum()), (&alone.counts, alone.count(), alone.sum()));
            prop_assert!(difference.min() <= alone.min() && is_in_bucket(difference.min(), alone.min()));
            prop_assert!(difference.max() >= alone.max() && is_in_bucket(difference.max(), alone.max()));
            for permille in [1, 500, 990, 1000] {
                prop_assert!(is_near(difference.at_permille(permille), alone.at_permille(permille)));
            }
        }
    }
}

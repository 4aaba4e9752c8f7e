//! The relative strength index.

/// Wilder's relative strength index: 0 to 100.
///
/// The first averages of gains and losses are plain means of `period` changes, each later one is
/// (`period` - 1 parts of the one before + the new change) / `period`. Without any change it is 50: neither strong nor weak.
#[derive(Clone, Debug)]
pub struct Rsi {
    period: usize,
    before: Option<f64>,
    changes: usize,
    gain: f64,
    loss: f64,
}

impl Rsi {
    /// Over `period` changes.
    ///
    /// # Panics
    /// When `period` is 0.
    #[must_use]
    pub fn new(period: usize) -> Self {
        assert!(period > 0, "an average has at least one value");
        Self { period, before: None, changes: 0, gain: 0.0, loss: 0.0 }
    }

    /// Takes the next value; the index once there are `period` changes.
    pub fn push(&mut self, value: f64) -> Option<f64> {
        let change = value - self.before.replace(value)?;
        let (gain, loss, n) = (change.max(0.0), (-change).max(0.0), self.period as f64);
        if self.changes < self.period {
            self.changes += 1;
            self.gain += gain / n;
            self.loss += loss / n;
        } else {
            self.gain = (self.gain * (n - 1.0) + gain) / n;
            self.loss = (self.loss * (n - 1.0) + loss) / n;
        }
        if self.changes < self.period {
            return None;
        }
        let both = self.gain + self.loss;
        Some(if both == 0.0 { 50.0 } else { 100.0 * self.gain / both })
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::new(self.period);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CLOSES, near};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        let mut rsi = Rsi::new(14);
        let all: Vec<_> = CLOSES.iter().map(|&close| rsi.push(close)).collect();
        assert_eq!(all[..14], [None; 14]);
        for (at, value) in KNOWN {
            assert!(near(all[at].unwrap(), value), "{at}: {:?}", all[at]);
        }
    }

    /// See `CLOSES`.
    const KNOWN: [(usize, f64); 6] = [
        (14, 70.464_135_021_097_05),
        (15, 66.249_618_553_555_08),
        (16, 66.480_941_834_712_67),
        (17, 69.346_853_162_908_7),
        (18, 66.294_712_658_926_25),
        (19, 57.915_020_670_085_56),
    ];

    #[test]
    fn the_ends_of_the_scale() {
        let last = |values: &[f64]| {
            let mut rsi = Rsi::new(3);
            values.iter().map(|&value| rsi.push(value)).last().flatten()
        };
        assert_eq!(last(&[1.0, 2.0, 3.0, 4.0]), Some(100.0), "only gains");
        assert_eq!(last(&[4.0, 3.0, 2.0, 1.0]), Some(0.0), "only losses");
        assert_eq!(last(&[2.0, 2.0, 2.0, 2.0]), Some(50.0), "no change");
        assert_eq!(last(&[1.0, 2.0, 3.0]), None, "three values are two changes");
    }

    /// From the definition, over the whole series.
    fn naive(values: &[f64], period: usize) -> Option<f64> {
        let changes: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
        if changes.len() < period {
            return None;
        }
        let n = period as f64;
        let smoothed = |part: fn(f64) -> f64| {
            let first = changes[..period].iter().map(|&change| part(change)).sum::<f64>() / n;
            changes[period..].iter().fold(first, |average, &change| average + (part(change) - average) / n)
        };
        let (gain, loss) = (smoothed(|change| change.max(0.0)), smoothed(|change| (-change).max(0.0)));
        Some(if loss == 0.0 && gain == 0.0 { 50.0 } else { 100.0 - 100.0 / (1.0 + gain / loss) })
    }

    proptest! {
        /// As the definition over the whole series, made anew for each value.
        #[test]
        fn as_the_naive_formula(values in prop::collection::vec(1.0f64..1_000.0, 1..120), period in 1usize..20) {
            let mut rsi = Rsi::new(period);
            for (at, &value) in values.iter().enumerate() {
                let (got, expected) = (rsi.push(value), naive(&values[..=at], period));
                prop_assert_eq!(got.is_some(), expected.is_some());
                if let (Some(got), Some(expected)) = (got, expected) {
                    prop_assert!((got - expected).abs() < 1e-6, "{} {}", got, expected);
                }
            }
        }
    }
}

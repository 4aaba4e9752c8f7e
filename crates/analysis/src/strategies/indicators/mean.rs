//! The mean of the last values.

use std::collections::VecDeque;

/// The mean of the last `n` values.
///
/// Adding the new value and taking away the old one lets rounding pile up for ever. So a second sum is built beside, of the
/// values since the last exchange: after `n` values it is the window's, freshly added, and takes the first one's place.
#[derive(Clone, Debug)]
pub struct Mean {
    window: VecDeque<f64>,
    len: usize,
    sum: f64,
    fresh: f64,
    fresh_len: usize,
}

impl Mean {
    /// Over `len` values.
    ///
    /// # Panics
    /// When `len` is 0.
    #[must_use]
    pub fn new(len: usize) -> Self {
        assert!(len > 0, "a window holds at least one value");
        Self { window: VecDeque::with_capacity(len), len, sum: 0.0, fresh: 0.0, fresh_len: 0 }
    }

    /// Takes the next value; the mean once there are enough.
    pub fn push(&mut self, value: f64) -> Option<f64> {
        if self.window.len() == self.len {
            self.sum -= self.window.pop_front().unwrap_or_default();
        }
        self.window.push_back(value);
        self.sum += value;
        self.fresh += value;
        self.fresh_len += 1;
        if self.fresh_len == self.len {
            (self.sum, self.fresh, self.fresh_len) = (self.fresh, 0.0, 0);
        }
        (self.window.len() == self.len).then(|| self.sum / self.len as f64)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::new(self.len);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CLOSES, near};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        let mut mean = Mean::new(5);
        let means: Vec<_> = CLOSES.iter().map(|&close| mean.push(close)).collect();
        assert_eq!(means[..4], [None; 4]);
        let expected = [(4, MEAN5[0]), (5, MEAN5[1]), (9, MEAN5[2]), (14, MEAN5[3]), (19, MEAN5[4])];
        for (at, value) in expected {
            assert!(near(means[at].unwrap(), value), "{at}: {:?} {value}", means[at]);
        }
    }

    /// See `CLOSES`.
    const MEAN5: [f64; 5] = [44.104, 44.202, 45.454, 46.018, 46.06];

    #[test]
    fn rounding_does_not_pile_up() {
        let mut mean = Mean::new(3);
        for at in 0..1_000_000u32 {
            mean.push(1e9 + f64::from(at % 7) * 0.1);
        }
        mean.push(0.25);
        mean.push(0.25);
        assert!(near(mean.push(0.25).unwrap(), 0.25));
        let mut last = None;
        for _ in 0..6 {
            last = mean.push(0.1);
        }
        assert_eq!(last, Some((0.1 + 0.1 + 0.1) / 3.0), "nothing is left of the large values");
    }

    proptest! {
        /// As the sum of the window, added anew for each value.
        #[test]
        fn as_the_naive_formula(values in prop::collection::vec(0.0001f64..100_000.0, 1..200), len in 1usize..40) {
            let mut mean = Mean::new(len);
            for (at, &value) in values.iter().enumerate() {
                let got = mean.push(value);
                prop_assert_eq!(got.is_some(), at + 1 >= len);
                if let Some(got) = got {
                    let naive = values[at + 1 - len..=at].iter().sum::<f64>() / len as f64;
                    prop_assert!((got - naive).abs() <= 1e-9 * 100_000.0, "{} {}", got, naive);
                }
            }
        }
    }
}

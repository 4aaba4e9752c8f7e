//! Mean and standard deviation of the last values.

use std::collections::VecDeque;

/// Mean and population standard deviation of the last `n` values.
///
/// Sums are taken of distances from a value nearby, so that squares of large prices do not drown small differences; both
/// the sums and that value are exchanged for fresh ones every `n` values, as in [`super::Mean`].
#[derive(Clone, Debug)]
pub struct Deviation {
    window: VecDeque<f64>,
    len: usize,
    sums: Sums,
    fresh: Sums,
    fresh_len: usize,
}

/// Sums of the distances from `anchor`, and of their squares.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    anchor: f64,
    first: f64,
    second: f64,
}

impl Sums {
    fn add(&mut self, value: f64) {
        let apart = value - self.anchor;
        self.first += apart;
        self.second += apart * apart;
    }

    fn remove(&mut self, value: f64) {
        let apart = value - self.anchor;
        self.first -= apart;
        self.second -= apart * apart;
    }
}

impl Deviation {
    /// Over `len` values.
    ///
    /// # Panics
    /// When `len` is 0.
    #[must_use]
    pub fn new(len: usize) -> Self {
        assert!(len > 0, "a window holds at least one value");
        Self { window: VecDeque::with_capacity(len), len, sums: Sums::default(), fresh: Sums::default(), fresh_len: 0 }
    }

    /// Takes the next value; mean and deviation once there are enough.
    pub fn push(&mut self, value: f64) -> Option<(f64, f64)> {
        if self.window.is_empty() {
            self.sums.anchor = value;
        }
        if self.fresh_len == 0 {
            self.fresh = Sums { anchor: value, ..Sums::default() };
        }
        if self.window.len() == self.len {
            self.sums.remove(self.window.pop_front().unwrap_or_default());
        }
        self.window.push_back(value);
        self.sums.add(value);
        self.fresh.add(value);
        self.fresh_len += 1;
        if self.fresh_len == self.len {
            (self.sums, self.fresh_len) = (self.fresh, 0);
        }
        (self.window.len() == self.len).then(|| {
            let Sums { anchor, first, second } = self.sums;
            let (n, apart) = (self.len as f64, first / self.len as f64);
            (anchor + apart, (second / n - apart * apart).max(0.0).sqrt())
        })
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
        let mut deviation = Deviation::new(5);
        let all: Vec<_> = CLOSES.iter().map(|&close| deviation.push(close)).collect();
        assert_eq!(all[..4], [None; 4]);
        for (at, mean, sigma) in KNOWN {
            let (got_mean, got_sigma) = all[at].unwrap();
            assert!(near(got_mean, mean) && near(got_sigma, sigma), "{at}: {got_mean} {got_sigma}");
        }
    }

    /// See `CLOSES`: place, mean and population standard deviation of the last five.
    const KNOWN: [(usize, f64, f64); 4] = [
        (4, 44.104, 0.265_751_763_869_969_5),
        (9, 45.454, 0.459_721_654_917_407_6),
        (14, 46.018, 0.253_092_868_330_974_5),
        (19, 46.06, 0.256_515_106_767_613_2),
    ];

    #[test]
    fn small_differences_of_large_values_are_seen() {
        let mut deviation = Deviation::new(4);
        let mut last = None;
        for at in 0..1_000 {
            last = deviation.push(1e9 + f64::from(at % 2) * 0.01);
        }
        let (_, sigma) = last.unwrap();
        assert!((sigma - 0.005).abs() < 1e-8, "{sigma}");
    }

    proptest! {
        /// As the textbook's two passes over the window, made anew for each value.
        #[test]
        fn as_the_naive_formula(values in prop::collection::vec(0.0001f64..100_000.0, 1..200), len in 1usize..40) {
            let mut deviation = Deviation::new(len);
            for (at, &value) in values.iter().enumerate() {
                let got = deviation.push(value);
                prop_assert_eq!(got.is_some(), at + 1 >= len);
                let Some((mean, sigma)) = got else { continue };
                let window = &values[at + 1 - len..=at];
                let naive = window.iter().sum::<f64>() / len as f64;
                let variance = window.iter().map(|x| (x - naive).powi(2)).sum::<f64>() / len as f64;
                prop_assert!((mean - naive).abs() <= 1e-4, "{} {}", mean, naive);
                // The root makes 1e-3 of a rounding of 1e-6 when the deviation is 0.
                prop_assert!((sigma - variance.sqrt()).abs() <= 1e-3, "{} {}", sigma, variance.sqrt());
            }
        }
    }
}

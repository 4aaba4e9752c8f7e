//! When to offer a failed batch again: a few quick attempts, then backoff with full jitter.

use std::time::Duration;

/// The schedule of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Quick attempts, `delay` apart.
    pub attempts: u32,
    /// Pause between quick attempts, and base of the backoff after them.
    pub delay: Duration,
    /// Longest pause.
    pub delay_max: Duration,
}

impl Retry {
    /// Pause before attempt number `failed + 1`, after `failed` failures.
    ///
    /// Full jitter (uniform from 0 to the exponential bound) keeps many recorders from coming back in step after a
    /// common outage.
    #[must_use]
    pub fn delay(&self, failed: u32, rng: &mut fastrand::Rng) -> Duration {
        if failed <= self.attempts {
            return self.delay.min(self.delay_max);
        }
        let doublings = (failed - self.attempts).min(20);
        let bound = self.delay.saturating_mul(1 << doublings).min(self.delay_max);
        Duration::from_nanos(rng.u64(0..=feedd_model::duration_nanos(bound)))
    }

    /// Whether the quick attempts are used up: the batch counts as failed once.
    #[must_use]
    pub const fn is_exhausted(&self, failed: u32) -> bool {
        failed == self.attempts + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_attempts_then_bounded_jitter() {
        let retry = Retry { attempts: 3, delay: Duration::from_secs(1), delay_max: Duration::from_secs(30) };
        let mut rng = fastrand::Rng::with_seed(7);
        for failed in 1..=3 {
            assert_eq!(retry.delay(failed, &mut rng), Duration::from_secs(1), "quick attempt {failed}");
        }
        for (failed, bound) in [(4, 2), (5, 4), (6, 8), (7, 16), (8, 30), (40, 30), (u32::MAX, 30)] {
            let longest = (0..500).map(|_| retry.delay(failed, &mut rng)).max().unwrap();
            assert!(longest <= Duration::from_secs(bound), "{failed}");
            assert!(longest > Duration::from_secs(bound) * 9 / 10, "jitter spans the whole range after {failed}");
        }
        assert_eq!((1..10).filter(|&n| retry.is_exhausted(n)).collect::<Vec<_>>(), [4]);
    }
}

//! When a failed batch is offered again: a few quick attempts, then waits with full jitter that grow to a bound.

use feedd_model::duration_nanos;
use std::time::Duration;

/// The schedule of attempts; [`crate::Breaker`] walks along it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Quick attempts, `delay` apart.
    pub attempts: u32,
    /// Pause before a quick attempt, and base of the waits after them.
    pub delay: Duration,
    /// Longest pause.
    pub delay_max: Duration,
    /// How long a sink must have worked before a new failure starts the schedule from the beginning.
    pub stable: Duration,
}

impl Default for Retry {
    /// 3 attempts, 1 s apart; up to 30 s; stable after 60 s.
    fn default() -> Self {
        Self {
            attempts: 3,
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(30),
            stable: Duration::from_secs(60),
        }
    }
}

/// Shortest wait once the quick attempts are used up. Full jitter draws from 0, and a wait of 0 would offer a batch again in
/// the same instant. 50 ms is longer than a refused connection takes, and 0.3 % of the mean wait at a bound of 30 s.
const WAIT_NANOS_MIN: u64 = 50_000_000;

impl Retry {
    /// Pause before a quick attempt, in nanoseconds.
    pub(crate) fn quick_nanos(&self) -> u64 {
        duration_nanos(self.delay.min(self.delay_max))
    }

    /// Wait after `opened` openings in a row, in nanoseconds: uniform from a small floor to min(`delay_max`,
    /// `delay` x 2^`opened`).
    ///
    /// Full jitter keeps many recorders from coming back in step after a common outage: what they have in common is only
    /// the bound, never the moment.
    pub(crate) fn wait_nanos(&self, opened: u32, rng: &mut fastrand::Rng) -> u64 {
        // The bound is reached long before: 2^31 ms are 24 days.
        let factor = 1u32 << opened.min(31);
        let bound = duration_nanos(self.delay.saturating_mul(factor).min(self.delay_max));
        // Half of it at most, so that short schedules have jitter, too.
        rng.u64(WAIT_NANOS_MIN.min(bound / 2)..=bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_span_the_range_up_to_their_bound_and_never_spin() {
        let retry = Retry::default();
        let mut rng = fastrand::Rng::with_seed(7);
        assert_eq!(retry.quick_nanos(), 1_000_000_000);
        // openings in a row, longest wait in seconds
        for (opened, bound) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (40, 30), (u32::MAX, 30)] {
            let bound = bound * 1_000_000_000;
            let waits: Vec<u64> = (0..2000).map(|_| retry.wait_nanos(opened, &mut rng)).collect();
            let (least, most) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
            assert!((bound * 98 / 100..=bound).contains(&most), "{opened}: {most}");
            assert!((WAIT_NANOS_MIN..WAIT_NANOS_MIN + bound / 50).contains(&least), "{opened}: {least}");
        }
    }

    #[test]
    fn a_schedule_shorter_than_the_floor_keeps_its_bound() {
        let retry = Retry {
            attempts: 0,
            delay: Duration::from_millis(1),
            delay_max: Duration::from_millis(10),
            stable: Duration::ZERO,
        };
        let mut rng = fastrand::Rng::with_seed(7);
        let waits: Vec<u64> = (0..500).map(|_| retry.wait_nanos(9, &mut rng)).collect();
        assert!(waits.iter().all(|wait| (5_000_000..=10_000_000).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|&wait| wait < 5_500_000), "with jitter");
        let none = Retry { delay: Duration::ZERO, delay_max: Duration::ZERO, ..retry };
        assert_eq!(none.wait_nanos(1, &mut rng), 0, "as configured");
    }
}

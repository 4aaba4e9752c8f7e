//! Waits between attempts to connect: full jitter from a base that doubles up to a bound, without an end.
//!
//! Sinks wait by a schedule of their own (`feedd_delivery::Retry`): a few quick attempts first. A venue counts attempts and
//! bans, so here the jitter begins with the first one.

use crate::config::Periods;
use feedd_model::duration_nanos;

/// Shortest wait, so that a connection that fails at once is not tried again in the same instant.
const WAIT_NS_MIN: u64 = 50_000_000;

/// How often it has failed in a row.
#[derive(Debug)]
pub(super) struct Backoff {
    base_ns: u64,
    bound_ns: u64,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    pub(super) fn new(periods: &Periods) -> Self {
        let bound_ns = duration_nanos(periods.retry_max);
        Self { base_ns: duration_nanos(periods.retry_min).min(bound_ns), bound_ns, failures: 0 }
    }

    /// The wait after one more failure: uniform from a small floor to min(bound, base x 2^failures before).
    pub(super) fn fail(&mut self, rng: &mut fastrand::Rng) -> u64 {
        let bound = doubled(self.base_ns, self.failures).min(self.bound_ns);
        self.failures = self.failures.saturating_add(1);
        rng.u64(WAIT_NS_MIN.min(bound / 2)..=bound)
    }

    /// Other waits from now on; how often it has failed stays.
    pub(super) fn set_periods(&mut self, periods: &Periods) {
        *self = Self { failures: self.failures, ..Self::new(periods) };
    }

    /// A connection was well for long enough.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// `ns` x 2^`times`.
pub(super) fn doubled(ns: u64, times: u32) -> u64 {
    ns.saturating_mul(1 << times.min(40))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_span_the_range() {
        let mut most = [0_u64; 9];
        let mut least = [u64::MAX; 9];
        for seed in 0..2_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut backoff = Backoff::new(&Periods::default());
            for (most, least) in most.iter_mut().zip(&mut least) {
                let wait = backoff.fail(&mut rng);
                (*most, *least) = ((*most).max(wait), (*least).min(wait));
            }
        }
        for (i, bound) in [1, 2, 4, 8, 16, 32, 60, 60, 60].into_iter().enumerate() {
            let bound = bound * 1_000_000_000;
            assert!((bound * 98 / 100..=bound).contains(&most[i]), "{i}: {}", most[i]);
            assert!((WAIT_NS_MIN..WAIT_NS_MIN + bound / 50).contains(&least[i]), "{i}: {}", least[i]);
        }
    }

    #[test]
    fn an_endless_outage_overflows_nothing_and_a_reset_begins_anew() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::new(&Periods::default());
        assert!((0..100_000).all(|_| backoff.fail(&mut rng) <= 60_000_000_000));
        backoff.failures = u32::MAX;
        assert!(backoff.fail(&mut rng) <= 60_000_000_000);
        backoff.reset();
        assert!(backoff.fail(&mut rng) <= 1_000_000_000);
    }
}

//! A budget: a token bucket, and a log of what was spent, so that no period of any position holds more than is allowed.
//!
//! The bucket alone would let `burst + count` pass in a period that begins with a full bucket; a bucket slow enough never to
//! do so would starve when the burst is as large as the count.

use crate::config;
use feedd_model::{MonoNanos, duration_nanos};
use std::collections::VecDeque;

/// What may be spent, and what has been.
#[derive(Debug)]
pub(super) struct Budget {
    count: u64,
    period_ns: u64,
    burst: u64,
    /// The bucket gains one in this time.
    one_ns: u64,
    /// When the bucket is full again if nothing more is taken.
    full_at: MonoNanos,
    /// What was spent within the last period, oldest first.
    spent: VecDeque<(MonoNanos, u64)>,
    spent_sum: u64,
}

impl Budget {
    /// Nothing spent yet.
    pub(super) fn new(config: config::Budget) -> Self {
        let count = u64::from(config.count.max(1));
        let period_ns = duration_nanos(config.period).max(1);
        Self {
            count,
            period_ns,
            burst: u64::from(config.burst.max(1)).min(count),
            one_ns: period_ns.div_ceil(count),
            full_at: MonoNanos(0),
            spent: VecDeque::new(),
            spent_sum: 0,
        }
    }

    /// When so much may be spent; in the past when it may be at once. What costs more than the burst needs a full bucket, what
    /// costs more than the count a whole period for itself.
    pub(super) fn ready_at(&self, cost: u32) -> MonoNanos {
        let cost = u64::from(cost);
        let room_ns = (self.burst - cost.min(self.burst)) * self.one_ns;
        let bucket = self.full_at.0.saturating_sub(room_ns);
        let (mut left, mut log) = (self.spent_sum, 0);
        let mut spent = self.spent.iter();
        while left + cost.min(self.count) > self.count
            && let Some((at, old)) = spent.next()
        {
            left -= old;
            log = at.0.saturating_add(self.period_ns);
        }
        MonoNanos(bucket.max(log))
    }

    /// Spends it, if it may be spent now.
    pub(super) fn take(&mut self, now: MonoNanos, cost: u32) -> bool {
        if self.ready_at(cost) > now {
            return false;
        }
        while let Some(&(at, old)) = self.spent.front()
            && now.since(at) >= self.period_ns
        {
            self.spent_sum -= old;
            self.spent.pop_front();
        }
        let cost = u64::from(cost);
        self.full_at = MonoNanos(self.full_at.max(now).0.saturating_add(cost * self.one_ns));
        self.spent_sum += cost;
        match self.spent.back_mut() {
            Some((at, sum)) if *at == now => *sum += cost,
            _ => self.spent.push_back((now, cost)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// Counted by hand over every window, whoever asks whenever.
        #[test]
        fn no_window_holds_more_than_allowed(
            count in 1..20_u32,
            burst in 1..25_u32,
            steps in proptest::collection::vec((0..700_u64, 1..4_u32), 1..300),
        ) {
            let period = Duration::from_secs(2);
            let mut budget = Budget::new(config::Budget { count, period, burst });
            let mut now = 0;
            let mut spent: Vec<(u64, u32)> = Vec::new();
            for (wait_ms, cost) in steps {
                now += wait_ms * 1_000_000;
                let cost = cost.min(count);
                let ready = budget.ready_at(cost).0;
                prop_assert_eq!(budget.take(MonoNanos(now), cost), ready <= now);
                if ready <= now {
                    spent.push((now, cost));
                }
            }
            for (i, (from, _)) in spent.iter().enumerate() {
                let within = |ns: u64| spent[i..].iter().filter(move |(at, _)| at - from < ns).map(|(_, cost)| cost).sum::<u32>();
                prop_assert!(within(2_000_000_000) <= count, "{spent:?}");
                prop_assert!(within(1) <= burst.max(3), "at once: {spent:?}");
            }
        }

        /// What is asked for at the time that was named is given, so that nothing waits in vain.
        #[test]
        fn what_was_promised_is_kept(count in 1..50_u32, burst in 1..60_u32, costs in proptest::collection::vec(1..70_u32, 1..100)) {
            let mut budget = Budget::new(config::Budget { count, period: Duration::from_secs(1), burst });
            let mut now = MonoNanos(0);
            for cost in &costs {
                now = now.max(budget.ready_at(*cost));
                prop_assert!(budget.take(now, *cost));
            }
            let total: u32 = costs.iter().sum();
            // At worst every one needs a period of its own, and the bucket one for each period's worth.
            prop_assert!(now.0 <= u64::from(total / count + 1 + u32::try_from(costs.len()).unwrap()) * 1_000_000_001);
        }
    }

    #[test]
    fn a_full_rate_is_reached_and_spread_evenly() {
        let period = Duration::from_secs(1);
        let mut budget = Budget::new(config::Budget { count: 5, period, burst: 1 });
        let mut now = MonoNanos(0);
        for i in 0..50 {
            now = now.max(budget.ready_at(1));
            assert!(budget.take(now, 1));
            assert_eq!(now, MonoNanos(i * 200_000_000));
        }
    }
}

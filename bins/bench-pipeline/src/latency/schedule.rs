//! When each event is due. Counted from a fixed start: whoever is late catches up, and what waited shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const NANOS_PER_S: u64 = 1_000_000_000;

/// Groups of events at a fixed rate, from a start that the source sets.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    groups_per_s: u64,
    /// Events that are due together.
    group: u64,
    /// Monotonic ns.
    start: Arc<AtomicU64>,
}

impl Schedule {
    /// # Panics
    /// When a number is 0.
    pub(crate) fn new(groups_per_s: u64, group: u64) -> Self {
        assert!(groups_per_s > 0 && group > 0, "something is due some time");
        Self { groups_per_s, group, start: Arc::default() }
    }

    /// The first event is due at `start_ns`. To be called before it is published.
    pub(crate) fn begin(&self, start_ns: u64) {
        // Release pairs with the Acquire in `dues`.
        self.start.store(start_ns, Ordering::Release);
    }

    /// The due times of the events from the first on. After [`Schedule::begin`].
    pub(crate) fn dues(&self) -> Dues {
        Dues {
            groups_per_s: self.groups_per_s,
            step_ns: NANOS_PER_S / self.groups_per_s,
            step_part: NANOS_PER_S % self.groups_per_s,
            group: self.group,
            at: self.start.load(Ordering::Acquire),
            part: 0,
            left: self.group,
        }
    }
}

/// Due times, one after the other, without a division: the same walk on both sides of the ring.
#[derive(Clone, Debug)]
pub(crate) struct Dues {
    groups_per_s: u64,
    /// From one group to the next.
    step_ns: u64,
    step_part: u64,
    group: u64,
    at: u64,
    /// Of a nanosecond, in `groups_per_s` parts.
    part: u64,
    /// Events still due at `at`.
    left: u64,
}

impl Dues {
    /// When the next event is due, without passing it.
    pub(crate) const fn peek(&self) -> u64 {
        self.at
    }

    /// When the next event is due.
    #[inline]
    pub(crate) const fn next(&mut self) -> u64 {
        let due = self.at;
        self.left -= 1;
        if self.left == 0 {
            self.left = self.group;
            self.at += self.step_ns;
            self.part += self.step_part;
            if self.part >= self.groups_per_s {
                self.part -= self.groups_per_s;
                self.at += 1;
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dues_are_the_start_and_the_number_over_the_rate() {
        for (groups_per_s, group) in [(10_000, 1), (1_000_000, 1), (3, 1), (7_000_000, 2), (100, 64)] {
            let schedule = Schedule::new(groups_per_s, group);
            schedule.begin(1_000);
            let mut dues = schedule.dues();
            for number in 0..10_000 {
                let expected = 1_000 + number / group * NANOS_PER_S / groups_per_s;
                assert_eq!((dues.peek(), dues.next()), (expected, expected), "{groups_per_s}/s by {group}, {number}");
            }
        }
    }
}

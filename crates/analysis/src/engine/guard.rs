//! The lag guard: strategies that look at what is long past are left out until the engine has caught up.

use feedd_model::{Interval, UnixNanos};

/// How far behind is too far. Live only: it depends on the wall clock, so a replay need not give the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Time from the closing of a bar to its turn.
    pub ns_max: i64,
    /// The same in bars of the shortest interval that a strategy looks at.
    pub bars_max: u32,
}

impl Default for Lag {
    /// A minute, or ten bars when that is less.
    fn default() -> Self {
        Self { ns_max: 60_000_000_000, bars_max: 10 }
    }
}

/// Whether the engine is too far behind.
#[derive(Debug)]
pub(super) struct Guard {
    ns_max: i64,
    is_behind: bool,
}

/// Part of the bound below which it has caught up: well below, so that it does not come and go.
const CAUGHT_UP_PART: i64 = 4;

impl Guard {
    pub(super) fn new(lag: Lag, intervals: impl Iterator<Item = Interval>) -> Self {
        let seconds = intervals.filter_map(|interval| match interval {
            Interval::Seconds(seconds) => Some(i64::from(seconds)),
            Interval::Trades(_) | Interval::Volume(_) => None,
        });
        let bars_ns = seconds.min().map(|seconds| (seconds * 1_000_000_000).saturating_mul(i64::from(lag.bars_max)));
        Self { ns_max: bars_ns.map_or(lag.ns_max, |ns| ns.min(lag.ns_max)), is_behind: false }
    }

    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Looks at one bar; tells the lag when the answer has changed.
    pub(super) fn look(&mut self, now: UnixNanos, closed_at: UnixNanos) -> Option<i64> {
        let lag_ns = now.0.saturating_sub(closed_at.0);
        let bound = if self.is_behind { self.ns_max / CAUGHT_UP_PART } else { self.ns_max };
        let is_behind = lag_ns > bound;
        (std::mem::replace(&mut self.is_behind, is_behind) != is_behind).then_some(lag_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_shorter_of_time_and_bars_bounds() {
        let bound = |intervals: &[Interval]| Guard::new(Lag::default(), intervals.iter().copied()).ns_max / SECOND;
        let (second, minute) = (Interval::Seconds(1), Interval::Seconds(60));
        assert_eq!(bound(&[minute]), 60);
        assert_eq!(bound(&[minute, second]), 10);
        assert_eq!(bound(&[Interval::Seconds(3)]), 30);
        assert_eq!(bound(&[Interval::Trades(100)]), 60);
        assert_eq!(bound(&[]), 60);
    }

    #[test]
    fn behind_from_above_the_bound_until_well_below_it() {
        let mut guard = Guard::new(Lag::default(), std::iter::empty());
        let steps = [
            (0, None),
            (60, None),
            (61, Some(61)),
            (100, None),
            (16, None),
            (15, Some(15)),
            (60, None),
            (61, Some(61)),
        ];
        for (lag, told) in steps {
            let at = UnixNanos(1_000 * SECOND);
            let changed = guard.look(UnixNanos(at.0 + lag * SECOND), at);
            assert_eq!(changed, told.map(|lag| lag * SECOND), "{lag}");
        }
        assert!(guard.is_behind());
    }
}

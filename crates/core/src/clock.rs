//! The two clocks, as arguments: nothing else in the project asks the system for the time. And how a step of the wall
//! clock is noticed.

use feedd_model::{MonoNanos, UnixNanos, duration_nanos};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

/// Tells both times. Shared by every thread of a run.
pub trait Clock: Send + Sync {
    /// Wall clock, for storage.
    fn wall(&self) -> UnixNanos;
    /// Monotonic clock, for durations.
    fn mono(&self) -> MonoNanos;
}

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Monotonic time counts from here.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> UnixNanos {
        #[allow(clippy::disallowed_methods, reason = "this is the clock that the rule asks for")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        UnixNanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    fn mono(&self) -> MonoNanos {
        MonoNanos(duration_nanos(self.start.elapsed()))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: AtomicI64,
    mono: AtomicU64,
}

impl ManualClock {
    /// Starts at `wall`, monotonic 0.
    #[must_use]
    pub fn at(wall: UnixNanos) -> Self {
        Self { wall: AtomicI64::new(wall.0), mono: AtomicU64::new(0) }
    }

    /// Moves both clocks forward by `nanos`.
    pub fn advance(&self, nanos: u64) {
        self.wall.fetch_add(i64::try_from(nanos).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.mono.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Sets the wall clock forward, or back when `nanos` is negative; no time passes.
    pub fn step_wall(&self, nanos: i64) {
        self.wall.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> UnixNanos {
        UnixNanos(self.wall.load(Ordering::Relaxed))
    }

    fn mono(&self) -> MonoNanos {
        MonoNanos(self.mono.load(Ordering::Relaxed))
    }
}

/// What a look at both clocks found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The wall clock now.
    pub wall: UnixNanos,
    /// How far it was set since the last look: forward, back when negative, 0 when it was not.
    pub step_ns: i64,
}

/// Notices steps of the wall clock: each look compares its distance from the monotonic clock with the last one's.
///
/// Where the system slews, it slews both clocks, so that the distance stays; a leap second that is not smeared, and a
/// sleep of the machine, are steps. Steps below [`STEP_NANOS_MIN`] pass unnoticed.
///
/// Hot path: three readings of clocks, no allocation, lock or system call.
#[derive(Debug, Default)]
pub struct StepWatch {
    known: Option<Distance>,
}

/// Between which bounds the wall clock is ahead of the monotonic one. As wide as the thread was held up between its
/// readings.
#[derive(Clone, Copy, Debug)]
struct Distance {
    at: MonoNanos,
    low: i64,
    high: i64,
}

/// Smaller steps are none: what a correction by a time server that slews may leave.
pub const STEP_NANOS_MIN: i64 = 50_000_000;
/// One part of so many may the clocks drift apart without a step: twice what a system slews at most.
const DRIFT_PARTS: u64 = 1_000;

impl StepWatch {
    /// Looks at both clocks. The first look knows no step.
    #[inline]
    pub fn look(&mut self, clock: &dyn Clock) -> Look {
        let before = clock.mono();
        let wall = clock.wall();
        let after = clock.mono();
        let ahead = |mono: MonoNanos| wall.0.saturating_sub(i64::try_from(mono.0).unwrap_or(i64::MAX));
        Look { wall, step_ns: self.judge(Distance { at: before, low: ahead(after), high: ahead(before) }) }
    }

    /// When the clocks were looked at last; 0 before the first look.
    #[inline]
    #[must_use]
    pub fn looked_at(&self) -> MonoNanos {
        self.known.map_or(MonoNanos(0), |known| known.at)
    }

    /// A step is what no distance within the bounds of both looks explains.
    fn judge(&mut self, now: Distance) -> i64 {
        let Some(known) = self.known.replace(now) else { return 0 };
        let drift = i64::try_from(now.at.since(known.at) / DRIFT_PARTS).unwrap_or(i64::MAX);
        let (low, high) = (known.low.saturating_sub(drift), known.high.saturating_add(drift));
        if now.low > high.saturating_add(STEP_NANOS_MIN) {
            return now.low.saturating_sub(known.high);
        }
        if now.high < low.saturating_sub(STEP_NANOS_MIN) {
            return now.high.saturating_sub(known.low);
        }
        if now.low <= high && low <= now.high {
            // What both looks allow: one during which the thread was held up does not blind the next.
            self.known = Some(Distance { at: now.at, low: now.low.max(low), high: now.high.min(high) });
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;
    const SECOND: i64 = 1_000_000_000;
    const MILLI: u64 = 1_000_000;

    /// After a second of looks at a steady clock.
    fn watched() -> (ManualClock, StepWatch) {
        let (clock, mut watch) = (ManualClock::at(UnixNanos(1_723_075_200 * SECOND)), StepWatch::default());
        for _ in 0..1_000 {
            assert_eq!(watch.look(&clock), Look { wall: clock.wall(), step_ns: 0 });
            clock.advance(MILLI);
        }
        (clock, watch)
    }

    #[test]
    fn a_step_is_seen_once_with_its_size_and_direction() {
        let cases = [
            ("an hour forward", HOUR, HOUR),
            ("an hour back", -HOUR, -HOUR),
            ("a leap second", -SECOND, -SECOND),
            ("60 ms forward", 60_000_000, 60_000_000),
            ("60 ms back", -60_000_000, -60_000_000),
            // The drift of the millisecond since the last look comes on top.
            ("as small as a correction", STEP_NANOS_MIN + 1_000, 0),
            ("the same back", -STEP_NANOS_MIN - 1_000, 0),
            ("one nanosecond more", STEP_NANOS_MIN + 1_001, STEP_NANOS_MIN + 1_001),
            ("the same back", -STEP_NANOS_MIN - 1_001, -STEP_NANOS_MIN - 1_001),
        ];
        for (name, step, expected) in cases {
            let (clock, mut watch) = watched();
            clock.step_wall(step);
            assert_eq!(watch.look(&clock), Look { wall: clock.wall(), step_ns: expected }, "{name}");
            clock.advance(MILLI);
            assert_eq!(watch.look(&clock).step_ns, 0, "{name}: once");
            clock.step_wall(HOUR);
            assert_eq!(watch.look(&clock).step_ns, HOUR, "{name}: the next one");
        }
    }

    #[test]
    fn the_first_look_knows_no_step() {
        let clock = ManualClock::at(UnixNanos(HOUR));
        assert_eq!(StepWatch::default().look(&clock), Look { wall: UnixNanos(HOUR), step_ns: 0 });
    }

    #[test]
    fn slewing_at_its_highest_rate_is_no_step_at_whatever_interval() {
        for interval_ms in [1, 100, 60_000, 3_600_000] {
            for sign in [1, -1] {
                let (clock, mut watch) = watched();
                for look in 0..200 {
                    clock.advance(interval_ms * MILLI);
                    // 500 parts of a million.
                    clock.step_wall(sign * i64::try_from(interval_ms * MILLI / 2_000).unwrap());
                    assert_eq!(watch.look(&clock).step_ns, 0, "{interval_ms} ms, {sign}, look {look}");
                }
            }
        }
    }

    /// Time passes before or after the wall clock is read.
    struct HeldUp<'a> {
        clock: &'a ManualClock,
        before_wall: u64,
        after_wall: u64,
    }

    impl Clock for HeldUp<'_> {
        fn wall(&self) -> UnixNanos {
            self.clock.advance(self.before_wall);
            let wall = self.clock.wall();
            self.clock.advance(self.after_wall);
            wall
        }

        fn mono(&self) -> MonoNanos {
            self.clock.mono()
        }
    }

    #[test]
    fn a_thread_held_up_between_its_readings_is_no_step_and_hides_none() {
        let second = SECOND.cast_unsigned();
        for (before_wall, after_wall) in [(second, 0), (0, second), (second, second)] {
            let case = format!("{before_wall} before, {after_wall} after");
            let (clock, mut watch) = watched();
            let held_up = HeldUp { clock: &clock, before_wall, after_wall };
            for _ in 0..3 {
                assert_eq!(watch.look(&held_up).step_ns, 0, "{case}");
                assert_eq!(watch.look(&clock).step_ns, 0, "{case}: afterwards");
            }
            // The step is smaller than the time the thread was held up at the look before.
            assert_eq!(watch.look(&held_up).step_ns, 0, "{case}");
            clock.step_wall(300_000_000);
            assert_eq!(watch.look(&clock).step_ns, 300_000_000, "{case}: a step behind it");
            clock.step_wall(-HOUR);
            let step_ns = watch.look(&held_up).step_ns;
            assert!((-HOUR..=2 * SECOND - HOUR).contains(&step_ns), "{case}: a step with it, {step_ns}");
            assert_eq!(watch.look(&clock).step_ns, 0, "{case}: and no second one");
        }
    }

    #[test]
    fn the_system_s_clocks_show_no_step() {
        let (clock, mut watch) = (SystemClock::new(), StepWatch::default());
        let steps: Vec<i64> = (0..100_000).map(|_| watch.look(&clock).step_ns).filter(|step| *step != 0).collect();
        assert_eq!(steps, [] as [i64; 0], "unless somebody set this machine's clock just now");
        assert!(clock.mono() > MonoNanos(0) && clock.wall() > UnixNanos(1_700_000_000 * SECOND), "both move");
    }
}

//! When the next frame is due: at a fixed rate, or as a recording's receive times say. Pure: time comes in.
//!
//! Both pacers count from a fixed start instead of adding up pauses, so a late wake-up never becomes drift; after a
//! stall, what is overdue comes at once.

use feedd_model::{MonoNanos, UnixNanos};
use std::num::{NonZeroU32, NonZeroU64};

/// How many frames per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As fast as the reader takes them.
    Max,
    /// So many in each second.
    PerSecond(NonZeroU64),
}

/// How fast a recording is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// As fast as the reader takes it.
    Max,
    /// Thousandths of real time: 1000 is as recorded, 60,000 is sixty times as fast.
    Thousandths(NonZeroU32),
}

/// Paces frames at a fixed rate: frame number k (from 0) is due k/rate seconds after the start.
#[derive(Clone, Copy, Debug)]
pub struct RatePacer {
    rate: Rate,
    start: MonoNanos,
    sent: u64,
}

impl RatePacer {
    /// The first frame is due at `start`.
    #[must_use]
    pub const fn new(rate: Rate, start: MonoNanos) -> Self {
        Self { rate, start, sent: 0 }
    }

    /// Frames that are due at `now` and not yet sent; `u64::MAX` at [`Rate::Max`].
    #[must_use]
    pub fn due(&self, now: MonoNanos) -> u64 {
        let Rate::PerSecond(rate) = self.rate else { return u64::MAX };
        if now < self.start {
            return 0;
        }
        let elapsed = u128::from(now.since(self.start));
        let due = elapsed * u128::from(rate.get()) / NANOS_PER_SECOND + 1;
        u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(self.sent)
    }

    /// Counts frames as sent.
    pub const fn sent(&mut self, frames: u64) {
        self.sent = self.sent.saturating_add(frames);
    }

    /// Nanoseconds from `now` until a frame is due; 0 when one is.
    #[must_use]
    pub fn wait_ns(&self, now: MonoNanos) -> u64 {
        self.deadline().map_or(0, |deadline| deadline.since(now))
    }

    /// When the next frame is due; `None` at [`Rate::Max`].
    fn deadline(&self) -> Option<MonoNanos> {
        let Rate::PerSecond(rate) = self.rate else { return None };
        let after = (u128::from(self.sent) * NANOS_PER_SECOND).div_ceil(u128::from(rate.get()));
        Some(later(self.start, after))
    }
}

/// Paces a recording by its receive times.
#[derive(Clone, Copy, Debug)]
pub struct RecordingPacer {
    speed: Speed,
    start: MonoNanos,
    /// The first receive time of the recording.
    first: Option<UnixNanos>,
    /// When the latest line was due.
    latest: MonoNanos,
}

impl RecordingPacer {
    /// The first line is due at `start`.
    #[must_use]
    pub const fn new(speed: Speed, start: MonoNanos) -> Self {
        Self { speed, start, first: None, latest: start }
    }

    /// When the next line, received at `recorded`, is due. Ask once per line, in the order of the file.
    ///
    /// Never before the line ahead of it: where the recorder's clock stepped back, or the time is unknown, the line
    /// is due together with the one before. At [`Speed::Max`] every line is due at the start.
    pub fn due_at(&mut self, recorded: Option<UnixNanos>) -> MonoNanos {
        if let (Speed::Thousandths(speed), Some(recorded)) = (self.speed, recorded) {
            let first = *self.first.get_or_insert(recorded);
            let recorded_ns = u128::try_from(i128::from(recorded.0) - i128::from(first.0)).unwrap_or(0);
            self.latest = self.latest.max(later(self.start, recorded_ns * 1_000 / u128::from(speed.get())));
        }
        self.latest
    }

    /// What comes from now on is due so much later: the recording stood still.
    pub const fn delay(&mut self, nanos: u64) {
        self.start = MonoNanos(self.start.0.saturating_add(nanos));
        self.latest = MonoNanos(self.latest.0.saturating_add(nanos));
    }
}

/// `start` plus nanoseconds, saturating.
fn later(start: MonoNanos, nanos: u128) -> MonoNanos {
    MonoNanos(start.0.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn per_second(rate: u64) -> Rate {
        Rate::PerSecond(NonZeroU64::new(rate).unwrap())
    }

    #[test]
    fn a_stall_is_caught_up_without_drift() {
        let mut pacer = RatePacer::new(per_second(1_000), MonoNanos(500));
        assert_eq!((pacer.due(MonoNanos(0)), pacer.wait_ns(MonoNanos(0))), (0, 500));
        assert_eq!(pacer.due(MonoNanos(500)), 1);
        pacer.sent(1);
        assert_eq!((pacer.due(MonoNanos(500)), pacer.wait_ns(MonoNanos(600))), (0, 999_900));
        // Away for 10 ms: ten frames are due, the oldest for 9 ms.
        let late = MonoNanos(10_000_500);
        assert_eq!((pacer.due(late), pacer.wait_ns(late)), (10, 0));
        pacer.sent(10);
        assert_eq!((pacer.due(late), pacer.wait_ns(late)), (0, 1_000_000));
    }

    #[test]
    fn max_is_always_due() {
        let mut pacer = RatePacer::new(Rate::Max, MonoNanos(5));
        pacer.sent(u64::MAX);
        pacer.sent(1);
        assert_eq!((pacer.due(MonoNanos(0)), pacer.wait_ns(MonoNanos(0))), (u64::MAX, 0));
    }

    #[test]
    fn recorded_times_are_followed() {
        let cases = [
            // name, speed in thousandths (0: max), receive times, when due (start 100)
            ("real time", 1_000, vec![Some(7_000), Some(7_500), Some(9_000)], vec![100, 600, 2_100]),
            ("twice as fast", 2_000, vec![Some(7_000), Some(7_500)], vec![100, 350]),
            ("half as fast", 500, vec![Some(7_000), Some(7_500)], vec![100, 1_100]),
            ("clock steps back", 1_000, vec![Some(0), Some(50), Some(20), Some(60)], vec![100, 150, 150, 160]),
            ("back before the first", 1_000, vec![Some(50), Some(-5), Some(51)], vec![100, 100, 101]),
            ("times unknown", 1_000, vec![None, Some(9), None, Some(19)], vec![100, 100, 100, 110]),
            ("max", 0, vec![Some(0), Some(1_000_000)], vec![100, 100]),
            ("the whole range", 1_000, vec![Some(i64::MIN), Some(i64::MAX)], vec![100, u64::MAX]),
        ];
        for (name, speed, recorded, expected) in cases {
            let mut pacer =
                RecordingPacer::new(NonZeroU32::new(speed).map_or(Speed::Max, Speed::Thousandths), MonoNanos(100));
            let due: Vec<u64> = recorded.into_iter().map(|time| pacer.due_at(time.map(UnixNanos)).0).collect();
            assert_eq!(due, expected, "{name}");
        }
    }

    proptest! {
        /// Sleeping as told always finds exactly one frame due, and never a moment earlier than it must.
        #[test]
        fn waiting_as_told_is_exact(rate in 1u64..50_000_000, sent in 0u64..1_000_000_000, start in 0u64..1_000_000) {
            let mut pacer = RatePacer::new(per_second(rate), MonoNanos(start));
            pacer.sent(sent);
            let due_at = start + pacer.wait_ns(MonoNanos(start));
            prop_assert_eq!(pacer.due(MonoNanos(due_at)), 1);
            if due_at > start {
                prop_assert_eq!(pacer.due(MonoNanos(due_at - 1)), 0);
            }
        }
    }
}

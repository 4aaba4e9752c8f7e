//! When the next frame is due: at a fixed rate, or as a recording's receive times say. Pure: time comes in.
//!
//! Both pacers count from a fixed start instead of adding up pauses, so a late wake-up never becomes drift; after a
//! stall, what is overdue comes at once.

use feedd_model::{Decimal, MonoNanos, UnixNanos};
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

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

impl Speed {
    /// As recorded.
    pub const REAL_TIME: Self = Self::Thousandths(NonZeroU32::new(1_000).expect("not zero"));
}

/// A rate or a speed that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PaceError {
    /// Not a rate.
    #[error("rate {text:?} is neither \"max\" nor a whole number of frames per second above 0")]
    Rate {
        /// As written.
        text: String,
    },
    /// Not a speed.
    #[error("speed {text:?} is neither \"max\" nor a factor from 0.001 to 4294967 (0 is \"max\")")]
    Speed {
        /// As written.
        text: String,
    },
}

impl FromStr for Rate {
    type Err = PaceError;

    /// `max`, or a whole number above 0.
    fn from_str(text: &str) -> Result<Self, PaceError> {
        match text {
            "max" => Ok(Self::Max),
            _ => text.parse().map(Self::PerSecond).map_err(|_| PaceError::Rate { text: text.to_owned() }),
        }
    }
}

impl FromStr for Speed {
    type Err = PaceError;

    /// `max` or `0`, or a factor with up to three decimals: `1`, `60`, `0.5`.
    fn from_str(text: &str) -> Result<Self, PaceError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let thousandths = Decimal::from_str(text).ok().and_then(|factor| factor.mantissa_at(3));
        let thousandths = thousandths.and_then(|value| u32::try_from(value).ok());
        let thousandths = thousandths.ok_or_else(|| PaceError::Speed { text: text.to_owned() })?;
        Ok(NonZeroU32::new(thousandths).map_or(Self::Max, Self::Thousandths))
    }
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

    /// Nanoseconds by which the next frame is overdue at `now`: how far the reader is behind. Always 0 at [`Rate::Max`].
    #[must_use]
    pub fn behind_ns(&self, now: MonoNanos) -> u64 {
        self.deadline().map_or(0, |deadline| now.since(deadline))
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
    fn texts_are_read_exactly() {
        let speed = |thousandths| Ok(Speed::Thousandths(NonZeroU32::new(thousandths).unwrap()));
        let refused = |text: &str| Err(PaceError::Speed { text: text.into() });
        let speeds = [
            ("max", Ok(Speed::Max)),
            ("0", Ok(Speed::Max)),
            ("1", Ok(Speed::REAL_TIME)),
            ("0.5", speed(500)),
            ("60", speed(60_000)),
            ("0.0005", refused("0.0005")),
            ("-1", refused("-1")),
            ("5000000", refused("5000000")),
            ("fast", refused("fast")),
        ];
        for (text, expected) in speeds {
            assert_eq!(text.parse::<Speed>(), expected, "{text}");
        }
        let refused = |text: &str| Err(PaceError::Rate { text: text.into() });
        let rates =
            [("max", Ok(Rate::Max)), ("5000", Ok(per_second(5_000))), ("0", refused("0")), ("1.5", refused("1.5"))];
        for (text, expected) in rates {
            assert_eq!(text.parse::<Rate>(), expected, "{text}");
        }
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
        assert_eq!((pacer.due(late), pacer.wait_ns(late), pacer.behind_ns(late)), (10, 0, 9_000_000));
        pacer.sent(10);
        assert_eq!((pacer.due(late), pacer.wait_ns(late), pacer.behind_ns(late)), (0, 1_000_000, 0));
    }

    #[test]
    fn max_is_always_due() {
        let mut pacer = RatePacer::new(Rate::Max, MonoNanos(5));
        pacer.sent(u64::MAX);
        pacer.sent(1);
        assert_eq!(
            (pacer.due(MonoNanos(0)), pacer.wait_ns(MonoNanos(0)), pacer.behind_ns(MonoNanos(9))),
            (u64::MAX, 0, 0)
        );
    }

    #[test]
    fn recorded_times_are_followed() {
        let cases = [
            // name, speed, receive times, when due (start 100)
            ("real time", "1", vec![Some(7_000), Some(7_500), Some(9_000)], vec![100, 600, 2_100]),
            ("twice as fast", "2", vec![Some(7_000), Some(7_500)], vec![100, 350]),
            ("half as fast", "0.5", vec![Some(7_000), Some(7_500)], vec![100, 1_100]),
            ("clock steps back", "1", vec![Some(0), Some(50), Some(20), Some(60)], vec![100, 150, 150, 160]),
            ("back before the first", "1", vec![Some(50), Some(-5), Some(51)], vec![100, 100, 101]),
            ("times unknown", "1", vec![None, Some(9), None, Some(19)], vec![100, 100, 100, 110]),
            ("max", "max", vec![Some(0), Some(1_000_000)], vec![100, 100]),
            ("the whole range", "1", vec![Some(i64::MIN), Some(i64::MAX)], vec![100, u64::MAX]),
        ];
        for (name, speed, recorded, expected) in cases {
            let mut pacer = RecordingPacer::new(speed.parse().unwrap(), MonoNanos(100));
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
            prop_assert_eq!(pacer.behind_ns(MonoNanos(due_at)), 0);
            if due_at > start {
                prop_assert_eq!(pacer.due(MonoNanos(due_at - 1)), 0);
            }
        }
    }
}

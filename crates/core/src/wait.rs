//! What the batching thread does while nothing arrives.
//!
//! Hot path: [`Waiter::idle`] is called once per round that brought little; time comes from the injected clock.

use crate::wake::Wake;
use feedd_model::MonoNanos;
use std::time::Duration;

/// How a consumer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Spin for 50 µs, then sleep 100 µs at a time, after 200 ms of silence park until woken.
    Adaptive,
    /// Look again every 300 ns, for ever: lowest latency, one core at 100 %.
    Spin,
    /// As spin, giving the core to others in between.
    Yield,
    /// Spin for 50 µs, then park until woken.
    Park,
}

/// Pause between two looks while spinning: a reader that polls the index line in a tight loop slows the writer
/// (measured 29 against 9 ns an event); 300 ns cost at most that in latency.
const PACE_NANOS: u64 = 300;
/// Spinning longer than this saves no wake-up at 100,000 events/s and more; measured.
const SPIN_NANOS: u64 = 50_000;
/// One nap: 4.4 % of a core, nothing to do for the producer.
const NAP_NANOS: u64 = 100_000;
/// After this silence the naps cost more than a wake-up does.
const SILENCE_NANOS: u64 = 200_000_000;
/// Longest sleep: published state is looked at again after it, whatever happened to a wake-up.
const PARK_NANOS: u64 = 40_000_000;

/// The waiting state of one consumer.
#[derive(Debug)]
pub struct Waiter {
    strategy: WaitStrategy,
    idle_since: Option<MonoNanos>,
}

/// What the strategy asks for at a given moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look again after a short pause.
    Pace,
    /// Give the core away, then look again.
    Yield,
    /// Sleep this many nanoseconds.
    Nap(u64),
    /// Sleep until woken, at most this many nanoseconds.
    Park(u64),
}

impl WaitStrategy {
    /// Whether a consumer of this strategy ever parks, so that producers must notify it.
    #[must_use]
    pub const fn parks(self) -> bool {
        matches!(self, Self::Adaptive | Self::Park)
    }

    /// What to do after `idle_nanos` without work.
    #[must_use]
    pub const fn step(self, idle_nanos: u64) -> Step {
        match self {
            Self::Spin => Step::Pace,
            Self::Yield => Step::Yield,
            _ if idle_nanos < SPIN_NANOS => Step::Pace,
            Self::Adaptive if idle_nanos < SILENCE_NANOS => Step::Nap(NAP_NANOS),
            Self::Adaptive | Self::Park => Step::Park(PARK_NANOS),
        }
    }
}

impl Waiter {
    /// A waiter that has just worked.
    #[must_use]
    pub const fn new(strategy: WaitStrategy) -> Self {
        Self { strategy, idle_since: None }
    }

    /// Notes that there was work.
    #[inline]
    pub fn worked(&mut self) {
        self.idle_since = None;
    }

    /// Waits once, as the strategy asks for at `now`. `has_work` is asked before sleeping.
    pub fn idle(&mut self, now: MonoNanos, wake: &Wake, has_work: impl FnOnce() -> bool) {
        let since = *self.idle_since.get_or_insert(now);
        match self.strategy.step(now.since(since)) {
            Step::Pace => pace(),
            Step::Yield => {
                pace();
                std::thread::yield_now();
            }
            Step::Nap(nanos) => std::thread::sleep(Duration::from_nanos(nanos)),
            Step::Park(nanos) => wake.sleep(nanos, has_work),
        }
    }
}

/// Waits [`PACE_NANOS`] by the clock: the pause instruction takes 4 to 45 ns depending on the processor.
pub fn pace() {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_nanos(PACE_NANOS) {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_follow_the_silence() {
        let cases = [
            ("adaptive spins at first", WaitStrategy::Adaptive, 49_999, Step::Pace),
            ("adaptive naps between bursts", WaitStrategy::Adaptive, 50_000, Step::Nap(100_000)),
            ("adaptive naps up to 200 ms", WaitStrategy::Adaptive, 199_999_999, Step::Nap(100_000)),
            ("adaptive parks in silence", WaitStrategy::Adaptive, 200_000_000, Step::Park(40_000_000)),
            ("park parks after the spin", WaitStrategy::Park, 50_000, Step::Park(40_000_000)),
            ("spin never stops", WaitStrategy::Spin, u64::MAX, Step::Pace),
            ("yield never sleeps", WaitStrategy::Yield, u64::MAX, Step::Yield),
        ];
        for (name, strategy, idle, expected) in cases {
            assert_eq!(strategy.step(idle), expected, "{name}");
        }
        // The last event of a quiet stream is handed on within 50 ms even if every wake-up were lost.
        assert!(PARK_NANOS + NAP_NANOS < 50_000_000);
    }
}

//! The two clocks, as arguments: nothing else in the project asks the system for the time.

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
}

impl Clock for ManualClock {
    fn wall(&self) -> UnixNanos {
        UnixNanos(self.wall.load(Ordering::Relaxed))
    }

    fn mono(&self) -> MonoNanos {
        MonoNanos(self.mono.load(Ordering::Relaxed))
    }
}

//! Two kinds of time that must not mix: wall clock (stored, may step) and monotonic (durations).

/// Wall-clock nanoseconds since 1970-01-01T00:00:00Z: storable, may step.
///
/// Range: 1677 to 2262. `i64::MIN` is reserved inside [`crate::Event`] for "unknown".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(pub i64);

/// Monotonic nanoseconds since the process started: for durations; does not mix with [`UnixNanos`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoNanos(pub u64);

impl UnixNanos {
    /// From milliseconds since 1970; `None` when the result leaves the range of nanoseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Option<Self> {
        match millis.checked_mul(1_000_000) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// From microseconds since 1970; `None` when the result leaves the range of nanoseconds.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Option<Self> {
        match micros.checked_mul(1_000) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// Days since 1970-01-01 UTC, rounded down: the partition a record belongs to.
    #[must_use]
    pub const fn unix_day(self) -> i64 {
        self.0.div_euclid(86_400_000_000_000)
    }
}

/// Nanoseconds of a duration; the largest number for more than 584 years.
#[must_use]
pub fn duration_nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl MonoNanos {
    /// Nanoseconds from `earlier` to `self`, 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

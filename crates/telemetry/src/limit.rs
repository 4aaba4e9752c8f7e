//! A log line at most once in ten seconds, with the number it stands for.

use feedd_model::MonoNanos;

/// Shortest time between two lines of a kind.
const INTERVAL_NANOS: u64 = 10_000_000_000;

/// The state of one kind of line.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    last: Option<MonoNanos>,
    suppressed: u64,
}

impl Limit {
    /// Whether the line may be printed now; then with the number suppressed since the last one.
    pub(crate) fn allow(&mut self, now: MonoNanos) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < INTERVAL_NANOS) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

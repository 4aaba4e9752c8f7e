//! How long events stay in a ring: now and then one of them carries its time.
//!
//! Hot path: the consumer looks at one atomic for each drain; a clock is read only for an event that is measured.

use crate::sync::{AtomicU64, Ordering};
use feedd_model::MonoNanos;

/// The event of a queue that is measured, if one is: told by the producer, met by the consumer.
///
/// At most one is on its way. Where the queue is slower than measurements are begun, that is the first event after the one
/// measured last was taken: the one that waits longest, so what is measured is rather too long than too short.
#[derive(Debug, Default)]
pub struct Probe {
    /// Number of the event, counted from 1; 0 while none is measured.
    position: AtomicU64,
    at: AtomicU64,
}

impl Probe {
    /// Nothing is measured.
    #[must_use]
    pub fn new() -> Self {
        Self { position: AtomicU64::new(0), at: AtomicU64::new(0) }
    }

    /// The event number `position` is about to be put into the queue, at `now`. Nothing when another one is on its way.
    /// Producer only.
    pub fn send(&self, position: u64, now: MonoNanos) {
        // Acquire pairs with the Release in `take`: the time of the one before has been read.
        if self.position.load(Ordering::Acquire) == 0 {
            self.at.store(now.0, Ordering::Relaxed);
            // Release pairs with the Acquire in `take`: whoever sees the position sees its time.
            self.position.store(position, Ordering::Release);
        }
    }

    /// When the event was put in that is measured, once it is among the `taken` that were taken. Consumer only.
    #[inline]
    pub fn take(&self, taken: u64) -> Option<MonoNanos> {
        // Acquire pairs with the Release in `send`.
        let position = self.position.load(Ordering::Acquire);
        // 0 becomes the highest number of all.
        if position.wrapping_sub(1) >= taken {
            return None;
        }
        let at = self.at.load(Ordering::Relaxed);
        // Release pairs with the Acquire in `send`.
        self.position.store(0, Ordering::Release);
        Some(MonoNanos(at))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_event_at_a_time_is_measured_until_it_is_taken() {
        let probe = Probe::new();
        assert_eq!(probe.take(u64::MAX), None, "nothing is measured");
        probe.send(5, MonoNanos(100));
        probe.send(6, MonoNanos(200));
        assert_eq!((probe.take(0), probe.take(4)), (None, None), "not taken yet");
        assert_eq!(probe.take(9), Some(MonoNanos(100)));
        assert_eq!(probe.take(9), None, "once");
        probe.send(10, MonoNanos(300));
        assert_eq!(probe.take(10), Some(MonoNanos(300)));
    }
}

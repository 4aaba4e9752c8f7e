//! Waking a sleeping consumer, without a lock and without a system call while it is awake.
//!
//! Hot path: [`Wake::notify`] is two loads per published burst.
//!
//! The protocol is Dekker's: the producer publishes, then looks whether the consumer sleeps; the consumer says that it
//! will sleep, then looks whether there is work. The barrier between them forbids that both look too early; the consumer
//! pays for both sides (`barrier.rs`).

use crate::barrier;
use crate::sync::{AtomicBool, Mutex, Ordering, Thread, current, nap, park_for};

/// Longest sleep when nobody may rely on being woken.
const UNHEARD_NANOS_MAX: u64 = 1_000_000;

/// A consumer that may sleep, and the producers that wake it.
#[derive(Debug)]
pub struct Wake {
    /// False for strategies that never sleep: their producers skip the fence.
    parks: bool,
    sleeping: AtomicBool,
    /// In a nap, which nobody has to end.
    napping: AtomicBool,
    consumer: Mutex<Option<Thread>>,
}

impl Wake {
    /// `parks`: whether the consumer ever calls [`Wake::sleep`].
    #[must_use]
    pub fn new(parks: bool) -> Self {
        barrier::register();
        Self { parks, sleeping: AtomicBool::new(false), napping: AtomicBool::new(false), consumer: Mutex::new(None) }
    }

    /// Names the calling thread as the consumer. To be called before its first [`Wake::sleep`].
    pub fn register(&self) {
        *self.consumer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(current());
    }

    /// Tells the consumer that something was published; called after publishing.
    #[inline]
    pub fn notify(&self) {
        if !self.parks {
            return;
        }
        // Pairs with the one in `sleep`: either this load sees `sleeping`, or `has_work` sees what was published.
        barrier::light();
        // Not taken back by a swap here, which would spare a second `unpark` until the consumer runs: loom finds an order
        // in which that loses a wake-up.
        if self.sleeping.load(Ordering::Relaxed) {
            self.unpark();
        }
    }

    #[cold]
    fn unpark(&self) {
        if let Some(thread) = &*self.consumer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            thread.unpark();
        }
    }

    /// Ends a nap early: for a producer whose ring is full. May come too late or for nothing, a nap is short.
    #[cold]
    pub fn nudge(&self) {
        if self.napping.load(Ordering::Relaxed) {
            self.unpark();
        }
    }

    /// Naps for `nanos`, or until nudged. What is published meanwhile is not told.
    pub fn nap(&self, nanos: u64) {
        self.napping.store(true, Ordering::Relaxed);
        nap(nanos);
        self.napping.store(false, Ordering::Relaxed);
    }

    /// Sleeps until notified, at most `nanos`, and not at all when `has_work` says yes after the announcement.
    pub fn sleep(&self, nanos: u64, has_work: impl FnOnce() -> bool) {
        self.sleeping.store(true, Ordering::Relaxed);
        // Pairs with the one in `notify`.
        let is_heard = barrier::heavy();
        if !has_work() {
            if is_heard { park_for(nanos) } else { nap(nanos.min(UNHEARD_NANOS_MAX)) }
        }
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Without the nudge it would hang for an hour.
    #[test]
    fn a_nudge_ends_a_nap() {
        const HOUR: u64 = 3_600_000_000_000;
        let wake = Arc::new(Wake::new(true));
        let consumer = wake.clone();
        let napping = std::thread::spawn(move || {
            consumer.register();
            consumer.nap(HOUR);
        });
        while !napping.is_finished() {
            wake.nudge();
            std::thread::yield_now();
        }
        assert!(napping.join().is_ok());
        assert!(!wake.napping.load(Ordering::Relaxed));
    }
}
